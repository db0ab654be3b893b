"""Quiet hours of the `alerts` section: when they are, and until when. Imports no TFX."""

from __future__ import annotations

import zoneinfo
from datetime import datetime, time, timedelta, timezone
from typing import Literal

import pydantic

from components.config_base import ComponentConfig
from components.drift.findings import Severity

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_CLOCK = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"


class QuietWindow(ComponentConfig):
    """Hours of some days.

    Attributes:
      days: On which they begin.
      begin: `HH:MM`, local time.
      end: `HH:MM`; not after `begin` means on the next day, so equal ones are 24 hours.
    """

    days: tuple[Day, ...] = pydantic.Field(default=DAYS, min_length=1)
    begin: str = pydantic.Field(pattern=_CLOCK)
    end: str = pydantic.Field(pattern=_CLOCK)


class QuietHours(ComponentConfig):
    """When messages are held back; what was held comes as a digest afterwards.

    Attributes:
      time_zone: IANA name, such as `Europe/Berlin`; summer time is followed.
      windows: The hours.
      through: Lowest severity that is told all the same; null holds everything back.
    """

    time_zone: str
    windows: tuple[QuietWindow, ...] = pydantic.Field(min_length=1)
    through: Severity | None = "critical"

    @pydantic.model_validator(mode="after")
    def _check_hours(self) -> QuietHours:
        try:
            zoneinfo.ZoneInfo(self.time_zone)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(
                "time_zone: not known on this machine; allowed: an IANA name, such as Europe/Berlin"
            ) from None
        # A week without a summer-time change shows whether there is ever a time to tell.
        if self.until(datetime(2026, 1, 7, tzinfo=timezone.utc)) is None:
            raise ValueError("windows: cover the whole week; allowed: some time in which to tell")
        return self

    def until(self, now: datetime) -> datetime | None:
        """When the quiet hours that hold at a time end; the time itself where none hold.

        Args:
          now: With a time zone.

        Returns:
          In UTC. None where they do not end within nine days.
        """
        now = now.astimezone(timezone.utc)
        moment = now
        while moment - now <= timedelta(days=9):
            ends = [end for begin, end in self._around(moment) if begin <= moment < end]
            if not ends:
                return moment
            moment = max(ends)
        return None

    def _around(self, moment: datetime) -> list[tuple[datetime, datetime]]:
        zone = zoneinfo.ZoneInfo(self.time_zone)
        today = moment.astimezone(zone).date()
        found = []
        for window in self.windows:
            begin, end = time.fromisoformat(window.begin), time.fromisoformat(window.end)
            for day in (today - timedelta(days=1), today):
                if DAYS[day.weekday()] in window.days:
                    last = day if end > begin else day + timedelta(days=1)
                    pair = (datetime.combine(day, begin, zone), datetime.combine(last, end, zone))
                    found.append((pair[0].astimezone(timezone.utc), pair[1].astimezone(timezone.utc)))
        return found
