"""A marked test message over the whole path: outbox, secrets, server, record."""

from __future__ import annotations

import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pipeline.alerts import outbox
from pipeline.alerts.clock import SYSTEM, Clock
from pipeline.alerts.compose import Occasion, message_of, outgoing
from pipeline.alerts.dispatch import empty
from pipeline.alerts.flush import Attempt
from pipeline.alerts.message import Notice
from pipeline.alerts.outgoing import Outcome, Outgoing
from pipeline.alerts.place import open_place
from pipeline.alerts.routing import owner_of, report_address
from pipeline.alerts.sending import attempt as send_once
from pipeline.config.alerts import Channel
from pipeline.config.model import Deployment


@dataclass(frozen=True)
class Tried:
    """What became of one channel's test message.

    Attributes:
      channel: Name.
      sent: Whether its server took it.
      words: What happened, in one line.
    """

    channel: str
    sent: bool
    words: str


def try_channels(
    deployment: Deployment, names: Sequence[str], *, clock: Clock = SYSTEM, attempt: Attempt = send_once
) -> list[Tried]:
    """Sends a test message to each channel, at any hour; one that is not taken is not kept.

    Args:
      deployment: Whose channels.
      names: Of channels.
      clock, attempt: As in `dispatch`.

    Raises:
      DataError: the outbox cannot be written.
      ConfigError: the place of the state does not fit.
    """
    place, now = open_place(deployment), clock.now()
    on = Occasion(deployment.alerts, deployment.name, "", "", now)
    with outbox.state_lock(place, clock):
        state = outbox.load_state(place, deployment.name)
        items = [_test_of(deployment, state.next_message + i, name, on) for i, name in enumerate(names)]
        outbox.queue(place, items)
        following = state.model_copy(update={"next_message": state.next_message + len(items)})
        outbox.save_state(place, following)
    heard: dict[str, Outcome] = {}

    def listen(channel: Channel, item: Outgoing, moment: datetime) -> Outcome:
        heard[item.channel] = outcome = attempt(channel, item, moment)
        return outcome

    ids = {item.message.id for item in items}
    done = empty(place, deployment, 0.0, clock=clock, attempt=listen, chance=random.Random(), only=ids)
    for folder in (outbox.OUTBOX, outbox.FAILED):
        for item in outbox.outgoing_of(place, folder):
            if item.message.id in ids:
                outbox.remove(place, item, folder)
    rest = Outcome("later", "; ".join(done.problems) or "not tried")
    found = [(name, heard.get(name, rest)) for name in names]
    return [Tried(name, outcome.kind == "sent", outcome.words) for name, outcome in found]


def _test_of(deployment: Deployment, number: int, channel: str, on: Occasion) -> Outgoing:
    own_id = uuid.uuid4().hex
    locale = deployment.locales[0].name
    owner = owner_of(on.alerts, locale, deployment.dataset.features[0].name)
    notice = Notice(
        kind="test",
        incident=0,
        thread=own_id,
        locale=locale,
        cause="unknown",
        severity="info",
        since=on.now.isoformat(),
        at=on.now.isoformat(),
        owners=(owner,) if owner else (),
        report=report_address(on.alerts.report_link, "test", locale),
    )
    return outgoing(number, channel, message_of(own_id, (notice,), on), on)
