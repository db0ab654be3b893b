"""Typed configuration of ExampleValidator."""

from __future__ import annotations

from components.config_base import ComponentConfig
from components.monitoring import MonitoringConfig


class ExampleValidatorConfig(ComponentConfig):
    """What stops a locale, and how few values make a distance undefined.

    Attributes:
      monitoring: `fail_on`, `on_drift` and `min_count`; thresholds are the schema's comparators.
    """

    monitoring: MonitoringConfig = MonitoringConfig()
