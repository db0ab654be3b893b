"""Distances against SciPy, against TFDV's arithmetic, and against what can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.spatial import distance
from scipy.stats._morestats import _anderson_ksamp_midrank

from components.drift.core import measures
from components.drift.core.multivariate import mean_discrepancy
from components.drift.findings import MEASURES
from components.drift.glossary import GLOSSARY
from components.statistics_gen import core as tfdv


def sides(seed: int = 0, bins: int = 7) -> tuple[np.ndarray, np.ndarray]:
    """Counts of two sides over the same bins, one of them empty on both."""
    rng = np.random.default_rng(seed)
    one, two = rng.integers(1, 60, bins), rng.integers(0, 90, bins)
    one[2] = two[2] = 0
    return one, two


def rows(counts: np.ndarray) -> np.ndarray:
    """A value k for each count of bin k."""
    return np.repeat(np.arange(counts.size, dtype=float), counts)


@pytest.mark.parametrize("seed", range(3))
def test_divergences_are_those_of_tfdv(seed: int) -> None:
    one, two = sides(seed)
    p, q = measures.shares(one), measures.shares(two)
    expected = tfdv.jensen_shannon_divergence(one, two)
    assert measures.jensen_shannon(p, q) == pytest.approx(expected, rel=1e-13)
    assert measures.jensen_shannon(p, q) == pytest.approx(distance.jensenshannon(p, q, 2) ** 2, rel=1e-12)
    names = [str(number) for number in range(one.size)]
    expected = tfdv.linf_distance(dict(zip(names, one)), dict(zip(names, two)))
    assert measures.infinity_norm(p, q) == expected


@pytest.mark.parametrize("seed", range(3))
def test_kolmogorov_smirnov_of_tied_rows_is_that_of_scipy(seed: int) -> None:
    one, two = sides(seed)
    value = measures.kolmogorov_smirnov(measures.shares(one), measures.shares(two))
    assert value == pytest.approx(stats.ks_2samp(rows(one), rows(two)).statistic, rel=1e-13)


@pytest.mark.parametrize("seed", range(3))
def test_anderson_darling_is_scholz_and_stephens_equation_7(seed: int) -> None:
    one, two = sides(seed)
    n, m = int(one.sum()), int(two.sum())
    value = measures.anderson_darling(measures.shares(one), measures.shares(two), measures.shares(one + two))
    pooled = np.sort(np.concatenate([rows(one), rows(two)]))
    sample = [np.sort(rows(one)), np.sort(rows(two))]
    expected = _anderson_ksamp_midrank(sample, pooled, np.unique(pooled), 2, np.array([n, m]), n + m)
    assert (n + m - 1) * n * m / (n + m) ** 2 * value == pytest.approx(expected, rel=1e-12)


def test_anderson_darling_is_mostly_the_sum_over_its_leading_components() -> None:
    grid = np.linspace(-4, 4, 201)
    one, two = (np.diff(stats.norm(mean, spread).cdf(grid)) for mean, spread in ((0, 1), (0.2, 1.1)))
    pooled = (one + two) / 2
    scores = measures.anderson_darling_scores(pooled)
    parts = ((one - two) @ scores) ** 2
    assert parts.sum() == pytest.approx(measures.anderson_darling(one, two, pooled), rel=0.03)
    # A shift of location shows in the first, a change of spread in the second.
    assert parts[0] > 5 * parts[2] and parts[1] > 5 * parts[3]


@pytest.mark.parametrize("seed", range(3))
def test_chi_squared_is_pearson_s_statistic_with_the_rule_of_five(seed: int) -> None:
    one, two = sides(seed, bins=9)
    one[4], two[4], one[5], two[5], one[6], two[6] = 1, 2, 3, 4, 4, 6
    n, m = one.sum(), two.sum()
    rare = measures.rare_bins(one + two, n, m)
    assert 2 <= rare.sum() <= 4
    value = measures.chi_squared(measures.shares(one), measures.shares(two), measures.shares(one + two), rare)
    names = [str(number) for number in range(one.size)]
    expected = tfdv.chi_square_homogeneity(dict(zip(names, one)), dict(zip(names, two))).statistic
    assert n * m / (n + m) * value == pytest.approx(expected, rel=1e-12)


def test_wasserstein_of_evenly_filled_bins_is_that_of_fine_rows() -> None:
    one, two = np.array([5, 1, 4, 2]), np.array([1, 6, 2, 3])
    knots = np.array([-1.0, 0.0, 0.5, 3.0, 4.0])

    def fine(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        places = (np.arange(4000) + 0.5) / 4000
        values = knots[:-1, None] + np.diff(knots)[:, None] * places
        return values.ravel(), np.repeat(counts, 4000).astype(float)

    expected = stats.wasserstein_distance(fine(one)[0], fine(two)[0], fine(one)[1], fine(two)[1])
    value = measures.wasserstein(measures.shares(one), measures.shares(two), knots)
    assert value == pytest.approx(expected, rel=1e-6)


def test_a_shift_by_a_whole_bin_costs_its_width() -> None:
    p, q = np.array([0.0, 0.5, 0.5, 0.0]), np.array([0.0, 0.0, 0.5, 0.5])
    assert measures.wasserstein(p, q, np.arange(5) * 2.5) == pytest.approx(2.5)


def test_population_stability_index_of_many_values_is_the_symmetric_divergence() -> None:
    p, q = np.array([0.2, 0.5, 0.3]), np.array([0.3, 0.3, 0.4])
    many = np.float64(1e12)
    expected = stats.entropy(p, q) + stats.entropy(q, p)
    assert measures.population_stability_index(p, q, many, many, 3) == pytest.approx(expected, rel=1e-9)
    # A bin that one side lacks is finite, and padding adds nothing.
    value = measures.population_stability_index(np.array([1.0, 0.0]), np.array([0.5, 0.5]), 9, 9, 2)
    padded = measures.population_stability_index(
        np.array([1.0, 0.0, 0.0]), np.array([0.5, 0.5, 0.0]), 9, 9, 2
    )
    assert (
        value
        == padded
        == pytest.approx((0.95 - 0.5) * np.log(0.95 / 0.5) + (0.05 - 0.5) * np.log(0.05 / 0.5))
    )


def test_concept_shift_by_hand() -> None:
    counts, positive = np.array([50.0, 50, 0]), np.array([5.0, 10, 0])
    others, others_positive = np.array([100.0, 50, 50]), np.array([10.0, 20, 50])
    # Rates 0.1 and 0.2 against 0.1 and 0.4; weights 0.5 + 0.5 and 0.5 + 0.25; the third bin is on one side.
    expected = 0.75 * 0.2 / (1.0 + 0.75)
    value = measures.concept_shift(counts, positive, others, others_positive)
    assert value == pytest.approx(expected)
    assert np.isnan(measures.concept_shift(np.array([1.0, 0]), np.zeros(2), np.array([0, 1.0]), np.zeros(2)))


def test_mean_discrepancy_is_that_of_the_kernel() -> None:
    rng = np.random.default_rng(0)
    one, two = rng.normal(0, 1, (300, 2)), rng.normal(0.7, 1, (200, 2))
    frequencies = rng.normal(0, 1 / np.sqrt(2), (2, 6_000))

    def random_sums(values: np.ndarray) -> np.ndarray:
        waves = values @ frequencies
        return np.concatenate([np.cos(waves), np.sin(waves)], axis=1).sum(axis=0) / np.sqrt(6_000)

    def kernel(left: np.ndarray, right: np.ndarray) -> float:
        return float(np.exp(-distance.cdist(left, right, "sqeuclidean") / 4).mean())

    expected = np.sqrt(kernel(one, one) + kernel(two, two) - 2 * kernel(one, two))
    value = mean_discrepancy(random_sums(one), random_sums(two), np.float64(300), np.float64(200))
    assert value == pytest.approx(expected, rel=0.04)


def test_equal_sides_are_zero_apart_and_padding_changes_nothing() -> None:
    one, two = (measures.shares(side) for side in sides(4))
    padded = [np.concatenate([side, np.zeros(5)]) for side in (one, two, (one + two) / 2)]
    knots = np.concatenate([np.arange(8.0), np.full(5, 7.0)])
    for function, more, wider in (
        (measures.infinity_norm, (), ()),
        (measures.jensen_shannon, (), ()),
        (measures.kolmogorov_smirnov, (), ()),
        (measures.anderson_darling, ((one + two) / 2,), (padded[2],)),
        (measures.chi_squared, ((one + two) / 2,), (padded[2],)),
        (measures.wasserstein, (np.arange(8.0),), (knots,)),
    ):
        assert function(one, one, *more) == pytest.approx(0, abs=1e-15)
        value = function(one, two, *more)
        assert value > 0
        assert function(padded[0], padded[1], *wider) == pytest.approx(value, rel=1e-12)
        # Leading axes are many pairs at once.
        assert function(np.stack([one, two]), two, *more)[0] == pytest.approx(value, rel=1e-12)


def test_the_glossary_explains_each_measure_and_no_other() -> None:
    assert set(GLOSSARY) == set(MEASURES)
    for term in GLOSSARY.values():
        for name in ("title", "meaning", "formula", "range", "worrying", "source"):
            assert getattr(term, name).strip(), (term.title, name)
        assert term.meaning.endswith(".")
