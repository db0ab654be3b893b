"""Missing values: counts by hand, and the same whatever the pieces."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from components.data_quality.core.missingness import SPAN_PARTS, Missingness

MINUTE = 60_000_000


def _count(mask, series, time_us, split=None, pieces=1, splits=("train", "holdout")) -> dict:
    split = np.zeros(len(series), np.int64) if split is None else split
    first, last = (int(time_us.min()), int(time_us.max())) if len(time_us) else (0, 0)
    counter = Missingness(list(splits), first, last, 60.0)
    for part in np.array_split(np.arange(len(series)), pieces):
        counter.add({"x": mask[part]}, series[part], time_us[part], split[part])
    return counter.report()


def test_counts_by_hand():
    series = np.array([0, 0, 0, 0, 0, 1, 1, 1])
    mask = np.array([0, 1, 1, 0, 1, 1, 0, 0], bool)
    minutes = np.array([0, 1, 2, 3, 4, 0, 1, 90])
    split = np.array([0, 0, 0, 0, 1, 1, 0, 0])
    found = _count(mask, series, minutes * MINUTE, split)
    assert found["rows"] == {"train": 6, "holdout": 2}
    assert found["complete_rows"] == {"train": 4, "holdout": 0}
    column = found["columns"]["x"]
    assert column["missing"] == {"train": 2, "holdout": 2}
    assert column["rate"] == 0.5
    # Rows 4 and 5 are missing one after the other, in two series: no gap of two.
    assert (column["longest_gap_rows"], column["longest_gap_s"]) == (2, 120.0)
    assert (column["by_hour"][0], sum(column["by_hour"])) == (4, 4)
    assert (found["rows_by_hour"][0], found["rows_by_hour"][1]) == (7, 1)
    assert found["absent"] == {"rows": 88, "longest_s": 89 * 60.0}
    assert len(column["by_part"]) == SPAN_PARTS and sum(column["by_part"]) == 4


@pytest.mark.parametrize("rows", [0, 1, 5])
def test_nothing_one_row_and_all_missing(rows):
    found = _count(np.ones(rows, bool), np.zeros(rows, int), np.arange(rows) * MINUTE)
    assert sum(found["rows"].values()) == rows
    assert sum(found["complete_rows"].values()) == 0
    if rows:
        assert found["columns"]["x"]["rate"] == 1.0
        assert found["columns"]["x"]["longest_gap_rows"] == rows
        assert found["columns"]["x"]["longest_gap_s"] == rows * 60.0
    else:
        assert found["columns"] == {}


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(bool, 40), st.integers(1, 40), st.integers(1, 4))
def test_pieces_change_nothing(mask, pieces, series):
    code = np.sort(np.arange(40) % series)
    time_us = np.concatenate([np.arange((code == c).sum()) * MINUTE for c in range(series)])
    split = (np.arange(40) // 7) % 2
    whole = _count(mask, code, time_us, split)
    assert _count(mask, code, time_us, split, pieces) == whole
    # The longest run, by a loop.
    longest = run = 0
    for i, gone in enumerate(mask):
        run = run * (i > 0 and code[i] == code[i - 1]) + 1 if gone else 0
        longest = max(longest, run)
    assert whole["columns"]["x"]["longest_gap_rows"] == longest
