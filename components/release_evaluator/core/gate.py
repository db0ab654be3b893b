"""The gate: every rule must hold on a metric that is there. Fails closed."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, Literal

from components.release_evaluator.config import GateConfig
from components.release_evaluator.core.metrics import Metric, Status, rounded

Verdict = Literal["BLESSED", "NOT_BLESSED", "NOT_EVALUATED"]


@dataclasses.dataclass(frozen=True)
class CheckResult:
    """One rule, judged.

    Attributes:
      metric: The metric.
      rule: In words, such as `high bound <= 0.7`.
      value: What was compared; None where there was nothing to compare.
      threshold: The threshold.
      passed: Whether it held.
      reason: Why not, or why the rule does not apply; the threshold's own reason where it held.
      status: The metric's: `OK`, `UNDEFINED` or `NOT_APPLICABLE`.
    """

    metric: str
    rule: str
    value: float | None
    threshold: float
    passed: bool
    reason: str
    status: Status

    def to_json(self) -> dict[str, Any]:
        """A JSON object without NaN."""
        return dataclasses.asdict(self) | {"value": rounded(self.value)}


@dataclasses.dataclass(frozen=True)
class GateResult:
    """The verdict, with all rules and the reasons of those that failed, one line each."""

    verdict: Verdict
    checks: tuple[CheckResult, ...]
    reasons: tuple[str, ...]


def judge(metrics: Sequence[Metric], gate: GateConfig) -> GateResult:
    """Judges metrics by a gate.

    A metric that is missing, UNDEFINED, not finite or without the interval that a rule asks for fails
    the rule. One that is NOT_APPLICABLE (there is no labelled window to replay) passes, and says so.

    Args:
      metrics: The evaluation.
      gate: The rules, at least one.
    """
    known = {metric.name: metric for metric in metrics}
    results = []
    for check in gate.checks:
        sign = "<=" if check.rule == "max" else ">="
        subject = "value" if check.of == "value" else f"{check.of} bound"
        rule = f"{subject} {sign} {check.threshold:g}"
        metric = known.get(check.metric)
        status: Status = metric.status if metric is not None else "UNDEFINED"
        value, failure = _value(metric, check.of)
        passed, reason = False, failure
        if metric is not None and status == "NOT_APPLICABLE":
            passed, reason = True, f"not applicable: {metric.reason}"
        elif value is not None:
            passed = value <= check.threshold if check.rule == "max" else value >= check.threshold
            reason = check.reason
            if not passed:
                reason = f"{subject} {value:.4g} is not {sign} {check.threshold:g} ({check.reason})"
        result = CheckResult(check.metric, rule, value, check.threshold, passed, reason, status)
        results.append(result)
    reasons = tuple(f"{result.metric}: {result.reason}" for result in results if not result.passed)
    blessed = bool(results) and not reasons
    return GateResult("BLESSED" if blessed else "NOT_BLESSED", tuple(results), reasons)


def _value(metric: Metric | None, of: str) -> tuple[float | None, str]:
    """What a rule compares, or None and why there is nothing."""
    if metric is None:
        return None, "the metric is missing"
    if metric.status != "OK":
        return None, f"UNDEFINED: {metric.reason}"
    if of == "value":
        value = metric.value
    elif metric.interval is None:
        return None, "the metric has no interval"
    else:
        value = metric.interval.low if of == "low" else metric.interval.high
    if value is None or not math.isfinite(value):
        return None, "the value is not finite"
    return float(value), ""
