"""Typed configuration of SkewMonitor."""

from __future__ import annotations

from typing import Any, Literal

import pydantic

from components.config_base import ComponentConfig
from components.dataset import DatasetConfig
from components.monitoring import MonitoringConfig


class ServedRowsConfig(ComponentConfig):
    """Where `isthmus serve --record` keeps the profile of the rows that it is asked about.

    Attributes:
      folder: A folder that this machine or pod can read; no URI.
      days: Of the record that are compared, back from its newest row.
    """

    folder: str = pydantic.Field(min_length=1)
    days: int = pydantic.Field(default=28, ge=1, le=3650)

    @pydantic.field_validator("folder")
    @classmethod
    def _check_folder(cls, folder: str) -> str:
        if "://" in folder:
            raise ValueError("found a URI; allowed: a folder that the centre can read")
        return folder


class SkewMonitorConfig(ComponentConfig):
    """What the centre watches.

    Attributes:
      dataset: The columns.
      monitoring: Thresholds, level, severities; baselines are the regions' affair.
      locales: Name to sharing, in the order of the deployment.
      locale_column: Column of the test set that names the locale of a row; None where it has none.
      seed: Of the resamplings and of the multivariate test.
      served_rows: What the deployed detector was asked about; None where nobody records it.
    """

    dataset: DatasetConfig
    monitoring: MonitoringConfig = MonitoringConfig()
    locales: dict[str, Literal["restricted", "open"]] = pydantic.Field(min_length=1)
    locale_column: str | None = None
    seed: int = pydantic.Field(default=0, ge=0)
    served_rows: ServedRowsConfig | None = None

    @pydantic.model_serializer(mode="wrap")
    def _without_nothing(self, handler: pydantic.SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Deployments that record nothing keep the form, and so the cached work, that they had."""
        found: dict[str, Any] = handler(self)
        if found["served_rows"] is None:
            del found["served_rows"]
        return found
