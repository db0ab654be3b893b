"""What was told already: `state.json`. Holds facts and names of the deployment only."""

from __future__ import annotations

import secrets
from typing import Literal

import pydantic

from components.drift.findings import CauseName
from pipeline.alerts.message import Item


class StateModel(pydantic.BaseModel):
    """A part of the state; replaced, never changed."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class FindingState(StateModel):
    """One key of a finding.

    Attributes:
      open: Whether it alerts.
      incident: Number of its episode, the last one where it is closed.
      locale, cause: When it began.
      item: As it was told last.
      last_run: Run that judged it last.
      channels: That were told of it, in this episode.
      oks: Spans in a row without an alert, while it is open.
      starts: When it began, within the window of flapping; ISO 8601.
    """

    open: bool
    incident: int
    locale: str
    cause: CauseName
    item: Item
    last_run: str
    channels: tuple[str, ...] = ()
    oks: int = 0
    starts: tuple[str, ...] = ()


class Incident(StateModel):
    """An episode of one locale and one cause.

    Attributes:
      locale, cause: Whose, and which.
      opened: When it was first told, ISO 8601.
      told: When last.
      told_run: In which run last.
      events: How often something was told of it.
      threads: Channel to the id of the first message there.
    """

    locale: str
    cause: CauseName
    opened: str
    told: str
    told_run: str
    events: int = 0
    threads: dict[str, str] = {}


class Pause(StateModel):
    """A channel that is left alone for a while.

    Attributes:
      until: ISO 8601.
      failures: In a row.
    """

    until: str
    failures: int


class AlertState(StateModel):
    """Everything.

    Attributes:
      version: Of the form; a reader refuses another.
      uid: Made once; so that ids of messages never come again after the state was deleted.
      deployment: Whose.
      next_incident: Number of the next episode.
      next_message: Place of the next message in the order of sending.
      findings: By key.
      incidents: By number; JSON has texts as keys.
      sent: Ids of messages that were sent, to when; for 30 days.
      pauses: By channel.
    """

    version: Literal[1] = 1
    uid: str
    deployment: str
    next_incident: int = 1
    next_message: int = 1
    findings: dict[str, FindingState] = {}
    incidents: dict[str, Incident] = {}
    sent: dict[str, str] = {}
    pauses: dict[str, Pause] = {}

    def open_of(self, incident: int) -> dict[str, FindingState]:
        """The findings of an episode that still hold, by key."""
        return {key: item for key, item in self.findings.items() if item.open and item.incident == incident}


def new_state(deployment: str) -> AlertState:
    """An empty one."""
    return AlertState(uid=secrets.token_hex(8), deployment=deployment)
