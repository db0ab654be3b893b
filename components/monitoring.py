"""Thresholds of drift, skew and schema anomalies: the `monitoring` section of a deployment.

SchemaGen writes the thresholds into the schema as TFDV comparators; ExampleValidator and
SkewValidator read them from there, so that a curated schema has the last word.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from typing import Annotated, Final, Literal

import pydantic

from components.config_base import ComponentConfig
from components.drift.findings import ALL_FEATURES, SEVERITIES, Measure, Severity

#: Measures that lie in [0, 1] by their definition: a larger threshold would never alert.
UNIT_INTERVAL: Final[frozenset[Measure]] = frozenset(
    {"infinity_norm", "jensen_shannon_divergence", "kolmogorov_smirnov", "missing_rate", "label_shift"}
)
#: Fields that SchemaGen and the two validators read.
_OF_THE_SCHEMA: Final = ("drift", "skew", "min_count", "min_presence", "fail_on", "on_drift")


class ComparatorConfig(ComponentConfig):
    """Largest distance that passes, per measure; both measures lie in [0, 1].

    Attributes:
      jensen_shannon_divergence: For continuous and integer features, in bits.
      infinity_norm: For binary and categorical features and the label.
    """

    # Two unit Gaussians 1.2 standard deviations apart have a divergence of about 0.23; TFDV names no default.
    jensen_shannon_divergence: float = pydantic.Field(default=0.2, ge=0, le=1)
    # Ten points of share; TFDV's tutorial uses 0.01 to 0.03 on hand-labelled web data.
    infinity_norm: float = pydantic.Field(default=0.1, ge=0, le=1)


#: A number: the largest value that passes, in the measure's unit. `noise`: no number, so that what judges is
#: whether the rows are beyond sampling noise at `alpha`.
Threshold = Annotated[float, pydantic.Field(ge=0)] | Literal["noise"]
Thresholds = dict[Measure, Threshold]


def _checked(measures: Thresholds) -> Thresholds:
    for measure, threshold in measures.items():
        if measure in UNIT_INTERVAL and not isinstance(threshold, str) and threshold > 1:
            raise ValueError(
                f"{measure}: found {threshold:g}, which it never exceeds; "
                "allowed: a number from 0 to 1, or noise"
            )
    return measures


class FeatureThresholds(ComponentConfig):
    """Thresholds of one feature instead of the general ones, in the measure of its kind.

    Attributes:
      drift: Against the previous span, or None for the general one.
      skew: Between locales, or None for the general one.
      measures: Of single measures, as in `MonitoringConfig.measures`.
    """

    drift: float | None = pydantic.Field(default=None, ge=0, le=1)
    skew: float | None = pydantic.Field(default=None, ge=0, le=1)
    measures: Thresholds = pydantic.Field(default_factory=dict)

    @pydantic.field_validator("measures")
    @classmethod
    def _check_measures(cls, measures: Thresholds) -> Thresholds:
        return _checked(measures)


class BaselinesConfig(ComponentConfig):
    """Which earlier spans a span is compared with.

    Attributes:
      previous: The nearest earlier span that was not refused.
      window: The nearest so many earlier spans together; 0 for none.
      reference: A span that stays the baseline whatever comes after it, by its number; None for none.
    """

    previous: bool = True
    window: int = pydantic.Field(default=0, ge=0, le=1000)
    reference: int | None = pydantic.Field(default=None, ge=0)

    @pydantic.model_validator(mode="after")
    def _check_any(self) -> BaselinesConfig:
        if not self.previous and not self.window and self.reference is None:
            raise ValueError(
                "no baseline at all, so that no drift would ever be found; "
                "allowed: previous: true, a window of spans, or a reference span"
            )
        if self.previous and self.window == 1:
            raise ValueError(
                "window: found 1, which is the previous span again; allowed: 0, or at least 2 spans"
            )
        return self


class SeverityConfig(ComponentConfig):
    """How bad an alert is. Where several apply, the worst counts.

    Attributes:
      default: Of alerts that nothing below names.
      features: By name of the feature, or pattern (`*`, `?`).
      measures: By measure.
      faults: Of alerts whose cause is a fault of the data path; None for no other than the rest says.
    """

    default: Severity = "warning"
    features: dict[str, Severity] = pydantic.Field(default_factory=dict)
    measures: dict[Measure, Severity] = pydantic.Field(default_factory=dict)
    faults: Severity | None = None

    def of(self, feature: str, measures: Iterable[Measure], *, is_fault: bool = False) -> Severity:
        """The severity of an alert on a feature by these measures."""
        found = [
            severity for pattern, severity in self.features.items() if fnmatch.fnmatchcase(feature, pattern)
        ]
        found += [self.measures[measure] for measure in measures if measure in self.measures]
        found += [self.faults] if is_fault and self.faults else []
        return max(found or [self.default], key=SEVERITIES.index)


class MonitoringConfig(ComponentConfig):
    """What is watched, and what stops a locale.

    Attributes:
      drift: Thresholds against the previous span.
      skew: Thresholds between locales.
      features: Thresholds of single features, by name (the label too).
      min_count: Fewest values on a side for a distance; below, it is UNDEFINED.
      min_presence: Smallest share of rows with a value, for the features of an inferred schema.
      fail_on: `error` stops a locale at a schema anomaly of severity ERROR; `never` only reports.
      on_drift: `fail` stops a locale at a drift over its threshold; `warn` only reports.
      baselines: Which earlier spans a span is compared with.
      alpha: Chance that sampling noise alone alerts, over all features of one comparison together (the
        false-discovery rate); dimensionless.
      correction: Of the false-discovery rate: `benjamini_hochberg`, or `benjamini_yekutieli`, which holds
        whatever the dependence between features.
      draws: Resamplings of the null of sampling noise.
      block_s: Length of a block of the block bootstrap in seconds; None chooses it by the data.
      bins: Bins of a numeric feature, of a locale's first span; later spans inherit them.
      bucket_s: Length of a bucket of time, in seconds; None chooses it by the cadence.
      measures: The largest value that passes, by measure, for all features; `noise` instead takes back
        the number that `drift` and `skew` set. One measure of each feature is judged by the noise in any
        case (`components.drift.core.verdicts`).
      severity: How bad an alert is.
    """

    drift: ComparatorConfig = ComparatorConfig()
    # Locales differ by nature (climate, duty cycle): a skew is a description before it is an alarm.
    skew: ComparatorConfig = ComparatorConfig(jensen_shannon_divergence=0.3, infinity_norm=0.2)
    features: dict[str, FeatureThresholds] = pydantic.Field(default_factory=dict)
    # Ten equal-width buckets with fewer than ten values each say little.
    min_count: int = pydantic.Field(default=100, ge=1)
    min_presence: float = pydantic.Field(default=0.0, ge=0, le=1)
    fail_on: Literal["error", "never"] = "error"
    on_drift: Literal["warn", "fail"] = "warn"
    baselines: BaselinesConfig = BaselinesConfig()
    # One comparison in a hundred may alert for nothing: thirty quiet spans with three baselines give one.
    alpha: float = pydantic.Field(default=0.01, gt=0, le=0.5)
    correction: Literal["benjamini_hochberg", "benjamini_yekutieli"] = "benjamini_hochberg"
    draws: int = pydantic.Field(default=999, ge=20, le=100_000)
    block_s: float | None = pydantic.Field(default=None, gt=0)
    bins: int = pydantic.Field(default=32, ge=4, le=512)
    bucket_s: int | None = pydantic.Field(default=None, ge=1)
    measures: Thresholds = pydantic.Field(default_factory=dict)
    severity: SeverityConfig = SeverityConfig()

    @pydantic.field_validator("measures")
    @classmethod
    def _check_measures(cls, measures: Thresholds) -> Thresholds:
        return _checked(measures)

    @pydantic.model_validator(mode="after")
    def _check_lengths(self) -> MonitoringConfig:
        if self.block_s is not None and self.bucket_s is not None and self.block_s < self.bucket_s:
            raise ValueError(
                f"block_s: found {self.block_s:g}, less than bucket_s {self.bucket_s}; "
                "allowed: at least one bucket"
            )
        return self

    def for_schema(self) -> MonitoringConfig:
        """What schema and validators depend on: a change of anything else repeats none of their work."""
        kept = {name: getattr(self, name) for name in _OF_THE_SCHEMA}
        kept["features"] = {
            name: FeatureThresholds(drift=own.drift, skew=own.skew) for name, own in self.features.items()
        }
        return MonitoringConfig(**kept)

    def threshold(self, feature: str, measure: Measure) -> Threshold | None:
        """What is configured for a measure of a feature; None where nothing is."""
        own = self.features.get(feature)
        if own is not None and measure in own.measures:
            return own.measures[measure]
        return self.measures.get(measure)


def strangers(monitoring: MonitoringConfig, features: Iterable[str]) -> str:
    """What the section names that the deployment does not have, in one sentence; empty where nothing.

    Args:
      monitoring: The section.
      features: The data set's features, and the label.
    """
    known = (*features, ALL_FEATURES)
    for name in monitoring.severity.features:
        if not fnmatch.filter(known, name):
            return f"severity.features: found '{name}'; allowed: {', '.join(known)}, or a pattern"
    return ""
