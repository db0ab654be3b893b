"""Source columns of any type to the data set's types, and what is wrong with which cell.

A cell that does not convert comes out missing and its row is named by a mask; nothing is guessed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.dataset import FeatureKind
from components.example_gen.config import TimestampFormat
from components.example_gen.core.timestamps import to_microseconds

NOT_A_NUMBER = "not a number"
INFINITE = "infinite, or beyond float32"
NOT_AN_INTEGER = "not a 64-bit integer"
NOT_BINARY = "not 0 or 1"
NOT_UTF8 = "not UTF-8"
NO_SERIES = "no series"
NO_TIMESTAMP = "no timestamp"
BAD_TIMESTAMP = "timestamp does not parse"

_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$|^[+-]?(?i:inf|infinity)$|^(?i:nan)$"
#: Integers above it are not exact as float64.
_EXACT_FLOAT = 2.0**53


@dataclass(frozen=True)
class Converted:
    """A column in the data set's type.

    Attributes:
      values: Missing where a cell is missing or bad. Shape [row].
      bad: Reason -> rows that break it. Each mask: shape [row], bool, at least one True.
    """

    values: pa.Array
    bad: dict[str, np.ndarray] = field(default_factory=dict)


def is_text(kind: pa.DataType) -> bool:
    """Whether a column's type is text or bytes, dictionary-encoded or not."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    checks = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    return any(check(kind) for check in checks)


def convert_feature(values: pa.Array, kind: FeatureKind, null_values: tuple[str, ...] = ()) -> Converted:
    """A feature or a label.

    Args:
      values: Of any Arrow type.
      kind: The kind to convert to.
      null_values: Texts that mean missing, beside the empty one.
    """
    if kind == "categorical":
        return convert_text(values, null_values)
    bad: dict[str, np.ndarray] = {}
    if is_text(values.type):
        text = convert_text(values, null_values)
        values, bad = pc.utf8_trim_whitespace(text.values), dict(text.bad)
    converted = _to_float(values) if kind == "continuous" else _to_integer(values, binary=kind == "binary")
    bad.update(converted.bad)
    return Converted(converted.values, bad)


def convert_text(values: pa.Array, null_values: tuple[str, ...] = ()) -> Converted:
    """Text; the empty one and `null_values` are missing."""
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    bad: dict[str, np.ndarray] = {}
    try:
        texts = values.cast(pa.string())
    except pa.ArrowInvalid:
        encoded = values.cast(pa.binary()).dictionary_encode()
        known = [_decode(item) for item in encoded.dictionary.to_pylist()]
        texts = pa.array(known, pa.string()).take(encoded.indices)
        bad[NOT_UTF8] = _numpy(pc.and_(values.is_valid(), texts.is_null()))
    missing = pc.is_in(texts, value_set=pa.array(["", *null_values], pa.string()))
    if pc.any(missing).as_py():
        texts = pc.if_else(missing, pa.scalar(None, pa.string()), texts)
    return Converted(texts, bad)


def convert_series(values: pa.Array) -> Converted:
    """A series column: a row without its key is bad."""
    text = convert_text(values)
    return Converted(text.values, {**text.bad, **_named(NO_SERIES, _numpy(text.values.is_null()))})


def convert_timestamp(
    values: pa.Array, form: TimestampFormat, timezone: str, null_values: tuple[str, ...] = ()
) -> Converted:
    """The time column: int64 microseconds UTC; a row without one is bad."""
    if is_text(values.type):
        values = convert_text(values, null_values).values
    elif pa.types.is_floating(values.type):
        values = pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)
    missing = _numpy(values.is_null())
    stamps = to_microseconds(values, form, timezone)
    unread = _numpy(stamps.is_null()) & ~missing
    return Converted(stamps, {**_named(NO_TIMESTAMP, missing), **_named(BAD_TIMESTAMP, unread)})


def _to_float(values: pa.Array) -> Converted:
    bad: dict[str, np.ndarray] = {}
    if is_text(values.type):
        values, bad = _parse(values, pa.float64())
    elif pa.types.is_null(values.type):
        return Converted(pa.nulls(len(values), pa.float32()))
    elif pa.types.is_boolean(values.type):
        values = values.cast(pa.uint8())
    elif not _is_number(values.type):
        return Converted(pa.nulls(len(values), pa.float32()), _named(NOT_A_NUMBER, _numpy(values.is_valid())))
    floats = values.cast(pa.float32(), safe=False)
    infinite = pc.is_inf(floats)
    if pc.any(infinite).as_py():
        bad[INFINITE] = _numpy(pc.fill_null(infinite, False))
    missing = pc.or_(infinite, pc.is_nan(floats))
    if pc.any(missing).as_py():
        floats = pc.if_else(missing, pa.scalar(None, pa.float32()), floats)
    return Converted(floats, bad)


def _to_integer(values: pa.Array, binary: bool) -> Converted:
    bad: dict[str, np.ndarray] = {}
    if is_text(values.type):
        if binary:
            lower = pc.utf8_lower(values)
            values = pc.if_else(
                pc.equal(lower, "true"), "1", pc.if_else(pc.equal(lower, "false"), "0", values)
            )
        try:
            values = values.cast(pa.int64())
        except pa.ArrowInvalid:
            values, bad = _parse(values, pa.float64())
    if pa.types.is_null(values.type):
        return Converted(pa.nulls(len(values), pa.int64()), bad)
    if pa.types.is_boolean(values.type):
        values = values.cast(pa.int64())
    if not _is_number(values.type):
        return Converted(pa.nulls(len(values), pa.int64()), _named(NOT_AN_INTEGER, _numpy(values.is_valid())))
    if not pa.types.is_integer(values.type) or pa.types.is_uint64(values.type):
        numbers = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        present = ~np.isnan(numbers)
        with np.errstate(invalid="ignore"):
            whole = present & (np.rint(numbers) == numbers) & (np.abs(numbers) <= _EXACT_FLOAT)
        bad.update(_named(NOT_AN_INTEGER, present & ~whole))
        values = pa.array(np.where(whole, numbers, 0).astype(np.int64), mask=~whole)
    values = values.cast(pa.int64())
    if binary:
        wrong = _numpy(pc.fill_null(pc.and_(pc.not_equal(values, 0), pc.not_equal(values, 1)), False))
        if wrong.any():
            bad[NOT_BINARY] = wrong
            values = pc.if_else(pa.array(wrong), pa.scalar(None, pa.int64()), values)
    return Converted(values, bad)


def _parse(texts: pa.Array, kind: pa.DataType) -> tuple[pa.Array, dict[str, np.ndarray]]:
    """Numbers of a text column, and the rows that hold none."""
    try:
        return texts.cast(kind), {}
    except pa.ArrowInvalid:
        numeric = pc.fill_null(pc.match_substring_regex(texts, _NUMBER), True)
        numbers = pc.if_else(numeric, texts, pa.scalar(None, pa.string()))
        numbers = pc.replace_substring_regex(numbers, r"^\+", "").cast(kind)
        return numbers, _named(NOT_A_NUMBER, ~_numpy(numeric))


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)


def _named(reason: str, mask: np.ndarray) -> dict[str, np.ndarray]:
    return {reason: mask} if mask.any() else {}


def _numpy(mask: pa.Array) -> np.ndarray:
    return mask.to_numpy(zero_copy_only=False).astype(bool)


def _decode(item: bytes | None) -> str | None:
    try:
        return None if item is None else item.decode()
    except UnicodeDecodeError:
        return None
