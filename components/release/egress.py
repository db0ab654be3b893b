"""What of the evaluation and the schema may leave a locale: allow-lists, never deny-lists.

A field that is not named here stays at home, so that a field that is added to the evaluation later
does not cross the border by accident.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from components.errors import DataError

#: Fields of one metric. No free text that is made at run time (`reason`), no lists of values.
METRIC_FIELDS = frozenset(
    {"name", "group", "status", "value", "direction", "range", "interval", "control", "n", "description"}
)
INTERVAL_FIELDS = frozenset({"low", "high", "confidence", "method"})
#: Fields of one check of the gate.
CHECK_FIELDS = frozenset(
    {"metric", "name", "passed", "value", "threshold", "rule", "direction", "status", "control"}
)
#: Texts are names and fixed sentences of ours; a longer one is something else.
MAX_TEXT = 300
_VERDICT = re.compile(r"BLESSED|NOT_BLESSED|NOT_EVALUATED")


def released_evaluation(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """The metrics and gate verdicts of an `evaluation.json`, and nothing else of it.

    Args:
      evaluation: With `metrics` (a list of metrics, or a mapping of them by name) and `gate`
        (`verdict`, `checks`).
    """
    raw = evaluation.get("metrics")
    metrics = [{"name": name, **item} for name, item in raw.items()] if isinstance(raw, Mapping) else raw
    gate = evaluation.get("gate")
    gate = gate if isinstance(gate, Mapping) else {}
    return {
        "metrics": [_fields(item, METRIC_FIELDS) for item in _mappings(metrics)],
        "gate": {
            "verdict": _verdict(gate.get("verdict", evaluation.get("verdict"))),
            "checks": [_fields(item, CHECK_FIELDS) for item in _mappings(gate.get("checks"))],
        },
    }


def gate_verdicts(released: Mapping[str, Any]) -> dict[str, str]:
    """`passed`, `failed` or `not applicable` per check of a released evaluation."""
    words = {True: "passed", False: "failed"}
    found: dict[str, str] = {}
    for check in released["gate"]["checks"]:
        name = str(check.get("metric", check.get("name", "unnamed")))
        passed = check.get("passed")
        # The gate lets a rule pass that has nothing to judge; a manifest must not say that it held.
        judged = isinstance(passed, bool) and not (passed and check.get("status") == "NOT_APPLICABLE")
        word = words[passed] if judged else "not applicable"
        if found.get(name) != "failed":  # of two checks of one metric the failed one counts
            found[name] = word
    return found


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def _verdict(value: Any) -> str:
    return value if isinstance(value, str) and _VERDICT.fullmatch(value) else "NOT_EVALUATED"


def _fields(item: Mapping[str, Any], allowed: frozenset[str]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for key in sorted(allowed & set(item)):
        value = item[key]
        if key == "interval" and isinstance(value, Mapping):
            kept[key] = {
                name: value[name] for name in sorted(INTERVAL_FIELDS & set(value)) if _is_scalar(value[name])
            }
        elif _is_scalar(value) or (
            isinstance(value, list) and len(value) == 2 and all(map(_is_scalar, value))
        ):
            kept[key] = value
    return kept


def _is_scalar(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= MAX_TEXT
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, (bool, int))


def parse_schema(text: str, place: str) -> schema_pb2.Schema:
    """Parses `schema.pbtxt`.

    Raises:
      DataError: it is no Schema.
    """
    try:
        return text_format.Parse(text, schema_pb2.Schema())
    except text_format.ParseError:  # its message quotes the line, which may hold a value
        raise DataError(f"{place}: not a schema in text form; make it again with SchemaGen.") from None


def released_schema(schema: schema_pb2.Schema) -> str:
    """`schema.pbtxt` of synthetic rows: names, types, presence and shape of the features.

    Domains (vocabularies, minima, maxima), distribution constraints and comparators are inferred from
    real rows, so they stay at home.
    """
    kept = schema_pb2.Schema()
    for feature in schema.feature:
        copy = kept.feature.add(name=feature.name, type=feature.type)
        for field in ("presence", "shape", "value_count"):
            if feature.HasField(field):
                getattr(copy, field).CopyFrom(getattr(feature, field))
    return str(text_format.MessageToString(kept))
