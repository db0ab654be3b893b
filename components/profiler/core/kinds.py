"""What a column holds, whatever it was declared as: kind, cardinality, missing values, values seen once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Floats = npt.NDArray[np.float64]
Kind = Literal[
    "empty",
    "constant",
    "flag",
    "category",
    "integer-valued",
    "number",
    "timestamp",
    "identifier-like",
    "free text",
]

#: Share of the present values that are different, from which on a text or a whole number names rows.
IDENTIFIER_SHARE = 0.5
#: Whole numbers of fewer digits count something; so do those that follow from the row before.
IDENTIFIER_DIGITS = 5
MAX_IDENTIFIER_CORRELATION = 0.5
#: Fewer present values say nothing about their shares.
MIN_VALUES = 50
#: Words of a text, on average, and share of different ones, from which on it is free.
FREE_WORDS = 3.0
FREE_SHARE = 0.2
#: 2000-01-01 and 2100-01-01 in seconds since the epoch.
EPOCH_RANGE = (946_684_800, 4_102_444_800)
_ISO = r"^\s*\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?\s*(Z|[+-]\d{2}:?\d{2})?)?\s*$"


@dataclass(frozen=True)
class ColumnKind:
    """What a column holds.

    Attributes:
      kind: In one word or two.
      missing: Share of the rows without a value, in [0, 1].
      distinct: Different values.
      seen_once: Values that stand in one row only.
      rarest: Rows of the least frequent value.
    """

    kind: Kind
    missing: float
    distinct: int
    seen_once: int
    rarest: int


def numbers(values: pa.Array) -> Floats:
    """A column of numbers, NaN where there is none. Shape [row]."""
    found: Floats = values.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return np.where(np.isfinite(found), found, np.nan)


def describe(values: pa.Array) -> ColumnKind:
    """Looks at a column.

    Args:
      values: Text or numbers, in the order of series and time. Shape [row].
    """
    counted = values.drop_null().value_counts()
    counts = counted.field(1).to_numpy(zero_copy_only=False)
    present, distinct = int(counts.sum()), len(counts)
    text = pa.types.is_string(values.type) or pa.types.is_large_string(values.type)
    kind: Kind
    if distinct <= 2:
        kind = ("empty", "constant", "flag")[distinct]  # type: ignore[assignment]
    elif text:
        kind = _kind_of_text(counted.field(0), counts, present)
    else:
        kind = _kind_of_numbers(numbers(values), distinct)
    missing = 1 - present / len(values) if len(values) else 0.0
    return ColumnKind(kind, missing, distinct, int((counts == 1).sum()), int(counts.min(initial=present)))


def _kind_of_text(texts: pa.Array, counts: npt.NDArray[np.int64], present: int) -> Kind:
    dates = pc.match_substring_regex(texts, _ISO).to_numpy(zero_copy_only=False).astype(bool)
    if counts[dates].sum() >= 0.95 * present:
        return "timestamp"
    share = len(texts) / present
    words = pc.count_substring(pc.utf8_trim_whitespace(texts), " ").to_numpy(zero_copy_only=False) + 1
    if present >= MIN_VALUES and share >= FREE_SHARE and float(words @ counts) / present >= FREE_WORDS:
        return "free text"
    if present >= MIN_VALUES and share >= IDENTIFIER_SHARE:
        return "identifier-like"
    return "category"


def _kind_of_numbers(values: Floats, distinct: int) -> Kind:
    known = values[~np.isnan(values)]
    if not np.array_equal(known, np.rint(known)):
        return "number"
    if len(known) < MIN_VALUES:
        return "integer-valued"
    low, high = EPOCH_RANGE
    for unit in (1.0, 1e3, 1e6, 1e9):
        # A clock goes on from row to row, but for the begin of another series.
        if low * unit <= known.min() and known.max() <= high * unit and (np.diff(known) >= 0).mean() > 0.9:
            return "timestamp"
    if distinct < IDENTIFIER_SHARE * len(known):
        return "integer-valued"
    digits = np.floor(np.log10(np.maximum(np.abs(known), 1))) + 1
    alike = float((digits == np.median(digits)).mean())
    step = np.corrcoef(known[1:], known[:-1])[0, 1]
    named = alike > 0.8 and np.median(digits) >= IDENTIFIER_DIGITS
    return "identifier-like" if named and abs(step) < MAX_IDENTIFIER_CORRELATION else "integer-valued"
