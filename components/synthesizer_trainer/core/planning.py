"""Sessions to be sampled, and where their anomalies stand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from components.synthesizer_trainer.core import events as event_lib
from components.synthesizer_trainer.core.panel import MICROSECONDS

#: Anomalies may take this share of a release's rows at most, however much they are amplified.
MAX_EVENT_SHARE = 0.35
#: Rows kept normal between two events.
EVENT_GAP = 6
#: Places that are tried in each of a few sessions.
TRIES = 64
#: How far from the hours of a kind's events others of it may begin: deviations that are tried, in hours. With
#: the last one all hours are alike.
HOUR_WIDTHS = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 12.0)


def hour_width(hours: np.ndarray, incident: np.ndarray) -> float:
    """Deviation, in hours, of the hours at which events of a kind begin about those of the known ones.

    Few events say little of when a kind comes: three that came at any hour would all come back at those
    three, amplified, until nearly every row of these hours is anomalous. So the hours are a kernel density,
    with the width of `HOUR_WIDTHS` under which each event is most likely given those of other incidents, all
    of an incident weighing as much as a single event. A single incident tells nothing: the greatest.

    Source: likelihood cross-validation, Silverman 1986, "Density estimation for statistics and data
    analysis", section 3.4.4; the kernel is a wrapped normal.

    Args:
      hours: Hours of the day of a kind's events. Shape [n], n of at least 1.
      incident: Which of them are one incident. Shape [n].
    """
    others = incident[:, None] != incident
    if not others.any():
        return HOUR_WIDTHS[-1]
    weight = 1 / (incident[:, None] == incident).sum(0)
    away = (hours[:, None] - hours)[..., None] + 24.0 * np.arange(-3, 4)
    widths = np.array(HOUR_WIDTHS)[:, None, None]
    density = (np.exp(-0.5 * (away[None] / widths[..., None]) ** 2).sum(-1) / widths * (others * weight)).sum(
        -1
    )
    likely = (np.log(np.maximum(density, 1e-300)) * weight).sum(-1)
    return HOUR_WIDTHS[int(likely.argmax())]


@dataclass(frozen=True)
class PlannedEvent:
    """An anomaly to be sampled: rows [start, start + rows) of a session, in the manner of `template`."""

    start: int
    rows: int
    template: int


@dataclass(frozen=True)
class Session:
    """One synthetic series on a regular grid.

    Attributes:
      number: Position among all sessions; seeds and styles depend on it alone.
      start_us: Time of row 0.
      keep: Rows of the grid that are emitted, rising. Shape [n], int64.
      time_us: Their timestamps. Shape [n], int64.
      events: Anomalies, in order.
    """

    number: int
    start_us: int
    keep: np.ndarray
    time_us: np.ndarray
    events: tuple[PlannedEvent, ...] = ()

    @property
    def steps(self) -> int:
        """Rows of the grid up to the last one emitted."""
        return int(self.keep[-1]) + 1


def real_grid(time_us: np.ndarray, series: np.ndarray, interval_s: float, first: int = 0) -> list[Session]:
    """One session per series, on the series' own grid of timestamps.

    Args:
      time_us: Shape [N], rising within each series.
      series: Index of each row's series. Shape [N].
      interval_s: Cadence.
      first: Number of the first session.
    """
    sessions: list[Session] = []
    for index in np.unique(series):
        own = time_us[series == index]
        keep = np.rint((own - own[0]) / (interval_s * MICROSECONDS)).astype(np.int64)
        sessions.append(Session(first + len(sessions), int(own[0]), keep, own))
    return sessions


class EventPlanner:
    """Places anomalies into sessions.

    Args:
      store: The synthesizer's arrays; those named `event_…` are read.
      kinds: Names of the anomaly kinds.
      interval_s: Cadence.
    """

    def __init__(self, store: dict[str, np.ndarray], kinds: tuple[str, ...], interval_s: float) -> None:
        self.store, self.kinds, self.interval_s = store, kinds, interval_s
        self.widths = {}
        for kind in np.unique(store["event_kind"]):
            own = store["event_kind"] == kind
            self.widths[kind] = hour_width(store["event_hour"][own], store["event_incident"][own])

    def plan(self, sessions: list[Session], amplification: dict[str, float], seed: int) -> list[Session]:
        """Gives sessions their anomalies: as often as in training, times the kind's amplification.

        Args:
          sessions: Without events.
          amplification: By kind; 1 where a kind is not named.
          seed: Same seed, same plan.

        Returns:
          The sessions with events, none overlapping, each on rows that are all emitted.
        """
        generator = np.random.default_rng([seed, 1])
        rows = sum(len(s.keep) for s in sessions)
        wanted = self._draw_templates(rows, amplification, generator)
        if not wanted:
            return list(sessions)
        ground = _Ground(sessions)
        plans: list[list[PlannedEvent]] = [[] for _ in sessions]
        for template, length in wanted:
            place = self._place(sessions, ground, template, length, generator)
            if place is None:
                continue
            index, start = place
            ground.take(index, start, length)
            plans[index].append(PlannedEvent(start, length, template))
        return [
            Session(s.number, s.start_us, s.keep, s.time_us, tuple(sorted(p, key=lambda e: e.start)))
            for s, p in zip(sessions, plans)
        ]

    def _draw_templates(
        self, rows: int, amplification: dict[str, float], generator: np.random.Generator
    ) -> list[tuple[int, int]]:
        """(template, rows) of every event wanted, kinds interleaved."""
        kinds, durations = self.store["event_kind"], self.store["event_duration"]
        wanted: list[tuple[int, int]] = []
        for index, name in enumerate(self.kinds):
            own = np.flatnonzero(kinds == index + 1)
            if not len(own):
                continue
            factor = amplification.get(name, 1.0)
            count = rows / float(self.store["event_rows"][index]) * factor
            count = max(int(np.rint(count)), 1) if factor > 0 else 0
            # Every template in turn, so that a small release holds as many different ones as it can.
            order = np.concatenate([generator.permutation(own) for _ in range(count // len(own) + 1)])
            for template in order[:count]:
                spread = np.exp(event_lib.DURATION_JITTER * generator.standard_normal())
                wanted.append((int(template), max(1, int(np.rint(durations[template] * spread)))))
        wanted = [wanted[i] for i in generator.permutation(len(wanted))]
        total = np.cumsum([length for _, length in wanted])
        return wanted[: max(int((total <= MAX_EVENT_SHARE * rows).sum()), min(1, len(wanted)))]

    def _place(
        self,
        sessions: list[Session],
        ground: _Ground,
        template: int,
        length: int,
        generator: np.random.Generator,
    ) -> tuple[int, int] | None:
        """A free place near an hour of the day that is near the template's, or None after many tries."""
        width = self.widths[self.store["event_kind"][template]]
        hour = float(self.store["event_hour"][template]) + width * generator.standard_normal()
        tried = [i for i in generator.choice(len(sessions), 4, p=ground.shares) if sessions[i].steps > length]
        if not tried:
            return None
        starts = np.stack([generator.integers(0, sessions[i].steps - length, TRIES) for i in tried])
        begins = np.array([sessions[i].start_us for i in tried]) / MICROSECONDS
        second = begins[:, None] + starts * self.interval_s
        away = np.abs((second % 86_400 / 3600 - hour + 12) % 24 - 12)
        away[~ground.free(np.array(tried), starts, length)] = np.inf
        nearest, best = divmod(int(away.argmin()), TRIES)
        if np.isinf(away[nearest, best]):
            return None
        return int(tried[nearest]), int(starts[nearest, best])


