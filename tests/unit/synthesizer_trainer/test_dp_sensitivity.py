"""One unit of privacy more or less moves no exact statistic by more than its stated sensitivity."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.synthesizer_trainer.core.dp import statistics
from components.synthesizer_trainer.core.dp.mechanism import sensitivity
from components.synthesizer_trainer.core.dp.rows import Rows
from tests.unit.synthesizer_trainer.dp_data import INTERVAL_S, STEP_US, all_queries, all_sums, trainer_config

#: In quarters of an interval: duplicates, jitter inside and outside the tolerance, the cadence, gaps.
GAPS = [0, 1, 2, 3, 4, 4, 4, 4, 5, 6, 8]
EXTREMES = [np.nan, 0.0, 40.0, 15.0, 20.0, 20.1]
WINDOW = 3
MOST = 4


@st.composite
def panels(draw: st.DrawFn) -> Rows:
    count = draw(st.integers(2, 14))
    series = np.sort(draw(st.lists(st.integers(0, 2), min_size=count, max_size=count)))
    gaps = draw(st.lists(st.sampled_from(GAPS), min_size=count, max_size=count))
    time_us = np.zeros(count, np.int64)
    for row in range(count):
        fresh = row == 0 or series[row] != series[row - 1]
        time_us[row] = gaps[row] * STEP_US // 4 + (0 if fresh else time_us[row - 1])
    values = np.stack(
        [
            draw(st.lists(st.sampled_from(pool), min_size=count, max_size=count))
            for pool in (EXTREMES, [np.nan, 0.0, 15.0, 7.0], [np.nan, 0.0, 1.0], [np.nan, 0.0, 2.0])
        ],
        axis=1,
    )
    values[:, 0] = np.clip(values[:, 0], 0, 40)
    kind = np.array(draw(st.lists(st.sampled_from([0, 0, 0, 1, 2, -1]), min_size=count, max_size=count)))
    return Rows(time_us, series, values, kind)


def _without(rows: Rows, gone: np.ndarray) -> Rows:
    keep = ~gone
    return Rows(rows.time_us[keep], rows.series[keep], rows.values[keep], rows.kind[keep])


def _truncated(rows: Rows) -> Rows:
    """The first rows of each series, as `read_rows` keeps them."""
    rank = np.arange(len(rows.series)) - np.searchsorted(rows.series, rows.series)
    return _without(rows, rank >= MOST)


def _check(rows: Rows, gone: np.ndarray, **changes: object) -> None:
    config = trainer_config(**changes)
    assert config.dp is not None
    pair = [rows, _without(rows, gone)]
    if config.dp.unit == "series":
        pair = [_truncated(part) for part in pair]
    left, right = (all_sums(part, config) for part in pair)
    for name, query in all_queries(config).items():
        moved = np.linalg.norm((left[name] - right[name]).ravel())
        assert moved <= sensitivity(query, config.dp) * (1 + 1e-12), name
        # Exact sums, so that neither order nor rounding adds to the sensitivity.
        assert np.array_equal(left[name] / query.lattice, np.rint(left[name] / query.lattice)), name


@pytest.mark.parametrize("var_order", [1, 2])
@settings(max_examples=25, deadline=None)
@given(rows=panels(), data=st.data())
def test_one_record(var_order: int, rows: Rows, data: st.DataObject) -> None:
    gone = np.zeros(len(rows.time_us), bool)
    gone[data.draw(st.integers(0, len(gone) - 1))] = True
    _check(rows, gone, var_order=var_order)


@pytest.mark.parametrize("var_order", [1, 2])
@settings(max_examples=25, deadline=None)
@given(rows=panels(), data=st.data())
def test_one_window(var_order: int, rows: Rows, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(rows.time_us) - 1))
    place = np.arange(len(rows.time_us))
    gone = (place >= start) & (place < start + WINDOW) & (rows.series == rows.series[start])
    _check(rows, gone, unit="window", window_rows=WINDOW, var_order=var_order)


@pytest.mark.parametrize("var_order", [1, 2])
@settings(max_examples=25, deadline=None)
@given(rows=panels(), data=st.data())
def test_one_series(var_order: int, rows: Rows, data: st.DataObject) -> None:
    gone = rows.series == data.draw(st.sampled_from(sorted(set(rows.series.tolist()))))
    _check(rows, gone, unit="series", max_rows_per_series=MOST, var_order=var_order)


def _regular(count: int, values: list[float]) -> Rows:
    table = np.tile(np.array(values), (count, 1))
    return Rows(np.arange(count, dtype=np.int64) * STEP_US, np.zeros(count, int), table, np.zeros(count, int))


def test_the_bounds_of_counts_are_reached() -> None:
    # A middle row of a constant stretch is in one cell per level and feature, and in two equal pairs.
    config = trainer_config()
    assert config.dp is not None
    rows = _regular(5, [20.0, 7.0, 1.0, 2.0])
    gone = np.arange(5) == 2
    left, right = all_sums(rows, config), all_sums(_without(rows, gone), config)
    queries = all_queries(config)
    for name in ("rows", "histograms", "pairs_0", "phases_1", "nulls", "holds", "steps"):
        moved = np.linalg.norm((left[name] - right[name]).ravel())
        assert moved == pytest.approx(sensitivity(queries[name], config.dp)), name


def test_the_bound_of_the_moments_is_nearly_reached() -> None:
    config = trainer_config()
    assert config.dp is not None
    rows = _regular(5, [40.0, 15.0, 1.0, 2.0])
    gone = np.arange(5) == 2
    left, right = all_sums(rows, config), all_sums(_without(rows, gone), config)
    moved = np.linalg.norm(left["moments"] - right["moments"])
    # Two runs, each just below the clipping norm.
    assert 0.8 * sensitivity(all_queries(config)["moments"], config.dp) < moved


def test_without_clipping_the_stated_sensitivity_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        statistics, "clip_norm", lambda values, limit, lattice: np.nan_to_num(values // lattice * lattice)
    )
    with pytest.raises(AssertionError):
        _check(_regular(5, [40.0, 15.0, 1.0, 2.0]), np.arange(5) == 2)


def test_a_run_needs_one_interval_between_its_rows() -> None:
    time_us = np.array([0, 60, 120, 135, 195, 300, 300, 360]) * 1_000_000
    rows = Rows(time_us, np.zeros(8, int), np.zeros((8, 4)), np.zeros(8, int))
    # 120 to 135 is a quarter of an interval, 195 to 300 more than one, 300 twice.
    assert rows.runs(1, INTERVAL_S).tolist() == [1, 2, 4, 7]
    assert rows.runs(2, INTERVAL_S).tolist() == [2]
    assert rows.runs(0, INTERVAL_S).tolist() == list(range(8))
