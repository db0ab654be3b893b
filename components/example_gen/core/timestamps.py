"""Time stamps of any form to int64 microseconds UTC, a column at a time."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from components.example_gen.config import TimestampFormat

_UNIT_US = {"s": 1_000_000.0, "ms": 1_000.0, "us": 1.0, "ns": 0.001}
#: Largest magnitude taken for each unit: 1e11 s is the year 5138, 1e11 ms is 1973.
_UNIT_LIMITS: tuple[tuple[TimestampFormat, float], ...] = (
    ("s", 1e11),
    ("ms", 1e14),
    ("us", 1e17),
    ("ns", np.inf),
)
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_ZONE = r"[Tt ].*([Zz]|[+-]\d{2}:?(\d{2})?)$"
_MAX_US = 2**62  # year 146,000: beyond it, arithmetic on time would overflow


def detect_format(values: pa.Array) -> TimestampFormat:
    """`iso`, or the epoch unit by the median's magnitude.

    Args:
      values: The first rows of a time column, of any type.
    """
    if pa.types.is_timestamp(values.type) or pa.types.is_date(values.type):
        return "iso"
    if pa.types.is_string(values.type):
        values = pc.utf8_trim_whitespace(values)
        numeric = pc.fill_null(pc.match_substring_regex(values, _NUMBER), False)
        # 20240131 and 20240131120000 are ISO basic forms, not epochs.
        dates = pc.fill_null(pc.match_substring_regex(values, r"^(19|20)\d{6}(\d{6})?$"), False)
        if not pc.any(numeric).as_py() or pc.all(dates).as_py():
            return "iso"
        values = values.filter(numeric)
    numbers = np.abs(values.drop_null().cast(pa.float64(), safe=False).to_numpy())
    numbers = numbers[np.isfinite(numbers)]
    if not numbers.size:
        return "iso"
    median = float(np.median(numbers))
    return next(unit for unit, limit in _UNIT_LIMITS if median < limit)


def to_microseconds(values: pa.Array, form: TimestampFormat, timezone: str) -> pa.Array:
    """Microseconds since the epoch, UTC; null where a value is missing or does not parse.

    Args:
      values: Text, numbers or Arrow timestamps.
      form: As `detect_format` gives; Arrow timestamps ignore it.
      timezone: Zone of stamps that name none. An hour that a clock change repeats or skips is null.

    Returns:
      int64, shape [row].
    """
    kind = values.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        zone = getattr(kind, "tz", None)
        stamps = values.cast(pa.timestamp("us", zone), safe=False)
        return stamps.cast(pa.int64()) if zone or timezone == "UTC" else _localise(stamps, timezone)
    if form in _UNIT_US:
        return _from_epoch(values, _UNIT_US[form])
    if not pa.types.is_string(kind):
        values = values.cast(pa.string())
    return _from_text(pc.utf8_trim_whitespace(values), timezone)


def _from_epoch(values: pa.Array, factor: float) -> pa.Array:
    if pa.types.is_string(values.type):
        values = pc.utf8_trim_whitespace(values)
        try:
            values = values.cast(pa.int64())
        except pa.ArrowInvalid:
            fits = pc.fill_null(pc.match_substring_regex(values, _NUMBER), False)
            values = pc.if_else(fits, values, pa.scalar(None, pa.string())).cast(pa.float64())
    if pa.types.is_integer(values.type):
        valid = values.is_valid().to_numpy(zero_copy_only=False)
        whole = values.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
        valid &= np.abs(whole.astype(np.float64)) * factor < _MAX_US
        whole = np.where(valid, whole, 0)
        stamps = whole * int(factor) if factor >= 1 else whole // 1_000
        return pa.array(stamps, mask=~valid)
    numbers = values.cast(pa.float64()).to_numpy(zero_copy_only=False)  # null becomes NaN
    with np.errstate(invalid="ignore", over="ignore"):
        scaled = numbers * factor
        valid = np.abs(scaled) < _MAX_US
    return pa.array(np.rint(np.where(valid, scaled, 0)).astype(np.int64), mask=~valid)


def _from_text(values: pa.Array, timezone: str) -> pa.Array:
    for unit in ("us", "ns"):
        for zone in (None, "UTC"):
            try:
                stamps = values.cast(pa.timestamp(unit, zone)).cast(pa.timestamp("us", zone), safe=False)
            except pa.ArrowInvalid:
                continue
            return stamps.cast(pa.int64()) if zone or timezone == "UTC" else _localise(stamps, timezone)
    zoned = pc.fill_null(pc.match_substring_regex(values, _ZONE), False)
    none = pa.scalar(None, pa.string())
    aware = _parse_slowly(pc.if_else(zoned, values, none), utc=True)
    naive = _parse_slowly(pc.if_else(zoned, none, values), utc=False)
    local = naive.cast(pa.int64()) if timezone == "UTC" else _localise(naive, timezone)
    return pc.coalesce(aware.cast(pa.int64()), local)


#: What pandas would take and we do not: words such as "now", and day-month orders nobody stated.
_ISO_START = re.compile(r"^\d{4}(-?\d{2}-?\d{2}|-W?\d{2,3}).*$")


def _parse_slowly(values: pa.Array, utc: bool) -> pa.Array:
    """Mixed ISO forms, by pandas; null where one does not parse. Unique texts are parsed once."""
    encoded = values.dictionary_encode()
    texts = pd.Series(encoded.dictionary.to_pandas(), dtype=object)
    texts = texts.where(texts.str.match(_ISO_START).fillna(False).astype(bool), None)
    parsed = pd.to_datetime(texts, errors="coerce", utc=utc)
    if not utc and getattr(parsed.dt, "tz", None) is not None:
        parsed = parsed.dt.tz_localize(None)
    stamps = pa.array(parsed, type=pa.timestamp("us", "UTC" if utc else None), from_pandas=True, safe=False)
    return stamps.take(encoded.indices)


def _localise(stamps: pa.Array, timezone: str) -> pa.Array:
    index = pd.DatetimeIndex(stamps.cast(pa.timestamp("ns"), safe=False).to_pandas())
    zoned = index.tz_localize(timezone, ambiguous="NaT", nonexistent="NaT").tz_convert("UTC")
    valid = ~zoned.isna() & stamps.is_valid().to_numpy(zero_copy_only=False)
    return pa.array(zoned.asi8 // 1_000, mask=~valid)
