"""Schedules of recurring runs: six fields, seconds first, as KFP's server parses them.

The server hands the text to robfig/cron v1 (`toModelJob` in backend/src/apiserver/server/api_converter.go),
which wants seconds, knows `?` as `*`, names of months and days, and Sunday as 0 only.
"""

from __future__ import annotations

import re

from components.errors import ConfigError

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_Names = dict[str, int]
#: Name, lowest, highest, names of values.
_FIELDS: tuple[tuple[str, int, int, _Names], ...] = (
    ("second", 0, 59, {}),
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of month", 1, 31, {}),
    ("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, start=1)}),
    ("day of week", 0, 6, {name: number for number, name in enumerate(_DAYS)}),
)
_PART = re.compile(r"(?P<low>\*|\?|\w+)(-(?P<high>\w+))?(/(?P<step>\w+))?")


def with_seconds(text: str) -> str:
    """The schedule in six fields; a five-field one gets second 0.

    Raises:
      ConfigError: another number of fields, or a value that the server would refuse.
    """
    fields = text.split()
    if len(fields) == 5:
        fields = ["0", *fields]
    if len(fields) != 6:
        raise ConfigError(
            f"--recurring {text!r}: {len(fields)} fields; allowed: minute hour day month weekday, or these "
            "with the second before them"
        )
    for field, (name, low, high, names) in zip(fields, _FIELDS):
        for part in field.split(","):
            if not _is_valid(part, low, high, names):
                numbers = f"{low}-{high}" + (f" or {next(iter(names))}…" if names else "")
                raise ConfigError(
                    f"--recurring {text!r}: {name} {part!r}; allowed: {numbers}, *, ranges a-b, steps a/n, "
                    "and lists of these"
                )
    return " ".join(fields)


def _is_valid(part: str, low: int, high: int, names: _Names) -> bool:
    found = _PART.fullmatch(part)
    if not found:
        return False
    first = low if found["low"] in ("*", "?") else _number(found["low"], names)
    last = _number(found["high"], names) if found["high"] else None
    if found["low"] in ("*", "?") and last is not None:
        return False
    end = high if last is None else last
    step = _number(found["step"], {}) if found["step"] else 1
    return first is not None and step is not None and low <= first <= end <= high and step > 0


def _number(text: str, names: _Names) -> int | None:
    if text.isascii() and text.isdigit():
        return int(text)
    return names.get(text.upper())
