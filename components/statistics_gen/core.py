"""Distances between two distributions that are known by their histograms. Pure NumPy and SciPy.

The Jensen-Shannon divergence has TFDV's semantics (anomalies/metrics.cc), so that our reports and
TFDV's anomalies show the same number: histograms are aligned on the union of their edges, values are
uniform within a bucket, a single value is a bucket of no width, and NaN is a bucket of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from components.errors import DataError, UndefinedMetricError

FloatArray = npt.NDArray[np.float64]

#: Cochran's rule: the chi-square approximation wants expected counts of at least 5.
MIN_EXPECTED_COUNT = 5.0


@dataclass(frozen=True)
class Histogram:
    """Counts over adjoining buckets.

    Attributes:
      low: Lower edges, shape [buckets], non-decreasing, in the feature's unit.
      high: Upper edges, shape [buckets]; equal to `low` for a bucket that holds a single value.
      counts: Sample counts, shape [buckets], >= 0, need not be whole.
      num_nan: Number of NaN values, outside the buckets.
    """

    low: FloatArray
    high: FloatArray
    counts: FloatArray
    num_nan: float = 0.0

    def __post_init__(self) -> None:
        if not self.low.shape == self.high.shape == self.counts.shape:
            raise DataError("histogram: low, high and counts differ in length")
        if np.any(self.high < self.low) or np.any(np.diff(self.low) < 0):
            raise DataError("histogram: bucket edges decrease")
        _check_weights(self.counts, "histogram")


@dataclass(frozen=True)
class StepCdf:
    """What a quantile sketch knows of a distribution function: its bounds at each point.

    Attributes:
      knots: Sorted quantile values, shape [knots]; a value repeats where mass sits on a point.
      levels: Cumulative probability of each knot, shape [knots], non-decreasing, from 0 to 1.
    """

    knots: FloatArray
    levels: FloatArray

    def bounds(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Lower and upper bound of F(x), each of the shape of `x`."""
        after = np.searchsorted(self.knots, x, side="right")
        padded_low = np.concatenate([[0.0], self.levels])
        padded_high = np.concatenate([self.levels, [1.0]])
        return padded_low[after], padded_high[after]

    def interpolate(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """F(x) and its limit from the left, linear between knots; each of the shape of `x`."""
        right = np.interp(x, self.knots, self.levels, left=0.0, right=1.0)
        left = -np.interp(-x, -self.knots[::-1], -self.levels[::-1], left=-1.0, right=0.0)
        return right, left


@dataclass(frozen=True)
class TestResult:
    """Result of a two-sample test: the statistic and its p-value, both in [0, 1] or statistic >= 0."""

    __test__ = False  # pytest would collect it by its name.

    statistic: float
    p_value: float


def linf_distance(p: Mapping[str, float], q: Mapping[str, float]) -> float:
    """L-infinity distance between two categorical distributions.

    max over categories of |p - q| after each side is normalised; a category that one side lacks has
    probability 0 there.

    Args:
      p: Count per category, >= 0, any total.
      q: As p.

    Returns:
      Distance, dimensionless, in [0, 1].

    Raises:
      DataError: a count is negative or not finite.
      UndefinedMetricError: a side has no values.

    Source: schema `infinity_norm`; LInftyDistance in TFDV anomalies/metrics.cc.
    """
    names = sorted({*p, *q})
    a = _normalise(np.array([p.get(name, 0.0) for name in names], dtype=np.float64))
    b = _normalise(np.array([q.get(name, 0.0) for name in names], dtype=np.float64))
    return float(np.max(np.abs(a - b)))


def jensen_shannon_divergence(p: npt.ArrayLike, q: npt.ArrayLike) -> float:
    """Jensen-Shannon divergence between two histograms over the same buckets, base 2.

    JSD(P||Q) = (KL(P||M) + KL(Q||M)) / 2 with M = (P + Q) / 2; 0 log 0 = 0.

    Args:
      p: Counts or weights over aligned buckets. Shape [buckets], >= 0, any total.
      q: As p, same buckets.

    Returns:
      Divergence in bits, in [0, 1]; 0 iff the normalised histograms are equal.

    Raises:
      DataError: shapes differ, or a value is negative or not finite.
      UndefinedMetricError: a histogram sums to 0.

    Source: Lin (1991), IEEE Trans. Inf. Theory 37(1); base and range as in TFDV anomalies/metrics.cc.
    """
    a = np.asarray(p, dtype=np.float64)
    b = np.asarray(q, dtype=np.float64)
    if a.shape != b.shape:
        raise DataError(f"jensen_shannon_divergence: shapes {a.shape} and {b.shape} differ")
    a, b = _normalise(a), _normalise(b)
    mean = (a + b) / 2
    return float(np.clip((_kullback_leibler(a, mean) + _kullback_leibler(b, mean)) / 2, 0.0, 1.0))


def histogram_divergence(a: Histogram, b: Histogram) -> float:
    """Jensen-Shannon divergence between histograms whose buckets may differ, as TFDV reports it.

    Args:
      a: One side.
      b: The other side.

    Returns:
      Divergence in bits, in [0, 1].

    Raises:
      UndefinedMetricError: a side has no values.
    """
    p, q = align_histograms(a, b)
    if a.num_nan or b.num_nan:
        p, q = np.append(p, a.num_nan), np.append(q, b.num_nan)
    return jensen_shannon_divergence(p, q)


def align_histograms(a: Histogram, b: Histogram) -> tuple[FloatArray, FloatArray]:
    """Counts of both histograms over the union of their edges, uniform within a bucket.

    A histogram that holds one single value gets a bucket of no width at that value, into which the
    other side's continuous mass does not fall: TFDV's rule, by which a constant is as far as can be
    from anything that varies.

    Args:
      a: One side.
      b: The other side.

    Returns:
      Two arrays of shape [aligned buckets].

    Source: AlignHistograms, AddSingleValueBoundary and RebucketHistogram in TFDV anomalies/metrics.cc.
    """
    edges_a, edges_b = (np.unique(np.concatenate([h.low, h.high])) for h in (a, b))
    if np.array_equal(edges_a, edges_b) and a.counts.shape == b.counts.shape:
        return a.counts, b.counts
    edges = np.union1d(edges_a, edges_b)
    points = {float(own[0]) for own in (edges_a, edges_b) if own.size == 1}
    edges = np.sort(np.concatenate([edges, np.array(sorted(points))]))
    return _rebucket(a, edges), _rebucket(b, edges)


def kolmogorov_smirnov(a: StepCdf, b: StepCdf, n_a: int, n_b: int, sketch_error: float = 0.0) -> TestResult:
    """Two-sample Kolmogorov-Smirnov test from quantiles instead of samples.

    The statistic is the largest gap between the interpolated distribution functions. The p-value is
    of the *smallest* gap that the quantiles allow, so that coarse buckets never make evidence. It
    supposes independent rows; telemetry is autocorrelated, so read it as a bound on optimism.

    Args:
      a: One side.
      b: The other side.
      n_a: Number of values behind `a`.
      n_b: Number of values behind `b`.
      sketch_error: Rank error of each side's sketch, dimensionless, in [0, 1).

    Returns:
      Statistic in [0, 1] and p-value in [0, 1].

    Raises:
      UndefinedMetricError: a side has no values.

    Source: Smirnov (1948), Ann. Math. Statist. 19(2), asymptotic distribution (scipy.stats.kstwobign).
    """
    if min(n_a, n_b) < 1 or a.knots.size == 0 or b.knots.size == 0:
        raise UndefinedMetricError("kolmogorov_smirnov: a side has no values")
    x = np.union1d(a.knots, b.knots)
    (right_a, left_a), (right_b, left_b) = a.interpolate(x), b.interpolate(x)
    statistic = max(np.max(np.abs(right_a - right_b)), np.max(np.abs(left_a - left_b)))
    (low_a, high_a), (low_b, high_b) = a.bounds(x), b.bounds(x)
    certain = max(np.max(low_a - high_b), np.max(low_b - high_a)) - 2 * sketch_error
    scale = np.sqrt(n_a * n_b / (n_a + n_b))
    p_value = stats.kstwobign.sf(scale * max(certain, 0.0))
    return TestResult(float(statistic), float(p_value))


def chi_square_homogeneity(p: Mapping[str, float], q: Mapping[str, float]) -> TestResult:
    """Chi-square test that two samples of categories come from one distribution.

    Categories whose expected count is below 5 on either side are pooled. Supposes independent rows.

    Args:
      p: Count per category, >= 0.
      q: As p.

    Returns:
      Statistic >= 0 and p-value in [0, 1]; (0, 1) where both sides hold one and the same category.

    Raises:
      DataError: a count is negative or not finite.
      UndefinedMetricError: a side has no values, or too few for the approximation.

    Source: Pearson (1900); the rule of 5 is Cochran (1954), Biometrics 10(4).
    """
    names = sorted({*p, *q})
    table = np.array([[side.get(name, 0.0) for name in names] for side in (p, q)], dtype=np.float64)
    for row in table:
        _normalise(row)
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] == 1:
        return TestResult(0.0, 1.0)
    smaller_side = table.sum(axis=1).min() / table.sum()
    rare = table.sum(axis=0) * smaller_side < MIN_EXPECTED_COUNT
    if rare.any():
        pooled = table[:, rare].sum(axis=1, keepdims=True)
        table = np.concatenate([table[:, ~rare], pooled], axis=1)
        if pooled.sum() * smaller_side < MIN_EXPECTED_COUNT or table.shape[1] < 2:
            table = _absorb_smallest(table)
    result = stats.chi2_contingency(table, correction=False)
    return TestResult(float(result.statistic), float(result.pvalue))


