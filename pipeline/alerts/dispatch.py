"""From a run's monitoring to messages: what is new is written to the outbox, then sent."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Collection
from datetime import datetime
from typing import Any

from components.drift.findings import MonitorRun
from components.errors import BusyError, ConfigError, IsthmusError, list_briefly
from pipeline.alerts import outbox
from pipeline.alerts.clock import SYSTEM, Clock, stopped
from pipeline.alerts.compose import Occasion, compose
from pipeline.alerts.facts import facts_of, run_id_of
from pipeline.alerts.flush import Attempt, Post, Sent, flush
from pipeline.alerts.place import Place, open_place
from pipeline.alerts.sending import attempt as send_once
from pipeline.alerts.track import Step, advance, close
from pipeline.config.model import Deployment

#: How long sending counts as under way on an object store, whatever became of the sender.
_SENDING_LEASE_S = 900.0


@dataclasses.dataclass(frozen=True)
class DispatchSummary:
    """What became of a run's findings.

    Attributes:
      configured: Whether the deployment has any channel; without, nothing happened.
      began, escalated, reminded, resolved: Messages that were written, of each kind.
      unrouted: Findings that began and that no route takes.
      older: Findings of older spans than those that are known; they changed nothing.
      sent, waiting, held, set_aside: Messages, as `flush.Sent` has them.
      problems: One line each.
    """

    configured: bool = True
    began: int = 0
    escalated: int = 0
    reminded: int = 0
    resolved: int = 0
    unrouted: int = 0
    older: int = 0
    sent: int = 0
    waiting: int = 0
    held: int = 0
    set_aside: int = 0
    problems: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """One line; empty where there is nothing to say."""
        counts = {
            "sent": self.sent,
            "held back in quiet hours": self.held,
            "waiting in the outbox": self.waiting,
            "set aside": self.set_aside,
        }
        parts = [f"{number} {name}" for name, number in counts.items() if number]
        parts += [f"{self.unrouted} findings that no route takes"] if self.unrouted else []
        parts += self.problems
        return "alerts: " + "; ".join(parts) if parts else ""

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return dataclasses.asdict(self)


def dispatch(
    deployment: Deployment,
    run: MonitorRun,
    *,
    report_link: str = "",
    now: datetime | None = None,
    clock: Clock = SYSTEM,
    attempt: Attempt = send_once,
    chance: random.Random | None = None,
) -> DispatchSummary:
    """Tells who has to know what a run's monitoring found; a failed send is told, not raised.

    Args:
      deployment: Its section `alerts` says who is told.
      run: Findings of the run's zones. A zone that is missing ends nothing.
      report_link: Address of the run's report; empty takes `alerts.report_link`.
      now: The time, for a caller that does not want to wait; None takes the clock's.
      clock: Time and waiting.
      attempt: Sends once.
      chance: Of the pauses' jitter.

    Returns:
      What became of it. Whatever went wrong stands in `problems`.
    """
    alerts = deployment.alerts
    if not alerts.channels:
        return DispatchSummary(configured=False)
    clock = stopped(now) if now is not None else clock
    try:
        place = open_place(deployment)
        on = Occasion(alerts, deployment.name, run_id_of(run), one_line_link(report_link), clock.now())
        step, kinds = _write(place, deployment, run, on, clock)
    except IsthmusError as error:
        return DispatchSummary(problems=(str(error),))
    done = empty(place, deployment, alerts.delivery.patience_s, clock=clock, attempt=attempt, chance=chance)
    return DispatchSummary(
        began=kinds.count("alert"),
        escalated=kinds.count("escalated"),
        reminded=kinds.count("reminder"),
        resolved=kinds.count("resolved"),
        unrouted=step.unrouted,
        older=step.older,
        **{**dataclasses.asdict(done), "problems": tuple(done.problems)},
    )


def close_incident(
    deployment: Deployment, number: int, *, clock: Clock = SYSTEM, attempt: Attempt = send_once
) -> Sent:
    """Ends an episode by hand, and tells those who were told of it.

    Raises:
      ConfigError: nothing of it holds.
      DataError: the state cannot be read or written.
    """
    place = open_place(deployment)
    on = Occasion(deployment.alerts, deployment.name, "", "", clock.now())
    with outbox.state_lock(place, clock):
        state = outbox.load_state(place, deployment.name)
        if not state.open_of(number):
            holding = sorted({found.incident for found in state.findings.values() if found.open})
            allowed = list_briefly(holding) or "none, since nothing holds"
            raise ConfigError(f"incident {number}: nothing of it holds; allowed: {allowed}")
        step = close(state, number, on.now)
        following, items = compose(step.state, step.events, on)
        outbox.queue(place, items)
        outbox.save_state(place, following)
    return empty(place, deployment, deployment.alerts.delivery.patience_s, clock=clock, attempt=attempt)


def empty(
    place: Place,
    deployment: Deployment,
    patience_s: float,
    *,
    clock: Clock = SYSTEM,
    attempt: Attempt = send_once,
    chance: random.Random | None = None,
    only: Collection[str] | None = None,
) -> Sent:
    """Sends what the outbox holds; where another process is at it, leaves it to that one.

    Args:
      place: Where the outbox is.
      deployment: Whose.
      patience_s: How long to wait at most for what fails.
      clock, attempt, chance: As in `dispatch`.
      only: Ids of messages; None for all.
    """
    post = Post(place, deployment.name, deployment.alerts, clock, attempt, chance or random.Random())
    try:
        with place.locked("sending", clock, wait_s=0.0, lease_s=_SENDING_LEASE_S):
            return flush(post, patience_s, only)
    except BusyError:
        return Sent(problems=["another process is sending; what is new goes with its next flush"])
    except IsthmusError as error:
        return Sent(problems=[str(error)])


def one_line_link(link: str) -> str:
    """A link or path as it may stand in a message; empty where it is no line."""
    return link if link.isprintable() and len(link) <= 500 else ""


def _write(
    place: Place, deployment: Deployment, run: MonitorRun, on: Occasion, clock: Clock
) -> tuple[Step, list[str]]:
    """Takes the findings into the state; what is to be told stands in the outbox before the state knows."""
    with outbox.state_lock(place, clock):
        state = outbox.load_state(place, deployment.name)
        step = advance(state, facts_of(deployment, run), on.run_id, on.alerts, on.now)
        following, items = compose(step.state, step.events, on)
        outbox.queue(place, items)
        if following != state:
            outbox.save_state(place, following)
    return step, [item.message.kind for item in items]
