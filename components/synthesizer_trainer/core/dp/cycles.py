"""The calendar of a DP model: cycles from the configuration, no trend, nothing found in the rows."""

from __future__ import annotations

from components.synthesizer_trainer.core.calendar import Calendar
from components.synthesizer_trainer.core.dp.queries import Layout


def public_calendar(found: Layout, start_s: float = 0.0) -> Calendar:
    """The cycles; `start_s` names the beginning of a declared period."""
    return Calendar(found.cycles_s, found.harmonics, start_s, ())
