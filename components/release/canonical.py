"""Reads JSON that a stranger may have written: bounded, strict, and checked against a shipped JSON Schema.

The order of the checks is the point: size before decoding, nesting before parsing, the schema before
anything is made of the content. Messages never quote more than names.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
import math
import re
from typing import Any

import jsonschema

from components.config_base import canonical_json
from components.errors import ReleaseError, list_briefly

#: The longest whole number in a document of ours: 64 bits.
_MAX_INTEGER_DIGITS = 19


class _Refused(ValueError):
    """Why a document is refused; its text is ours."""


@functools.lru_cache
def load_schema(name: str) -> dict[str, Any]:
    """A JSON Schema that is shipped with this package, such as `release-manifest-2`."""
    file = importlib.resources.files("components.release") / "schemas" / f"{name}.schema.json"
    return dict(json.loads(file.read_text(encoding="utf-8")))


@functools.lru_cache
def _validator(name: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(load_schema(name))


def nesting_depth(text: str) -> int:
    """Deepest nesting of brackets outside strings, without recursion (a parser would recurse)."""
    # Escapes first: one pattern for strings with escapes takes quadratic time on an endless string.
    without_strings = re.sub(r'"[^"]*"', "", re.sub(r"\\.", "", text, flags=re.DOTALL))
    depth = deepest = 0
    for bracket in re.findall(r"[\[\]{}]", without_strings):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def parse_json(raw: bytes, place: str, what: str, max_bytes: int, max_depth: int) -> Any:
    """Parses untrusted JSON.

    Args:
      raw: The bytes; one more than `max_bytes` is enough to be refused.
      place: Names the document in messages.
      what: What it should be: `manifest`, `revocation`.
      max_bytes: Largest size that is looked at.
      max_depth: Deepest nesting that is parsed.

    Raises:
      ReleaseError: too large, too deep, not UTF-8, not JSON; a key given twice, a NaN or an infinity, a
        number of more than 64 bits, half a surrogate pair.
    """
    if len(raw) > max_bytes:
        raise ReleaseError(f"{place}: {what} is larger than {max_bytes} bytes; refused unread.")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise ReleaseError(f"{place}: {what} is not UTF-8 text; ask the locale to release again.") from None
    depth = nesting_depth(text)
    if depth > max_depth:
        raise ReleaseError(f"{place}: {what} is nested {depth} deep, allowed {max_depth}; refused unread.")
    try:
        return json.loads(
            text,
            object_pairs_hook=_without_double_keys,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=_bounded,
        )
    except _Refused as error:
        raise ReleaseError(f"{place}: {what} {error}; it was not made by Isthmus.") from None
    except (ValueError, RecursionError):
        raise ReleaseError(f"{place}: {what} is not JSON; ask the locale to release again.") from None


def _without_double_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise _Refused(f"gives the key '{printable(twice)}' twice")
    return found


def _refuse_constant(name: str) -> Any:
    raise _Refused(f"holds {name}, which is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise _Refused("holds a number that is not finite")
    return value


def _bounded(text: str) -> int:
    if len(text) > _MAX_INTEGER_DIGITS:
        raise _Refused("holds a whole number of more than 64 bits")
    return int(text)


def check_schema(content: Any, schema: str, place: str, what: str) -> None:
    """Checks parsed JSON against a shipped schema.

    Raises:
      ReleaseError: it breaks a rule; names the place in the document and the rule, not the value.
    """
    errors = sorted(_validator(schema).iter_errors(content), key=lambda error: list(map(str, error.path)))
    if not errors:
        return
    first = errors[0]
    where = ".".join(printable(str(part)) for part in first.path) or "top level"
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    raise ReleaseError(f"{place}: not a {what} ({where}: {_rule(first)}){more}.")


def _rule(error: jsonschema.ValidationError) -> str:
    """The broken rule in words; values of the document are never quoted."""
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        known = set(error.schema.get("properties", {}))
        patterns = [re.compile(pattern) for pattern in error.schema.get("patternProperties", {})]
        strangers = [
            name
            for name in error.instance
            if name not in known and not any(pattern.search(name) for pattern in patterns)
        ]
        return f"unknown field {list_briefly(map(printable, strangers))}"
    if error.validator == "required" and isinstance(error.instance, dict):
        lost = [name for name in error.validator_value if name not in error.instance]
        return f"lacks {list_briefly(lost)}"
    if error.validator == "propertyNames":
        return "a name that is not allowed there"
    if error.validator == "type":
        allowed = error.validator_value
        return f"is not of type {allowed if isinstance(allowed, str) else ' or '.join(allowed)}"
    if error.validator in ("anyOf", "oneOf", "not", "if"):
        return "fits none of the allowed forms"
    limit = str(error.validator_value)
    return f"breaks {error.validator} {limit if len(limit) <= 80 else limit[:77] + '...'}"


def is_canonical(content: Any, raw: bytes) -> bool:
    """Whether the bytes are the one byte form of the content: sorted keys, no white space, one line."""
    try:
        return (canonical_json(content) + "\n").encode() == raw
    except ValueError:  # half a surrogate pair has no UTF-8 form
        return False


def printable(text: str) -> str:
    """A stranger's text made short and harmless for a terminal."""
    return ascii(text[:60])[1:-1]
