"""Series of single comparisons: the worst features of each locale and kind, the rest as a count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from components.drift.findings import SEVERITIES, Finding, Measure, Measurement, MonitorReport
from pipeline.config.metrics import MetricsSection
from pipeline.metrics.samples import Sample
from pipeline.metrics.words import Words

Family = Literal["ratio", "statistic", "shift"]
#: Measures in [0, 1]: shares and their differences, distances of distribution functions, Jensen-Shannon to
#: base 2.
RATIOS: Final[frozenset[Measure]] = frozenset(
    {
        "infinity_norm",
        "jensen_shannon_divergence",
        "kolmogorov_smirnov",
        "missing_rate",
        "cadence",
        "label_shift",
        "concept_shift",
        "schema",
    }
)
#: Units of information, which a logarithm brings along: dimensionless.
_INFORMATION = ("", "bit", "nat")
_NAMES: dict[Family, tuple[str, str, str]] = {
    "ratio": (
        "isthmus_drift_distance_ratio",
        "isthmus_drift_threshold_ratio",
        "isthmus_drift_noise_limit_ratio",
    ),
    "statistic": (
        "isthmus_drift_statistic",
        "isthmus_drift_statistic_threshold",
        "isthmus_drift_statistic_noise_limit",
    ),
    "shift": ("isthmus_drift_shift", "isthmus_drift_shift_threshold", "isthmus_drift_shift_noise_limit"),
}
_VERDICTS = ("ALERT", "OK", "UNDEFINED")


@dataclass(frozen=True)
class _Ranked:
    """A finding under its labels; `rank` sorts the worst first."""

    rank: tuple[int, int, float]
    labels: tuple[str, ...]
    finding: Finding

    @property
    def of_feature(self) -> tuple[str, str, str]:
        locale, comparison, _, feature, _ = self.labels
        return locale, comparison, feature


def family_of(measurement: Measurement) -> Family:
    """Which metric a measure's values belong to, by its unit and its range."""
    if measurement.measure == "wasserstein" or measurement.unit not in _INFORMATION:
        return "shift"
    return "ratio" if measurement.measure in RATIOS else "statistic"


def comparison_samples(report: MonitorReport, words: Words, limits: MetricsSection) -> Iterator[Sample]:
    """The series of a zone's comparisons, and for each locale and kind how many have none.

    Args:
      report: What the zone's monitoring found.
      words: What labels may say. Comparisons that become the same under it are the worst one's series.
      limits: `max_features`, then `max_series`. Both keep the worst: alerts first, then by severity, then by
        the largest ratio of a value to its threshold or noise limit.
    """
    ranked = sorted(
        (_Ranked(_badness(finding), words.finding(finding), finding) for finding in report.findings),
        key=lambda item: (item.rank, item.labels),
    )
    kept_features: dict[tuple[str, str], set[str]] = {}
    left_out: Counter[tuple[str, str]] = Counter()
    seen: set[tuple[str, ...]] = set()
    used, full = 0, False
    for item in ranked:
        locale, comparison, feature = item.of_feature
        left_out.setdefault((locale, comparison), 0)
        features = kept_features.setdefault((locale, comparison), set())
        known = feature in features or len(features) < limits.max_features
        series = list(_series(item, words)) if known and item.labels not in seen and not full else []
        full = full or used + len(series) > limits.max_series
        if not known or item.labels in seen or full:
            left_out[locale, comparison] += 1
            continue
        features.add(feature)
        seen.add(item.labels)
        used += len(series)
        yield from series
    for key, count in sorted(left_out.items()):
        yield Sample("isthmus_drift_findings_left_out", key, count)


def _badness(finding: Finding) -> tuple[int, int, float]:
    return (
        _VERDICTS.index(finding.verdict),
        -SEVERITIES.index(finding.severity),
        -max(map(_excess, finding.measurements), default=0.0),
    )


def _excess(measurement: Measurement) -> float:
    """Value over limit, dimensionless; 0 where there is no value or no positive limit."""
    limit = measurement.threshold
    if limit is None and measurement.null is not None:
        limit = measurement.null.limit
    if measurement.value is None or limit is None or limit <= 0:
        return 0.0
    return measurement.value / limit


def _series(item: _Ranked, words: Words) -> Iterator[Sample]:
    if item.finding.verdict != "UNDEFINED":
        yield Sample("isthmus_drift_alert", item.labels, float(item.finding.verdict == "ALERT"))
    seen = set()
    for found in item.finding.measurements:
        if found.measure in seen:  # one value of a measure per comparison; the first is the judged one
            continue
        seen.add(found.measure)
        family = family_of(found)
        labels = (*item.labels, found.measure)
        unit = (words.unit(found.unit),) if family == "shift" else ()
        limit = found.null.limit if found.null is not None else None
        for name, value in zip(_NAMES[family], (found.value, found.threshold, limit)):
            if value is not None:
                yield Sample(name, (*labels, *unit), value)
        for name, value in (
            ("isthmus_drift_p_value", found.p_value),
            ("isthmus_drift_q_value", found.q_value),
        ):
            if value is not None:
                yield Sample(name, labels, value)
