"""Typed configuration of SkewMonitor."""

from __future__ import annotations

from typing import Literal

import pydantic

from components.config_base import ComponentConfig
from components.dataset import DatasetConfig
from components.monitoring import MonitoringConfig


class SkewMonitorConfig(ComponentConfig):
    """What the centre watches.

    Attributes:
      dataset: The columns.
      monitoring: Thresholds, level, severities; baselines are the regions' affair.
      locales: Name to sharing, in the order of the deployment.
      locale_column: Column of the test set that names the locale of a row; None where it has none.
      seed: Of the resamplings and of the multivariate test.
    """

    dataset: DatasetConfig
    monitoring: MonitoringConfig = MonitoringConfig()
    locales: dict[str, Literal["restricted", "open"]] = pydantic.Field(min_length=1)
    locale_column: str | None = None
    seed: int = pydantic.Field(default=0, ge=0)
