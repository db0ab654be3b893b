"""One value of one series, and the series of one zone."""

from __future__ import annotations

from dataclasses import dataclass

from components.errors import InternalError
from pipeline.metrics.catalogue import BY_NAME


@dataclass(frozen=True)
class Sample:
    """One value.

    Attributes:
      metric: A name of the catalogue.
      labels: Values of the metric's own labels, in the catalogue's order.
      value: In the metric's unit.
    """

    metric: str
    labels: tuple[str, ...]
    value: float


@dataclass(frozen=True)
class Group:
    """What is replaced as one: a file, or a group of the Pushgateway.

    Attributes:
      deployment: The deployment's name.
      zone: A locale or `central`; empty for what concerns the whole run.
      samples: No two of one metric with equal labels.
    """

    deployment: str
    zone: str
    samples: tuple[Sample, ...]

    def __post_init__(self) -> None:
        seen = set()
        for sample in self.samples:
            spec = BY_NAME.get(sample.metric)
            if spec is None or len(spec.labels) != len(sample.labels):
                raise InternalError(
                    f"metrics: {sample.metric} with {len(sample.labels)} labels: not in the list"
                )
            if (spec.per == "run") != (self.zone == ""):
                raise InternalError(f"metrics: {sample.metric} does not belong in the group '{self.zone}'")
            if (sample.metric, sample.labels) in seen:
                raise InternalError(f"metrics: {sample.metric}: one series twice")
            seen.add((sample.metric, sample.labels))
