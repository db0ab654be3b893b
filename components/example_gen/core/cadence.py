"""The cadence of the rows: the median step of each series, against the configured interval.

A wrong `dataset.interval_s` makes windows, calendars and seasons wrong, and shows itself late; the
steps between the timestamps show it at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from components.errors import DataError

#: Relative distance up to which a step is the interval: a clock's jitter, not another cadence.
TOLERANCE = 0.1
#: So many steps of a series are looked at, from its beginning; the median of these is that of the rest.
MAX_STEPS = 4_096
#: A median of fewer steps says nothing.
MIN_STEPS = 8
#: From this share of steps of one interval on, longer ones are taken for gaps.
GAP_SHARE = 0.05
#: A series without a cadence agrees while its median step is within this factor of the interval.
IRREGULAR_FACTOR = 2.0


@dataclass
class Cadence:
    """Judges series by series; rows come sorted by series, then time, in pieces of any size.

    A series with at least 8 steps disagrees with the interval where its median step is more than 10 %
    from it, unless

    - the median is longer and at least 5 % of the steps are the interval: samples are missing (with
      samples missing at random that holds up to 95 % of them); or
    - the series is irregular, which is to say that fewer than half of its steps are within 10 % of
      their own median (as of telemetry sent on change), and the median is within a factor of two.

    Attributes:
      interval_s: Configured, in seconds.
      medians_s: Median step of each series that was judged, in seconds.
      disagree_s: Those that disagree.
    """

    interval_s: float
    medians_s: list[float] = field(default_factory=list)
    disagree_s: list[float] = field(default_factory=list)
    _series: int | None = None
    _last: int = 0
    _steps: list[np.ndarray] = field(default_factory=list)
    _held: int = 0

    def add(self, series: np.ndarray, timestamp: np.ndarray) -> None:
        """Adds rows.

        Args:
          series: Number of each row's series. Shape [row], integer, ascending over all calls.
          timestamp: Microseconds. Shape [row], int64, ascending within a series.
        """
        if not len(series):
            return
        starts = np.concatenate([[0], np.flatnonzero(np.diff(series)) + 1, [len(series)]])
        for start, stop in zip(starts[:-1].tolist(), starts[1:].tolist()):
            number = int(series[start])
            continued = number == self._series
            if not continued:
                self._judge()
                self._series = number
            room = MAX_STEPS - self._held
            stamps = timestamp[start : min(stop, start + room + 1)]
            if continued:
                stamps = np.concatenate([[self._last], stamps])
            steps = np.diff(stamps)[:room]
            self._steps.append(steps)
            self._held += len(steps)
            self._last = int(timestamp[stop - 1])

    def _judge(self) -> None:
        steps_s = np.concatenate(self._steps) / 1e6 if self._steps else np.zeros(0)
        self._steps, self._held = [], 0
        if len(steps_s) < MIN_STEPS:
            return
        median = float(np.median(steps_s))
        self.medians_s.append(median)
        if not self._agrees(steps_s, median):
            self.disagree_s.append(median)

    def _agrees(self, steps_s: np.ndarray, median: float) -> bool:
        if _near(median, self.interval_s):
            return True
        if median > self.interval_s and np.mean(_near(steps_s, self.interval_s)) >= GAP_SHARE:
            return True
        irregular = np.mean(_near(steps_s, median)) < 0.5
        return bool(irregular and 1 / IRREGULAR_FACTOR <= median / self.interval_s <= IRREGULAR_FACTOR)

    def require(self, place: str) -> float | None:
        """Ends the last series and refuses an interval that most series disagree with.

        Returns:
          The median of the series' median steps in seconds; None where no series could be judged.

        Raises:
          DataError: more than half of the series that were judged disagree. A few odd series are no
            reason: their rows are what they are, and the interval is right for the others.
        """
        self._judge()
        self._series = None
        if not self.medians_s:
            return None
        if 2 * len(self.disagree_s) > len(self.medians_s):
            found = float(np.median(self.disagree_s))
            raise DataError(
                f"{place}: the rows come every {found:g} s (median step, "
                f"{len(self.disagree_s)} of {len(self.medians_s)} series), expected "
                f"{self.interval_s:g} by dataset.interval_s. Set dataset.interval_s: {found:g}, "
                "or mend the timestamps (timestamp_format)."
            )
        return float(np.median(self.medians_s))


def _near(steps: np.ndarray | float, interval: float) -> np.ndarray:
    return np.abs(np.asarray(steps) - interval) <= TOLERANCE * interval
