"""What is new: from the state and a run's facts to the next state and what is to be told.

Pure: no clock, no file. A finding begins with an `ALERT`, ends with `OK` in `clear_after` runs, and neither
with `UNDEFINED`, nor with being absent, nor with an older span. From its n-th start within the window it is
flapping: from then on it ends only after `flapping.clear_after` later spans in a row without an alert.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pipeline.alerts.facts import Fact
from pipeline.alerts.message import Item, NoticeKind
from pipeline.alerts.routing import channels_of
from pipeline.alerts.state import AlertState, FindingState, Incident
from pipeline.alerts.words import rank
from pipeline.config.alerts import AlertsSection

#: How long a closed episode is remembered.
_KEPT = timedelta(days=90)
_KINDS: tuple[NoticeKind, ...] = ("alert", "escalated", "reminder", "resolved", "closed")


@dataclass(frozen=True)
class Event:
    """Something to tell one channel of one episode.

    Attributes:
      kind: What happened.
      channel: Who is told.
      incident: Of which episode.
      number: How many events the episode had before; the same for all channels of one step.
      items: The findings that it happened to.
      keys: Theirs.
      open: How many of the episode hold afterwards.
    """

    kind: NoticeKind
    channel: str
    incident: int
    number: int
    items: tuple[Item, ...]
    keys: tuple[str, ...]
    open: int


@dataclass(frozen=True)
class Step:
    """What a run changed.

    Attributes:
      state: The next one.
      events: To tell, in order.
      unrouted: Findings that began and that no route takes.
      older: Findings of spans older than those that are known; they changed nothing.
    """

    state: AlertState
    events: tuple[Event, ...]
    unrouted: int
    older: int


@dataclass
class _Work:
    findings: dict[str, FindingState]
    incidents: dict[str, Incident]
    next_incident: int
    told: dict[tuple[int, str, NoticeKind], list[str]] = field(default_factory=dict)
    unrouted: int = 0
    older: int = 0

    def tell(self, kind: NoticeKind, incident: int, channels: Sequence[str], key: str) -> None:
        for channel in channels:
            self.told.setdefault((incident, channel, kind), []).append(key)


def advance(
    state: AlertState, facts: Sequence[Fact], run_id: str, alerts: AlertsSection, now: datetime
) -> Step:
    """Takes a run's facts into the state.

    Args:
      state: Before.
      facts: One for each key.
      run_id: Of the run; the same run again changes nothing.
      alerts: Routes, thresholds, patience.
      now: With a time zone.
    """
    work = _Work(dict(state.findings), dict(state.incidents), state.next_incident)
    judged = set()
    for fact in facts:
        known = work.findings.get(fact.key)
        if known is not None and fact.span < known.item.span:
            work.older += 1
            continue
        if fact.verdict == "ALERT":
            judged.add(fact.key)
            _take_alert(work, fact, run_id, alerts, now)
        elif fact.verdict == "OK" and known is not None:
            judged.add(fact.key)
            _take_ok(work, fact, known, run_id, alerts)
    for key, found in work.findings.items():
        if found.open and found.item.judged != (key in judged):
            work.findings[key] = _with_item(found, judged=key in judged)
    _remind(work, run_id, alerts, now)
    return _finish(state, work, run_id, now)


def close(state: AlertState, incident: int, now: datetime) -> Step:
    """Ends an episode by hand; nothing happens where none of its findings hold."""
    work = _Work(dict(state.findings), dict(state.incidents), state.next_incident)
    for key, found in state.open_of(incident).items():
        work.tell("closed", incident, found.channels, key)
        work.findings[key] = found.model_copy(update={"open": False})
    return _finish(state, work, "", now)


def _take_alert(work: _Work, fact: Fact, run_id: str, alerts: AlertsSection, now: datetime) -> None:
    known = work.findings.get(fact.key)
    if known is None or not known.open:
        if rank(fact.severity) < rank(alerts.minimum_severity):
            return
        window = timedelta(hours=alerts.flapping.window_h)
        before = [text for text in (known.starts if known else ()) if now - _time(text) <= window]
        starts = (*before, now.isoformat())
        item = _item(fact, fact.span, now, len(starts) >= alerts.flapping.starts)
        incident = _incident_for(work, fact, run_id, now)
        known = FindingState(
            open=True,
            incident=incident,
            locale=fact.locale,
            cause=fact.cause,
            item=item,
            last_run=run_id,
            starts=starts,
        )
        channels = channels_of(alerts, fact.locale, fact.feature, fact.cause, fact.severity)
        work.unrouted += not channels
        work.tell("alert", incident, channels, fact.key)
        work.findings[fact.key] = known.model_copy(update={"channels": channels})
        return
    began = _time(known.item.since)
    item = _item(fact, known.item.since_span, began, known.item.flapping, known.item.begin)
    channels = channels_of(alerts, fact.locale, fact.feature, fact.cause, fact.severity)
    fresh = tuple(name for name in channels if name not in known.channels)
    work.tell("alert", known.incident, fresh, fact.key)
    if rank(fact.severity) > rank(known.item.severity):
        work.tell("escalated", known.incident, known.channels, fact.key)
    work.findings[fact.key] = known.model_copy(
        update={
            "item": item,
            "last_run": run_id,
            "channels": (*known.channels, *fresh),
            "oks": 0,
        }
    )


def _take_ok(work: _Work, fact: Fact, known: FindingState, run_id: str, alerts: AlertsSection) -> None:
    span = {"span": fact.span}
    if not known.open:
        work.findings[fact.key] = _with_item(known, **span)
        return
    if known.last_run == run_id:
        return  # the same run again
    flapping = known.item.flapping
    # A span counts once. Where the data were mended, the span that alerted may itself be the first without.
    counts = fact.span > known.item.span or (not known.oks and not flapping)
    oks = known.oks + counts
    ended = oks >= (alerts.flapping.clear_after if flapping else alerts.clear_after)
    if ended:
        work.tell("resolved", known.incident, known.channels, fact.key)
    found = known.model_copy(update={"open": not ended, "oks": oks, "last_run": run_id})
    work.findings[fact.key] = _with_item(found, **span, judged=True)


def _remind(work: _Work, run_id: str, alerts: AlertsSection, now: datetime) -> None:
    """Open episodes of which nothing was told for long, by a run that did not tell of them."""
    if alerts.repeat_h is None:
        return
    busy = {incident for incident, _, _ in work.told}
    for number, incident in work.incidents.items():
        due = now - _time(incident.told) >= timedelta(hours=alerts.repeat_h)
        if int(number) in busy or incident.told_run == run_id or not due:
            continue
        for key, found in work.findings.items():
            if found.open and found.incident == int(number):
                work.tell("reminder", int(number), found.channels, key)


def _finish(state: AlertState, work: _Work, run_id: str, now: datetime) -> Step:
    events = []
    for (incident, channel, kind), keys in sorted(
        work.told.items(), key=lambda item: (item[0][0], _KINDS.index(item[0][2]))
    ):
        items = sorted((work.findings[key].item for key in keys), key=lambda item: -rank(item.severity))
        still = sum(found.open and found.incident == incident for found in work.findings.values())
        number = work.incidents[str(incident)].events
        events.append(Event(kind, channel, incident, number, tuple(items), tuple(sorted(keys)), still))
    for told in {str(event.incident) for event in events}:
        episode = work.incidents[told]
        work.incidents[told] = episode.model_copy(
            update={"events": episode.events + 1, "told": now.isoformat(), "told_run": run_id}
        )
    holding = {str(found.incident) for found in work.findings.values() if found.open}
    kept = {
        number: episode
        for number, episode in work.incidents.items()
        if number in holding or now - _time(episode.told) < _KEPT
    }
    following = state.model_copy(
        update={
            "findings": work.findings,
            "incidents": kept,
            "next_incident": work.next_incident,
        }
    )
    return Step(following, tuple(events), work.unrouted, work.older)


def _incident_for(work: _Work, fact: Fact, run_id: str, now: datetime) -> int:
    """The open episode of the locale and cause, or a new one."""
    for found in work.findings.values():
        if found.open and (found.locale, found.cause) == (fact.locale, fact.cause):
            return found.incident
    number = work.next_incident
    work.next_incident += 1
    work.incidents[str(number)] = Incident(
        locale=fact.locale, cause=fact.cause, opened=now.isoformat(), told=now.isoformat(), told_run=run_id
    )
    return number


def _item(fact: Fact, since_span: int, since: datetime, flapping: bool, begin: str = "") -> Item:
    return Item(
        comparison=fact.comparison,
        against=fact.against,
        feature=fact.feature,
        split=fact.split,
        severity=fact.severity,
        measures=fact.measures,
        since_span=since_span,
        span=fact.span,
        since=since.isoformat(),
        begin=begin or fact.begin,
        flapping=flapping,
    )


def _with_item(found: FindingState, **changes: object) -> FindingState:
    return found.model_copy(update={"item": found.item.model_copy(update=changes)})


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
