"""The PII policy of a column, applied before anything is stored."""

from __future__ import annotations

import hashlib
import hmac

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.example_gen.config import PiiRule

REDACTED = "REDACTED"


def read_keys(rules: tuple[PiiRule, ...]) -> dict[str, bytes]:
    """HMAC key by column, for the rules that have one. Never log or store what this returns.

    Raises:
      ConfigError: a key cannot be read.
    """
    return {rule.column: rule.key.read() for rule in rules if rule.key is not None}


def apply_rule(rule: PiiRule, values: pa.Array, key: bytes | None = None) -> pa.Array:
    """A column as it may be stored.

    Args:
      rule: What to do. `drop` gives an all-missing column.
      values: text, float32 or int64. Shape [row].
      key: The HMAC key, for `pseudonymise`.

    Returns:
      The same type and shape; what is missing stays missing, except under `redact`, which does not
      tell the two apart in text.
    """
    kind = values.type
    if rule.action == "drop":
        return pa.nulls(len(values), kind)
    if rule.action == "redact":
        return pa.array([REDACTED] * len(values)) if pa.types.is_string(kind) else pa.nulls(len(values), kind)
    if rule.width is not None:
        return _bucket(values, rule.width)
    encoded = values.dictionary_encode()
    known = encoded.dictionary.to_pylist()
    if rule.mapping is not None:
        mapping = rule.mapping
        known = [mapping.get(text, rule.otherwise) for text in known]
    else:
        known = [pseudonym(text, key or b"", rule.hex_digits) for text in known]
    return pa.array(known, pa.string()).take(encoded.indices)


def pseudonym(text: str, key: bytes, hex_digits: int = 16) -> str:
    """HMAC-SHA-256 of a text, the first digits in hexadecimal.

    The same text gives the same pseudonym under the same key, so series stay series; without the key
    it cannot be found by trying every name.

    Source: RFC 2104, FIPS 198-1.
    """
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()[:hex_digits]


def apply_rule_to_text(rule: PiiRule, values: pa.Array, key: bytes | None = None) -> pa.Array:
    """The policy on raw text of a quarantined row, which may not be of the column's type.

    A number that cannot be bucketed because it does not parse is redacted.
    """
    if rule.width is None:
        return apply_rule(rule, values, key)
    numeric = pc.fill_null(pc.match_substring_regex(values, r"^\s*[+-]?\d+(\.\d*)?\s*$"), False)
    trimmed = pc.utf8_trim_whitespace(pc.if_else(numeric, values, "0"))
    numbers = pc.replace_substring_regex(trimmed, r"^\+", "").cast(pa.float64())
    return pc.if_else(numeric, _bucket(numbers, rule.width).cast(pa.string()), REDACTED)


def _bucket(values: pa.Array, width: float) -> pa.Array:
    valid = values.is_valid().to_numpy(zero_copy_only=False)
    numbers = values.fill_null(0).to_numpy(zero_copy_only=False)
    edges = np.floor(numbers / width) * width
    if pa.types.is_integer(values.type):
        edges = np.rint(edges).astype(np.int64)
    return pa.array(edges.astype(numbers.dtype), mask=~valid)
