"""From findings to facts that may leave. The only place of the alerts that reads a `Finding`.

A fact holds names that the deployment has, words of ours, distances, thresholds, counts and times. Every text
of a finding is either found in a list here or replaced: a reason, a cause's sentence, evidence, a category or
a unit that the deployment does not give the feature may quote a row. The rule is the same for every
locale, so that no setting can loosen it for a restricted one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timezone

from components.dataset import TIMESTAMP
from components.drift.findings import (
    ALL_FEATURES,
    EXPECTED,
    INTAKE_CAUSES,
    WHOLE_SPAN,
    CauseName,
    Comparison,
    Finding,
    Measurement,
    MonitorReport,
    MonitorRun,
    Severity,
    Verdict,
)
from pipeline.alerts.message import Measured
from pipeline.alerts.words import BASELINE_WORDS, OTHER_FEATURE, OTHER_LOCALE, OTHER_SPLIT, rank
from pipeline.config.model import Deployment

#: Units of measures themselves; other units are the feature's own, as the deployment names it.
_UNITS = {"", "1", "bit", "nat", "s", "h"}
_SPLITS = {WHOLE_SPAN, "train", "eval", "holdout", "test", "synthetic"}
_SIDES = {"synthetic", "real", "training", "train", "serving", "test", "centre", "central"}
#: A span whose faults were found without any baseline; said so by DriftMonitor.
_ITSELF = "the span by itself"
_SPANS = re.compile(r"spans? \d{1,6}(?: to \d{1,6})?\Z")
_RUN_ID = re.compile(r"[A-Za-z0-9]{1,32}(?:-[A-Za-z0-9]{1,32}){0,4}\Z")
_MEASURES = 3
#: Worst first, where several findings have one key.
_VERDICTS: tuple[Verdict, ...] = ("ALERT", "UNDEFINED", "OK")


@dataclass(frozen=True)
class Fact:
    """A finding as it may leave.

    Attributes:
      key: The same from span to span.
      comparison, locale, feature, split: What was judged; names of the deployment.
      against: In words.
      span: That was judged.
      verdict, severity: Of the finding.
      cause: Name; `unknown` where an alert has none.
      begin: When it began in the data, ISO 8601 in UTC to the minute, or empty.
      measures: Those that alert, the worst first.
    """

    key: str
    comparison: Comparison
    locale: str
    feature: str
    split: str
    against: str
    span: int
    verdict: Verdict
    severity: Severity
    cause: CauseName
    begin: str
    measures: tuple[Measured, ...]


def facts_of(deployment: Deployment, run: MonitorRun) -> list[Fact]:
    """Every finding of a run as it may leave, one for each key, in the order of the run.

    Findings that differ only in names that the deployment does not have become one; the worst verdict counts.
    Where every drift of a feature is OK, so is what a span without a baseline had shown by itself: no later
    span is looked at that way again. A locale that came to its monitor was taken in: whatever kept an earlier
    run of it from that has ended.
    """
    names = _names_of(deployment)
    found: dict[str, Fact] = {}
    for report in run.reports:
        for finding in report.findings:
            fact = _fact(finding, report.alpha, names)
            other = found.get(fact.key)
            if other is None or _order(fact) < _order(other):
                found[fact.key] = fact
        for fact in _taken_in(report, names):
            found[fact.key] = fact
    return [*found.values(), *_ended_by_itself(found)]


def _taken_in(report: MonitorReport, names: _Known) -> Iterator[Fact]:
    """That a locale was taken in, for every cause and column by which it could have been refused before."""
    if report.sharing == "central" or any(finding.comparison == "intake" for finding in report.findings):
        return
    for cause in INTAKE_CAUSES:
        for feature in (*names.units, OTHER_FEATURE):
            locale = report.zone if report.zone in names.locales else OTHER_LOCALE
            key = _key("intake", locale, cause, feature, WHOLE_SPAN)
            yield Fact(
                key, "intake", locale, feature, WHOLE_SPAN, EXPECTED, report.span, "OK", "info", cause, "", ()
            )


def _ended_by_itself(found: dict[str, Fact]) -> list[Fact]:
    drifts: dict[tuple[str, str], list[Fact]] = {}
    for fact in found.values():
        if fact.comparison == "drift":
            drifts.setdefault((fact.locale, fact.feature), []).append(fact)
    ended = []
    for facts in drifts.values():
        key = _key(facts[0].comparison, facts[0].locale, _ITSELF, facts[0].feature, WHOLE_SPAN)
        if key not in found and all(fact.verdict == "OK" for fact in facts):
            ended.append(replace(facts[0], key=key, against=_ITSELF, split=WHOLE_SPAN))
    return ended


def _key(*parts: str) -> str:
    return "/".join(parts)


def run_id_of(run: MonitorRun) -> str:
    """The run's id, if it has the form of one; else `unnamed`."""
    return run.run_id if _RUN_ID.match(run.run_id) else "unnamed"


