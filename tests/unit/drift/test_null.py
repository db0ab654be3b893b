"""The null of sampling noise: p-values, studentised deals, memory, and how often it cries wolf."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from components.drift.core import null, persistence
from components.drift.core.block_length import automatic_length, choose_block_s
from components.drift.core.blocks import block_starts, make_blocks
from components.drift.core.compare import Rules, compare
from components.drift.core.memory import remember
from components.drift.core.pairing import Hours, match_hours
from components.drift.core.sampling import make_sampling
from tests.unit.drift.series import PER_DAY, profile_of, two_spans, wander


def test_p_values_count_what_was_seen_as_a_draw() -> None:
    drawn = np.array([[1.0], [2.0], [3.0], [4.0]])
    for observed, expected in ((5.0, 0.2), (3.0, 0.6), (3.0 * (1 + 1e-12), 0.6), (0.0, 1.0)):
        assert null.p_values(np.array([observed]), drawn) == pytest.approx([expected])
    assert np.isnan(null.p_values(np.array([np.nan]), drawn))


def test_deals_keep_the_number_of_blocks_and_are_all_alike_often() -> None:
    dealt = null.deals(3, 5, 4_000, seed=1)
    assert (dealt.sum(axis=1) == 3).all()
    assert dealt.mean(axis=0) == pytest.approx(np.full(8, 3 / 8), abs=0.03)


def test_studentised_distance_is_the_square_of_welch_s_t() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(0, 1, 12)
    values[:5] *= 3
    deviations = (values - values.mean())[:, None, None]
    seen = (np.arange(12) < 5).astype(float)[None, :]
    squared, variance = null.squared_distances(seen, deviations, 5)
    expected = stats.ttest_ind(values[:5], values[5:], equal_var=False).statistic
    assert squared[0, 0] / variance[0, 0] == pytest.approx(expected**2, rel=1e-12)


def test_the_tail_beyond_the_draws_is_that_of_student_s_t() -> None:
    # One dimension without memory: the square of t is F with one degree of freedom in the numerator.
    values = np.random.default_rng(5).normal(0, 1, (24, 1, 1))
    values[:12] += 2.2
    blocks = make_blocks(*two_spans(12, 1), 86_400, Hours(np.ones(288), np.ones(288)))
    sampling = make_sampling(blocks, draws=1_999, alpha=0.05, seed=0)
    course = np.random.default_rng(1).normal(0, 1, (576, 1, 1))
    found = sampling.noise(values - values.mean(), course)
    expected = stats.ttest_ind(values[:12, 0, 0], values[12:, 0, 0]).pvalue
    assert expected < 1e-5
    assert 0.2 < np.log(found.p_value[0]) / np.log(expected) < 1.1
    assert found.p_value[0] < 1e-4 < 1 / 2_000


def test_residuals_average_to_a_side_s_deviation() -> None:
    rng = np.random.default_rng(2)
    n = np.full((6, 1), 10.0)
    sums = rng.normal(0, 1, (6, 1, 3)) * 10
    found = null.residuals(sums, n)
    expected = sums[:2, 0].sum(axis=0) / 20 - sums[:, 0].sum(axis=0) / 60
    assert found[:2, 0].mean(axis=0) == pytest.approx(expected)


def test_blocks_are_whole_days_from_each_side_s_own_begin() -> None:
    bucket = np.arange(17, 17 + 24 * 3 + 11)
    assert block_starts(bucket, 24).tolist() == [0, 24, 48]  # the rest of 11 h belongs to the last
    assert block_starts(np.arange(24 * 3 + 12), 24).tolist() == [0, 24, 48, 72]
    gap = np.concatenate([np.arange(24), np.arange(72, 96)])
    assert block_starts(gap, 24).tolist() == [0, 24]


def test_hours_are_matched_only_where_they_differ() -> None:
    values = wander(10, 1, np.random.default_rng(0))
    whole, other = profile_of(values[: 5 * PER_DAY]), profile_of(values[5 * PER_DAY :], begin_day=5)
    assert not match_hours(other, whole).matched
    part = profile_of(values[: PER_DAY * 5 // 2], begin_day=5)
    hours = match_hours(part, whole)
    assert hours.matched
    for side, weights in ((part, hours.current), (whole, hours.baseline)):
        mix = np.bincount(side.bucket % 24, weights=weights, minlength=24)
        expected = np.where(np.arange(24) < 12, (3 / 60 + 1 / 24) / 2, (2 / 60 + 1 / 24) / 2)
        assert mix / mix.sum() == pytest.approx(expected)


@pytest.mark.parametrize("memory_h", [1.0, 6.0, 20.0])
def test_the_ratio_of_variances_is_that_of_the_true_memory(memory_h: float) -> None:
    blocks = make_blocks(*two_spans(14, 1), 86_400, Hours(np.ones(336), np.ones(336)))
    assert blocks.course is not None
    design = persistence.make_design(blocks.course)
    rng = np.random.default_rng(int(memory_h))
    gap = np.abs(np.subtract.outer(np.arange(672.0), np.arange(672.0)))
    root = np.linalg.cholesky(np.exp(-gap / memory_h))
    # The first side is the later one in time.
    course = np.roll(root @ rng.standard_normal((672, 200)), 336, axis=0)
    found = remember(course[:, :, None], design).within.mean(axis=0)
    blocks_of = course.reshape(28, 24, 200).mean(axis=1)
    difference = (course[:336].mean(axis=0) - course[336:].mean(axis=0)).var()
    within = (blocks_of[:14].var(axis=0, ddof=1) + blocks_of[14:].var(axis=0, ddof=1)).mean() / 14
    # Two hundred series: the variance of the difference is known to a tenth.
    assert found.mean() == pytest.approx(difference / within, rel=0.3)
    assert (found >= 0.99).all()


def test_block_length_is_politis_and_white_s() -> None:
    rng = np.random.default_rng(0)
    for keep in (0.5, 0.8):
        white = rng.standard_normal((40, 2_000))
        lengths = []
        for row in white:
            series = np.zeros(2_000)
            for step in range(1, 2_000):
                series[step] = keep * series[step - 1] + row[step]
            lengths.append(automatic_length(series))
        # With G and g(0) of a first-order process put in.
        slope, spectrum = 2 * keep / (1 - keep) ** 2 / (1 - keep**2), 1 / (1 - keep) ** 2
        expected = (2 * slope**2 / (4 / 3 * spectrum**2)) ** (1 / 3) * 2_000 ** (1 / 3)
        assert np.mean(lengths) == pytest.approx(expected, rel=0.2)
    assert automatic_length(rng.standard_normal(2_000)) < 4
    assert automatic_length(np.full(100, 3.0)) == 1


def test_a_daily_course_asks_for_whole_days_and_its_absence_does_not() -> None:
    assert choose_block_s(*two_spans(3, 2)) == 86_400
    rng = np.random.default_rng(0)
    quick = [profile_of(rng.normal(0, 1, (3 * PER_DAY, 2)), begin_day=day) for day in (3, 0)]
    assert choose_block_s(*quick) <= 6 * 3_600
    # A level that stays for days on sides of two months: blocks of several days.
    slow = wander(120, 2, rng, memory_h=72.0)
    half = 60 * PER_DAY
    assert choose_block_s(profile_of(slow[half:], begin_day=60), profile_of(slow[:half])) >= 2 * 86_400


def test_the_false_alarm_rate_on_stationary_series_is_alpha() -> None:
    """A band of about three standard errors; `benchmarks/drift_calibration.py` measures it closely."""
    p_values = []
    for seed in range(60):
        found = compare(*two_spans(8, 5, seed=seed, memory_h=6.0), Rules(draws=199, seed=seed))
        for entry in found[:-1]:
            p_values += [one.p_value for one in entry.measurements if one.measure == "anderson_darling"]
    below = np.mean(np.array(p_values) <= 0.05)
    assert 0.02 <= below <= 0.085
    # Uniform in the bulk too, not only at the level.
    assert 0.4 <= np.mean(np.array(p_values) <= 0.5) <= 0.6


def test_rows_taken_as_independent_would_cry_wolf_where_the_null_does_not() -> None:
    wolf, found = [], []
    for seed in range(12):
        current, baseline = two_spans(8, 3, seed=seed, memory_h=6.0)
        tests = compare(current, baseline, Rules(draws=199, seed=seed))[:-1]
        for place, entry in enumerate(tests):
            columns = current.plan.columns(place)
            table = np.stack([side.counts[:, columns].sum(axis=0) for side in (current, baseline)])
            wolf.append(stats.chi2_contingency(table[:, table.sum(axis=0) > 0]).pvalue <= 0.05)
            found += [one.p_value for one in entry.measurements if one.measure == "anderson_darling"]
    assert np.mean(wolf) > 0.8
    assert np.mean(np.array(found) <= 0.05) < 0.2