def _absorb_smallest(table: FloatArray) -> FloatArray:
    """Adds the last, too rare, pooled column to the least frequent other one."""
    if table.shape[1] < 3:
        raise UndefinedMetricError(
            "chi_square: too few values for the approximation (expected counts below 5)"
        )
    kept = table[:, :-1].copy()
    kept[:, np.argmin(kept.sum(axis=0))] += table[:, -1]
    return kept


def _rebucket(histogram: Histogram, edges: FloatArray) -> FloatArray:
    """Counts over sorted `edges` (a repeated edge makes a bucket of no width), uniform in a bucket."""
    counts = np.zeros(edges.size - 1, dtype=np.float64)
    for low, high, count in zip(histogram.low, histogram.high, histogram.counts):
        first = int(np.searchsorted(edges, low, side="left"))
        if low == high:
            # The bucket that starts here; at the upper end, where none does, the last one.
            counts[min(first, counts.size - 1)] += count
            continue
        last = int(np.searchsorted(edges, high, side="left"))
        counts[first:last] += count * np.diff(edges[first : last + 1]) / (high - low)
    return counts


def _normalise(weights: FloatArray) -> FloatArray:
    _check_weights(weights, "distribution")
    total = weights.sum()
    if total <= 0:
        raise UndefinedMetricError("a side has no values")
    return weights / total


def _check_weights(weights: FloatArray, what: str) -> None:
    if not np.all(np.isfinite(weights)) or np.any(weights < 0):
        raise DataError(f"{what}: a count is negative or not finite")


def _kullback_leibler(p: FloatArray, m: FloatArray) -> float:
    positive = p > 0
    return float(np.sum(p[positive] * np.log2(p[positive] / m[positive])))
