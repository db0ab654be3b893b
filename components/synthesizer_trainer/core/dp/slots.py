"""Windows for a private critic: slots of a public clock, so that a record stands in one window at most.

A series' time is cut into intervals around anchor + k interval_s, and these into slots of W intervals; the
anchor is the declared period's start, or the epoch. A slot is a window if it holds exactly one row in each
of its W intervals, all of normal operation. What a slot is depends on its own rows, on the configuration
and on nothing else, so that a record which comes or goes shifts no other window.

Adjacency. A row added to (or removed from) a window leaves it with two rows (or none) in an interval: then
it is no window. A slot that is none may become one. So one row more or less makes **one window come or go
and never changes one into another**: add/remove adjacency of records is add/remove adjacency of windows,
and a sum of clipped gradients moves by the clipping norm at most, not by twice that. All rows of a series
together: its windows come or go together, at most m / W of m rows, and no other changes. A run of w rows
that follow one another in their series touches at most 2 + (w - 2) // W windows (those between the first
and the last lie wholly inside the run), but some of them may come while others go (`budget.touched_windows`).
"""

from __future__ import annotations

import numpy as np

from components.synthesizer_trainer.core.dp.rows import Rows
from components.synthesizer_trainer.core.panel import MICROSECONDS


def windows(rows: Rows, slot_rows: int, interval_s: float, anchor_us: int) -> np.ndarray:
    """The rows of every window.

    Args:
      rows: Sorted by series, then time.
      slot_rows: W.
      interval_s: Cadence.
      anchor_us: Middle of the interval that the first slot begins with, microseconds UTC.

    Returns:
      Row numbers, shape [n, W], int64. n is a property of the rows: it must not be released.
    """
    interval_us = round(interval_s * MICROSECONDS)
    interval = (rows.time_us - anchor_us + interval_us // 2) // interval_us
    slot, place = interval // slot_rows, interval % slot_rows
    begins = np.ones(len(slot), bool)
    begins[1:] = (np.diff(rows.series) != 0) | (np.diff(slot) != 0)
    starts = np.flatnonzero(begins)
    full = np.diff(np.append(starts, len(slot))) == slot_rows
    index = starts[full][:, None] + np.arange(slot_rows)
    whole = (place[index] == np.arange(slot_rows)).all(1) & (rows.kind[index] == 0).all(1)
    return index[whole]


def filled(values: np.ndarray) -> np.ndarray:
    """Nulls take the last value before them in their own window, or 0. Shape [n, W, F]."""
    known = ~np.isnan(values)
    last = np.maximum.accumulate(np.where(known, np.arange(values.shape[1])[:, None], -1), axis=1)
    found = np.take_along_axis(values, np.maximum(last, 0), axis=1)
    return np.where(last < 0, 0.0, found)
