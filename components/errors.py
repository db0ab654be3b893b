"""Exception types and the one-line messages that a user sees.

A message gives the place (locale, span, split, feature, or file, row, column), the rule, the value
found and what to do. It never prints a value of a private record: counts and names only.

Exit status of the command line: 1 a verdict was negative, 2 bad input, 3 our fault.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class IsthmusError(Exception):
    """Root of every error that Isthmus raises on purpose."""

    exit_status = 3


class ConfigError(IsthmusError):
    """The deployment file is wrong: names the file, the key, what was found and what is allowed."""

    exit_status = 2


class DataError(IsthmusError):
    """The data are wrong: names the file, row and column, or the locale, span, split and feature."""

    exit_status = 2


class InsufficientDataError(DataError):
    """There is too little data for what was asked."""


class ColumnError(DataError):
    """A source's columns are not the data set's: one is gone, is there twice, or is of another type.

    Attributes:
      column: Its name, as the data set has it or as the source does; the message names it too.
    """

    def __init__(self, message: str, column: str = "") -> None:
        super().__init__(message)
        self.column = column


class UndefinedMetricError(DataError):
    """A metric cannot be computed; the message is its reason. Never reported as 0 or NaN."""


class ReleaseError(DataError):
    """A release does not verify: altered, unsigned, of another schema, or not a release at all."""


class QuorumError(DataError):
    """Too few releases verified for the merge; a verdict in a region may be the reason."""


class VerdictError(IsthmusError):
    """Nothing broke, but a verdict was negative (schema anomalies, a gate, a blessing)."""

    exit_status = 1


class PrivacyBudgetExceededError(VerdictError):
    """The next release would spend more than the locale's budget."""


class BusyError(IsthmusError):
    """Another run holds the root."""

    exit_status = 2


class InternalError(IsthmusError):
    """A fault of ours."""

    exit_status = 3


def list_briefly(items: Iterable[object], limit: int = 5) -> str:
    """`a, b, c, d, e and 7 more`: a list that fits in one line."""
    names = [str(item) for item in items]
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"


def nearest_name(name: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)` for the nearest known name, else an empty string."""
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" (did you mean '{found[0]}'?)" if found else ""
