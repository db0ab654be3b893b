"""The PII policy of a column, applied before anything is stored."""

from __future__ import annotations

import csv
import hashlib
import hmac
import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.errors import ConfigError
from components.example_gen.config import PiiRule
from components.executor_base import write_atomically

REDACTED = "REDACTED"
#: Old and new pseudonyms of a key rotation, beside the quarantine.
REKEY_FILE = "rekey.csv"
#: 24 bits tell the few keys of a locale's history apart.
_KEY_ID_DIGITS = 6


def read_keys(rules: tuple[PiiRule, ...]) -> dict[str, bytes]:
    """HMAC key by column, for the rules that have one. Never log or store what this returns.

    Raises:
      ConfigError: a key cannot be read, or is another one than when the run was planned.
    """
    keys = {rule.column: rule.key.read() for rule in rules if rule.key is not None}
    for rule in rules:
        if rule.key_id and rule.key_id != key_id(keys[rule.column]):
            raise ConfigError(
                f"pii '{rule.column}': the key has changed since the run was planned (then {rule.key_id}, "
                f"now {key_id(keys[rule.column])}). Run again."
            )
    return keys


def key_id(key: bytes) -> str:
    """Names a key without telling it: it stands before every pseudonym that was made with it."""
    return hmac.new(key, b"isthmus pseudonym key id", hashlib.sha256).hexdigest()[:_KEY_ID_DIGITS]


def with_key_ids(rules: tuple[PiiRule, ...]) -> tuple[PiiRule, ...]:
    """The rules with the ids of their present keys, so that a cache never serves pseudonyms of an old key.

    Raises:
      ConfigError: a key cannot be read.
    """
    keys = {rule.column: rule.key.read() for rule in rules if rule.key is not None}
    return tuple(
        rule.model_copy(update={"key_id": key_id(keys[rule.column])}) if rule.column in keys else rule
        for rule in rules
    )


class Rekeying:
    """Which pseudonym of the old key became which of the new one, while a key is rotated."""

    def __init__(self, rules: tuple[PiiRule, ...], keys: dict[str, bytes]) -> None:
        """Args: rules: those with an `old_key` count; keys: the new ones, by column."""
        self._keys = {
            rule.column: (rule.old_key.read(), keys[rule.column], rule.hex_digits)
            for rule in rules
            if rule.old_key is not None
        }
        self._pairs: set[tuple[str, str, str]] = set()

    def add(self, name: str, values: pa.Array) -> None:
        """Notes the texts of a column before they are replaced."""
        if name in self._keys:
            old, new, digits = self._keys[name]
            for text in pc.unique(values.drop_null()).to_pylist():
                self._pairs.add((name, pseudonym(text, old, digits), pseudonym(text, new, digits)))

    def write(self, path: Path) -> None:
        """`column,old,new`, sorted; nothing where no key is rotated."""
        if self._keys:
            text = io.StringIO()
            writer = csv.writer(text, lineterminator="\n")  # a column's name may hold commas and quotes
            writer.writerows([("column", "old", "new"), *sorted(self._pairs)])
            write_atomically(path, text.getvalue())


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
    """The key's id and the first hexadecimal digits of a text's HMAC-SHA-256: `3fa91c-00c5…`.

    The id says which key made it, so that pseudonyms of two keys are never taken for two devices. The same
    text gives the same pseudonym under the same key, so series stay series; without the key it cannot be
    found by trying every name.

    Source: RFC 2104, FIPS 198-1.
    """
    return f"{key_id(key)}-{hmac.new(key, text.encode(), hashlib.sha256).hexdigest()[:hex_digits]}"


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
