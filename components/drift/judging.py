"""From comparisons to findings: verdict, severity, cause. Pure; no value of a row is looked at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from components.drift.core.cause import Side, name_cause
from components.drift.core.compare import compare
from components.drift.core.faults import Fault, extent_of
from components.drift.core.profile import Profile
from components.drift.core.rules import Compared, Rules
from components.drift.findings import (
    ALL_FEATURES,
    DATA_FAULTS,
    SEVERITIES,
    Cause,
    Comparison,
    Finding,
    Measurement,
    MonitorReport,
    Verdict,
)
from components.monitoring import MonitoringConfig

BaselineName = Literal["", "previous", "window", "reference"]
_WORST_FIRST: dict[Verdict, int] = {"ALERT": 0, "UNDEFINED": 1, "OK": 2}
#: Said where measures pass, and the data path is at fault all the same.
FAULT_FOUND = "a fault of the data path was found"


@dataclass(frozen=True)
class Question:
    """One comparison that is to be made.

    Attributes:
      comparison: What kind.
      locale: Who is judged.
      span: Of the locale.
      against: In words what with.
      baseline: Of a drift, which.
    """

    comparison: Comparison
    locale: str
    span: int
    against: str
    baseline: BaselineName = ""

    def unanswered(self, reason: str) -> Finding:
        """The finding where nothing can be compared: UNDEFINED with the reason, never OK."""
        return Finding(
            comparison=self.comparison,
            locale=self.locale,
            against=self.against,
            baseline=self.baseline,
            feature=ALL_FEATURES,
            span=self.span,
            verdict="UNDEFINED",
            reason=reason,
        )


#: What is known of the locales about a feature, for the cause of its alert.
SidesOf = Callable[[str], Sequence[Side]]


def answer(
    question: Question,
    current: Profile,
    baseline: Profile,
    rules: Rules,
    monitoring: MonitoringConfig,
    sides: SidesOf,
    faults: Sequence[Fault] = (),
    before: Callable[[str], Sequence[Measurement]] = lambda feature: (),
) -> list[Finding]:
    """Compares two profiles feature by feature.

    Args:
      question: What is asked.
      current: The side that is judged.
      baseline: The other one.
      rules: Thresholds and level.
      monitoring: Severities.
      sides: What is known of the locales about a feature.
      faults: Of the data path in `current`; each makes its feature alert, whatever the measures say.
      before: Measurements of the same comparison in earlier spans, by feature; for a skew.
    """
    pairs = compare(current, baseline, rules)
    return findings_of(question, pairs, rules, monitoring, sides, before, faults, extent_of(current))


def findings_of(
    question: Question,
    pairs: Sequence[Compared],
    rules: Rules,
    monitoring: MonitoringConfig,
    sides: SidesOf,
    before: Callable[[str], Sequence[Measurement]] = lambda feature: (),
    faults: Sequence[Fault] = (),
    extent: tuple[str, str] = ("", ""),
) -> list[Finding]:
    """What was compared as findings; arguments as `answer`.

    Args:
      question: What was asked.
      pairs: Each feature, compared.
      rules, monitoring, sides, before, faults: As `answer`.
      extent: When the side that is judged begins and ends, ISO 8601 in UTC; empty where it is not known.
    """
    known = {compared.feature for compared in pairs}
    # A lost label or a new column is no feature: it is the affair of all of them.
    at_fault = {fault.feature if fault.feature in known else ALL_FEATURES for fault in faults}
    found = []
    for compared in pairs:
        if compared.feature in at_fault and compared.verdict != "ALERT":
            compared = replace(compared, verdict="ALERT", reason=compared.reason or FAULT_FOUND)
        earlier = before(compared.feature)
        found.append(_finding(question, compared, rules, monitoring, sides, earlier, extent))
    return found


def of_faults(question: Question, faults: Sequence[Fault], monitoring: MonitoringConfig) -> list[Finding]:
    """What a span shows by itself, without a baseline: one finding per feature at fault."""
    found = []
    for feature in dict.fromkeys(fault.feature for fault in faults):
        own = tuple(fault for fault in faults if fault.feature == feature)
        alert = Compared(feature, (), None, None, "ALERT", FAULT_FOUND)
        side = Side(question.locale, faults=own)
        found.append(_finding(question, alert, Rules(), monitoring, lambda _, side=side: (side,)))  # type: ignore[misc]
    return found


def report(
    findings: Sequence[Finding],
    *,
    zone: str,
    sharing: Literal["restricted", "open", "central"],
    span: int,
    monitoring: MonitoringConfig,
    reason: str = "",
) -> MonitorReport:
    """The report of a pipeline, the worst first.

    Args:
      findings: All of them.
      zone: The locale, or `central`.
      sharing: Of the zone.
      span: Number of the span.
      monitoring: Level and correction.
      reason: Why nothing was evaluated, where no finding has a measurement and none alerts.
    """
    evaluated = any(finding.measurements or finding.verdict == "ALERT" for finding in findings)
    why = "" if evaluated else reason or "; ".join(dict.fromkeys(f.reason for f in findings if f.reason))
    return MonitorReport(
        zone=zone,
        sharing=sharing,
        span=span,
        alpha=monitoring.alpha,
        correction=monitoring.correction,
        status="EVALUATED" if evaluated else "NOT_EVALUATED",
        reason=why or ("" if evaluated else "there was nothing to compare"),
        findings=tuple(sorted(findings, key=_order)),
    )


def _order(finding: Finding) -> tuple[int, int, float, str]:
    excess = max((_excess(item.value, item.threshold) for item in finding.measurements), default=0.0)
    severity = -SEVERITIES.index(finding.severity) if finding.verdict == "ALERT" else 0
    return _WORST_FIRST[finding.verdict], severity, -excess, finding.key


def _excess(value: float | None, threshold: float | None) -> float:
    """How many thresholds a value is; 0 where there is none."""
    return value / threshold if value is not None and threshold else 0.0


def _finding(
    question: Question,
    compared: Compared,
    rules: Rules,
    monitoring: MonitoringConfig,
    sides: SidesOf,
    before: Sequence[Measurement] = (),
    extent: tuple[str, str] = ("", ""),
) -> Finding:
    cause: Cause | None = None
    severity = monitoring.severity.default
    if compared.verdict == "ALERT":
        cause = name_cause(
            question.comparison,
            compared.feature,
            compared.measurements,
            sides(compared.feature),
            alpha=rules.alpha,
            before=before,
            time_line=compared.time_line,
            extent=extent,
        )
        alerting = [item.measure for item in compared.measurements if item.verdict == "ALERT"]
        severity = monitoring.severity.of(compared.feature, alerting, is_fault=cause.name in DATA_FAULTS)
    return Finding(
        comparison=question.comparison,
        locale=question.locale,
        against=question.against,
        baseline=question.baseline,
        feature=compared.feature,
        span=question.span,
        measurements=compared.measurements,
        verdict=compared.verdict,
        severity=severity,
        cause=cause,
        distribution=compared.distribution,
        time_line=compared.time_line,
        reason=compared.reason,
    )
