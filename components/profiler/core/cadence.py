"""When rows come: step, irregularity, gaps; and the regular grid that measures of time stand on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.example_gen.core.cadence import TOLERANCE
from components.synthesizer_trainer.core.panel import GAP_INTERVALS, MICROSECONDS

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Cells of a grid for each row, at most: a series of a few rows years apart has none.
MAX_CELLS = 16


@dataclass(frozen=True)
class Cadence:
    """When the rows of a data set come.

    Attributes:
      interval_s: As configured.
      median_step_s: Of all steps within series; None where no series has two rows.
      irregular: Share of steps more than 10 % of the interval away from every multiple of it, in [0, 1].
      gaps: Steps longer than 1.5 intervals.
      longest_gap_s: The longest step; 0 without steps.
      covered: Rows over the rows that a regular grid from each series' first row to its last would have.
      series: How many.
      shortest_rows: Rows of the shortest series.
      longest_rows: Rows of the longest series.
      longest_grid: Rows that the longest regular grid of a series would have.
      days: From the first row to the last.
    """

    interval_s: float
    median_step_s: float | None
    irregular: float
    gaps: int
    longest_gap_s: float
    covered: float
    series: int
    shortest_rows: int
    longest_rows: int
    longest_grid: int
    days: float


def bounds(series: Ints) -> list[tuple[int, int]]:
    """First row and row after the last of each series. `series`: shape [row], ascending."""
    edges = np.concatenate([[0], np.flatnonzero(np.diff(series)) + 1, [len(series)]])
    return list(zip(edges[:-1].tolist(), edges[1:].tolist()))


def describe(time_us: Ints, series: Ints, interval_s: float) -> Cadence:
    """Looks at the time stamps.

    Args:
      time_us: Microseconds UTC, ascending within a series. Shape [row], at least one.
      series: Number of each row's series, ascending. Shape [row].
      interval_s: The configured cadence.
    """
    parts = bounds(series)
    steps = np.concatenate([np.diff(time_us[begin:end]) for begin, end in parts]) / MICROSECONDS
    sizes = [end - begin for begin, end in parts]
    turns = steps / interval_s
    off = np.abs(turns - np.maximum(np.rint(turns), 1)) > TOLERANCE
    grids = [(time_us[end - 1] - time_us[begin]) / MICROSECONDS / interval_s + 1 for begin, end in parts]
    return Cadence(
        interval_s=interval_s,
        median_step_s=float(np.median(steps)) if len(steps) else None,
        irregular=float(off.mean()) if len(steps) else 0.0,
        gaps=int((turns > GAP_INTERVALS).sum()),
        longest_gap_s=float(steps.max()) if len(steps) else 0.0,
        covered=min(len(time_us) / sum(grids), 1.0),
        series=len(parts),
        shortest_rows=min(sizes),
        longest_rows=max(sizes),
        longest_grid=round(max(grids)),
        days=float(time_us.max() - time_us.min()) / MICROSECONDS / 86_400,
    )


def longest_silence_s(known: npt.NDArray[np.bool_], time_us: Ints, series: Ints) -> float:
    """Longest time without a value of a column within a series, its begin and end included.

    Args:
      known: Where the column has a value. Shape [row].
      time_us: Shape [row].
      series: Shape [row].
    """
    longest = 0
    for begin, end in bounds(series):
        stamps = time_us[begin:end][known[begin:end]]
        inner = np.concatenate([[time_us[begin]], stamps, [time_us[end - 1]]])
        longest = max(longest, int(np.diff(inner).max()))
    return longest / MICROSECONDS


def on_grid(values: Floats, time_us: Ints, interval_s: float) -> Floats:
    """A series on its regular grid, NaN where no row stands; empty where the grid would be too long.

    Args:
      values: Shape [row].
      time_us: Ascending. Shape [row].
      interval_s: Of the grid.
    """
    place = np.rint((time_us - time_us[0]) / (interval_s * MICROSECONDS)).astype(np.int64)
    size = int(place[-1]) + 1
    if size > MAX_CELLS * len(place):
        return np.zeros(0)
    grid = np.full(size, np.nan)
    grid[place] = values
    return grid
