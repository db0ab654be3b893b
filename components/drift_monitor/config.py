"""Typed configuration of DriftMonitor and GeneratorMonitor."""

from __future__ import annotations

import pydantic

from components.config_base import ComponentConfig
from components.dataset import DatasetConfig
from components.egress.config import EgressConfig
from components.monitoring import MonitoringConfig


class DriftMonitorConfig(ComponentConfig):
    """What a region watches, and what of it may leave.

    Attributes:
      dataset: The columns.
      monitoring: Baselines, thresholds, level, severities.
      egress: The locale's policy: how counts are rounded in `outward.json`, and whether there is one.
      seed: Of the resamplings and of the multivariate test.
    """

    dataset: DatasetConfig
    monitoring: MonitoringConfig = MonitoringConfig()
    egress: EgressConfig = EgressConfig()
    seed: int = pydantic.Field(default=0, ge=0)
