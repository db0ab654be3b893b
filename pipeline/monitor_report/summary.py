"""The run's monitoring as Markdown, for the Kubeflow Pipelines UI and for merge requests."""

from __future__ import annotations

import re

from components.drift.findings import MonitorRun
from pipeline.monitor_report import views, words
from pipeline.monitor_report.spans import History
from pipeline.report.words import moment

_MOST_ALERTS = 25


def summary_markdown(run: MonitorRun, history: History) -> str:
    """Headline, the alerts with the worst first, and the zones; about a screen."""
    lines = [f"# Monitoring of {_cell(run.deployment)}", "", _cell(words.headline(run)), ""]
    lines += [f"- {_cell(text)}" for text in words.remarks(run)]
    items = [item for item in views.items_of(run, history) if item.finding.verdict == "ALERT"]
    if items:
        lines += [
            "",
            "## Alerts, the worst first",
            "",
            "| Severity | Locale | Feature | Cause | Since | Value against limit | Compared |",
            "| --- | --- | --- | --- | --- | --- | --- |",
        ]
    for item in items[:_MOST_ALERTS]:
        cells = (
            item.finding.severity,
            item.finding.locale,
            words.feature_name(item.finding),
            words.cause_name(item.finding),
            words.since(item.finding, item.streak),
            words.decided_by(item.finding),
            words.compared(item.finding),
        )
        lines.append("| " + " | ".join(map(_cell, cells)) + " |")
    if len(items) > _MOST_ALERTS:
        lines += ["", f"{len(items) - _MOST_ALERTS} more alerts are in `monitor.json`."]
    lines += [
        "",
        "## Zones",
        "",
        "| Zone | Sharing | Span | Alerts | Quiet | Undefined | Compared |",
        "| --- | --- | ---: | ---: | ---: | ---: | --- |",
    ]
    for row in views.zone_rows(run):
        report = row["report"]
        told = row["kinds"] if report.status == "EVALUATED" else f"not evaluated: {report.reason}"
        numbers = (report.span, row["alerts"], row["quiet"], row["undefined"])
        cells = (report.zone, report.sharing, *map(str, numbers), told)
        lines.append("| " + " | ".join(map(_cell, cells)) + " |")
    lines += [
        "",
        f"Run {_cell(run.run_id)}, {moment(run.finished)}, Isthmus {_cell(run.isthmus_version)}.",
        "",
    ]
    return "\n".join(lines)


def _cell(text: str) -> str:
    """One line that Markdown shows as it is: no table break, no markup, no HTML."""
    escaped = re.sub(r"([\\`*_|<>\[\]#])", r"\\\1", " ".join(text.split()))
    return escaped.replace("&", "&amp;")
