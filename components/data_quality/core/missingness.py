"""Missing values, counted as rows come by: rates, the longest gap, and when in the day and the span."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

#: Equal parts of the span in which missing values are counted.
SPAN_PARTS = 20
_HOUR_US = 3_600_000_000
#: Rows further apart than this many intervals have rows missing between them.
_GAP_INTERVALS = 1.5


@dataclasses.dataclass
class _Column:
    """Counts of one column.

    Attributes:
      by_split: Missing cells by split. Shape [split].
      by_hour: By hour of the day, UTC. Shape [24].
      by_part: By part of the span. Shape [SPAN_PARTS].
      longest: Rows of the longest run of missing cells within a series, and its duration.
      tail: Rows of the run that the last row is in, and when it began.
    """

    by_split: np.ndarray
    by_hour: np.ndarray
    by_part: np.ndarray
    longest: tuple[int, float] = (0, 0.0)
    tail: tuple[int, int] = (0, 0)


class Missingness:
    """Counts missing cells of rows in order of series and time, piece by piece."""

    def __init__(self, splits: list[str], first_us: int, last_us: int, interval_s: float) -> None:
        """Args: splits: their names; first_us, last_us: of all rows; interval_s: the cadence."""
        self._splits, self._first, self._interval = list(splits), first_us, interval_s
        self._part_us = max(1, -(-(last_us - first_us + 1) // SPAN_PARTS))
        self._columns: dict[str, _Column] = {}
        self._rows = np.zeros(len(splits), np.int64)
        self._complete = np.zeros(len(splits), np.int64)
        self._hours, self._parts = np.zeros(24, np.int64), np.zeros(SPAN_PARTS, np.int64)
        self._last: tuple[int, int] | None = None
        self._absent, self._longest_absence_s = 0, 0.0

    def add(
        self, missing: Mapping[str, np.ndarray], series: np.ndarray, time_us: np.ndarray, split: np.ndarray
    ) -> None:
        """Takes the next rows.

        Args:
          missing: Column -> where its value is missing; the same columns each time. Shape [row], bool.
          series: Number of each row's series, ascending. Shape [row].
          time_us: Microseconds, ascending within a series. Shape [row], int64.
          split: Number of each row's split. Shape [row].
        """
        if not len(series):
            return
        hour = (time_us // _HOUR_US) % 24
        part = np.clip((time_us - self._first) // self._part_us, 0, SPAN_PARTS - 1)
        self._rows += np.bincount(split, minlength=len(self._splits))
        self._hours += np.bincount(hour, minlength=24)
        self._parts += np.bincount(part, minlength=SPAN_PARTS)
        any_missing = np.zeros(len(series), bool)
        goes_on = self._last is not None and self._last[0] == int(series[0])
        for name, mask in missing.items():
            if name not in self._columns:
                self._columns[name] = _Column(
                    np.zeros(len(self._splits), np.int64),
                    np.zeros(24, np.int64),
                    np.zeros(SPAN_PARTS, np.int64),
                )
            column = self._columns[name]
            any_missing |= mask
            if not mask.any():
                column.tail = (0, 0)
                continue
            column.by_split += np.bincount(split[mask], minlength=len(self._splits))
            column.by_hour += np.bincount(hour[mask], minlength=24)
            column.by_part += np.bincount(part[mask], minlength=SPAN_PARTS)
            self._runs(column, mask, series, time_us, goes_on)
        self._complete += np.bincount(split[~any_missing], minlength=len(self._splits))
        self._count_absent(series, time_us)
        self._last = int(series[-1]), int(time_us[-1])

    def _runs(
        self, column: _Column, mask: np.ndarray, series: np.ndarray, time_us: np.ndarray, goes_on: bool
    ) -> None:
        new = np.append(True, (np.diff(series) != 0) | ~mask[:-1]) & mask
        begin = np.flatnonzero(new)
        end = np.append(begin[1:], len(mask))
        # A run ends at the last of the missing cells that follow its first one.
        inside = np.cumsum(mask)
        length = inside[end - 1] - inside[begin] + 1
        started, stopped = time_us[begin], time_us[begin + length - 1]
        if goes_on and column.tail[0] and mask[0]:
            length[0] += column.tail[0]
            started[0] = column.tail[1]
        seconds = (stopped - started) / 1e6 + self._interval
        longest = int(np.argmax(length))
        found = int(length[longest]), float(seconds[longest])
        column.longest = max(column.longest, found)
        column.tail = (int(length[-1]), int(started[-1])) if mask[-1] else (0, 0)

    def _count_absent(self, series: np.ndarray, time_us: np.ndarray) -> None:
        if self._last is not None:
            series = np.append(self._last[0], series)
            time_us = np.append(self._last[1], time_us)
        step = np.diff(time_us)[np.diff(series) == 0] / 1e6
        long = step[step > _GAP_INTERVALS * self._interval]
        if len(long):
            self._absent += int((np.rint(long / self._interval) - 1).sum())
            self._longest_absence_s = max(self._longest_absence_s, float(long.max()))

    def report(self) -> dict[str, Any]:
        """JSON-ready: counts and durations, no value and no place of a row.

        Returns:
          `rows`, `complete_rows` (no feature missing) by split; `rows_by_hour`, `rows_by_part`; `absent`:
          rows that the cadence would have had between the first and the last of their series; `columns`:
          name -> `missing` by split, `rate`, `longest_gap_rows`, `longest_gap_s`, `by_hour`, `by_part`.
        """
        total = int(self._rows.sum())
        return {
            "rows": self._named(self._rows),
            "complete_rows": self._named(self._complete),
            "rows_by_hour": self._hours.tolist(),
            "rows_by_part": self._parts.tolist(),
            "absent": {"rows": self._absent, "longest_s": self._longest_absence_s},
            "columns": {
                name: {
                    "missing": self._named(column.by_split),
                    "rate": float(column.by_split.sum() / total) if total else None,
                    "longest_gap_rows": column.longest[0],
                    "longest_gap_s": column.longest[1],
                    "by_hour": column.by_hour.tolist(),
                    "by_part": column.by_part.tolist(),
                }
                for name, column in self._columns.items()
            },
        }

    def _named(self, counts: np.ndarray) -> dict[str, int]:
        return dict(zip(self._splits, counts.tolist(), strict=True))
