"""What monitoring found in words: names of measures and causes, values with their units, the headline."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from components.drift.findings import (
    ALL_FEATURES,
    DATA_FAULTS,
    EXPECTED,
    SEVERITIES,
    WHOLE_SPAN,
    Comparison,
    Finding,
    Measure,
    Measurement,
    MonitorRun,
)
from components.drift.glossary import CAUSE_TITLES, GLOSSARY
from pipeline.report.words import MISSING, moment, number, plain

MEASURE_NAMES: dict[Measure, str] = {measure: term.title for measure, term in GLOSSARY.items()}
COMPARISON_NAMES: dict[Comparison, str] = {
    "drift": "Drift in time",
    "skew": "Locale against locale",
    "generator": "Real against synthetic",
    "serving": "Training against serving",
    "intake": "Taking the span in",
}
#: Of the two sides, by comparison: the one that is judged, and the other.
SIDES: dict[Comparison, tuple[str, str]] = {
    "drift": ("this span", "baseline"),
    "skew": ("this locale", "other locale"),
    "generator": ("real rows", "synthetic rows"),
    "serving": ("training rows", "rows that the detector sees"),
    "intake": ("this span", EXPECTED),
}


def cause_name(finding: Finding) -> str:
    """The cause of an alert; a fault of the data path is called one."""
    if finding.cause is None:
        return "cause not named"
    name = CAUSE_TITLES[finding.cause.name]
    return f"data fault: {name}" if finding.cause.name in DATA_FAULTS else name


def feature_name(finding: Finding) -> str:
    """The feature, or all of them together."""
    return "all features" if finding.feature == ALL_FEATURES else finding.feature


#: What a skew stands on.
BASES = {"": "", "releases": ", on what was released", "sketches": ", on sketches of real rows"}


def compared(finding: Finding) -> str:
    """What was compared with what: `Drift in time, against span 3 (previous), split eval`."""
    name = COMPARISON_NAMES[finding.comparison]
    if finding.comparison in ("drift", "skew", "intake"):
        name += f", against {finding.against or 'nothing'}"
    if finding.baseline:
        name += f" ({finding.baseline})"
    name += BASES[finding.basis]
    return name if finding.split == WHOLE_SPAN else f"{name}, split {finding.split}"


def brief(finding: Finding) -> str:
    """The same for a table: `drift in time, previous`; what it does not say stands in the key."""
    parts = [COMPARISON_NAMES[finding.comparison].lower()]
    if finding.comparison in ("drift", "skew"):
        parts.append(finding.baseline or finding.against)
    if finding.split != WHOLE_SPAN:
        parts.append(finding.split)
    return ", ".join(parts)


def limit(measurement: Measurement) -> float | None:
    """What the value is held against: its threshold, or else the limit of sampling noise."""
    if measurement.threshold is not None:
        return measurement.threshold
    return measurement.null.limit if measurement.null is not None else None


def ratio(measurement: Measurement) -> float | None:
    """Value by limit; None where either is not there, where the limit is zero, or where nothing is judged."""
    held_against = limit(measurement)
    if measurement.rule == "kept" or measurement.value is None or not held_against or held_against < 0:
        return None
    return max(0.0, measurement.value / held_against)


def decisive(finding: Finding) -> Measurement | None:
    """The measurement that says most: of those that alert, or else of all, the furthest up to its limit."""
    return min(finding.measurements, key=_weight, default=None)


def decided_by(finding: Finding) -> str:
    """What speaks for a verdict, in words; empty where nothing was measured.

    A fault of the data path is an alert by itself: a short gap or a stuck hour moves no distance of a span.
    """
    measured = decisive(finding)
    if measured is None:
        return ""
    if finding.verdict == "ALERT" and measured.verdict != "ALERT":
        return "The fault itself was found; no distance is past its limit"
    return value_against(measured)


def _weight(measurement: Measurement) -> tuple[bool, bool, float]:
    found = ratio(measurement)
    return (measurement.verdict != "ALERT", found is None, -(found or 0.0))


def urgency(finding: Finding) -> tuple[int, int, float, str]:
    """Sorts findings: alerts by severity and distance past the limit, then undefined, then quiet."""
    verdict = {"ALERT": 0, "UNDEFINED": 1, "OK": 2}[finding.verdict]
    severity = -SEVERITIES.index(finding.severity) if verdict == 0 else 0
    found = decisive(finding)
    return (verdict, severity, -((ratio(found) if found else None) or 0.0), finding.key)


def with_unit(value: float | None, unit: str) -> str:
    """A value and its unit."""
    return f"{number(value)} {unit}".strip() if value is not None else MISSING


def value_against(measurement: Measurement) -> str:
    """`Jensen-Shannon divergence 0.412 against a threshold of 0.100`."""
    name = MEASURE_NAMES[measurement.measure]
    if measurement.value is None:
        return f"{name} undefined{f': {measurement.reason}' if measurement.reason else ''}"
    if measurement.threshold == 0 and measurement.reason:
        return f"{name} {with_unit(measurement.value, measurement.unit)}: {measurement.reason}"
    text = f"{name} {with_unit(measurement.value, measurement.unit)}"
    if measurement.threshold is not None:
        return f"{text} against a threshold of {number(measurement.threshold)}"
    if measurement.null is not None:
        text += f" against {number(measurement.null.limit)} that noise reaches"
    return text if measurement.q_value is None else f"{text}, q = {number(measurement.q_value)}"


def listed(names: Iterable[str], most: int = 6) -> str:
    """`a, b and c`; beyond `most` the number of the others."""
    found = list(dict.fromkeys(names))
    if len(found) > most:
        return f"{', '.join(found[:most])} and {len(found) - most} more"
    return " and ".join([", ".join(found[:-1]), found[-1]]) if len(found) > 1 else "".join(found)


def counted(number_of: int, one: str, many: str = "") -> str:
    """`1 alert`, `3 alerts`."""
    return f"{number_of:,} {one if number_of == 1 else many or f'{one}s'}"


def since(finding: Finding, spans: int = 1) -> str:
    """When an alert began, and for how many spans without a break it has stood."""
    begin = finding.cause.begin if finding.cause is not None else ""
    text = f"since {moment(begin)}" if begin else f"in span {finding.span}"
    if finding.cause is not None and finding.cause.end:
        text = f"from {moment(begin)} to {moment(finding.cause.end)}" if begin else text
    return f"{text}; {spans} spans in a row" if spans > 1 else text


def tone(run: MonitorRun) -> str:
    """`bad` with an alert, `good` where all was compared and is quiet, else `unknown`."""
    findings = [finding for report in run.reports for finding in report.findings]
    if any(finding.verdict == "ALERT" for finding in findings):
        return "bad"
    whole = bool(findings) and not run.missing
    quiet = all(finding.verdict == "OK" for finding in findings)
    evaluated = all(report.status == "EVALUATED" for report in run.reports)
    return "good" if whole and quiet and evaluated else "unknown"


def headline(run: MonitorRun) -> str:
    """The run's monitoring in one sentence: how many alerts, where, and the worst."""
    findings = [finding for report in run.reports for finding in report.findings]
    alerts = sorted((finding for finding in findings if finding.verdict == "ALERT"), key=urgency)
    if alerts:
        worst = alerts[0]
        decided = decided_by(worst)
        return (
            f"{counted(len(alerts), 'alert')} in {listed(finding.locale for finding in alerts)}. "
            f"The worst: {feature_name(worst)} of {worst.locale}, {cause_name(worst)}, {since(worst)}"
            + (f"; {decided}." if decided else ".")
        )
    if not any(finding.verdict == "OK" for finding in findings):
        return "Nothing could be evaluated; that there is no alert says nothing."
    quiet = sum(finding.verdict == "OK" for finding in findings)
    zones = sum(any(finding.verdict == "OK" for finding in report.findings) for report in run.reports)
    return f"No alert: {counted(quiet, 'comparison')} in {counted(zones, 'zone')} within their limits."


