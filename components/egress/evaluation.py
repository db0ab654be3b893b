"""What of `evaluation.json` may leave: the listed numbers, fixed texts, the verdicts of the gate."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from components.egress import lists
from components.egress.words import is_fixed, outward
from components.errors import InternalError
from components.release_evaluator.core.catalogue import METRICS

#: Texts are names and fixed sentences of ours; a longer one is something else.
MAX_TEXT = 300
#: A rule names what it compares and the threshold of the configuration.
_RULE = re.compile(r"[a-z0-9_ ]{1,80}(?:<=|>=|<|>)? ?[+-]?[0-9.eE+-]{0,24}")
_VERDICT = re.compile(r"BLESSED|NOT_BLESSED|NOT_EVALUATED")


def released_evaluation(evaluation: Mapping[str, Any], *, numbers: bool = True) -> dict[str, Any]:
    """The metrics and gate verdicts of an `evaluation.json`, and nothing else of it.

    Args:
      evaluation: With `metrics` (a list of metrics, or a mapping of them by name) and `gate`
        (`verdict`, `checks`).
      numbers: Whether the metrics leave; else the verdicts of the checks alone do.

    Raises:
      InternalError: it holds a field that is on no list, a metric that the catalogue does not have, or a
        text that is not one of ours. Whoever adds a field decides in `components.egress.lists` whether it
        leaves.
    """
    _known(evaluation, lists.EVALUATION_FIELDS | lists.EVALUATION_STAYS, "at its top")
    raw = evaluation.get("metrics")
    metrics = [{"name": name, **item} for name, item in raw.items()] if isinstance(raw, Mapping) else raw
    gate = evaluation.get("gate")
    gate = gate if isinstance(gate, Mapping) else {}
    _known(gate, lists.GATE_FIELDS | lists.GATE_STAYS, "gate")
    checked = lists.CHECK_FIELDS if numbers else lists.CHECK_FIELDS - {"value", "control"}
    return {
        "metrics": [
            _fields(item, lists.METRIC_FIELDS, lists.METRIC_STAYS, "metrics")
            for item in (_mappings(metrics) if numbers else [])
        ],
        "gate": {
            "verdict": _verdict(gate.get("verdict", evaluation.get("verdict"))),
            "checks": [
                _fields(item, checked, lists.CHECK_STAYS | {"value", "control"}, "gate.checks")
                for item in _mappings(gate.get("checks"))
            ],
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


def _known(item: Mapping[str, Any], known: frozenset[str], place: str) -> None:
    for key in item:
        if key not in known:
            # Even the name of a field may be made of a value.
            raise InternalError(
                f"egress: evaluation.json {place} holds the field '{outward(str(key))}', "
                "which is on no list of what may leave; name it in components.egress.lists"
            )


def _fields(
    item: Mapping[str, Any], allowed: frozenset[str], stays: frozenset[str], place: str
) -> dict[str, Any]:
    _known(item, allowed | stays, place)
    kept: dict[str, Any] = {}
    for key in sorted(allowed & set(item)):
        value = item[key]
        if key == "interval" and isinstance(value, Mapping):
            _known(value, lists.INTERVAL_FIELDS, f"{place}.interval")
            kept[key] = {name: _scalar(value[name], name, place) for name in sorted(value)}
        elif key == "range" and isinstance(value, list) and len(value) == 2:
            kept[key] = [_scalar(end, key, place) for end in value]
        else:
            kept[key] = _scalar(value, key, place)
    return {key: value for key, value in kept.items() if value is not _DROPPED}


_DROPPED = object()


def _scalar(value: Any, key: str, place: str) -> Any:
    """A number, a truth value, null, or a text of ours; what is not finite is left out."""
    if isinstance(value, str):
        if key in ("name", "metric"):
            fits = value in METRICS
        else:
            fits = bool(_RULE.fullmatch(value)) if key == "rule" else is_fixed(value)
        if len(value) > MAX_TEXT or not fits:
            raise InternalError(
                f"egress: evaluation.json {place}.{key} holds a text that is not one of this program's own; "
                "texts that are made of values do not leave"
            )
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else _DROPPED
    if value is None or isinstance(value, (bool, int)):
        return value
    raise InternalError(
        f"egress: evaluation.json {place}.{key} holds {type(value).__name__}, allowed: one number or text"
    )
