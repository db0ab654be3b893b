"""Steps, gaps and silences of series that have them where the test put them."""

from __future__ import annotations

import numpy as np
import pytest

from components.profiler.core import cadence
from components.synthesizer_trainer.core.panel import segments

STEP = 60_000_000


def test_a_regular_grid_has_no_gap():
    found = cadence.describe(np.arange(100) * STEP, np.zeros(100, int), 60.0)
    assert (found.median_step_s, found.irregular, found.gaps, found.covered) == (60.0, 0.0, 0, 1.0)
    assert (found.longest_rows, found.longest_grid, found.series) == (100, 100, 1)


def test_gaps_are_counted_within_series_only():
    time_us = np.concatenate([np.arange(50), np.arange(60, 110), np.arange(500, 530)]) * STEP
    series = np.repeat([0, 1], [100, 30])
    found = cadence.describe(time_us, series, 60.0)
    assert (found.gaps, found.longest_gap_s, found.shortest_rows) == (1, 11 * 60.0, 30)
    assert found.covered == pytest.approx(130 / 140) and found.irregular == 0.0
    assert np.bincount(segments(time_us, series, 60.0)).tolist() == [50, 50, 30]


def test_steps_off_every_multiple_are_irregular():
    time_us = np.cumsum(np.tile([1.0, 1.5], 40) * STEP).astype(int)
    assert cadence.describe(time_us, np.zeros(80, int), 60.0).irregular == pytest.approx(40 / 79)


def test_the_longest_silence_counts_begin_end_and_null_values():
    time_us, series = np.tile(np.arange(20) * STEP, 2), np.repeat([0, 1], 20)
    known = np.ones(40, bool)
    known[5:9] = False
    assert cadence.longest_silence_s(known, time_us, series) == 5 * 60.0
    known[:12] = False
    assert cadence.longest_silence_s(known, time_us, series) == 12 * 60.0
    known[20:] = False
    assert cadence.longest_silence_s(known, time_us, series) == 19 * 60.0


def test_a_few_rows_years_apart_have_no_grid():
    stamps = np.array([0, 1, 2, 10_000_000]) * STEP
    assert len(cadence.on_grid(np.ones(4), stamps, 60.0)) == 0
    assert np.isnan(cadence.on_grid(np.ones(3), stamps[:3] * 2, 60.0)).tolist() == [0, 1, 0, 1, 0]
