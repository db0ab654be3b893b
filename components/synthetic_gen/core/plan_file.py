"""Sessions as bytes and back, without pickle: a shard's plan, which a worker reads by its number."""

from __future__ import annotations

import io

import numpy as np

from components.synthesizer_trainer.core.planning import PlannedEvent, Session


def to_bytes(sessions: list[Session]) -> bytes:
    """A shard's sessions as NumPy's `.npz`, arrays of numbers only."""
    rows = [len(session.keep) for session in sessions]
    events = [(i, e.start, e.rows, e.template) for i, s in enumerate(sessions) for e in s.events]
    file = io.BytesIO()
    np.savez(
        file,
        head=np.array([(s.number, s.start_us) for s in sessions], np.int64).reshape(-1, 2),
        rows=np.array(rows, np.int64),
        keep=np.concatenate([s.keep for s in sessions]) if sessions else np.zeros(0, np.int64),
        time_us=np.concatenate([s.time_us for s in sessions]) if sessions else np.zeros(0, np.int64),
        events=np.array(events, np.int64).reshape(-1, 4),
    )
    return file.getvalue()


def from_bytes(data: bytes) -> list[Session]:
    """What `to_bytes` wrote; pickled arrays are refused by NumPy."""
    with np.load(io.BytesIO(data), allow_pickle=False) as found:
        head, rows, keep = found["head"], found["rows"], found["keep"]
        time_us, events = found["time_us"], found["events"]
    stops = np.cumsum(rows)
    sessions = []
    for index, (number, start_us) in enumerate(head.tolist()):
        part = slice(int(stops[index] - rows[index]), int(stops[index]))
        own = tuple(PlannedEvent(*event[1:]) for event in events.tolist() if event[0] == index)
        sessions.append(Session(number, start_us, keep[part], time_us[part], own))
    return sessions
