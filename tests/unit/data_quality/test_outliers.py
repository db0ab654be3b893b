"""Outlier scores against SciPy, scikit-learn and analytic values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats
from sklearn.ensemble import IsolationForest

from components.data_quality.core.outliers import forest_scores, robust_z


def test_robust_z_is_that_of_scipys_mad_within_each_series():
    rng = np.random.default_rng(0)
    series = np.repeat([0, 1], 500)
    values = rng.normal(size=1000) * np.where(series, 100, 1) + 7 * series
    found = robust_z(values, series)
    for code in (0, 1):
        own = values[series == code]
        expected = (own - np.median(own)) / stats.median_abs_deviation(own, scale="normal")
        np.testing.assert_allclose(found.z[series == code], expected)
    # Normal values beyond 3.5: 0.047 % of them.
    big = robust_z(rng.normal(size=200_000), np.zeros(200_000, int)).z
    assert (np.abs(big) > 3.5).mean() == pytest.approx(2 * stats.norm.sf(3.5), rel=0.3)


def test_where_most_values_are_equal_the_mean_deviation_takes_over():
    values = np.array([5.0] * 18 + [6.0, 4.0])
    # Mean absolute deviation 2 / 20; sqrt(pi / 2) is the factor of a normal distribution.
    assert robust_z(values, np.zeros(20, int)).z[-2:] == pytest.approx(
        np.array([1, -1]) / (0.1 * np.sqrt(np.pi / 2)), rel=1e-6
    )


def test_constant_short_missing_and_infinite():
    series = np.repeat([0, 1, 2], [12, 3, 12])
    values = np.array([4.0] * 12 + [1, 2, 99] + [NAN] * 10 + [1.0, 2.0], float)
    values[0] = np.inf
    found = robust_z(values, series)
    assert found.z[0] == np.inf
    assert (found.z[1:12] == 0).all()
    assert np.isnan(found.z[12:]).all()
    assert (found.constant, found.short) == (1, 2)
    assert len(robust_z(np.zeros(0), np.zeros(0, int)).z) == 0
    assert np.isnan(robust_z(np.array([1.0]), np.array([0])).z).all()


NAN = float("nan")


@settings(max_examples=50, deadline=None)
@given(
    hnp.arrays(np.float64, 40, elements=st.floats(-1e3, 1e3).map(lambda x: round(x, 3))),
    st.sampled_from([0.25, 2.0, 8.0]),
    st.sampled_from([-64.0, 0.0, 32.0]),
)
def test_robust_z_knows_no_unit(values, scale, shift):
    series = np.arange(40) % 2
    first, second = robust_z(values, series), robust_z(values * scale + shift, series)
    assert (first.constant, first.short) == (second.constant, second.short)
    np.testing.assert_allclose(first.z, second.z, rtol=1e-6, atol=1e-6)


def test_the_forest_is_scikit_learns_and_the_same_for_the_same_seed():
    rows = np.random.default_rng(0).normal(size=(400, 3))
    expected = -IsolationForest(n_estimators=20, max_samples=64, random_state=3).fit(rows).score_samples(rows)
    found = forest_scores(rows, trees=20, tree_rows=64, seed=3)
    np.testing.assert_array_equal(found, expected)
    assert (forest_scores(rows, trees=20, tree_rows=64, seed=4) != found).any()


def test_the_forest_finds_planted_rows_that_no_single_column_shows():
    rng = np.random.default_rng(0)
    x = rng.normal(size=2000)
    rows = np.column_stack([x, x + rng.normal(size=2000) * 0.1])
    rows[:10] = [3.0, -3.0]
    score = forest_scores(rows, seed=1)
    assert (score[:10] > 0.6).all()
    assert (score[10:] > 0.6).mean() < 0.05


def test_the_forest_on_nothing_constants_and_infinities():
    assert len(forest_scores(np.zeros((0, 2)))) == 0
    assert np.isnan(forest_scores(np.ones((1, 2)))).all()
    assert np.isnan(forest_scores(np.ones((50, 2)))).all()
    assert np.isnan(forest_scores(np.zeros((50, 0)))).all()
    assert np.isnan(forest_scores(np.full((50, 2), NAN))).all()
    rows = np.random.default_rng(0).normal(size=(300, 2))
    rows[0], rows[1, 0] = [np.inf, -np.inf], NAN
    score = forest_scores(rows)
    assert np.isfinite(score).all() and score[0] > 0.6
