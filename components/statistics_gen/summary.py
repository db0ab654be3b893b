"""Reads TFDV's statistics protos into plain summaries, and compares two of them.

Needs `tensorflow_metadata` for the proto types only; neither TFX nor TFDV.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from components.errors import UndefinedMetricError
from components.statistics_gen import core

Measure = Literal["jensen_shannon_divergence", "infinity_norm"]

#: TFDV's `StatsOptions.epsilon`: rank error of the quantile sketch.
SKETCH_ERROR = 0.01


@dataclass(frozen=True)
class FeatureSummary:
    """What the statistics say of one feature in one split.

    Attributes:
      name: Feature name.
      numeric: True for numeric statistics, False for counts per category.
      num_present: Rows with a value.
      num_missing: Rows without one.
      histogram: Equal-width buckets, of a numeric feature with values.
      cdf: Quantiles, of a numeric feature with values.
      counts: Count per category, of a categorical feature.
    """

    name: str
    numeric: bool
    num_present: int
    num_missing: int
    histogram: core.Histogram | None = None
    cdf: core.StepCdf | None = None
    counts: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Comparator:
    """A schema's skew or drift comparator of one feature: the measure and its threshold."""

    measure: Measure
    threshold: float


@dataclass(frozen=True)
class Comparison:
    """One feature on two sides.

    Attributes:
      measure: The comparator's measure.
      value: Its value, in [0, 1], or None where it is undefined.
      threshold: Largest value that passes.
      n: Values on the first side.
      n_baseline: Values on the second.
      test: `kolmogorov_smirnov` or `chi_square`, the two-sample test beside the measure.
      statistic: Statistic of the test, or None.
      p_value: p-value of the test under independent rows, or None.
      exceeded: Whether value > threshold (TFDV's rule), or None where the value is undefined.
      reason: Why something is undefined; else empty.
    """

    measure: Measure
    threshold: float
    n: int
    n_baseline: int
    value: float | None = None
    test: str | None = None
    statistic: float | None = None
    p_value: float | None = None
    exceeded: bool | None = None
    reason: str = ""


def single_dataset(
    statistics: statistics_pb2.DatasetFeatureStatisticsList,
) -> statistics_pb2.DatasetFeatureStatistics:
    """The one dataset of a statistics file; an empty one where the file has none."""
    return statistics.datasets[0] if statistics.datasets else statistics_pb2.DatasetFeatureStatistics()


def summarise(statistics: statistics_pb2.DatasetFeatureStatisticsList) -> dict[str, FeatureSummary]:
    """Summary of every feature, keyed by name."""
    features = single_dataset(statistics).features
    return {summary.name: summary for summary in map(_summarise_feature, features)}


def comparators(schema: schema_pb2.Schema, kind: Literal["skew", "drift"]) -> dict[str, Comparator]:
    """The comparators that a schema carries, keyed by feature; features without one are left out."""
    found: dict[str, Comparator] = {}
    for feature in schema.feature:
        comparator = getattr(feature, f"{kind}_comparator")
        if comparator.HasField("jensen_shannon_divergence"):
            found[feature.name] = Comparator(
                "jensen_shannon_divergence", comparator.jensen_shannon_divergence.threshold
            )
        elif comparator.HasField("infinity_norm"):
            found[feature.name] = Comparator("infinity_norm", comparator.infinity_norm.threshold)
    return found


def compare(
    current: FeatureSummary | None,
    baseline: FeatureSummary | None,
    comparator: Comparator,
    *,
    min_count: int = 1,
    sides: tuple[str, str] = ("current", "baseline"),
) -> Comparison:
    """Compares one feature on two sides; every way in which it cannot be compared has its reason.

    Args:
      current: One side, or None where that side lacks the feature.
      baseline: The other side, or None.
      comparator: Measure and threshold.
      min_count: Fewest values on a side for which a measure is computed.
      sides: What the two sides are called in a reason.

    Returns:
      The comparison; `value` and `exceeded` are None where it is undefined, and `reason` says why.
    """
    n = current.num_present if current else 0
    n_baseline = baseline.num_present if baseline else 0
    undefined = Comparison(comparator.measure, comparator.threshold, n, n_baseline)
    reason = _obstacle(current, baseline, comparator, min_count, sides)
    if reason or current is None or baseline is None:
        return _replace(undefined, reason=reason)
    try:
        value, test = _measure(current, baseline, comparator.measure)
    except UndefinedMetricError as error:
        return _replace(undefined, reason=str(error))
    result = _replace(undefined, value=value, exceeded=value > comparator.threshold, test=test)
    try:
        two_sample = _two_sample_test(current, baseline)
    except UndefinedMetricError as error:
        return _replace(result, reason=f"p-value: {error}")
    return _replace(result, statistic=two_sample.statistic, p_value=two_sample.p_value)


