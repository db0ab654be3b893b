"""Parameters of a run: read from the command line by the types that the spec gives them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from components.errors import ConfigError, list_briefly, nearest_name
from pipeline.kfp_api.specs import Spec

#: KFP carries numbers as doubles (protobuf's Struct): larger integers would change on the way.
LARGEST_INTEGER = 2**53
_FLAGS = {"true": True, "false": False}


def parse_pairs(pairs: Iterable[str]) -> dict[str, str]:
    """`key=value` pairs as a mapping.

    Raises:
      ConfigError: a pair without `=` or without a key, or a key given twice.
    """
    found: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise ConfigError(f"--param {pair}: not a pair; allowed: key=value")
        if key in found:
            raise ConfigError(f"--param {key}: given twice; allowed: once")
        found[key] = value
    return found


def typed(spec: Spec, given: Mapping[str, str]) -> dict[str, Any]:
    """The values as the API wants them, checked against `root.inputDefinitions`.

    The server refuses the same (`validatePipelineJobInputs`, backend/src/apiserver/template/v2_template.go),
    but only when the run is made.

    Raises:
      ConfigError: an unknown parameter, a value of another type, or a missing one without a default.
    """
    known = spec.parameters
    for name in given:
        if name not in known:
            allowed = list_briefly(sorted(known), 10) or "none, it has no parameters"
            hint = nearest_name(name, known)
            raise ConfigError(f"{spec.path}: parameter {name}: not one of its{hint}; allowed: {allowed}")
    for name, definition in known.items():
        if name not in given and not definition.get("isOptional") and "defaultValue" not in definition:
            raise ConfigError(
                f"{spec.path}: parameter {name}: missing, and it has no default; --param {name}=…"
            )
    return {name: _value(spec, name, known[name], text) for name, text in given.items()}


def _value(spec: Spec, name: str, definition: Mapping[str, Any], text: str) -> Any:
    kind = definition.get("parameterType")
    place = f"{spec.path}: parameter {name}"
    if kind == "STRING":
        return text
    if kind == "NUMBER_INTEGER":
        return _integer(place, text)
    if kind == "NUMBER_DOUBLE":
        return _double(place, text)
    if kind == "BOOLEAN":
        if text.lower() not in _FLAGS:
            raise ConfigError(f"{place}: {text!r}; allowed: true, false")
        return _FLAGS[text.lower()]
    if kind in ("LIST", "STRUCT"):
        return _structure(place, text, list if kind == "LIST" else dict)
    raise ConfigError(f"{place}: of type {kind}, which cannot be given; allowed: leave it to its default")


def _integer(place: str, text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        raise ConfigError(f"{place}: {text!r}; allowed: an integer") from None
    if abs(number) > LARGEST_INTEGER:
        raise ConfigError(f"{place}: {number}; allowed: at most 2^53 in size, KFP carries numbers as doubles")
    return number


def _double(place: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ConfigError(f"{place}: {text!r}; allowed: a finite number")
    return number


def _structure(place: str, text: str, kind: type) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, kind):
        words = "a JSON list" if kind is list else "a JSON object"
        raise ConfigError(f"{place}: not {words}; allowed: {words}")
    return value
