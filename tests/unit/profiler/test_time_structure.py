"""Seasons, drift and memory of processes whose own are known."""

from __future__ import annotations

import numpy as np
import pytest

from components.profiler.core.time_structure import describe
from tests.unit.profiler.conftest import INTERVAL_S


def course(made, values):
    return describe(values, made.time_us, made.series, INTERVAL_S)


@pytest.mark.parametrize("share", [0.0, 0.25, 0.8])
def test_the_daily_share_of_the_variance(made, share):
    own = made(days=20, series=3)
    values = np.sqrt(share) * own.daily() + np.sqrt(1 - share) * own.white()
    assert course(own, values).daily == pytest.approx(share, abs=0.03)


def test_memory_of_hours_is_no_daily_course(made):
    own = made(days=20, series=4)
    assert course(own, own.memory(30)).daily < 0.1


def test_the_weekly_share_comes_after_the_daily_one(made):
    own = made(days=42, series=2)
    weekend = (((own.time_us // 86_400_000_000) + 3) % 7 >= 5).astype(float)
    weekend = (weekend - weekend.mean()) / weekend.std()
    found = course(own, own.daily() + weekend + own.white())
    assert found.daily == pytest.approx(1 / 3, abs=0.05) and found.weekly == pytest.approx(1 / 3, abs=0.05)
    assert course(own, own.daily() + own.white()).weekly < 0.02


def test_too_short_for_a_season_is_not_zero(made):
    own = made(days=3, series=1)
    found = course(own, own.daily())
    assert found.daily is None and found.weekly is None
    assert course(made(days=15), made(days=15).white()).weekly is not None


def test_a_level_that_moved_is_found_and_measured_in_spreads(made):
    own = made(days=20, series=2)
    late = own.time_us > np.median(own.time_us)
    moved = course(own, own.memory(3) + 3.0 * late)
    assert moved.drifting == moved.tested == 2
    assert moved.drift == pytest.approx(3 / np.sqrt(1 + 9 / 4), abs=0.1)


@pytest.mark.parametrize("steps, most", [(20, 0), (150, 3)])
def test_memory_is_not_taken_for_drift(made, steps, most):
    # A day of memory in halves of ten days; a test on means of daily blocks called a fifth of them drifting.
    alarms = tested = 0
    for seed in range(40):
        own = made(days=20, series=1, seed=seed)
        found = course(own, own.memory(steps))
        alarms, tested = alarms + found.drifting, tested + found.tested
    assert tested == 40 and alarms <= most


def test_a_shift_is_found_through_nulls_and_not_where_there_is_none(made):
    own = made(days=20, series=1)
    values = own.memory(10) + 1.5 * (np.arange(len(own.series)) >= own.each // 2)
    values[own.rng.random(len(values)) < 0.4] = np.nan
    assert course(own, values).drifting == 1
    values[: own.each // 2] = np.nan
    assert course(own, values).tested == 0 and course(own, values).drift is None


@pytest.mark.parametrize("steps", [4, 40])
def test_the_correlation_time(made, steps):
    own = made(days=40, series=4)
    found = course(own, own.memory(steps))
    assert found.correlation_s == pytest.approx(steps * INTERVAL_S, rel=0.25)


def test_gaps_and_nulls_do_not_change_it(made):
    own = made(days=40, series=4)
    values = own.memory(20)
    values[own.rng.random(len(values)) < 0.3] = np.nan
    assert course(own, values).correlation_s == pytest.approx(20 * INTERVAL_S, rel=0.3)


def test_a_daily_course_is_no_memory(made):
    own = made(days=40, series=2)
    assert course(own, own.daily() + 0.3 * own.memory(2)).correlation_s < 4 * INTERVAL_S


def test_what_does_not_vary_has_no_memory_and_no_drift(made):
    own = made()
    found = course(own, np.full(len(own.series), 7.0))
    assert found.correlation_s is None and found.drift is None and found.daily == 0.0
