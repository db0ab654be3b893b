"""Typed configuration of SchemaGen."""

from __future__ import annotations

import pydantic

from components.config_base import ComponentConfig
from components.dataset import DatasetConfig
from components.monitoring import MonitoringConfig


class SchemaGenConfig(ComponentConfig):
    """What the schema is made from.

    Attributes:
      dataset: The columns; its `schema_name` names a curated schema, else one is inferred.
      monitoring: Thresholds that become the schema's drift and skew comparators.
      absent_columns: Columns that the PII policy drops at the door; the schema does not have them.
    """

    dataset: DatasetConfig
    monitoring: MonitoringConfig = MonitoringConfig()
    absent_columns: tuple[str, ...] = ()

    @pydantic.model_validator(mode="after")
    def _check_names(self) -> SchemaGenConfig:
        known = {*self.dataset.feature_names(), *([self.dataset.label] if self.dataset.label else [])}
        unknown = sorted(set(self.monitoring.features) - known)
        if unknown:
            raise ValueError(
                f"monitoring.features names '{unknown[0]}'; allowed: a feature or the label "
                f"({', '.join(sorted(known))})"
            )
        return self
