"""From successes to a risk: intervals by hand, by brute force and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from components.release_evaluator.core import resampling
from components.release_evaluator.core.attacks import base, risks
from components.release_evaluator.core.metrics import wilson_interval
from components.release_evaluator.core.records import make_records

Z = 2.5758293  # of a two-sided level of 99 %


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=20), st.lists(st.integers(0, 5), min_size=1, max_size=20)
)
def test_auc_equals_sklearn_with_ties_half(members, others):
    truth = [1] * len(members) + [0] * len(others)
    expected = roc_auc_score(truth, members + others)
    assert resampling.auc(np.array(members, float), np.array(others, float)) == pytest.approx(expected)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_a_bootstrap_draw_of_the_auc_is_the_auc_of_the_drawn_records(seed):
    rng = np.random.default_rng(seed)
    members, others = rng.integers(0, 9, 40).astype(float), rng.integers(0, 9, 30).astype(float)
    chunks = rng.integers(0, 4, 40), rng.integers(0, 3, 30)
    draws = resampling.auc_draws(members, others, *chunks, 5, np.random.default_rng(3))
    again = np.random.default_rng(3)
    times = [resampling.resampled_times(len(np.unique(chunk)), 5, again) for chunk in chunks]
    for draw in range(5):
        repeated = [
            np.repeat(values, times[side][draw][np.unique(chunks[side], return_inverse=True)[1]].astype(int))
            for side, values in enumerate((members, others))
        ]
        if all(len(part) for part in repeated):
            assert draws[draw] == pytest.approx(resampling.auc(*repeated))


def test_auc_bootstrap_resamples_blocks():
    rng = np.random.default_rng(0)
    chunk = np.repeat(np.arange(20), 50)
    level = rng.normal(size=(2, 20)).repeat(50, axis=1)  # all records of a block alike: 20 records, not 1000
    wide = resampling.auc_draws(level[0], level[1], chunk, chunk, 300, rng).std()
    narrow = resampling.auc_draws(*rng.normal(size=(2, 1000)), chunk, chunk, 300, rng).std()
    assert wide > 4 * narrow


def test_design_effect_of_blocks_that_succeed_as_one_is_their_size():
    # 20 blocks of 50 records, 10 succeed whole: var = 20/19 * sum((s - p n)^2) / n^2 = 20/19 * 20 * 25^2
    # / 1e6, binomial 0.25 / 1000; the ratio is 20/19 * 50
    chunk = np.repeat(np.arange(20), 50)
    flags = chunk < 10
    assert resampling.design_effect(flags, chunk) == pytest.approx(20 / 19 * 50)
    rng = np.random.default_rng(0)
    assert resampling.design_effect(rng.random(1000) < 0.5, chunk) < 2.5
    assert resampling.design_effect(np.zeros(1000, bool), chunk) == 1


def test_wilson_of_clustered_records_uses_students_quantile_where_a_spread_was_estimated():
    few = resampling.clustered_interval(0.5, 100, 8, 0.99)
    slack = (Z / stats.t.ppf(0.995, 7)) ** 2
    expected = wilson_interval(50 * slack, 100 * slack, 0.99)
    assert (few.low, few.high) == pytest.approx((expected.low, expected.high))
    none = resampling.clustered_interval(0.0, 100, 8, 0.99)
    assert none.high == pytest.approx(Z**2 / (100 + Z**2), rel=1e-4)


def test_risk_is_what_the_attack_gains_on_the_way_to_certainty():
    assert risks.risk(0.6, 0.2) == pytest.approx(0.5)
    assert risks.risk(0.2, 0.2) == 0
    assert risks.risk(1.0, 0.0) == 1
    assert risks.risk(0.5, 1.0) == 0
    assert risks.risk(0.0, 0.9) == -1  # kept in range


def test_a_risk_without_successes_is_bounded_by_the_number_of_records():
    none, chunk = np.zeros(400, bool), np.arange(400) // 20
    found = risks.rate_risk((none, none), (chunk, chunk), 0.99)
    assert found.value == 0
    assert found.interval.high == pytest.approx(Z**2 / (400 + Z**2), rel=1e-4)
    # overlapping windows count side by side
    wide = risks.rate_risk((none, none), (chunk, chunk), 0.99, independent=(40, 40))
    assert wide.interval.high == pytest.approx(Z**2 / (40 + Z**2), rel=1e-4)


def _covered(make, draws=150):
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(draws):
        found = make(rng)
        inside += found.interval.low <= 0 <= found.interval.high
    return inside / draws


def test_intervals_of_rates_cover_nothing_leaked_at_their_level():
    # 20 blocks of 40; blocks differ in their rate, as telemetry does
    chunk = np.repeat(np.arange(20), 40)

    def make(rng):
        flags = [rng.random(800) < rng.beta(2, 6, 20)[chunk] for _ in range(2)]
        return risks.rate_risk((flags[0], flags[1]), (chunk, chunk), 0.9)

    # the binomial spread of 150 draws at 0.9 is 0.024
    assert 0.83 < _covered(make) < 0.98


def test_intervals_of_owned_successes_cover_nothing_leaked_at_their_level():
    points = np.zeros((2000, 1))

    def make(rng):
        dealt = rng.permutation(80)
        train, holdout = (
            make_records(
                points[: 25 * len(part)], np.zeros(25 * len(part), int), np.repeat(part, 25), None, 1
            )
            for part in (np.sort(dealt[:60]), np.sort(dealt[60:]))
        )
        sides = base.Sides(train, holdout, train, {})
        weight = rng.gamma(4, 1, 80)  # blocks differ in how many successes they draw
        owner = rng.choice(80, 150, p=weight / weight.sum())
        return risks.owner_risk(owner, sides, 1000, 0.9)

    assert _covered(make) > 0.85


def test_owned_successes_by_hand():
    points = np.zeros((100, 1))
    train = make_records(points[:80], np.zeros(80, int), np.arange(80) // 10, None, 1)
    holdout = make_records(points[:20], np.zeros(20, int), 8 + np.arange(20) // 10, None, 1)
    sides = base.Sides(train, holdout, train, {})
    # 40 of 100 tries hit train, 5 hit holdout, which is a fourth as large: control 20 of 100
    owner = np.concatenate([np.arange(40) % 8, np.full(5, 8)])
    found = risks.owner_risk(owner, sides, 100, 0.99)
    assert found.evidence.attack == pytest.approx(0.4) and found.control == pytest.approx(0.2)
    assert found.value == pytest.approx(0.25)
    empty = risks.owner_risk(np.zeros(0, int), sides, 100, 0.99)
    assert empty.value == 0 and empty.interval.high == pytest.approx(Z**2 / (100 + Z**2), rel=1e-4)


@pytest.mark.parametrize("threshold", [0.05, 0.2])
def test_the_records_needed_are_enough_and_not_too_many(threshold):
    for control in (0.0, 0.3):
        needed = resampling.needed_for_rate(threshold, control, 0.99)
        bounds = []
        for size in (needed // 2, needed, 2 * needed):
            flags = np.arange(size) < control * size
            found = risks.rate_risk((flags, flags), (np.arange(size), np.arange(size)), 0.99)
            bounds.append(found.interval.high)
        assert bounds[0] > threshold > bounds[2]
        assert bounds[1] == pytest.approx(threshold, rel=0.15)


def test_the_records_needed_for_an_auc_give_that_spread():
    needed = resampling.needed_for_auc(0.2, 0.99)
    rng = np.random.default_rng(0)
    spread = np.std([2 * resampling.auc(*rng.random((2, needed))) - 1 for _ in range(400)])
    assert Z * spread == pytest.approx(0.2, rel=0.12)


def test_balanced_share_does_not_depend_on_sizes():
    # one win per ten records on both sides
    share = resampling.balanced_share(
        np.array([40.0]), np.array([400.0]), np.array([10.0]), np.array([100.0])
    )
    assert share == 0.5
    one = resampling.balanced_share(np.array([5.0]), np.array([400.0]), np.array([0.0]), np.array([100.0]))
    assert one == 1
    none = resampling.balanced_share(np.array([0.0]), np.array([4.0]), np.array([0.0]), np.array([1.0]))
    assert none == 0.5
