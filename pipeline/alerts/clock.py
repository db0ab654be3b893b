"""The time, and waiting; passed in, so that tests wait for nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone


@dataclass(frozen=True)
class Clock:
    """A source of time.

    Attributes:
      now: The time, with a time zone.
      sleep: Waits, in seconds.
    """

    now: Callable[[], datetime]
    sleep: Callable[[float], None]


#: This machine's.
SYSTEM = Clock(now=lambda: datetime.now(timezone.utc), sleep=time.sleep)


def stopped(at: datetime) -> Clock:
    """A clock that stands at a time and goes on only by sleeping, which takes no time."""
    moment = [at.astimezone(timezone.utc)]

    def sleep(seconds: float) -> None:
        moment[0] += timedelta(seconds=seconds)

    return Clock(now=lambda: moment[0], sleep=sleep)
