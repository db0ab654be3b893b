"""A metric in words and as JSON, with what the gate says of it."""

from __future__ import annotations

from typing import Any

from components.release_evaluator.core.gate import CheckResult, GateResult
from components.release_evaluator.core.metrics import Metric, rounded

#: The worst outcome of a metric's rules is the metric's verdict.
_ORDER = ("REFUSED_UNDEFINED", "REFUSED", "REFUSED_TOO_FEW_RECORDS", "PASSED", "NOT_APPLICABLE")


def verdict(checks: list[CheckResult]) -> str:
    """The worst of the outcomes of a metric's rules; `NOT_GATED` where there is no rule on it."""
    outcomes = [check.outcome for check in checks]
    return next((one for one in _ORDER if one in outcomes), "NOT_GATED")


def judged_json(metric: Metric, gate: GateResult) -> dict[str, Any]:
    """The metric's JSON object with `thresholds`, `n_required`, `verdict` and `sentence`."""
    checks = [check for check in gate.checks if check.metric == metric.name]
    required = [check.required for check in checks if check.required is not None]
    return metric.to_json() | {
        "thresholds": [
            {"rule": check.rule, "threshold": rounded(check.threshold), "passed": check.passed}
            for check in checks
        ],
        "n_required": max(required) if required else None,
        "verdict": verdict(checks),
        "sentence": sentence(metric, checks),
    }


def sentence(metric: Metric, checks: list[CheckResult]) -> str:
    """One sentence: what was found, how sure it is, and what the gate says. Holds no value of a record."""
    if metric.status == "UNDEFINED":
        return f"Not measured: {metric.reason}."
    if metric.status == "NOT_APPLICABLE" or metric.value is None:
        return f"Nothing to measure: {metric.reason}."
    parts = []
    evidence = metric.evidence
    if evidence is not None and evidence.kind in ("rate", "owner") and evidence.attack is not None:
        if metric.name.startswith("holdout_exposure"):
            text = "The release meets {a} of holdout as a copy would, real rows in its place {c}"
        elif evidence.kind == "owner":
            text = "{a} of the tries point at a train record, {c} at one of holdout, sizes balanced"
        else:
            text = "The attack succeeds{w} on {a} of train and {c} of holdout"
        where = f" in column {evidence.worst}" if evidence.worst else ""
        parts.append(text.format(a=_percent(evidence.attack), c=_percent(metric.control), w=where))
        if evidence.naive is not None:
            parts.append(f"an attacker without the release on {_percent(evidence.naive)}")
    elif evidence is not None and evidence.kind == "auc" and evidence.attack is not None:
        parts.append(f"The attack tells train from holdout with AUC {evidence.attack:.3f} (guessing 0.5)")
        if evidence.naive is not None:
            parts.append(f"an attacker without the release with {evidence.naive:.3f}")
    bounds = ""
    if metric.interval is not None:
        low, high = _number(metric.interval.low), _number(metric.interval.high)
        bounds = f" ({metric.interval.confidence:.2%} interval {low} to {high})".replace(".00%", " %")
    parts.append(f"{'the' if parts else 'The'} value is {_number(metric.value)}{bounds}")
    text = ", ".join(parts)
    refused = [check for check in checks if not check.passed]
    if refused:
        return f"{text}: refused, {'; '.join(check.rule for check in refused)} does not hold."
    return f"{text}: {'passed' if checks else 'reported only'}."


def _percent(value: float | None) -> str:
    return "none" if value is None else f"{100 * value:.1f} %"


def _number(value: float) -> str:
    return f"{value:.3g}".replace("-0", "0") if value == 0 else f"{value:.3g}"
