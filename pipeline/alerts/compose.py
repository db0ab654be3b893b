"""From what is to be told to messages of the outbox."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pipeline.alerts import text
from pipeline.alerts.message import Item, Message, Notice, Owner
from pipeline.alerts.outgoing import Outgoing
from pipeline.alerts.routing import owner_of, report_address
from pipeline.alerts.state import AlertState
from pipeline.alerts.track import Event
from pipeline.alerts.words import CAUSE_WORDS, rank, worst
from pipeline.config.alerts import AlertsSection

#: Items in one notice; `total` says how many there are.
MOST_ITEMS = 50


@dataclass(frozen=True)
class Occasion:
    """What all messages of one step share.

    Attributes:
      alerts: The section.
      deployment: Name.
      run_id: Of the run.
      link: Address of the run's report; empty takes the section's.
      now: With a time zone.
    """

    alerts: AlertsSection
    deployment: str
    run_id: str
    link: str
    now: datetime


def compose(state: AlertState, events: Sequence[Event], on: Occasion) -> tuple[AlertState, list[Outgoing]]:
    """The messages of some events, held back where it is quiet, and the state that knows their threads.

    A message's id follows from the state, what happened and to which findings: a step that was killed and
    is done again makes the same ids.
    """
    found: list[Outgoing] = []
    incidents = dict(state.incidents)
    place = state.next_message
    for event in events:
        if event.channel not in on.alerts.channels:
            continue
        number = str(event.incident)
        episode = incidents[number]
        identity = (state.uid, number, str(event.number), event.kind, event.channel, *event.keys)
        own_id = digest_of(identity)
        thread = episode.threads.get(event.channel, own_id)
        incidents[number] = episode.model_copy(update={"threads": {**episode.threads, event.channel: thread}})
        notice = Notice(
            kind=event.kind,
            incident=event.incident,
            thread=thread,
            locale=episode.locale,
            cause=episode.cause,
            cause_words=CAUSE_WORDS[episode.cause],
            severity=worst([item.severity for item in event.items]),
            items=event.items[:MOST_ITEMS],
            total=len(event.items),
            open=event.open,
            since=episode.opened,
            at=on.now.isoformat(),
            run_id=on.run_id,
            owners=_owners(on.alerts, episode.locale, event.items),
            report=on.link or report_address(on.alerts.report_link, on.run_id, episode.locale),
        )
        found.append(outgoing(place, event.channel, message_of(own_id, (notice,), on), on))
        place += 1
    return state.model_copy(update={"incidents": incidents, "next_message": place}), found


def message_of(own_id: str, notices: tuple[Notice, ...], on: Occasion) -> Message:
    """A message: of one notice, or a digest of several."""
    return make_message(own_id, on.deployment, notices, on.now)


def make_message(own_id: str, deployment: str, notices: tuple[Notice, ...], now: datetime) -> Message:
    """A message with its summary.

    Args:
      own_id: The same whenever it is made again.
      deployment: Name.
      notices: Several make a digest.
      now: With a time zone.
    """
    message = Message(
        id=own_id,
        kind="digest" if len(notices) > 1 else notices[0].kind,
        test=notices[0].kind == "test",
        deployment=deployment,
        at=now.isoformat(),
        severity=worst([notice.severity for notice in notices]),
        notices=notices,
    )
    return message.model_copy(update={"summary": text.subject(message)})


def outgoing(place: int, channel: str, message: Message, on: Occasion) -> Outgoing:
    """A message for a channel: now, or after the quiet hours."""
    quiet, when = on.alerts.quiet_hours, on.now
    loud = on.alerts.channels[channel].ignores_quiet_hours or message.test
    if quiet is not None and not loud:
        severe = quiet.through is not None and rank(message.severity) >= rank(quiet.through)
        when = on.now if severe else quiet.until(on.now) or on.now
    return Outgoing(
        place=place,
        channel=channel,
        message=message,
        created=on.now.isoformat(),
        not_before=when.isoformat(),
        held=when > on.now,
    )


def digest_of(parts: Sequence[str]) -> str:
    """32 hexadecimal digits of SHA-256."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _owners(alerts: AlertsSection, locale: str, items: Sequence[Item]) -> tuple[Owner, ...]:
    found = [owner_of(alerts, locale, item.feature) for item in items]
    return tuple(dict.fromkeys(owner for owner in found if owner is not None))
