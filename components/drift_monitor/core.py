"""What a region's monitoring finds: a span against its baselines, real rows against synthetic ones. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from components.drift.core.cause import Side
from components.drift.core.faults import Fault, SchemaChange, find_faults
from components.drift.core.profile import Profile
from components.drift.core.rules import Rules
from components.drift.findings import Finding, Measurement
from components.drift.judging import Question, answer, of_faults
from components.drift_monitor.spans import OpenedBaseline, SpanRecord
from components.monitoring import MonitoringConfig

#: Makes the rules of one comparison from the baseline that it is with.
RulesFor = Callable[[OpenedBaseline], Rules]


def find_drift(
    current: Profile,
    record: SpanRecord,
    baselines: Sequence[OpenedBaseline],
    rules_for: RulesFor,
    monitoring: MonitoringConfig,
    locale: str,
) -> list[Finding]:
    """Compares a span with each of its baselines.

    Args:
      current: The span's profile.
      record: Of the span.
      baselines: All that were configured, missing ones too.
      rules_for: The rules of a comparison.
      monitoring: Severities.
      locale: The locale's name.

    Returns:
      One finding per feature and baseline; one UNDEFINED finding for a baseline that is missing. Faults of
      the data path that the span shows by itself are found without any baseline.
    """
    found: list[Finding] = []
    compared = False
    for baseline in baselines:
        question = Question("drift", locale, record.span, baseline.against, baseline.source.kind)
        if baseline.profile is None:
            found.append(question.unanswered(baseline.absent))
            continue
        compared = True
        faults = _faults(current, record, baseline)
        sides = (Side(locale, faults=tuple(faults)),)
        found += answer(
            question,
            current,
            baseline.profile,
            rules_for(baseline),
            monitoring,
            lambda _, sides=sides: sides,  # type: ignore[misc]
            faults,
        )
    if not compared:
        alone = Question("drift", locale, record.span, "the span by itself")
        found += of_faults(alone, find_faults(current, None), monitoring)
    return found


def _faults(current: Profile, record: SpanRecord, baseline: OpenedBaseline) -> list[Fault]:
    before = baseline.record
    columns = None
    if before is not None:
        columns = SchemaChange.between(
            record.columns_absent, record.columns_dropped, before.columns_absent, before.columns_dropped
        )
    return find_faults(current, baseline.profile, columns=columns)


def find_generator_error(
    real: Profile,
    synthetic: Profile,
    span: int,
    rules: Rules,
    monitoring: MonitoringConfig,
    locale: str,
    drift: Sequence[Finding],
) -> list[Finding]:
    """Compares the real rows of a span with the synthetic ones made of them.

    Args:
      real: Profile of the real rows.
      synthetic: Of the synthetic ones, on the same bins.
      span: Its number.
      rules: Of the comparison.
      monitoring: Severities.
      locale: The locale's name.
      drift: What DriftMonitor found.
    """
    moved = measurements_by_feature(drift)

    def sides(feature: str) -> Sequence[Side]:
        return (Side(locale, drift=moved.get(feature, ())),)

    question = Question("generator", locale, span, "synthetic")
    return answer(question, real, synthetic, rules, monitoring, sides)


def measurements_by_feature(findings: Sequence[Finding]) -> Mapping[str, tuple[Measurement, ...]]:
    """Measurements of findings, of the first finding of each feature that has any."""
    found: dict[str, tuple[Measurement, ...]] = {}
    for finding in findings:
        if finding.measurements:
            found.setdefault(finding.feature, finding.measurements)
    return found
