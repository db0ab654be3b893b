"""What `isthmus alert list` shows: what holds, what is on its way, what was set aside."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from components.drift.glossary import CAUSE_TITLES
from pipeline.alerts import outbox, text
from pipeline.alerts.outgoing import Outgoing
from pipeline.alerts.place import open_place
from pipeline.alerts.state import new_state
from pipeline.config.model import Deployment


def overview(deployment: Deployment) -> dict[str, Any]:
    """The state as JSON, nothing written: `open`, `outbox`, `set_aside`, `pauses`, `place`.

    Raises:
      DataError: the state or the outbox cannot be read.
    """
    place = open_place(deployment)
    state = outbox.read_state(place, deployment.name) or new_state(deployment.name)
    holding = [
        {
            "key": key,
            "incident": found.incident,
            "locale": found.locale,
            "cause": found.cause,
            "severity": found.item.severity,
            "feature": found.item.feature,
            "how_long": text.how_long(found.item, ended=False),
            "channels": list(found.channels),
        }
        for key, found in sorted(state.findings.items())
        if found.open
    ]
    return {
        "open": holding,
        "outbox": [_message(item) for item in outbox.outgoing_of(place)],
        "set_aside": [_message(item) for item in outbox.outgoing_of(place, outbox.FAILED)],
        "pauses": {name: pause.until for name, pause in state.pauses.items()},
        "place": place.store.uri,
    }


def table(found: dict[str, Any]) -> list[Any]:
    """The overview for people."""
    parts: list[Any] = []
    if found["open"]:
        holding = Table("incident", "locale", "cause", "severity", "finding", "how long", title="open")
        for item in found["open"]:
            cause = CAUSE_TITLES[item["cause"]]
            holding.add_row(
                str(item["incident"]), item["locale"], cause, item["severity"], item["key"], item["how_long"]
            )
        parts.append(holding)
    for name in ("outbox", "set_aside"):
        if found[name]:
            messages = Table(
                "channel", "subject", "attempts", "not before", "why", title=name.replace("_", " ")
            )
            for item in found[name]:
                why = "quiet hours" if item["held"] else item["error"]
                messages.add_row(
                    item["channel"], item["subject"], str(item["attempts"]), item["not_before"], why
                )
            parts.append(messages)
    return parts or ["nothing holds, and the outbox is empty"]


def _message(item: Outgoing) -> dict[str, Any]:
    return {
        "id": item.message.id,
        "channel": item.channel,
        "subject": text.subject(item.message),
        "attempts": item.attempts,
        "not_before": item.not_before,
        "held": item.held,
        "error": item.error,
        "file": item.name,
    }
