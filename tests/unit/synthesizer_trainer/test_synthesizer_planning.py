"""Where a release's anomalies begin: at hours of the day like those of their kind."""

from __future__ import annotations

import numpy as np

from components.synthesizer_trainer.core.panel import MICROSECONDS
from components.synthesizer_trainer.core.planning import (
    EVENT_GAP,
    HOUR_WIDTHS,
    EventPlanner,
    Session,
    hour_width,
)

INTERVAL_S = 300.0
#: Of a kind that comes at any hour, and of one that comes late in the evening.
ANY, EVENING = np.array([3.2, 9.3, 16.0]), np.array([23.4, 0.3, 23.9])


def _away(hours: np.ndarray, hour: float) -> np.ndarray:
    """Hours around the clock."""
    return np.abs((hours - hour + 12) % 24 - 12)


def _width(hours: np.ndarray) -> float:
    """Where every event is an incident of its own."""
    return hour_width(hours, np.arange(len(hours)))


def test_the_width_follows_the_spread_of_a_kinds_hours() -> None:
    least, *_, greatest = HOUR_WIDTHS
    assert _width(np.array([21.0])) == greatest  # a single event says nothing
    assert _width(ANY) >= 6.0 and _width(np.array([0.0, 12.0])) == greatest
    assert _width(EVENING) == least and _width(np.full(5, 7.0)) == least
    wide = np.random.default_rng(0).normal(0.0, 6.0, 8) % 24
    assert least < _width(wide)
    assert _width((wide + 11) % 24) == _width(wide)  # wherever the day begins


def test_a_kind_of_two_hours_keeps_to_both() -> None:
    shifts = np.concatenate([np.random.default_rng(1).normal(hour, 0.5, 30) for hour in (8.0, 20.0)])
    assert _width(shifts) == HOUR_WIDTHS[0]


def test_an_incident_on_many_series_says_once_when_its_kind_comes() -> None:
    storm = np.full(6, 14.0)
    assert hour_width(storm, np.zeros(6, int)) == HOUR_WIDTHS[-1]
    # Three incidents that came at any hour, each seen on four series.
    assert hour_width(np.repeat(ANY, 4), np.repeat(np.arange(3), 4)) == _width(ANY)
    assert _width(np.repeat(ANY, 4)) == HOUR_WIDTHS[0]
    # One of four of a kind that keeps to the evening was seen on thirty series.
    hours, incident = np.append(EVENING, np.full(30, 9.0)), np.append(np.arange(3), np.full(30, 3))
    assert hour_width(hours, incident) == _width(np.append(EVENING, 9.0))


def _onsets(seed: int) -> dict[int, np.ndarray]:
    """Hours of the day at which amplified events begin, by kind."""
    store = {
        "event_kind": np.repeat([1, 2], 3),
        "event_duration": np.full(6, 24),
        "event_hour": np.concatenate([ANY, EVENING]),
        "event_rows": np.full(2, 1200.0),
        "event_incident": np.arange(6),
    }
    rows = np.arange(20 * 288)
    times = rows * int(INTERVAL_S * MICROSECONDS)
    sessions = [Session(number, 0, rows, times) for number in range(4)]
    kinds = ("any", "evening")
    planned = EventPlanner(store, kinds, INTERVAL_S).plan(sessions, dict.fromkeys(kinds, 3.0), seed)
    begun: dict[int, list[float]] = {1: [], 2: []}
    for session in planned:
        for event in session.events:
            begun[int(store["event_kind"][event.template])].append(event.start * INTERVAL_S / 3600 % 24)
    return {kind: np.array(hours) for kind, hours in begun.items()}


def test_a_kind_that_comes_at_any_hour_does_so_in_a_release() -> None:
    """Three events amplified at their own three hours would make nearly every row of these anomalous."""
    hours = _onsets(0)[1]
    assert len(hours) > 40
    far = np.min([_away(hours, hour) for hour in ANY], axis=0) > 2.5
    assert far.mean() > 0.2
    assert (np.bincount((hours // 4).astype(int), minlength=6) > 0).all()


def test_a_kind_that_keeps_to_an_hour_does_so_in_a_release() -> None:
    hours = _onsets(0)[2]
    assert len(hours) > 40
    assert (_away(hours, 23.9) < 4).mean() > 0.95


def test_events_stand_apart_on_rows_that_are_all_emitted() -> None:
    store = {
        "event_kind": np.ones(3, int),
        "event_duration": np.array([5, 20, 60]),
        "event_hour": np.array([3.0, 9.0, 16.0]),
        "event_rows": np.full(1, 60.0),
        "event_incident": np.arange(3),
    }
    keep = np.setdiff1d(np.arange(2000), np.r_[300:320, 900:905, 1400:1700])
    times = keep * int(INTERVAL_S * MICROSECONDS)
    sessions = [Session(0, 0, keep, times), Session(1, 0, keep[:40], times[:40])]
    planned = EventPlanner(store, ("any",), INTERVAL_S).plan(sessions, {}, 0)
    events = planned[0].events
    assert len(events) > 8
    for session in planned:
        for event in session.events:
            assert np.isin(np.arange(event.start, event.start + event.rows), session.keep).all()
    ends = np.array([event.start + event.rows for event in events])
    assert (np.array([event.start for event in events])[1:] - ends[:-1] >= EVENT_GAP).all()
    assert EventPlanner(store, ("any",), INTERVAL_S).plan(sessions, {"any": 0.0}, 0) == sessions
