"""The long range: each measure finds what was planted, and says nothing where there is nothing to say."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

# The benchmarks are no installed package.
sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from benchmarks.synthesizer import data, long_profiles, long_range, long_runs
from benchmarks.synthesizer.long_profiles import DAY_BINS, DAY_US, WEEK_BINS, WEEK_US, Span
from tests.unit.benchmarks import pumps

#: Ten minutes.
CADENCE_S = 600.0
A_DAY = 144


def _span(*series: np.ndarray, step: float = CADENCE_S) -> Span:
    """Series of equal length one below the other, from a midnight. Each [T] or [T, F]."""
    own = [one.reshape(len(one), -1) for one in series]
    stamps = (np.arange(len(own[0])) * step * 1e6).astype(np.int64) + 3 * WEEK_US
    number = np.repeat(np.arange(len(own)), len(own[0]))
    return Span(np.concatenate(own), number, np.tile(stamps, len(own)), step)


def _days(days: int, seed: int = 0, noise: float = 0.1) -> np.ndarray:
    """A sine by the time of day of variance 1/2, and noise. Shape [days * A_DAY]."""
    row = np.arange(days * A_DAY)
    return np.sin(2 * np.pi * row / A_DAY) + noise * np.random.default_rng(seed).normal(size=len(row))


def _shuffled(span: Span, seed: int = 1) -> Span:
    return dataclasses.replace(span, values=np.random.default_rng(seed).permutation(span.values))


def test_shuffled_rows_lose_the_profile_of_the_day() -> None:
    real = _span(_days(8))
    assert long_profiles.profile_error(real, _span(_days(8, seed=5)), [0]) == pytest.approx(0, abs=0.05)
    # The profile is nearly all of the variance, and it is gone.
    assert long_profiles.profile_error(real, _shuffled(real), [0]) == pytest.approx(1, abs=0.05)
    # Moved by six hours: a sine less its cosine.
    moved = _span(np.roll(_days(8), A_DAY // 4))
    assert long_profiles.profile_error(real, moved, [0]) == pytest.approx(np.sqrt(2), abs=0.05)


def test_where_nothing_was_made_there_is_no_profile() -> None:
    real = _span(_days(8))
    nothing = dataclasses.replace(real, values=np.full_like(real.values, np.nan))
    assert long_profiles.profile_error(real, nothing, [0]) == pytest.approx(1, abs=0.05)


def test_a_profile_that_half_of_the_days_do_not_show_is_none() -> None:
    noise = np.random.default_rng(3).normal(size=8 * A_DAY)
    real = _span(np.stack([noise, _days(8)], 1))
    assert not long_profiles.has_profile(real, 0, DAY_US, DAY_BINS)
    assert long_profiles.has_profile(real, 1, DAY_US, DAY_BINS)
    assert long_profiles.profile_error(real, _shuffled(real), [0]) is None
    both, one = (long_profiles.profile_error(real, _shuffled(real), columns) for columns in ([0, 1], [1]))
    assert both == one
    # On at the same time of day on an odd and on an even day, once each.
    seldom = np.zeros(8 * A_DAY)
    seldom[[A_DAY + 5, 2 * A_DAY + 5]] = 1
    assert long_profiles.profile_error(_span(seldom), _span(0 * seldom), [0]) is None


def test_a_week_needs_two_of_them() -> None:
    hours = np.arange(28 * 24)
    workdays = (hours // 24 % 7 < 5) + 0.1 * np.random.default_rng(0).normal(size=len(hours))
    real = _span(workdays, step=3600.0)
    other = _span(np.roll(workdays, 48), step=3600.0)
    week = (WEEK_US, WEEK_BINS)
    assert long_profiles.profile_error(real, real, [0], *week) == 0
    # Four days of seven are others now, each by 1, and the deviation is sqrt(5/7 2/7).
    lost = np.sqrt(4 / 7 / (10 / 49))
    assert long_profiles.profile_error(real, other, [0], *week) == pytest.approx(lost, abs=0.1)
    short = _span(workdays[: 13 * 24], step=3600.0)
    assert long_profiles.profile_error(short, short, [0], *week) is None
    assert long_profiles.profile_error(_span(_days(1)), _span(_days(1)), [0]) is None


def test_long_lags_are_hours_up_to_two_days_or_a_third() -> None:
    assert long_profiles.long_lags(_span(_days(9))).tolist() == [6 * hour for hour in range(1, 49)]
    assert long_profiles.long_lags(_span(_days(3))).tolist() == [6 * hour for hour in range(1, 25)]
    slow = _span(np.zeros(90), step=7200.0)
    assert long_profiles.long_lags(slow).tolist() == list(range(1, 25))
    assert len(long_profiles.long_lags(_span(np.zeros(12)))) == 0
    assert long_profiles.long_acf_error(_span(np.zeros(12)), _span(np.zeros(12)), [0]) is None


def test_rows_without_time_have_no_long_autocorrelation() -> None:
    real = _span(_days(9))
    assert long_profiles.long_acf_error(real, real, [0]) == 0
    # What is lost is the mean of |cos|, 2 / pi, but for the noise's share.
    lost = long_profiles.long_acf_error(real, _shuffled(real), [0])
    assert lost == pytest.approx(2 / np.pi, abs=0.03)
    constant = _span(np.ones(9 * A_DAY))
    assert long_profiles.long_acf_error(real, constant, [0]) == pytest.approx(2 / np.pi, abs=0.03)


def test_an_hour_that_is_wanting_costs_no_long_pair() -> None:
    real = _span(_days(9))
    kept = np.arange(len(real.stamps)) % 30 >= 6  # one hour in five is cut out
    cut = Span(real.values[kept], real.series[kept], real.stamps[kept], CADENCE_S)
    assert long_profiles.long_acf_error(real, cut, [0]) < 0.01


def test_series_made_one_by_one_lose_what_they_share() -> None:
    rng = np.random.default_rng(0)
    shared, own = rng.normal(size=(2000, 1)), rng.normal(size=(2000, 3))
    real = _span(*(shared + own).T)  # 1/2 between every two
    again = _span(*(rng.normal(size=(2000, 1)) + rng.normal(size=(2000, 3))).T)
    apart = _span(*rng.normal(size=(3, 2000)))
    assert long_profiles.between_series_error(real, again, [0]) < 0.06
    assert long_profiles.between_series_error(real, apart, [0]) == pytest.approx(0.5, abs=0.06)
    constant = dataclasses.replace(real, values=np.zeros_like(real.values))
    assert long_profiles.between_series_error(real, constant, [0]) == pytest.approx(0.5, abs=0.06)
    alone = _span(real.values[:2000])
    assert long_profiles.between_series_error(alone, alone, [0]) is None


def test_which_series_is_which_does_not_count() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 1000))
    real, turned = _span(first, first + second, second), _span(second, first, first + second)
    assert long_profiles.between_series_error(real, turned, [0]) == pytest.approx(0, abs=1e-9)


def test_pairs_of_series_are_rows_of_equal_times() -> None:
    rng = np.random.default_rng(4)
    first = rng.normal(size=300)
    both = _span(first, first + 0.1 * rng.normal(size=300))
    both.values[rng.random(600) < 0.2] = np.nan
    kept = rng.random(600) > 0.2
    thin = Span(both.values[kept], both.series[kept], both.stamps[kept], CADENCE_S)
    assert long_profiles.pair_correlations(thin.grid(0))[0] > 0.98
    left, right = thin.grid(0)
    there = ~np.isnan(left) & ~np.isnan(right)
    expected = np.corrcoef(left[there], right[there])[0, 1]
    assert long_profiles.pair_correlations(thin.grid(0))[0] == pytest.approx(expected, abs=1e-9)


def test_hours_that_are_all_alike_have_no_regimes() -> None:
    rng = np.random.default_rng(0)
    hour = np.arange(6000) // 12
    calm = np.where(hour // 10 % 2, 1.0, 4.0)
    noise = rng.normal(size=6000)
    real = _span(noise * calm, step=300.0)
    mixed = _shuffled(real)
    assert long_profiles.hourly_fidelity(real, real, [0]) == (1.0, 1.0)
    spread = long_profiles.hourly_fidelity(real, mixed, [0])[1]
    assert spread == pytest.approx(0.5, abs=0.1)  # every hour is between the two regimes
    steps = _span(calm + 0.1 * noise, step=300.0)
    level, _ = long_profiles.hourly_fidelity(steps, _shuffled(steps), [0])
    assert level == pytest.approx(0.5, abs=0.1)
    few = _span(noise[:60], step=300.0)
    assert long_profiles.hourly_fidelity(few, few, [0]) == (None, None)


def test_hours_of_which_little_is_there_are_left_out() -> None:
    values = np.tile(np.arange(12.0), 3)
    values[14:24] = np.nan
    level, spread = long_profiles.stretches(_span(values, step=300.0), 0)
    assert level.tolist() == [5.5, 5.5]
    np.testing.assert_allclose(spread, np.arange(12.0).std())
    # An hour of two series is two.
    level, spread = long_profiles.stretches(_span(np.zeros(12), np.ones(12), step=300.0), 0)
    assert level.tolist() == [0.0, 1.0] and spread.tolist() == [0.0, 0.0]
    # Twelve rows of a slower cadence.
    assert len(long_profiles.stretches(_span(np.arange(48.0), step=3600.0), 0)[0]) == 4


def _switching(length: int, times: int) -> np.ndarray:
    """On and off, `length` rows and half as many more by turns. Shape [times * 2 * (...)]."""
    lengths = np.resize([length, length + length // 2], 2 * times)
    return np.repeat(np.resize([0.0, 1.0], 2 * times), lengths)


def test_runs_bridge_short_gaps_and_end_with_the_series() -> None:
    state = np.array([0, 0, 1, 1, 1, 1, 0, 0, 0, 0.0])
    span = _span(state, step=900.0)
    for gone, lengths, changes in (
        ([], [2, 4, 4], 2),
        ([3, 4], [2, 4, 4], 2),  # half an hour inside a run
        ([1, 2, 3, 4, 5], [1, 4], 0),  # over an hour
    ):
        kept = np.setdiff1d(np.arange(10), gone)
        thin = Span(span.values[kept], span.series[kept], span.stamps[kept], 900.0)
        found = long_runs.runs(thin.values[:, 0], thin)
        assert (found[1].tolist(), found[2]) == (lengths, changes)
    two = long_runs.runs(np.zeros(6), _span(np.zeros(3), np.zeros(3)))
    assert two[1].tolist() == [3, 3] and two[2] == 0
    passed = long_runs.runs(np.array([0, np.nan, 0, 1]), _span(np.zeros(4)))
    assert (passed[0].tolist(), passed[1].tolist()) == ([0, 1], [3, 1])


def test_doubled_dwell_times_show() -> None:
    real = _span(_switching(10, 40))
    assert long_runs.dwell_fidelity(real, real, [0]) == 1.0
    assert long_runs.change_error(real, real, [0]) == 0.0
    twice = _span(_switching(20, 20))
    assert long_runs.dwell_fidelity(real, twice, [0]) == 0.0
    assert long_runs.change_error(real, twice, [0]) == pytest.approx(np.log(2), abs=0.02)
    # One state right, the other never made: half.
    stuck = _span(np.where(_switching(10, 40) == 1, 5.0, 0.0))
    assert long_runs.dwell_fidelity(real, stuck, [0]) == 0.5


def test_a_state_that_never_changes_is_no_match() -> None:
    real, still = _span(_switching(10, 40)), _span(np.zeros(1000))
    assert long_runs.dwell_fidelity(real, still, [0]) < 0.1
    assert long_runs.change_error(real, still, [0]) > 4  # 79 changes, and half of one
    assert long_runs.dwell_fidelity(still, real, [0]) is None
    assert long_runs.change_error(still, real, [0]) is None


def _lacking(rows: int, starts: np.ndarray, length: int, columns: int = 2) -> Span:
    values = np.ones((rows, columns))
    for offset in range(length):
        values[starts + offset] = np.nan
    return _span(values)


def test_merged_null_runs_show() -> None:
    real = _lacking(1000, np.arange(10, 900, 20), 2)
    merged = _lacking(1000, np.arange(10, 900, 40)[:22], 4)
    assert long_runs.null_run_fidelity(real, real) == 1.0
    assert long_runs.null_run_fidelity(real, merged) == 0.0
    assert long_runs.null_rate_error(real, merged) < 0.05
    none = _span(np.ones((1000, 2)))
    assert long_runs.null_run_fidelity(real, none) == 0.0
    assert long_runs.null_rate_error(real, none) == pytest.approx(np.log(2 * 90 + 1), abs=0.01)
    few = _lacking(1000, np.arange(10, 190, 20), 2)  # nine of them
    assert long_runs.null_run_fidelity(few, few) is None
    half = _lacking(1000, np.arange(10, 900, 20), 1)
    assert long_runs.null_rate_error(real, half) == pytest.approx(np.log(2), abs=0.02)


def test_values_that_lack_together_show_apart() -> None:
    starts = np.arange(10, 990, 10)
    together, apart = _lacking(1000, starts, 1), _lacking(1000, starts, 1)
    apart.values[:, 1] = np.roll(apart.values[:, 1], 3)
    assert long_runs.null_pair_error(together, together) == 0.0
    share = len(starts) / 1000
    assert long_runs.null_pair_error(together, apart) == pytest.approx(1 + share / (1 - share), abs=0.01)


def test_where_nothing_lacks_there_is_no_value() -> None:
    whole = _span(np.ones((500, 2)))
    lacking = _lacking(500, np.arange(10, 400, 20), 1)
    for found in (
        long_runs.null_rate_error(whole, lacking),
        long_runs.null_run_fidelity(whole, lacking),
        long_runs.null_pair_error(whole, lacking),
        long_runs.null_pair_error(_lacking(500, np.arange(9), 1, columns=1), lacking),
    ):
        assert found is None


def test_stretched_events_show() -> None:
    real = {"ramp": np.array([10.0, 12, 14]), "spike": np.array([1.0, 2])}
    assert long_runs.event_measures(real, real) == (0.0, 1.0)
    ratio, shape = long_runs.event_measures(real, {"ramp": 3 * real["ramp"]})
    assert ratio == pytest.approx(np.log(3)) and shape == 0.0
    ratio, shape = long_runs.event_measures(real, {"ramp": np.array([10.0, 12, 28])})
    assert ratio == pytest.approx(np.log(50 / 36)) and shape == pytest.approx(2 / 3)
    # Never made: as if every window were a row.
    assert long_runs.event_measures(real, {}) == (pytest.approx(np.log(12)), 0.0)
    assert long_runs.event_measures({"spike": real["spike"]}, real) == (None, None)


DATASET = pumps.DATASET.model_copy(update={"interval_s": CADENCE_S})


def _source(seed: int, days: int = 12, *, clock: bool = True, event: int = 6) -> pa.Table:
    """Two pumps; `mode` follows the clock or runs by itself, an event of `event` rows each half day."""
    rng, row = np.random.default_rng(seed), np.arange(days * A_DAY)
    tables = []
    for asset in ("one", "two"):
        label = (row % (A_DAY // 2) < event).astype(int)
        at = row if clock else row + rng.integers(A_DAY)
        volts = np.sin(2 * np.pi * at / A_DAY) + 0.1 * rng.normal(size=len(row))
        tables.append(
            pa.table(
                {
                    "when": [f"{np.datetime64('2024-03-01T00:00:00') + int(r * CADENCE_S)}Z" for r in row],
                    "asset": [asset] * len(row),
                    "volts": np.where(rng.random(len(row)) < 0.02, None, volts).astype(float),
                    "on": row // 20 % 2,
                    "mode": np.where(at % A_DAY < A_DAY // 2, "day", "night"),
                    "label": label,
                    "kind": np.where(label == 1, "ramp", ""),
                }
            )
        )
    table = pa.concat_tables(tables)
    nulls = pa.array(np.asarray(table["volts"]), from_pandas=True)
    return table.set_column(2, "volts", nulls)


@pytest.fixture(scope="module")
def case() -> data.Case:
    found = data.divide("pumps", _source(0), DATASET)
    return dataclasses.replace(found, another=data.divide("", _source(1), DATASET).period)


def test_the_period_itself_is_perfect_and_its_labels_are_those_of_the_release(case: data.Case) -> None:
    found = long_range.measure(case, case.period, case.period)
    assert set(found) == {
        f"long_{key}"
        for key in ("day", "acf", "series", "level", "spread", "dwell", "changes", "nulls", "null_runs",
                    "null_pairs", "event_ratio", "events")
    } - {"long_null_pairs"}  # one column alone lacks values  # fmt: skip
    for key, value in found.items():
        perfect = key in ("long_level", "long_spread", "long_dwell", "long_null_runs", "long_events")
        assert value == pytest.approx(float(perfect), abs=1e-9), key
    assert not any(key.startswith("long_event") for key in long_range.measure(case, case.period, None))


def test_series_off_the_clock_and_long_events_show_in_a_table(case: data.Case) -> None:
    real = long_range.reference(case)
    made = data.divide("", _source(2, clock=False, event=12), DATASET).period
    found = long_range.measure(case, made, made)
    assert real["long_series"] < 0.1 and found["long_series"] > 0.3
    assert real["long_day"] < 0.1 and found["long_day"] > 0.3
    assert real["long_events"] == 1.0 and found["long_events"] == 0.0
    assert found["long_event_ratio"] == pytest.approx(np.log(2))
    assert found["long_nulls"] < 0.3


def test_real_against_real_is_another_span_or_else_the_test_rows(case: data.Case) -> None:
    alone = dataclasses.replace(case, another=None)
    assert long_range.reference(alone) == long_range.measure(case, case.test, case.test)
    assert long_range.reference(case) == long_range.measure(case, case.another, case.another)
    assert long_range.reference(alone) != long_range.reference(case)


def test_labelled_rows_are_left_out_and_categories_are_flags(case: data.Case) -> None:
    calm, whole = (long_range.span_of(case.period, case, labelled=labelled) for labelled in (False, True))
    assert len(whole.stamps) == case.period.num_rows
    assert len(calm.stamps) == case.period.num_rows - np.sum(case.period["label"].to_numpy())
    numeric, states = long_range.columns_of(case, calm)
    assert (numeric, states) == ([0], [1, 2])
    few = dataclasses.replace(calm, values=np.round(calm.values))  # volts of -1, 0 and 1
    assert long_range.columns_of(case, few) == ([0], [0, 1, 2])
    flags, _ = long_range.indicators(case, calm, calm)
    np.testing.assert_array_equal(flags.values[:, 2], calm.values[:, 2] == 0)
    np.testing.assert_array_equal(flags.values[:, 3], calm.values[:, 2] == 1)


def test_measures_without_the_long_range() -> None:
    assert long_range.without({"acf": 0.1, "long_acf": 0.2}) == {"acf": 0.1}
