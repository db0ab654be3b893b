"""Marginal, pairwise and temporal fidelity: answers by hand and by a second route."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from components.dataset import DatasetConfig, FeatureConfig
from components.errors import DataError, UndefinedMetricError
from components.release_evaluator.core import fidelity, temporal
from components.release_evaluator.core.divergences import ks_distance, total_variation
from components.release_evaluator.core.frames import Columns

samples = st.lists(st.integers(0, 8), min_size=1, max_size=30).map(lambda values: np.array(values, float))


def columns(numeric=None, codes=None, times=None, sizes=None):
    numeric, codes = numeric or {}, codes or {}
    rows = len(next(iter((numeric or codes).values())))
    return Columns(
        {name: np.asarray(values, float) for name, values in numeric.items()},
        {name: np.asarray(values) for name, values in codes.items()},
        sizes or {name: int(np.max(values)) + 1 for name, values in codes.items()},
        np.arange(rows) * 60_000_000 if times is None else times,
        np.zeros(rows, np.int64),
        None,
    )


@given(samples, samples)
def test_ks_without_slack_is_the_two_sample_statistic(a, b):
    assert ks_distance(a, b) == pytest.approx(stats.ks_2samp(a, b).statistic, abs=1e-12)
    assert ks_distance(a, b) == pytest.approx(ks_distance(b, a))


@given(samples, samples, st.floats(0, 3))
def test_ks_with_slack_by_brute_force(a, b, slack):
    grid = np.arange(-1, 10, 0.01)
    first = (a[None, :] <= grid[:, None] + 1e-9).mean(axis=1)
    second = (b[None, :] <= grid[:, None] + 1e-9).mean(axis=1)
    moved = np.searchsorted(np.sort(b), a + slack, side="right") / len(b)
    own = np.array([(a <= value).mean() for value in a])
    assert ks_distance(a, b, slack) >= max(0.0, (own - moved).max()) - 1e-12
    assert ks_distance(a, b, slack) <= np.abs(first - second).max() + 1e-12


def test_slack_forgives_a_saturated_sensor():
    real, synthetic = np.r_[np.zeros(50), np.ones(50)], np.r_[np.full(50, 0.001), np.full(50, 0.999)]
    assert ks_distance(real, synthetic) == 0.5
    assert ks_distance(real, synthetic, 0.005) == 0


def test_total_variation_by_hand():
    # p = (1/2, 1/2, 0), q = (1/4, 1/4, 1/2): (1/4 + 1/4 + 1/2) / 2
    assert total_variation(np.array([0, 1]), np.array([0, 1, 2, 2]), 3) == 0.5
    with pytest.raises(UndefinedMetricError):
        total_variation(np.array([], int), np.array([0]), 1)
    with pytest.raises(UndefinedMetricError):
        ks_distance(np.array([]), np.array([1.0]))


def test_column_scores_of_constant_missing_and_coded_columns():
    real = columns(
        {"c": [5, 5], "void": [np.nan, np.nan], "half": [1, np.nan]}, {"k": [0, 1], "gone": [-1, 0]}
    )
    other = columns(
        {"c": [5, 6], "void": [np.nan, np.nan], "half": [np.nan, np.nan]}, {"k": [0, 0], "gone": [-1, -1]}
    )
    assert fidelity.column_scores(real, other) == {"c": 0.5, "void": 1.0, "half": 0.0, "k": 0.5, "gone": 0.0}
    # half: 1/2 against 1; gone: 1/2 against 1
    assert fidelity.missing_rate_error(real, other) == 0.5


def test_pairwise_score_falls_with_a_broken_correlation():
    rng = np.random.default_rng(0)
    x = rng.normal(size=2000)
    real = columns({"a": x, "b": x})
    broken = columns({"a": x, "b": rng.permutation(x)})
    assert fidelity.pairwise_score(real, real) == 1
    # correlation 1 against 0: 1 - 1/2, for Pearson and Spearman alike
    assert fidelity.pairwise_score(real, broken) == pytest.approx(0.5, abs=0.03)
    with pytest.raises(UndefinedMetricError):
        fidelity.pairwise_score(columns({"a": x}), columns({"a": x}))


def test_pairwise_score_of_codes_and_of_a_code_with_a_number():
    flags = np.array([0, 1] * 500)
    real = columns({"a": flags * 2.0}, {"f": flags, "g": flags})
    broken = columns({"a": flags[::-1] * 2.0}, {"f": flags, "g": 1 - flags})
    assert fidelity.pairwise_score(real, real) == 1
    # f-g: all mass moves; f-a: all mass moves; g-a: g and a both turned round, none moves
    assert fidelity.pairwise_score(real, broken) == pytest.approx(1 / 3)


def test_many_pairs_are_bounded():
    rng = np.random.default_rng(0)
    codes = {f"f{i}": rng.integers(0, 2, 50) for i in range(40)}
    assert fidelity.pairwise_score(columns(codes=codes), columns(codes=codes)) == 1


def test_spread_ratio_of_a_shrunken_cloud():
    x = np.random.default_rng(0).normal(size=(500, 3))
    assert fidelity.spread_ratio(x, x / 4) == pytest.approx(0.25)
    with pytest.raises(UndefinedMetricError):
        fidelity.spread_ratio(np.zeros((5, 2)), x)


def test_autocorrelation_of_an_ar1_process_and_only_inside_segments():
    rng = np.random.default_rng(0)
    x = np.zeros(40_000)
    noise = rng.normal(size=len(x))
    for i in range(1, len(x)):
        x[i] = 0.8 * x[i - 1] + noise[i]
    whole = temporal.autocorrelation(x, np.zeros(len(x), int), 5)
    # r(l) = 0.8^l; standard error below 0.02
    np.testing.assert_allclose(whole, 0.8 ** np.arange(1, 6), atol=0.04)
    cut = temporal.autocorrelation(x, np.arange(len(x)) // 3, 5)
    np.testing.assert_allclose(cut[:2], [0.8, 0.64], atol=0.04)
    assert np.isnan(cut[2:]).all()
    assert (temporal.autocorrelation(np.ones(500), np.zeros(500, int), 3) == 0).all()
    assert np.isnan(temporal.autocorrelation(np.full(500, np.nan), np.zeros(500, int), 3)).all()


def test_acf_error_and_steps_of_shuffled_rows():
    x = np.sin(np.arange(3000) / 20)
    real, mixed = columns({"a": x}), columns({"a": np.random.default_rng(0).permutation(x)})
    one = np.zeros(3000, int)
    assert temporal.acf_error(real, real, one, one) == 0
    assert temporal.acf_error(real, mixed, one, one) > 0.4
    assert temporal.step_change_distance(real, real, one, one) == 0
    assert temporal.step_change_distance(real, mixed, one, one) > 0.3
    flat = columns({"a": np.ones(3000)})
    for undefined in (temporal.acf_error, temporal.step_change_distance):
        with pytest.raises(UndefinedMetricError):
            undefined(flat, flat, one, one)
        with pytest.raises(UndefinedMetricError):
            undefined(real, real, np.arange(3000), one)


def test_daily_profile_by_hand():
    minutes = np.arange(2 * 1440)
    hour = (minutes % 1440) // 60
    times = minutes.astype(np.int64) * 60_000_000
    real, other = columns({"a": hour}, times=times), columns({"a": hour + 1}, times=times)
    means, counts = temporal.daily_profile(real.numeric["a"], times)
    assert (means == np.arange(24)).all() and (counts == 120).all()
    # every bin is off by 1; standard deviation of 0..23
    assert temporal.daily_profile_error(real, other) == pytest.approx(1 / np.std(np.arange(24)))
    with pytest.raises(UndefinedMetricError):
        temporal.daily_profile_error(columns({"a": hour[:300]}), other)


def test_summary_is_complete(sim):
    rng = np.random.default_rng(0)
    real, other = sim.fleet(rng, rows=5000), sim.fleet(rng, rows=5000)
    found = fidelity.fidelity_summary(real, other, sim.dataset)
    assert set(found) == {
        "marginal_fidelity",
        "worst_column_fidelity",
        "missing_rate_error",
        "pairwise_fidelity",
        "acf_error",
        "step_change_fidelity",
        "daily_profile_error",
    }
    assert found["marginal_fidelity"] > 0.9 and found["acf_error"] < 0.2
    same = fidelity.fidelity_summary(real, real, sim.dataset)
    assert same["marginal_fidelity"] == same["pairwise_fidelity"] == same["step_change_fidelity"] == 1
    assert same["acf_error"] == same["daily_profile_error"] == 0


def test_summary_leaves_out_what_is_undefined():
    dataset = DatasetConfig(features=(FeatureConfig(name="a"),), targets=("a",), interval_s=60)
    table = pa.table({"timestamp": np.arange(5, dtype=np.int64), "a": np.arange(5, dtype=np.float32)})
    assert set(fidelity.fidelity_summary(table, table, dataset)) == {
        "marginal_fidelity",
        "worst_column_fidelity",
        "missing_rate_error",
    }
    with pytest.raises(DataError, match="columns missing: a"):
        fidelity.fidelity_summary(table.drop(["a"]), table, dataset)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_order_of_the_rows_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    dataset = DatasetConfig(
        features=(FeatureConfig(name="a"), FeatureConfig(name="m", kind="categorical")),
        targets=("a",),
        interval_s=60,
    )
    table = pa.table(
        {
            "timestamp": np.arange(200, dtype=np.int64) * 60_000_000,
            "a": rng.normal(size=200).astype(np.float32),
            "m": rng.choice(["x", "y", "z"], 200),
        }
    )
    mixed = table.take(pa.array(rng.permutation(200)))
    assert fidelity.fidelity_summary(table, mixed, dataset) == fidelity.fidelity_summary(
        table, table, dataset
    )
