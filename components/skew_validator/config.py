"""Typed configuration of SkewValidator."""

from __future__ import annotations

from components.config_base import ComponentConfig
from components.monitoring import MonitoringConfig


class SkewValidatorConfig(ComponentConfig):
    """How few values make a distance undefined.

    Attributes:
      monitoring: `min_count`; thresholds are the schema's comparators.
    """

    monitoring: MonitoringConfig = MonitoringConfig()
