"""Intervals of ranges and ratios: coverage, analytic values, and what percentiles get wrong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from components.fairness.core.intervals import enough_replicates, range_bounds, ratio_bounds

CONFIDENCE = 0.9


def _draw(truth, spread, rng, replicates=300):
    """Estimates about the truth, and replicates about the estimates, with the same spread."""
    values = truth + rng.normal(size=len(truth)) * spread
    return values, values + rng.normal(size=(replicates, len(truth))) * spread


def test_two_slices_get_the_interval_of_a_plain_difference():
    rng = np.random.default_rng(0)
    values = np.array([0.5, 0.3])
    drawn = values + rng.normal(size=(200_000, 2)) * [0.03, 0.04]
    half = stats.norm.ppf((1 + CONFIDENCE) / 2) * 0.05
    assert range_bounds([(values, drawn)], CONFIDENCE) == pytest.approx((0.2 - half, 0.2 + half), abs=1e-3)


def test_equal_slices_hold_zero_where_percentiles_do_not():
    """Nine equal slices: percentiles of the range miss the truth, 0, always; these miss it 1 time in 10."""
    held = percentiles = 0
    for seed in range(200):
        values, drawn = _draw(np.full(9, 0.5), 0.05, np.random.default_rng(seed))
        held += range_bounds([(values, drawn)], CONFIDENCE)[0] == 0
        percentiles += np.quantile(np.ptp(drawn, axis=1), (1 - CONFIDENCE) / 2) == 0
    assert percentiles == 0
    assert 170 <= held <= 192  # 180 expected, standard deviation 4


@pytest.mark.parametrize("truth", [[0.2, 0.4, 0.4, 0.6], [0.5, 0.5], [0.1, 0.9, 0.5, 0.5, 0.5]])
def test_coverage_of_ranges_and_ratios_is_at_least_nominal(truth):
    truth = np.array(truth)
    ranges = ratios = 0
    for seed in range(200):
        values, drawn = _draw(truth, 0.03, np.random.default_rng(seed))
        low, high = range_bounds([(values, drawn)], CONFIDENCE)
        ranges += low <= np.ptp(truth) <= high
        low, high = ratio_bounds(values, drawn, CONFIDENCE)
        ratios += low <= truth.min() / truth.max() <= high
    assert min(ranges, ratios) >= 168  # three standard deviations below 180


@settings(max_examples=80, deadline=None)
@given(
    hnp.arrays(np.float64, st.tuples(st.integers(20, 40), st.integers(2, 6)), elements=st.floats(0, 1)),
    st.floats(0.6, 0.99),
)
def test_the_estimate_is_always_inside(drawn, confidence):
    values = drawn[0]
    low, high = range_bounds([(values, drawn)], confidence)
    assert 0 <= low <= np.ptp(values) + 1e-12 and np.ptp(values) - 1e-12 <= high <= 1
    both = range_bounds([(values, drawn), (values / 2, drawn / 2)], confidence)
    assert both[0] <= np.ptp(values) + 1e-12 and np.ptp(values) - 1e-12 <= both[1]
    if values.max() > 0:
        low, high = ratio_bounds(values, drawn, confidence)
        assert 0 <= low <= values.min() / values.max() + 1e-12
        assert values.min() / values.max() - 1e-12 <= high <= 1


def test_slices_that_move_together_do_not_differ():
    shared = np.random.default_rng(0).random((500, 1))
    drawn = np.repeat(shared, 3, axis=1)
    assert range_bounds([(np.full(3, 0.5), drawn)], CONFIDENCE) == (0, 0)


def test_undefined_replicates_are_left_out_until_there_are_too_few():
    rng = np.random.default_rng(0)
    drawn = 0.5 + rng.normal(size=(400, 2)) * 0.05
    some = drawn.copy()
    some[:150, 0] = np.nan
    whole, part = (range_bounds([(np.full(2, 0.5), d)], CONFIDENCE) for d in (drawn, some))
    assert part == pytest.approx(whole, rel=0.25)
    some[:201, 0] = np.nan
    assert not enough_replicates(some)
    assert range_bounds([(np.full(2, 0.5), some)], CONFIDENCE) is None
    assert ratio_bounds(np.full(2, 0.5), some, CONFIDENCE) is None


def test_a_rate_of_zero_makes_a_ratio_of_zero():
    drawn = np.random.default_rng(0).random((300, 2)) * [0, 1]
    low, high = ratio_bounds(np.array([0.0, 0.5]), drawn, CONFIDENCE)
    assert (low, high) == (0, 0)
