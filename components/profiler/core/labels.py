"""Labelled events: how many of each kind, how long they last, and which are too few to learn from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.profiler.core.cadence import Ints
from components.synthesizer_trainer.config import RareEventsConfig
from components.synthesizer_trainer.core.events import find_events
from components.synthesizer_trainer.core.panel import MICROSECONDS

#: A kind of fewer windows is rare, as the trainer has it by default.
MIN_WINDOWS = RareEventsConfig().min_windows


@dataclass(frozen=True)
class LabelKind:
    """One kind of labelled event.

    Attributes:
      name: As the label's kind says; `anomaly` where there is no such column.
      events: Runs of neighbouring rows of the kind: windows.
      rows: Of all its events.
      median_s: Median duration, one interval included.
      longest_s: Longest duration.
      series: Series that have one.
    """

    name: str
    events: int
    rows: int
    median_s: float
    longest_s: float
    series: int

    @property
    def rare(self) -> bool:
        """Whether it has fewer than ten windows."""
        return self.events < MIN_WINDOWS


def describe(
    names: npt.NDArray[np.object_], time_us: Ints, series: Ints, segment: Ints, interval_s: float
) -> tuple[LabelKind, ...]:
    """The kinds of events, most events first.

    Args:
      names: Kind of every row, "" where it is normal. Shape [row].
      time_us: Microseconds UTC. Shape [row].
      series: Number of each row's series. Shape [row].
      segment: Runs of neighbouring rows. Shape [row].
      interval_s: Cadence.
    """
    known = sorted({str(name) for name in names if name})
    codes = np.zeros(len(names), np.int64)
    for code, name in enumerate(known, 1):
        codes[names == name] = code
    found = find_events(codes, segment)
    kinds = []
    for code, name in enumerate(known, 1):
        own = [(begin, end) for kind, begin, end in found if kind == code]
        lasting = [(time_us[end - 1] - time_us[begin]) / MICROSECONDS + interval_s for begin, end in own]
        kinds.append(
            LabelKind(
                name=name,
                events=len(own),
                rows=sum(end - begin for begin, end in own),
                median_s=float(np.median(lasting)),
                longest_s=float(np.max(lasting)),
                series=len({int(series[begin]) for begin, _ in own}),
            )
        )
    return tuple(sorted(kinds, key=lambda kind: (-kind.events, kind.name)))