def utc(text: str) -> str:
    """A time as ISO 8601 in UTC, to the minute; empty where the text is none."""
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return ""
    moment = moment.replace(tzinfo=timezone.utc) if moment.tzinfo is None else moment
    return f"{moment.astimezone(timezone.utc):%Y-%m-%dT%H:%MZ}"


@dataclass(frozen=True)
class _Known:
    locales: frozenset[str]
    units: dict[str, str]
    splits: frozenset[str]


def _names_of(deployment: Deployment) -> _Known:
    data = deployment.dataset
    units = {feature.name: feature.unit for feature in data.features}
    own = [TIMESTAMP, data.timestamp, *data.series, *(name for name in (data.label, data.label_kind) if name)]
    return _Known(
        locales=frozenset(locale.name for locale in deployment.locales) | {"central"},
        units={**dict.fromkeys(own, ""), **units, ALL_FEATURES: ""},
        splits=frozenset({*_SPLITS, deployment.splits.name}),
    )


def _fact(finding: Finding, alpha: float, names: _Known) -> Fact:
    locale = finding.locale if finding.locale in names.locales else OTHER_LOCALE
    feature = finding.feature if finding.feature in names.units else OTHER_FEATURE
    split = finding.split if finding.split in names.splits else OTHER_SPLIT
    other = finding.against if finding.against in names.locales | _SIDES | {_ITSELF, EXPECTED} else ""
    side = finding.baseline or other or "baseline"
    against = other or _drift_words(finding)
    cause = finding.cause
    if finding.comparison == "intake" and cause is not None:
        side = cause.name  # a span that is refused for another reason than the last one begins anew
    return Fact(
        key=_key(finding.comparison, locale, side, feature, split),
        comparison=finding.comparison,
        locale=locale,
        feature=feature,
        split=split,
        against=against,
        span=finding.span,
        verdict=finding.verdict,
        severity=finding.severity,
        cause=cause.name if cause else "unknown",
        begin=utc(cause.begin) if cause else "",
        measures=_measures(finding.measurements, alpha, names.units.get(feature, "")),
    )


def _drift_words(finding: Finding) -> str:
    words = BASELINE_WORDS.get(finding.baseline, "its baseline")
    return f"{words} ({finding.against})" if _SPANS.match(finding.against) else words


def _measures(measurements: Iterable[Measurement], alpha: float, unit: str) -> tuple[Measured, ...]:
    alerting = [item for item in measurements if item.verdict == "ALERT"]
    alerting.sort(key=_excess, reverse=True)
    return tuple(
        Measured(
            measure=item.measure,
            value=item.value,
            unit=item.unit if item.unit in _UNITS | {unit} else "(unit withheld)",
            threshold=item.threshold
            if item.threshold is not None
            else item.null.limit
            if item.null
            else None,
            rule=item.rule,
            alpha=alpha if item.rule == "noise" else None,
            n=item.n,
            n_baseline=item.n_baseline,
            q_value=item.q_value,
        )
        for item in alerting[:_MEASURES]
    )


def _excess(item: Measurement) -> float:
    """How far beyond what passes: a configured number first, then the noise."""
    limit = _limit(item)
    return item.value / limit if item.value is not None and limit and limit > 0 else 0.0


def _limit(item: Measurement) -> float | None:
    """What was configured, else the limit of sampling noise."""
    if item.threshold is not None:
        return item.threshold
    return item.null.limit if item.null else None


def _order(fact: Fact) -> tuple[int, int]:
    return _VERDICTS.index(fact.verdict), -rank(fact.severity)
