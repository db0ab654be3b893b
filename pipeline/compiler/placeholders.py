"""Values that are known only when a step runs, inside properties that are written when it is compiled.

A property that depends on the span, the seed or the exchange is compiled as `{"$": "span"}`. What the same
step of many regions has in common stands once, in a template; each region has only what is its own. Which
parameters a step takes follows from the placeholders in its properties, and so does what its cache key
sees: no step takes a parameter that it does not read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from components.config_base import canonical_json
from components.errors import InternalError

KEY = "$"
#: Before a key of a configuration that would be taken for one of ours.
_ESCAPE = "$"
#: In a JSON text that an exec property is (every component's `config`).
TEXT = "$json"
#: Names of what differs between the regions that share a template: `own-0`, `own-1`, …
OWN = "own-"


def mark(value: Any, sentinels: Mapping[Any, str]) -> Any:
    """Puts placeholders where sentinels stand; JSON texts are parsed.

    Args:
      value: Exec properties: scalars, or JSON texts of configurations.
      sentinels: Sentinel value to the parameter's name. Sentinels are texts and numbers that no
        configuration holds by chance.
    """
    if isinstance(value, str):
        if value in sentinels:
            return {KEY: sentinels[value]}
        parsed = _parsed(value)
        return value if parsed is None else {TEXT: mark(parsed, sentinels)}
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, (int, float)):
        return {KEY: sentinels[value]} if value in sentinels else value
    if isinstance(value, Mapping):
        escape = _ESCAPE if _is_ours(value) else ""
        return {escape + key: mark(item, sentinels) for key, item in value.items()}
    return [mark(item, sentinels) for item in value]


def fill(value: Any, parameters: Mapping[str, Any]) -> Any:
    """The inverse: parameters in place of placeholders, configurations as canonical JSON texts again.

    Raises:
      InternalError: a placeholder's parameter was not given.
    """
    if isinstance(value, Mapping):
        if set(value) == {KEY}:
            if value[KEY] not in parameters:
                raise InternalError(f"entrypoint: the step was not given its parameter '{value[KEY]}'")
            return parameters[value[KEY]]
        if set(value) == {TEXT}:
            return canonical_json(fill(value[TEXT], parameters))
        escaped = len(_ESCAPE) if _is_ours(value) else 0
        return {key[escaped:]: fill(item, parameters) for key, item in value.items()}
    if isinstance(value, list):
        return [fill(item, parameters) for item in value]
    return value


def fill_own(value: Any, own: Mapping[str, Any]) -> Any:
    """Puts a zone's own values into a template; other placeholders stay."""
    if isinstance(value, Mapping):
        if set(value) == {KEY} and value[KEY] in own:
            return own[value[KEY]]
        return {key: fill_own(item, own) for key, item in value.items()}
    return [fill_own(item, own) for item in value] if isinstance(value, list) else value


def names(value: Any) -> set[str]:
    """Parameters that properties take."""
    if isinstance(value, Mapping):
        if set(value) == {KEY}:
            return {str(value[KEY])}
        return set().union(*(names(item) for item in value.values()))
    return set().union(*(names(item) for item in value)) if isinstance(value, list) else set()


def unify(values: Sequence[Any]) -> tuple[Any, list[dict[str, Any]]]:
    """What several values have in common, and what each has of its own.

    Args:
      values: JSON values of one kind, at least one.

    Returns:
      A template with placeholders `own-<n>` where the values differ, and for each value what stands there:
      `fill_own(template, own)` is the value again.
    """
    own: list[dict[str, Any]] = [{} for _ in values]
    return _unify(list(values), own), own


def _unify(values: list[Any], own: list[dict[str, Any]]) -> Any:
    first = values[0]
    if all(_same(value, first) for value in values):
        return first
    if all(isinstance(value, Mapping) and set(value) == set(first) for value in values) and KEY not in first:
        return {key: _unify([value[key] for value in values], own) for key in sorted(first)}
    if all(isinstance(value, list) and len(value) == len(first) for value in values):
        return [_unify(list(items), own) for items in zip(*values)]
    for name in own[0]:
        if all(_same(mine[name], value) for mine, value in zip(own, values)):
            return {KEY: name}  # a region's name stands in many places
    name = f"{OWN}{len(own[0])}"
    for mine, value in zip(own, values):
        mine[name] = value
    return {KEY: name}


def _is_ours(value: Mapping[str, Any]) -> bool:
    """Whether a mapping has the form of a placeholder: one key, which begins as ours do."""
    return len(value) == 1 and next(iter(value)).startswith(KEY)


def _same(a: Any, b: Any) -> bool:
    return canonical_json(a) == canonical_json(b)  # 1 and 1.0 and True are three values


def _parsed(text: str) -> Any:
    if not text.startswith(("{", "[")):
        return None
    try:
        found = json.loads(text)
        # Only what is written back to the same bytes may be taken apart.
        return found if isinstance(found, (dict, list)) and canonical_json(found) == text else None
    except (ValueError, RecursionError):  # no JSON, a NaN, or deeper than Python goes
        return None