class _Ground:
    """Where events may stand: the sessions' rows behind each other, with one place more each.

    Attributes:
      shares: Share of the emitted rows that each session has. Shape [S].
    """

    def __init__(self, sessions: list[Session]) -> None:
        weights = np.array([len(s.keep) for s in sessions], float)
        self.shares = weights / weights.sum()
        self._ends = np.cumsum([s.steps + 1 for s in sessions])
        self._begins = self._ends - [s.steps + 1 for s in sessions]
        emitted = np.zeros(self._ends[-1], np.int64)
        for begin, session in zip(self._begins, sessions):
            emitted[begin + 1 + session.keep] = 1
        self._emitted = np.cumsum(emitted)
        # Rows up to each one that stand in an event or too near to one.
        self._taken = np.zeros(self._ends[-1], np.int64)

    def free(self, sessions: np.ndarray, starts: np.ndarray, length: int) -> np.ndarray:
        """Whether an event of so many rows has room: all its rows are emitted, and none is taken.

        Args:
          sessions: Shape [n].
          starts: Rows of these. Shape [n, k].
          length: In rows.

        Returns:
          Shape [n, k], bool.
        """
        first = self._begins[sessions][:, None] + starts
        whole = self._emitted[first + length] - self._emitted[first] == length
        out: np.ndarray = whole & (self._taken[first + length] == self._taken[first])
        return out

    def take(self, session: int, start: int, length: int) -> None:
        """Marks an event's rows and those too near to it as taken."""
        taken = self._taken[self._begins[session] : self._ends[session]]
        near = np.diff(taken)
        near[max(start - EVENT_GAP, 0) : start + length + EVENT_GAP] = 1
        taken[1:] = np.cumsum(near)
