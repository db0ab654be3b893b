"""A message on its way: what stands in the outbox, and what became of an attempt."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Literal

from pipeline.alerts.message import Message
from pipeline.alerts.state import StateModel
from pipeline.config.alerts import DeliverySection

#: No server may ask for a longer pause.
_LONGEST_ASKED_S = 24 * 3600.0


class Outgoing(StateModel):
    """A message of the outbox. Addresses and secrets are looked up when it is sent.

    Attributes:
      version: Of the form.
      place: In the order of sending.
      channel: Name.
      message: What is sent.
      created: ISO 8601.
      not_before: Not tried again before this.
      held: It waits for the end of the quiet hours, not after a failure.
      attempts: So far.
      error: What became of the last one.
      to: Mailboxes that have not got it yet; None for all.
    """

    version: Literal[1] = 1
    place: int
    channel: str
    message: Message
    created: str
    not_before: str
    held: bool = False
    attempts: int = 0
    error: str = ""
    to: tuple[str, ...] | None = None

    @property
    def name(self) -> str:
        """Of its file."""
        return f"{self.place:09d}-{self.message.id}.json"


@dataclass(frozen=True)
class Outcome:
    """What became of an attempt.

    Attributes:
      kind: `sent`; `later`: it may get through another time; `never`: it will not as it stands.
      words: Why, in one line, without the address.
      retry_after_s: What the server asks for; None where it asks for nothing.
      to: Mailboxes for which `later` or `never` holds, where others got it; None for all.
    """

    kind: Literal["sent", "later", "never"]
    words: str = ""
    retry_after_s: float | None = None
    to: tuple[str, ...] | None = None


def pause_s(failures: int, asked_s: float | None, delivery: DeliverySection, chance: random.Random) -> float:
    """How long to wait after a failure: doubling, between half and all of it by chance.

    Args:
      failures: So far, this one included; at least 1.
      asked_s: What the server asked for; the wait is no shorter.
      delivery: First and longest pause.
      chance: So that many senders do not come back at once.
    """
    most = min(delivery.longest_pause_s, delivery.first_pause_s * 2.0 ** min(failures - 1, 30))
    own = most * (0.5 + 0.5 * chance.random())
    return max(own, min(asked_s, _LONGEST_ASKED_S)) if asked_s is not None else own


def retry_after_s(text: str | None, now: datetime) -> float | None:
    """`Retry-After` of RFC 9110, section 10.2.3: seconds or a date; None where it is neither."""
    if not text:
        return None
    if text.strip().isdigit() and text.strip().isascii():
        return float(text.strip()[:9])
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
    return max(0.0, (moment - now).total_seconds())


def later_by(now: datetime, seconds: float) -> str:
    """A time as the outbox has it."""
    return (now + timedelta(seconds=seconds)).isoformat()