def remarks(run: MonitorRun, single: bool = True) -> list[str]:
    """What a reader should know beside the headline: what was not evaluated, and why.

    Args:
      run: The run.
      single: Whether single comparisons count, or only whole zones.
    """
    found = [f"{zone} was not monitored: {why}" for zone, why in run.missing.items()]
    found += [
        f"{report.zone} was not evaluated: {report.reason or 'no reason was given'}"
        for report in run.reports
        if report.status != "EVALUATED"
    ]
    undefined = [
        finding
        for report in run.reports
        if report.status == "EVALUATED"
        for finding in report.findings
        if finding.verdict == "UNDEFINED"
    ]
    if undefined and single:
        found.append(
            f"{counted(len(undefined), 'comparison')} of {listed(item.locale for item in undefined)} "
            f"could not be made: {listed(reasons(undefined), 3)}"
        )
    return found


def reasons(findings: Sequence[Finding]) -> list[str]:
    """Why findings are undefined, each reason once."""
    texts = [_reason(finding) for finding in findings if finding.verdict == "UNDEFINED"]
    return list(dict.fromkeys(text for text in texts if text)) or ["no reason was given"]


def _reason(finding: Finding) -> str:
    """Of the measurements that judge and could not, before remarks on others."""
    told = [item for item in finding.measurements if item.reason]
    told.sort(key=lambda item: (item.verdict != "UNDEFINED", item.rule == "kept"))
    return finding.reason or next((item.reason for item in told), "")


def reason_of(finding: Finding) -> str:
    """Why a finding is undefined."""
    return _reason(finding) or "no reason was given"


def evidence_name(key: str) -> str:
    """A key of a cause's evidence in words."""
    return MEASURE_NAMES.get(key, plain(key))  # type: ignore[call-overload]
