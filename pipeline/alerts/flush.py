"""Emptying the outbox, which only what is known to have arrived leaves.

A message that was sent is first booked in the state and then removed: a kill in between sends nothing twice;
a kill between the sending and the booking sends it again, under the same id.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pipeline.alerts import outbox
from pipeline.alerts.clock import Clock
from pipeline.alerts.compose import digest_of, make_message
from pipeline.alerts.message import Notice
from pipeline.alerts.outgoing import Outcome, Outgoing, later_by, pause_s
from pipeline.alerts.place import Place
from pipeline.alerts.state import Pause
from pipeline.config.alerts import AlertsSection, Channel

Attempt = Callable[[Channel, Outgoing, datetime], Outcome]

_SENT_KEPT = timedelta(days=30)
#: Notices in one digest, and items of each of them.
_MOST_NOTICES, _MOST_ITEMS = 40, 10


@dataclass
class Sent:
    """What a flush did.

    Attributes:
      sent: Messages that a server took.
      waiting: Messages that stay in the outbox for another attempt.
      held: Messages that wait for the end of the quiet hours.
      set_aside: Messages that were put into `failed/`.
      problems: One line for each channel or message that made trouble.
    """

    sent: int = 0
    waiting: int = 0
    held: int = 0
    set_aside: int = 0
    problems: list[str] = field(default_factory=list)

    def say(self, line: str) -> None:
        """Notes a problem, once."""
        if line not in self.problems:
            self.problems.append(line)


@dataclass(frozen=True)
class Post:
    """What sending needs.

    Attributes:
      place: Where state and outbox are.
      deployment: Name.
      alerts: Channels and patience.
      clock: Time and waiting.
      attempt: Sends once (`pipeline.alerts.sending.attempt`).
      chance: For the jitter of pauses.
    """

    place: Place
    deployment: str
    alerts: AlertsSection
    clock: Clock
    attempt: Attempt
    chance: random.Random


def flush(post: Post, patience_s: float, only: Collection[str] | None = None) -> Sent:
    """Sends what is due, and waits for what becomes due within the patience. Hold the lock `sending`.

    Args:
      post: What sending needs.
      patience_s: How long to wait at most, in all.
      only: Ids of messages; None for all.

    Raises:
      DataError: state or outbox cannot be read or written.
    """
    done = Sent()
    end = post.clock.now() + timedelta(seconds=patience_s)
    while True:
        _join_held(post)
        soon = _pass(post, done, only)
        if soon is None or soon > end:
            break
        post.clock.sleep(max(0.0, (soon - post.clock.now()).total_seconds()))
    rest = _chosen(post, only)
    done.held = sum(item.held for item in rest)
    done.waiting = len(rest) - done.held
    return done


def _chosen(post: Post, only: Collection[str] | None) -> list[Outgoing]:
    found = outbox.outgoing_of(post.place)
    return found if only is None else [item for item in found if item.message.id in only]


def _pass(post: Post, done: Sent, only: Collection[str] | None) -> datetime | None:
    """Tries each message that is due, once; gives the time at which the next one becomes due."""
    with outbox.state_lock(post.place, post.clock):
        state = outbox.load_state(post.place, post.deployment)
    # Somebody who asks for certain messages does not want to wait for a channel's pause.
    pauses = state.pauses if only is None else {}
    stopped = {name: _time(pause.until) for name, pause in pauses.items()}
    left = _chosen(post, only)
    times: list[datetime] = []
    skipped = progress = False
    # What failed before comes last, so that one message that a server chokes on stops no other.
    for item in sorted(left, key=lambda item: (item.attempts, item.place)):
        now = post.clock.now()
        if item.message.id in state.sent:
            outbox.remove(post.place, item)
        elif item.channel not in post.alerts.channels:
            _set_aside(post, done, item, "the channel is no longer configured")
        elif (when := max(_time(item.not_before), stopped.get(item.channel, now))) > now:
            times.append(when)
            continue
        elif _follows(item, left):
            skipped = True
            continue
        elif (until := _try(post, done, item, now)) is not None:
            stopped[item.channel] = until
            times.append(until)
            continue
        left.remove(item)
        progress = True
    # What was behind another message of its thread may go at once, now that something has gone.
    times += [post.clock.now()] if skipped and progress else []
    return min(times, default=None)


def _follows(item: Outgoing, left: Sequence[Outgoing]) -> bool:
    """Whether an earlier message of its thread has yet to arrive; one that is held back lets others pass."""
    threads = _threads(item)
    earlier = [other for other in left if other.channel == item.channel and other.place < item.place]
    return any(not other.held and threads & _threads(other) for other in earlier)


def _threads(item: Outgoing) -> set[str]:
    return {notice.thread for notice in item.message.notices}


def _try(post: Post, done: Sent, item: Outgoing, now: datetime) -> datetime | None:
    """Sends a message once; gives the time until which its channel is left alone, where it failed."""
    outcome = post.attempt(post.alerts.channels[item.channel], item, now)
    if outcome.kind == "sent":
        _book(post, item, now)
        outbox.remove(post.place, item)
        done.sent += 1
        return None
    changed = {"attempts": item.attempts + 1, "error": outcome.words, "to": outcome.to or item.to}
    tried = item.model_copy(update={**changed, "held": False})
    if outcome.kind == "never":
        _set_aside(post, done, tried, outcome.words)
        return None
    failures, until = _pause(post, item.channel, outcome, now)
    if now - _time(item.created) >= timedelta(hours=post.alerts.delivery.give_up_h):
        _set_aside(post, done, tried, f"given up: {outcome.words}")
        return None
    own = pause_s(max(failures, tried.attempts), outcome.retry_after_s, post.alerts.delivery, post.chance)
    outbox.put(post.place, tried.model_copy(update={"not_before": later_by(now, own)}))
    done.say(f"channel {item.channel}: {outcome.words}; it is tried again")
    return until


def _pause(post: Post, channel: str, outcome: Outcome, now: datetime) -> tuple[int, datetime]:
    with outbox.state_lock(post.place, post.clock):
        state = outbox.load_state(post.place, post.deployment)
        failures = state.pauses[channel].failures + 1 if channel in state.pauses else 1
        until = later_by(now, pause_s(failures, outcome.retry_after_s, post.alerts.delivery, post.chance))
        pauses = {**state.pauses, channel: Pause(until=until, failures=failures)}
        outbox.save_state(post.place, state.model_copy(update={"pauses": pauses}))
    return failures, _time(until)


def _book(post: Post, item: Outgoing, now: datetime) -> None:
    with outbox.state_lock(post.place, post.clock):
        state = outbox.load_state(post.place, post.deployment)
        sent = {own_id: at for own_id, at in state.sent.items() if now - _time(at) < _SENT_KEPT}
        pauses = {name: pause for name, pause in state.pauses.items() if name != item.channel}
        changed = {"sent": {**sent, item.message.id: now.isoformat()}, "pauses": pauses}
        outbox.save_state(post.place, state.model_copy(update=changed))


def _set_aside(post: Post, done: Sent, item: Outgoing, why: str) -> None:
    outbox.put(post.place, item.model_copy(update={"error": why}), outbox.FAILED)
    outbox.remove(post.place, item)
    done.set_aside += 1
    where = post.place.store.address(outbox.FAILED, item.name)
    done.say(f"channel {item.channel}: {why}; the message was set aside: {where}")


def _join_held(post: Post) -> None:
    """Makes one digest of the messages of a channel whose quiet hours are over."""
    now = post.clock.now()
    due: dict[str, list[Outgoing]] = {}
    for item in outbox.outgoing_of(post.place):
        if item.held and _time(item.not_before) <= now:
            due.setdefault(item.channel, []).append(item)
    for items in due.values():
        for begin in range(0, len(items), _MOST_NOTICES):
            _join(post, items[begin : begin + _MOST_NOTICES], now)


def _join(post: Post, items: Sequence[Outgoing], now: datetime) -> None:
    first = items[0]
    if len(items) == 1:
        outbox.put(post.place, first.model_copy(update={"held": False}))
        return
    notices = tuple(_short(notice) for item in items for notice in item.message.notices)
    # The id is made of the parts': where the joining is killed and done again, it is the same digest.
    own_id = digest_of([item.message.id for item in items])
    message = make_message(own_id, first.message.deployment, notices, now)
    outbox.put(post.place, first.model_copy(update={"message": message, "held": False}))
    for item in items:
        outbox.remove(post.place, item)


def _short(notice: Notice) -> Notice:
    return notice.model_copy(update={"items": notice.items[:_MOST_ITEMS]})


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