def outcome(result: Comparison, exceeded: str) -> dict[str, Any]:
    """What a report's row says of a comparison, by field name.

    Args:
      result: The comparison.
      exceeded: The verdict where its value is over the threshold: `DRIFT`, `SKEW`.
    """
    return {
        "measure": result.measure,
        "value": result.value,
        "threshold": result.threshold,
        "test": result.test,
        "statistic": result.statistic,
        "p_value": result.p_value,
        "verdict": {None: "UNDEFINED", True: exceeded, False: "OK"}[result.exceeded],
        "reason": result.reason,
    }


def _replace(comparison: Comparison, **changes: object) -> Comparison:
    return Comparison(**{**comparison.__dict__, **changes})  # type: ignore[arg-type]


def _obstacle(
    current: FeatureSummary | None,
    baseline: FeatureSummary | None,
    comparator: Comparator,
    min_count: int,
    sides: tuple[str, str],
) -> str:
    """Why two sides cannot be compared, or an empty string."""
    present = dict(zip(sides, (current, baseline)))
    absent = [side for side, summary in present.items() if summary is None]
    if absent:
        return f"feature is absent from {' and '.join(absent)}"
    for side, summary in present.items():
        assert summary is not None
        if summary.num_present == 0:
            rows = summary.num_missing
            return f"{side}: all {rows} rows lack a value" if rows else f"{side}: the split is empty"
        if summary.num_present < min_count:
            return f"{side}: {summary.num_present} values, fewer than min_count {min_count}"
        if summary.numeric != (comparator.measure == "jensen_shannon_divergence"):
            kind = "numeric" if summary.numeric else "categorical"
            return f"{side}: {comparator.measure} does not apply to {kind} statistics"
    return ""


def _measure(current: FeatureSummary, baseline: FeatureSummary, measure: Measure) -> tuple[float, str]:
    if measure == "infinity_norm":
        return core.linf_distance(current.counts, baseline.counts), "chi_square"
    if current.histogram is None or baseline.histogram is None:
        raise UndefinedMetricError("no finite values to make a histogram of")
    return core.histogram_divergence(current.histogram, baseline.histogram), "kolmogorov_smirnov"


def _two_sample_test(current: FeatureSummary, baseline: FeatureSummary) -> core.TestResult:
    if not current.numeric:
        return core.chi_square_homogeneity(current.counts, baseline.counts)
    if current.cdf is None or baseline.cdf is None:
        raise UndefinedMetricError("no quantiles")
    n, n_baseline = current.num_present, baseline.num_present
    return core.kolmogorov_smirnov(current.cdf, baseline.cdf, n, n_baseline, SKETCH_ERROR)


def _summarise_feature(feature: statistics_pb2.FeatureNameStatistics) -> FeatureSummary:
    name = ".".join(feature.path.step) if feature.path.step else feature.name
    if feature.HasField("num_stats"):
        numeric = feature.num_stats
        common = numeric.common_stats
        return FeatureSummary(
            name,
            True,
            common.num_non_missing,
            common.num_missing,
            histogram=_standard_histogram(numeric),
            cdf=_quantile_cdf(numeric),
        )
    common = feature.string_stats.common_stats
    counts = {bucket.label: bucket.sample_count for bucket in feature.string_stats.rank_histogram.buckets}
    return FeatureSummary(name, False, common.num_non_missing, common.num_missing, counts=counts)


def _standard_histogram(numeric: statistics_pb2.NumericStatistics) -> core.Histogram | None:
    for histogram in numeric.histograms:
        if histogram.type == statistics_pb2.Histogram.STANDARD and histogram.buckets:
            low, high, counts = (
                np.array([getattr(bucket, key) for bucket in histogram.buckets], dtype=np.float64)
                for key in ("low_value", "high_value", "sample_count")
            )
            return core.Histogram(low, high, counts, float(histogram.num_nan))
    return None


def _quantile_cdf(numeric: statistics_pb2.NumericStatistics) -> core.StepCdf | None:
    for histogram in numeric.histograms:
        if histogram.type == statistics_pb2.Histogram.QUANTILES and histogram.buckets:
            counts = np.array([bucket.sample_count for bucket in histogram.buckets], dtype=np.float64)
            knots = [histogram.buckets[0].low_value, *(bucket.high_value for bucket in histogram.buckets)]
            levels = np.concatenate([[0.0], np.cumsum(counts)]) / counts.sum()
            return core.StepCdf(np.array(knots, dtype=np.float64), np.minimum(levels, 1.0))
    return None
