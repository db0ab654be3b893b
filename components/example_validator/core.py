"""Drift against the previous span, anomalies in words, and what stops a locale. Pure.

Drift compares whole spans, not split with split: a small split is a few blocks of consecutive time, and
of a feature with a daily course it shows mostly which hours they happened to be (decision 8).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from tensorflow_metadata.proto.v0 import anomalies_pb2

from components.monitoring import MonitoringConfig
from components.statistics_gen.summary import Comparator, FeatureSummary, compare, outcome

Summaries = Mapping[str, FeatureSummary]

#: Place of an anomaly that belongs to no feature.
WHOLE_SPLIT = "(split)"
#: What stands for all splits together where a split is named.
WHOLE_SPAN = "(span)"
_SIDES = ("this span", "the previous span")


@dataclass(frozen=True)
class FeatureDrift:
    """One feature of this span against the previous one.

    Attributes:
      feature: Feature name.
      split: `(span)`: all rows, whatever their split.
      measure: `jensen_shannon_divergence` or `infinity_norm`, in [0, 1].
      value: The measure, or None where it is undefined.
      threshold: Largest value that passes.
      n: Values in this span.
      n_baseline: Values in the previous span.
      test: `kolmogorov_smirnov` or `chi_square`, or None.
      statistic: Statistic of the test, or None.
      p_value: p-value of the test under independent rows, or None.
      verdict: `OK`, `DRIFT` or `UNDEFINED`.
      reason: Why something is undefined; else empty.
    """

    feature: str
    split: str
    measure: str
    value: float | None
    threshold: float
    n: int
    n_baseline: int
    test: str | None
    statistic: float | None
    p_value: float | None
    verdict: Literal["OK", "DRIFT", "UNDEFINED"]
    reason: str


@dataclass(frozen=True)
class Anomaly:
    """One schema anomaly. No value of a row: TFDV's full text stays in `SchemaDiff.pb`.

    Attributes:
      split: Split name.
      feature: Feature name, or `(split)`.
      severity: `ERROR`, `WARNING` or `UNKNOWN`.
      short: TFDV's short description.
      description: TFDV's reasons by type.
    """

    split: str
    feature: str
    severity: str
    short: str
    description: str


@dataclass(frozen=True)
class DriftReport:
    """What ExampleValidator found; `drift.json`.

    Attributes:
      status: `EVALUATED`, or `NOT_EVALUATED` where there is no baseline.
      reason: Why it was not evaluated; else empty.
      features: Drift per feature, of the whole span.
      anomalies: Schema anomalies per feature and split.
    """

    status: Literal["EVALUATED", "NOT_EVALUATED"]
    reason: str = ""
    features: tuple[FeatureDrift, ...] = ()
    anomalies: tuple[Anomaly, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Baseline:
    """The previous span's statistics: summaries of all its rows, or why there are none."""

    span: Summaries = field(default_factory=dict)
    absent: str = ""


def make_report(
    current: Mapping[str, Summaries],
    span: Summaries,
    baseline: Baseline,
    comparators: Mapping[str, Comparator],
    anomalies: Mapping[str, anomalies_pb2.Anomalies],
    min_count: int,
) -> DriftReport:
    """Drift of every feature that the schema watches, and the anomalies of every split.

    Args:
      current: This span's summaries: split, then feature.
      span: This span's summaries over all splits, by feature.
      baseline: The previous span's.
      comparators: The schema's drift comparators, by feature.
      anomalies: TFDV's findings, by split.
      min_count: Fewest values on a side for a distance.

    Returns:
      The report. A feature that only one side has is listed as UNDEFINED with its reason.
    """
    found = tuple(
        anomaly
        for split in current
        for anomaly in _anomalies(split, anomalies[split], current[split], comparators)
    )
    if baseline.absent:
        return DriftReport("NOT_EVALUATED", baseline.absent, (), found)
    if not comparators:
        return DriftReport("NOT_EVALUATED", "the schema carries no drift comparator", (), found)
    features = tuple(
        _feature_drift(name, span, baseline.span, comparator, min_count)
        for name, comparator in comparators.items()
    )
    return DriftReport("EVALUATED", "", features, found)


def refusals(report: DriftReport, monitoring: MonitoringConfig) -> list[str]:
    """What in a report stops the locale, one sentence each; empty where nothing does."""
    found = []
    if monitoring.fail_on == "error":
        found += [
            f"split={anomaly.split} feature={anomaly.feature}: schema anomaly of severity ERROR: "
            f"{anomaly.short}"
            for anomaly in report.anomalies
            if anomaly.severity == "ERROR"
        ]
    if monitoring.on_drift == "fail":
        found += [
            f"feature={drift.feature}: drift, {drift.measure} {drift.value:.4g} "
            f"over its threshold {drift.threshold:.4g}"
            for drift in report.features
            if drift.verdict == "DRIFT"
        ]
    return found


def _feature_drift(
    name: str, current: Summaries, baseline: Summaries, comparator: Comparator, min_count: int
) -> FeatureDrift:
    result = compare(current.get(name), baseline.get(name), comparator, min_count=min_count, sides=_SIDES)
    n, n_baseline = result.n, result.n_baseline
    return FeatureDrift(
        feature=name, split=WHOLE_SPAN, n=n, n_baseline=n_baseline, **outcome(result, "DRIFT")
    )


def _anomalies(
    split: str, found: anomalies_pb2.Anomalies, summaries: Summaries, comparators: Mapping[str, Comparator]
) -> Iterator[Anomaly]:
    """Anomalies of one split; comparators' are left out, they are in the drift rows."""
    if found.data_missing or not summaries:
        yield Anomaly(split, WHOLE_SPLIT, "ERROR", "Empty split", "The split has no rows.")
        return
    if found.HasField("dataset_anomaly_info"):
        yield from _one_anomaly(split, WHOLE_SPLIT, found.dataset_anomaly_info)
    for name in sorted(found.anomaly_info):
        info = found.anomaly_info[name]
        yield from _one_anomaly(split, ".".join(info.path.step) or name, info)
    for name in comparators:
        summary = summaries.get(name)
        if summary is not None and summary.num_present == 0:
            description = f"All {summary.num_missing} rows lack a value."
            yield Anomaly(split, name, "WARNING", "All values missing", description)


def _one_anomaly(split: str, feature: str, info: anomalies_pb2.AnomalyInfo) -> Iterator[Anomaly]:
    kinds = anomalies_pb2.AnomalyInfo.Type
    reasons = [reason for reason in info.reason if not kinds.Name(reason.type).startswith("COMPARATOR_")]
    if reasons:
        short = "; ".join(dict.fromkeys(reason.short_description for reason in reasons))
        description = ", ".join(dict.fromkeys(kinds.Name(reason.type) for reason in reasons))
        severity = anomalies_pb2.AnomalyInfo.Severity.Name(info.severity)
        yield Anomaly(split, feature, severity, short, description)
