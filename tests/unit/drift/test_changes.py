"""Change points and time lines."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from components.drift.core.changes import (
    MAX_POINTS,
    MIN_SEGMENT,
    _pelt,
    change_points,
    long_run_variance,
    make_points,
    time_line,
)
from tests.unit.drift.series import PER_DAY, profile_of, two_spans, wander


def noise(size: int, keep: float, seed: int) -> np.ndarray:
    white = np.random.default_rng(seed).standard_normal(size + 50)
    series = np.zeros(size + 50)
    for step in range(1, size + 50):
        series[step] = keep * series[step - 1] + np.sqrt(1 - keep**2) * white[step]
    return series[50:]


@pytest.mark.parametrize("seed", range(4))
def test_the_pruned_search_finds_the_cheapest_division_of_all(seed: int) -> None:
    rng = np.random.default_rng(seed)
    series = rng.normal(0, 1, 13) + np.repeat([0, 3, 1], [5, 3, 5])
    penalty = 4.0

    def cost(cuts: tuple[int, ...]) -> float:
        parts = np.split(series, cuts)
        return sum(((part - part.mean()) ** 2).sum() for part in parts) + penalty * len(cuts)

    divisions = [
        cuts
        for number in range(4)
        for cuts in itertools.combinations(range(1, 13), number)
        if all(size >= MIN_SEGMENT for size in np.diff([0, *cuts, 13]))
    ]
    best = min(divisions, key=cost)
    assert tuple(_pelt(series, penalty)) == best


@pytest.mark.parametrize("keep", [0.0, 0.6])
def test_a_level_is_found_where_it_begins_and_ends_and_nothing_else(keep: float) -> None:
    quiet, right = 0, 0
    for seed in range(20):
        series = noise(200, keep, seed)
        quiet += change_points(series) == []
        series[80:140] += 5.0
        found = change_points(series)
        right += len(found) == 2 and abs(found[0] - 80) <= 1 and abs(found[1] - 140) <= 1
    assert quiet >= 19 and right >= 17


def test_unknown_points_are_left_out_but_positions_stay() -> None:
    series = noise(120, 0.0, 1) * 0.1
    series[70:] += 2
    series[40:60] = np.nan
    assert change_points(series) == [70]
    assert change_points(np.full(50, 0.2)) == []
    assert change_points(np.full(50, np.nan)) == []
    assert change_points(np.repeat([0.0, 1.0], 10)) == [10]


def test_the_long_run_variance_is_not_moved_by_levels() -> None:
    # Of a first-order process of variance 1: (1 + keep) / (1 - keep).
    for keep, expected in ((0.0, 1.0), (0.6, 4.0)):
        plain = np.mean([long_run_variance(noise(400, keep, seed)) for seed in range(30)])
        assert plain == pytest.approx(expected, rel=0.5)
        levels = np.repeat([0.0, 20.0], 200)
        moved = np.mean([long_run_variance(noise(400, keep, seed) + levels) for seed in range(30)])
        assert moved == pytest.approx(plain, rel=0.15)


def test_a_time_line_shows_when_and_not_the_daily_course() -> None:
    values = wander(24, 1, np.random.default_rng(0))
    half = 12 * PER_DAY
    values[half + 6 * PER_DAY : half + 8 * PER_DAY] += 4
    current, baseline = profile_of(values[half:], begin_day=12), profile_of(values[:half])
    points = make_points(current)
    line = time_line(current, 0, baseline, 0, points)
    assert line is not None and line.measure == "kolmogorov_smirnov"
    # Thirty rows and more in a point: eight hours of four.
    assert points.per_point == 8 and len(line.value) == 36 <= MAX_POINTS
    assert line.begin[0] == "1970-01-13T00:00:00Z" and line.bucket_s == 8 * 3_600
    assert [line.begin[position] for position in line.change_points] == [
        "1970-01-19T00:00:00Z",
        "1970-01-21T00:00:00Z",
    ]
    inside = [
        value for begin, value in zip(line.begin, line.value) if "1970-01-19" <= begin[:10] < "1970-01-21"
    ]
    outside = [value for value in line.value if value not in inside]
    assert min(inside) > 0.7 > max(outside)


def test_a_long_span_has_few_points_of_whole_days() -> None:
    current, _ = two_spans(10, 1)
    assert make_points(current).per_point == 8
    long = profile_of(np.zeros((500 * PER_DAY, 1)))
    points = make_points(long)
    assert points.per_point == 72 and points.starts.size == 167
    single = profile_of(np.zeros((1, 1)))
    assert make_points(single).starts.tolist() == [0]


def test_points_with_few_values_are_unknown() -> None:
    values = wander(8, 1, np.random.default_rng(0))
    values[4 * PER_DAY + 32 : 4 * PER_DAY + 64] = np.nan
    baseline, current = profile_of(values[: 4 * PER_DAY]), profile_of(values[4 * PER_DAY :], begin_day=4)
    line = time_line(current, 0, baseline, 0, make_points(current))
    assert line is not None and len(line.value) == 12
    assert [position for position, value in enumerate(line.value) if value is None] == [1]
    nothing = profile_of(np.full((4 * PER_DAY, 1), np.nan), begin_day=4)
    assert time_line(nothing, 0, baseline, 0, make_points(nothing)) is None
