"""The series of a run, zone by zone, from its report, its monitoring and the counters."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterator

from components.drift.findings import MonitorReport, MonitorRun
from pipeline.config.metrics import MetricsSection
from pipeline.metrics.comparisons import comparison_samples
from pipeline.metrics.counting import CounterState
from pipeline.metrics.merging import not_merged
from pipeline.metrics.samples import Group, Sample
from pipeline.metrics.words import ALL_LOCALES, CENTRAL, Words
from pipeline.report.model import CentralReport, LocaleReport, PipelineRun, RunReport, Score

_VERDICTS = ("OK", "ALERT", "UNDEFINED")


def took_part(run: PipelineRun) -> bool:
    """Whether a pipeline was started in the run; what did not, keeps the series of its last run."""
    return run.status in ("succeeded", "failed")


def seconds_of(text: str) -> float | None:
    """Seconds since the epoch of a time in ISO 8601; None where it is none."""
    try:
        return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    except ValueError:
        return None


def build(
    words: Words, limits: MetricsSection, run: RunReport, monitor: MonitorRun, counters: CounterState
) -> list[Group]:
    """All groups of a run.

    Args:
      words: What labels may say.
      limits: Of the number of series.
      run: The run's report.
      monitor: What monitoring found.
      counters: What outlives runs.

    Returns:
      One for the run, one for each zone that took part.
    """
    reports = {report.zone: report for report in monitor.reports}
    groups = [Group(words.deployment, "", tuple(_run(run, counters)))]
    for locale in run.locales:
        if locale.locale in words.locales and took_part(locale.run):
            name = locale.locale
            samples = (
                *_zone(name, locale.run, counters),
                *_locale(locale),
                *_monitor(reports.get(name), words, limits),
            )
            groups.append(Group(words.deployment, name, samples))
    if took_part(run.central.run):
        samples = (
            *_zone(CENTRAL, run.central.run, counters),
            *_central(run.central, words),
            *_monitor(reports.get(CENTRAL), words, limits),
        )
        groups.append(Group(words.deployment, CENTRAL, samples))
    return groups


def _run(run: RunReport, counters: CounterState) -> Iterator[Sample]:
    yield Sample("isthmus_build_info", (run.isthmus_version,), 1)
    yield from _if("isthmus_last_run_timestamp_seconds", (), seconds_of(run.run.finished_at))
    yield from _if("isthmus_last_success_timestamp_seconds", (), counters.last_success.get(""))
    yield from _if("isthmus_run_duration_seconds", (), run.run.seconds)
    yield from _if("isthmus_run_exit_status", (), run.run.exit_status)
    yield from counters.samples("")


def _zone(zone: str, run: PipelineRun, counters: CounterState) -> Iterator[Sample]:
    yield Sample("isthmus_zone_success", (), float(run.status == "succeeded"))
    yield from _if("isthmus_zone_duration_seconds", (), run.seconds)
    yield from _if("isthmus_zone_last_success_timestamp_seconds", (), counters.last_success.get(zone))
    yield from counters.samples(zone)


def _locale(report: LocaleReport) -> Iterator[Sample]:
    name = report.locale
    if report.ingest.content is not None:
        yield from _if("isthmus_ingest_rows", ("kept",), report.ingest.content.rows_kept)
        yield from _if("isthmus_ingest_rows", ("quarantined",), report.ingest.content.rows_quarantined)
    push = report.push.content
    yield Sample("isthmus_release_published", (name,), float(push is not None and push.pushed))
    if push is not None and push.pushed:
        yield from _if("isthmus_release_rows", (name,), push.rows)
    budget = report.budget.content
    if budget is not None:
        labels = (name, budget.unit)
        yield from _if("isthmus_privacy_epsilon_spent", labels, budget.spent)
        yield from _if("isthmus_privacy_epsilon_counted", labels, budget.counted)
        yield Sample("isthmus_privacy_epsilon_budget", labels, budget.epsilon)
        yield from _if("isthmus_privacy_reservations_refused_total", (name,), budget.refused)


def _central(report: CentralReport, words: Words) -> Iterator[Sample]:
    left = not_merged(report, words)
    if left is not None:
        for name in words.locales:
            yield Sample("isthmus_release_missing", (name,), float(name in left.missing))
        for name in dict.fromkeys((*words.locales, *left.refused)):
            yield Sample("isthmus_release_refused", (name,), left.refused[name])
    if report.blessing.content is not None:
        yield Sample("isthmus_detector_blessed", (), float(report.blessing.content.verdict == "BLESSED"))
    if report.detection.content is None:
        return
    seen = set()
    for entry in report.detection.content.scenarios:
        for locale, score in ((ALL_LOCALES, entry.overall), *entry.by_locale.items()):
            labels = words.scored(entry.detector, entry.scenario, locale)
            if labels not in seen:  # the first of those that the deployment does not name stands for them
                seen.add(labels)
                yield from _score(labels, score)


def _score(labels: tuple[str, ...], score: Score) -> Iterator[Sample]:
    yield from _if("isthmus_detector_f1_ratio", labels, score.f1.value)
    yield from _if("isthmus_detector_true_positive_ratio", labels, score.tpr.value)
    yield from _if("isthmus_detector_false_positive_ratio", labels, score.fpr.value)


def _monitor(report: MonitorReport | None, words: Words, limits: MetricsSection) -> Iterator[Sample]:
    evaluated = report is not None and report.status == "EVALUATED"
    yield Sample("isthmus_monitor_evaluated", (), float(evaluated))
    if report is None:
        return
    yield Sample("isthmus_monitor_span", (), report.span)
    verdicts: Counter[str] = Counter(finding.verdict for finding in report.findings)
    for verdict in _VERDICTS:
        yield Sample("isthmus_monitor_findings", (verdict,), verdicts[verdict])
    alerts = Counter(
        (words.locale(x.locale), x.cause.name if x.cause is not None else "unknown", x.severity)
        for x in report.alerts
    )
    for labels, count in sorted(alerts.items()):
        yield Sample("isthmus_monitor_alerts", labels, count)
    yield from comparison_samples(report, words, limits)


def _if(metric: str, labels: tuple[str, ...], value: float | None) -> Iterator[Sample]:
    if value is not None:
        yield Sample(metric, labels, value)
