"""Finds columns that hold personal identifiers, from a sample of Arrow columns. No value is ever told."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.errors import DataError
from components.pii.kinds import KINDS, LATITUDE, LONGITUDE, Kind, kind_by_name, words_of_name

#: Values looked at per column and block. A share of 1 % shows up in 2,000 with probability 1 - 2e-9.
SAMPLE = 2_000
#: Different values per column that the validators of a library see; patterns are matched on all.
_MAX_CANDIDATES = 100


@dataclass(frozen=True)
class Finding:
    """A column that seems to hold identifiers.

    Attributes:
      column: Its name in the data set.
      kind: What it seems to hold, in words.
      share: Share of the sampled present values, in (0, 1]; None where its name alone says so.
      sampled: Present values that were looked at.
    """

    column: str
    kind: str
    share: float | None
    sampled: int

    def __str__(self) -> str:
        where = "by its name" if self.share is None else f"{self.share:.0%} of {self.sampled} values"
        return f"column '{self.column}': {self.kind} ({where})"


def find_identifiers(columns: Mapping[str, pa.Array]) -> list[Finding]:
    """Looks at every column; at most one finding each, the surest first.

    Args:
      columns: By name: text, whole numbers or floats of any length. Shape of each: [row].
    """
    found = []
    for name, values in columns.items():
        sample = _sample(values)
        finding = _inspect(name, sample) if len(sample) else None
        if finding is not None:
            found.append(finding)
    return [*found, *_positions(columns, {finding.column for finding in found})]


def refuse_identifiers(
    columns: Mapping[str, pa.Array], declared: Collection[str], place: str, file: str
) -> None:
    """Refuses rows with an identifier that no rule and no declaration covers.

    Args:
      columns: As they are at the source.
      declared: Columns with a PII rule, or declared `not_personal`.
      place: Locale and span.
      file: Where the rows are from.

    Raises:
      DataError: one line: file, column, kind found, share, what to do; never a value.
    """
    found = find_identifiers({name: values for name, values in columns.items() if name not in declared})
    if found:
        more = f" (and {len(found) - 1} more columns)" if len(found) > 1 else ""
        column = found[0].column
        raise DataError(
            f"{place} {file}: {found[0]}{more}: a restricted locale does not store an undeclared identifier. "
            f"Give it a pii rule (drop, redact, generalise, pseudonymise), or say that it is none: pii: "
            f"[{{column: {column}, declare: not_personal}}]."
        )


def _sample(values: pa.Array) -> pa.Array:
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    step = max(1, len(values) // SAMPLE)
    picked = values.take(pa.array(np.arange(0, len(values), step))) if step > 1 else values
    return picked.drop_null()


def _inspect(name: str, sample: pa.Array) -> Finding | None:
    text = _as_text(sample)
    if text is None:
        claimed = kind_by_name(name, text=False)
        return Finding(name, claimed, None, len(sample)) if claimed else None
    numbers = pa.types.is_integer(sample.type)
    counted = text.value_counts()
    texts, counts = counted.field(0), counted.field(1).to_numpy()
    for kind in KINDS:
        if not numbers or kind.digits_only:
            finding = _judge(name, kind, texts, counts, len(sample))
            if finding is not None:
                return finding
    named = kind_by_name(name, text=not numbers)
    return Finding(name, named, None, len(sample)) if named else None


def _as_text(sample: pa.Array) -> pa.Array | None:
    """Texts and whole numbers as text without empty ones; None for other types."""
    kind = sample.type
    if pa.types.is_integer(kind):
        return sample.cast(pa.string())
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        try:
            sample = sample.cast(pa.string())
        except pa.ArrowInvalid:
            return None
    elif not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return None
    return sample.filter(pc.not_equal(sample, ""))


def _judge(name: str, kind: Kind, texts: pa.Array, counts: np.ndarray, sampled: int) -> Finding | None:
    matched = pc.match_substring_regex(texts, kind.pattern)
    hit = np.flatnonzero(matched.to_numpy(zero_copy_only=False))
    if not len(hit) or counts[hit].sum() < kind.min_share * sampled:
        return None
    asked = hit[:: max(1, len(hit) // _MAX_CANDIDATES)]
    valid = np.array([kind.check(text) for text in texts.take(pa.array(asked)).to_pylist()])
    passing = counts[asked][valid].sum() / counts[asked].sum() * counts[hit].sum()
    if not valid.any() or passing < kind.min_share * sampled:
        return None
    distinct = valid.sum() * len(hit) / len(asked)
    if distinct < min(kind.min_distinct, max(len(texts), 2)) and kind.min_distinct > 1:
        return None
    return Finding(name, kind.name, float(passing / sampled), sampled)


def _positions(columns: Mapping[str, pa.Array], known: Collection[str]) -> list[Finding]:
    """A latitude beside a longitude: numbers of that range with more than three decimals."""
    sides: dict[str, list[str]] = {"lat": [], "lon": []}
    for name, values in columns.items():
        words, side = words_of_name(name), ""
        if words & LATITUDE:
            side, bound = "lat", 90.0
        elif words & LONGITUDE:
            side, bound = "lon", 180.0
        if side and name not in known and _is_degrees(values, bound):
            sides[side].append(name)
    if not (sides["lat"] and sides["lon"]):
        return []
    name = sides["lat"][0]
    return [Finding(name, "geographic position", None, len(columns[name]))]


def _is_degrees(values: pa.Array, bound: float) -> bool:
    sample = _sample(values)
    if not len(sample):
        return False
    if not pa.types.is_floating(sample.type):
        try:
            sample = _as_text(sample).cast(pa.float64())  # type: ignore[union-attr]
        except (pa.ArrowInvalid, AttributeError):
            return False
    numbers = sample.to_numpy(zero_copy_only=False).astype(np.float64)
    return bool(
        np.all(np.abs(numbers) <= bound) and np.any(np.abs(numbers * 1e3 - np.rint(numbers * 1e3)) > 0.05)
    )
