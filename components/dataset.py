"""The columns of a data set: names, kinds and units. Shared by every component's configuration."""

from __future__ import annotations

from typing import Literal

import pydantic

from components.config_base import ComponentConfig

FeatureKind = Literal["continuous", "integer", "binary", "categorical"]

#: The name of the time column inside Isthmus, whatever it is called at the source.
TIMESTAMP = "timestamp"


class FeatureConfig(ComponentConfig):
    """One feature column.

    Attributes:
      name: Column name at the source and inside.
      kind: `continuous` (float32), `integer` (int64), `binary` (int64 0/1), `categorical` (string).
      unit: Unit, for plots and reports; empty where dimensionless.
    """

    name: str = pydantic.Field(min_length=1)
    kind: FeatureKind = "continuous"
    unit: str = ""


class DatasetConfig(ComponentConfig):
    """The columns of a data set.

    Attributes:
      timestamp: Source column of the time.
      series: Columns that together name a session (device, channel); may be empty.
      label: Column of the anomaly label (1 = anomaly), or None.
      label_kind: Column of the anomaly's kind, or None; needs `label`.
      features: The feature columns, in order.
      targets: The features that the central detector watches; continuous or integer.
      interval_s: The cadence of the rows, in seconds.
      schema_name: Curated schema `schemas/<schema_name>/schema.pbtxt`; None infers one.
    """

    timestamp: str = "timestamp"
    series: tuple[str, ...] = ()
    label: str | None = None
    label_kind: str | None = None
    features: tuple[FeatureConfig, ...] = pydantic.Field(min_length=1)
    targets: tuple[str, ...] = pydantic.Field(min_length=1)
    interval_s: float = pydantic.Field(gt=0)
    schema_name: str | None = None

    @pydantic.model_validator(mode="after")
    def _check_columns(self) -> DatasetConfig:
        names = [self.timestamp, *self.series, *(f.name for f in self.features)]
        names += [name for name in (self.label, self.label_kind) if name]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"column named twice: {', '.join(twice)}")
        if self.label_kind and not self.label:
            raise ValueError("label_kind needs label")
        kinds = {feature.name: feature.kind for feature in self.features}
        for target in self.targets:
            if kinds.get(target) not in ("continuous", "integer"):
                raise ValueError(
                    f"target '{target}' is {kinds.get(target, 'not a feature')}; "
                    "allowed: a continuous or integer feature"
                )
        return self

    def feature_names(self, *kinds: FeatureKind) -> tuple[str, ...]:
        """Names of the features, all of them or those of the given kinds, in order."""
        return tuple(f.name for f in self.features if not kinds or f.kind in kinds)

    def compared_names(self) -> tuple[str, ...]:
        """What a row says beside when and of which series: the features in order, then the label if any."""
        return (*self.feature_names(), *filter(None, (self.label,)))
