"""The gate: every rule must hold on a metric that is there. Fails closed."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, Literal

from components.release_evaluator.config import GateCheck, GateConfig
from components.release_evaluator.core.catalogue import METRICS
from components.release_evaluator.core.metrics import Evidence, Metric, Status, rounded
from components.release_evaluator.core.resampling import needed_for_auc, needed_for_rate

Verdict = Literal["BLESSED", "NOT_BLESSED", "NOT_EVALUATED"]
#: What became of a rule. `REFUSED_TOO_FEW_RECORDS`: what was measured is within the threshold, but not by
#: enough for the wanted certainty, or there were too few records to measure at all.
Outcome = Literal["PASSED", "NOT_APPLICABLE", "REFUSED", "REFUSED_TOO_FEW_RECORDS", "REFUSED_UNDEFINED"]


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
      outcome: What became of the rule.
      required: Holdout records of this kind with which a release without a leak can meet the rule; None
        where that does not follow from the threshold.
    """

    metric: str
    rule: str
    value: float | None
    threshold: float
    passed: bool
    reason: str
    status: Status
    outcome: Outcome = "REFUSED_UNDEFINED"
    required: int | None = None

    @property
    def judged(self) -> bool:
        """Whether there was a value to compare."""
        return self.value is not None and self.status == "OK"

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
    the rule. One that is NOT_APPLICABLE (there is no labelled window to replay) passes, and says so; but
    nothing is blessed where no rule on privacy was judged.

    Args:
      metrics: The evaluation.
      gate: The rules, at least one.
    """
    known = {metric.name: metric for metric in metrics}
    results = []
    for check in gate.rules():
        sign = "<=" if check.rule == "max" else ">="
        subject = "value" if check.of == "value" else f"{check.of} bound"
        rule = f"{subject} {sign} {check.threshold:g}"
        metric = known.get(check.metric)
        status: Status = metric.status if metric is not None else "UNDEFINED"
        value, failure = _value(metric, check.of)
        passed, reason = False, failure
        outcome: Outcome = "REFUSED_UNDEFINED"
        required = _required(metric, check)
        if metric is not None and status == "NOT_APPLICABLE":
            passed, reason, outcome = True, f"not applicable: {metric.reason}", "NOT_APPLICABLE"
        elif metric is not None and metric.too_few:
            reason, outcome = f"REFUSED_TOO_FEW_RECORDS: {metric.reason}", "REFUSED_TOO_FEW_RECORDS"
        elif value is not None and metric is not None:
            passed = value <= check.threshold if check.rule == "max" else value >= check.threshold
            reason, outcome = check.reason, "PASSED"
            if not passed:
                reason = f"{subject} {value:.4g} is not {sign} {check.threshold:g} ({check.reason})"
                outcome = "REFUSED"
                if required is not None and metric.value is not None and metric.value <= check.threshold:
                    outcome = "REFUSED_TOO_FEW_RECORDS"
                    reason = f"{outcome}: {reason}; {_wanted(metric, required)}"
        results.append(
            CheckResult(check.metric, rule, value, check.threshold, passed, reason, status, outcome, required)
        )
    reasons = tuple(f"{result.metric}: {result.reason}" for result in results if not result.passed)
    if not reasons and not any(METRICS[one.metric].group == "privacy" and one.judged for one in results):
        reasons = ("gate: no rule on privacy was judged; a release of which nothing was measured is refused",)
    blessed = bool(results) and not reasons
    return GateResult("BLESSED" if blessed else "NOT_BLESSED", tuple(results), reasons)


def _required(metric: Metric | None, check: GateCheck) -> int | None:
    """Holdout records that the rule asks for, by its threshold, its level and the clustering in time."""
    evidence = metric.evidence if metric is not None else None
    if metric is None or metric.interval is None or evidence is None or not evidence.n_control:
        return None
    if not (evidence.kind and check.rule == "max" and check.of == "high" and 0 < check.threshold < 1):
        return None
    have = max(evidence.effective[1], 1.0)
    ratio = max(evidence.effective[0], 1.0) / have
    if evidence.kind == "owner":
        # no closed form: the upper arm of the interval shrinks with the root of the number of records
        times = ((metric.interval.high - (metric.value or 0.0)) / check.threshold) ** 2
    elif evidence.kind == "auc":
        times = needed_for_auc(check.threshold, metric.interval.confidence, ratio) / have
    else:
        control = min(metric.control or 0.0, 0.999)
        times = needed_for_rate(check.threshold, control, metric.interval.confidence, ratio) / have
    return math.ceil(evidence.n_control * times)


def _wanted(metric: Metric, required: int) -> str:
    evidence = metric.evidence or Evidence()
    times = required / max(1, evidence.n_control)
    return (
        f"{evidence.n_attack} records of train and {evidence.n_control} of holdout, clustered in time, were "
        f"looked at, about {max(times, 1.1):.1f} times as many are needed: widen the span"
    )


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
