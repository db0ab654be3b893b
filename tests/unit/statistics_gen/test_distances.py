"""Distances: hand-derived answers, properties, scipy as oracle."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial import distance

from components.errors import DataError, UndefinedMetricError
from components.statistics_gen.core import (
    StepCdf,
    align_histograms,
    chi_square_homogeneity,
    histogram_divergence,
    jensen_shannon_divergence,
    kolmogorov_smirnov,
    linf_distance,
)
from tests.support.histograms import histogram as make_histogram

COUNTS = st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 1000), min_size=1)


def _positive(values: Iterable[float]) -> None:
    assume(sum(values) > 0)


# --- L-infinity ------------------------------------------------------------------------------------


def test_linf_by_hand() -> None:
    # p = (3/4, 1/4, 0), q = (1/2, 0, 1/2): gaps 1/4, 1/4, 1/2.
    assert linf_distance({"a": 3, "b": 1}, {"a": 1, "c": 1}) == 0.5


def test_linf_of_disjoint_is_one() -> None:
    assert linf_distance({"a": 7}, {"b": 2}) == 1.0


@given(COUNTS, COUNTS)
def test_linf_symmetric_and_bounded(p: dict[str, int], q: dict[str, int]) -> None:
    _positive(p.values())
    _positive(q.values())
    value = linf_distance(p, q)
    assert value == linf_distance(q, p)
    assert 0 <= value <= 1
    assert linf_distance(p, {k: 3 * v for k, v in p.items()}) == pytest.approx(0, abs=1e-12)


def test_linf_of_nothing_is_undefined() -> None:
    with pytest.raises(UndefinedMetricError, match="a side has no values"):
        linf_distance({"a": 1}, {})
    with pytest.raises(UndefinedMetricError, match="a side has no values"):
        linf_distance({"a": 0}, {"a": 1})


def test_linf_refuses_negative_counts() -> None:
    with pytest.raises(DataError, match="negative or not finite"):
        linf_distance({"a": -1}, {"a": 1})


# --- Jensen-Shannon --------------------------------------------------------------------------------


def test_jsd_by_hand() -> None:
    # P = (1, 0), Q = (1/2, 1/2), M = (3/4, 1/4).
    # KL(P||M) = log2(4/3); KL(Q||M) = (log2(2/3) + log2(2)) / 2 = log2(4/3) / 2; their mean is 3/4 log2(4/3).
    assert jensen_shannon_divergence([1, 0], [1, 1]) == pytest.approx(0.75 * math.log2(4 / 3), abs=1e-15)


def test_jsd_of_disjoint_is_one_bit() -> None:
    assert jensen_shannon_divergence([5, 0], [0, 2]) == 1.0


@given(
    st.integers(1, 12).flatmap(
        lambda n: st.tuples(*[st.lists(st.floats(0, 1e6), min_size=n, max_size=n)] * 2)
    )
)
def test_jsd_against_scipy_and_symmetric(pair: tuple[list[float], list[float]]) -> None:
    p, q = pair
    # Weights that vanish beside the total make scipy's own normalisation lose digits.
    assume(sum(p) > 1 and sum(q) > 1)
    value = jensen_shannon_divergence(p, q)
    assert value == pytest.approx(jensen_shannon_divergence(q, p), abs=1e-12)
    assert 0 <= value <= 1
    # scipy gives the distance, its square root; near 0 rounding makes it NaN there.
    oracle = distance.jensenshannon(p, q, base=2) ** 2
    assert value == pytest.approx(0.0 if math.isnan(oracle) else oracle, abs=1e-9)


def test_jsd_is_zero_only_for_equal() -> None:
    assert jensen_shannon_divergence([1, 2, 3], [2, 4, 6]) == 0.0
    assert jensen_shannon_divergence([1, 2, 3], [2, 4, 6.1]) > 0.0


@pytest.mark.parametrize(
    ("p", "q", "error", "text"),
    [
        ([1], [1, 2], DataError, "shapes"),
        ([1, -1], [1, 2], DataError, "negative or not finite"),
        ([1, math.nan], [1, 2], DataError, "negative or not finite"),
        ([0, 0], [1, 2], UndefinedMetricError, "no values"),
    ],
)
def test_jsd_refuses(p: list[float], q: list[float], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        jensen_shannon_divergence(p, q)


# --- alignment -------------------------------------------------------------------------------------


def test_align_splits_buckets_in_proportion() -> None:
    # a: 4 values on [0, 2]; b: 6 values on [1, 4]. Edges 0, 1, 2, 4: a gives 2, 2, 0; b gives 0, 2, 4.
    a, b = align_histograms(make_histogram([0, 2], [4]), make_histogram([1, 4], [6]))
    assert a.tolist() == [2, 2, 0]
    assert b.tolist() == [0, 2, 4]


def test_align_gives_a_single_value_a_bucket_of_its_own() -> None:
    # Edges 0, 1, 1, 2: the constant 1 sits in the bucket [1, 1], where b's mass has no width.
    a, b = align_histograms(make_histogram([1, 1], [5]), make_histogram([0, 2], [8]))
    assert a.tolist() == [0, 5, 0]
    assert b.tolist() == [4, 0, 4]


def test_align_leaves_equal_edges_alone() -> None:
    a, b = align_histograms(make_histogram([0, 1, 2], [1, 2]), make_histogram([0, 1, 2], [3, 4]))
    assert (a.tolist(), b.tolist()) == ([1, 2], [3, 4])


@pytest.mark.parametrize("other", [0.0, 0.5, 1.0, 2.0])
def test_a_constant_is_far_from_what_varies(other: float) -> None:
    constant = make_histogram([other, other], [10])
    assert histogram_divergence(constant, make_histogram([0, 1], [10])) == 1.0
    assert histogram_divergence(constant, make_histogram([other, other], [3])) == 0.0


EDGES = st.lists(st.integers(-50, 50), min_size=2, max_size=6, unique=True).map(sorted)


@given(EDGES, EDGES, st.data())
def test_alignment_keeps_mass(a: list[int], b: list[int], data: st.DataObject) -> None:
    histograms = [
        make_histogram(e, data.draw(st.lists(st.integers(1, 99), min_size=len(e) - 1, max_size=len(e) - 1)))
        for e in (a, b)
    ]
    for aligned, original in zip(align_histograms(*histograms), histograms):
        assert aligned.sum() == pytest.approx(original.counts.sum())
    value = histogram_divergence(*histograms)
    assert 0 <= value <= 1
    assert value == pytest.approx(histogram_divergence(*histograms[::-1]), abs=1e-12)


def test_nan_is_a_bucket_of_its_own() -> None:
    # (1, 1) against (1, 0) once a NaN per value stands beside the bucket: as the hand-derived JSD above.
    with_nan = make_histogram([0, 1], [4], num_nan=4)
    without = make_histogram([0, 1], [4])
    assert histogram_divergence(with_nan, without) == pytest.approx(0.75 * math.log2(4 / 3))


def test_histogram_refuses_nonsense() -> None:
    with pytest.raises(DataError, match="differ in length"):
        make_histogram([0, 1, 2], [1])
    with pytest.raises(DataError, match="decrease"):
        make_histogram([0, 2, 1], [1, 1])
    with pytest.raises(DataError, match="negative"):
        make_histogram([0, 1], [-1])


# --- Kolmogorov-Smirnov ----------------------------------------------------------------------------


def _cdf(sample: np.ndarray, buckets: int) -> StepCdf:
    levels = np.linspace(0, 1, buckets + 1)
    return StepCdf(np.quantile(sample, levels, method="inverted_cdf"), levels)


def test_ks_by_hand() -> None:
    # F_a uniform on [0, 1], F_b uniform on [1/2, 3/2]: the largest gap is 1/2, at 1/2 and at 1.
    a = StepCdf(np.array([0.0, 0.5, 1.0]), np.array([0.0, 0.5, 1.0]))
    b = StepCdf(np.array([0.5, 1.0, 1.5]), np.array([0.0, 0.5, 1.0]))
    result = kolmogorov_smirnov(a, b, 1000, 1000)
    assert result.statistic == 0.5
    # Bounds: at 1/2, F_a is in [1/2, 1] and F_b in [0, 1/2]: the quantiles do not exclude equality.
    assert result.p_value == 1.0


def test_ks_of_disjoint_supports() -> None:
    a = StepCdf(np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    b = StepCdf(np.array([2.0, 3.0]), np.array([0.0, 1.0]))
    result = kolmogorov_smirnov(a, b, 100, 100)
    assert result.statistic == 1.0
    # sqrt(100 * 100 / 200) * 1 = 7.07; 2 exp(-2 * 50) is the leading term of the series.
    assert result.p_value == pytest.approx(2 * math.exp(-100), rel=1e-6)


def test_ks_sees_a_point_mass() -> None:
    # 90 % zeros against 10 % zeros: the gap is 0.8, at 0.
    levels = np.linspace(0, 1, 11)
    mostly = StepCdf(np.array([0.0] * 10 + [1.0]), levels)
    rarely = StepCdf(np.array([0.0] * 2 + [1.0] * 9), levels)
    assert kolmogorov_smirnov(mostly, rarely, 1000, 1000).statistic == pytest.approx(0.8)


def test_ks_sees_a_jump_from_its_right() -> None:
    # Half zeros, half uniform on [0, 1], against uniform: F_a jumps to 1/2 at 0, where F_b is 0.
    levels = np.linspace(0, 1, 11)
    jump = StepCdf(np.array([0.0] * 6 + [0.2, 0.4, 0.6, 0.8, 1.0]), levels)
    assert kolmogorov_smirnov(jump, StepCdf(levels, levels), 1000, 1000).statistic == pytest.approx(0.5)


@pytest.mark.parametrize("shift", [0.0, 0.3, 1.0])
def test_ks_near_scipy(shift: float) -> None:
    rng = np.random.default_rng(7)
    a, b = rng.normal(size=4000), rng.normal(shift, 1, size=3000)
    exact = stats.ks_2samp(a, b)
    result = kolmogorov_smirnov(_cdf(a, 50), _cdf(b, 50), a.size, b.size)
    # Linear interpolation between 2 % quantiles: off by at most the level of one bucket.
    assert result.statistic == pytest.approx(exact.statistic, abs=0.02)
    # The bound never claims more evidence than the samples hold (asymptotics agree to a few percent).
    assert result.p_value >= exact.pvalue * 0.9


@given(
    st.lists(st.integers(0, 20), min_size=5, max_size=60),
    st.lists(st.integers(0, 20), min_size=5, max_size=60),
)
def test_ks_bound_never_exceeds_the_true_statistic(a: list[int], b: list[int]) -> None:
    x, y = np.array(a, dtype=float), np.array(b, dtype=float)
    true = stats.ks_2samp(x, y).statistic
    result = kolmogorov_smirnov(_cdf(x, 10), _cdf(y, 10), x.size, y.size)
    scale = math.sqrt(x.size * y.size / (x.size + y.size))
    assert 0 <= result.statistic <= 1
    assert result.p_value >= stats.kstwobign.sf(scale * true) - 1e-9


def test_ks_of_the_same_is_no_evidence() -> None:
    cdf = _cdf(np.random.default_rng(1).normal(size=500), 10)
    result = kolmogorov_smirnov(cdf, cdf, 500, 500, sketch_error=0.01)
    assert (result.statistic, result.p_value) == (0.0, 1.0)


def test_ks_of_nothing_is_undefined() -> None:
    cdf = StepCdf(np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    with pytest.raises(UndefinedMetricError, match="no values"):
        kolmogorov_smirnov(cdf, cdf, 0, 5)


# --- chi-square ------------------------------------------------------------------------------------


def test_chi_square_by_hand() -> None:
    # (30, 10) against (20, 20): expected (25, 15) each; 2 * (25/25 + 25/15) = 16/3; one degree of freedom.
    result = chi_square_homogeneity({"a": 30, "b": 10}, {"a": 20, "b": 20})
    assert result.statistic == pytest.approx(16 / 3)
    assert result.p_value == pytest.approx(stats.chi2.sf(16 / 3, 1))


def test_chi_square_of_one_category_is_no_evidence() -> None:
    result = chi_square_homogeneity({"a": 30, "b": 0}, {"a": 20})
    assert (result.statistic, result.p_value) == (0.0, 1.0)


def test_chi_square_pools_rare_categories() -> None:
    # c, d, e have expected counts of 2, 2 and 3 on a side; pooled they have 7 and stand as one column.
    p = {"a": 50, "b": 43, "c": 2, "d": 2, "e": 3}
    q = {"a": 43, "b": 50, "c": 2, "d": 2, "e": 3}
    pooled = stats.chi2_contingency([[50, 43, 7], [43, 50, 7]], correction=False)
    assert chi_square_homogeneity(p, q).statistic == pytest.approx(pooled.statistic)


def test_chi_square_absorbs_a_rest_that_stays_rare() -> None:
    # c is expected once on a side: it joins b, the least frequent of the others.
    result = chi_square_homogeneity({"a": 60, "b": 39, "c": 1}, {"a": 40, "b": 59, "c": 1})
    joined = stats.chi2_contingency([[60, 40], [40, 60]], correction=False)
    assert result.statistic == pytest.approx(joined.statistic)


def test_chi_square_of_too_few_is_undefined() -> None:
    with pytest.raises(UndefinedMetricError, match="expected counts below 5"):
        chi_square_homogeneity({"a": 99, "b": 1}, {"a": 100})
