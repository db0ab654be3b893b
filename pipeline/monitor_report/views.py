"""What the templates iterate over: cards, rows and grids derived from a run, without markup."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from components.drift.findings import Finding, Measurement, MonitorReport, MonitorRun
from pipeline.monitor_report import words
from pipeline.monitor_report.spans import Cell, History

#: A page holds at most so many; the JSON twin holds all.
MOST_HEADLINES = 12
MOST_CARDS = 24
LEAST_CARDS = 6
MOST_HEAT_ROWS = 30
MOST_TABLE_ROWS = 150
MOST_ANOMALY_ROWS = 150
MOST_UNDEFINED_ROWS = 60


@dataclass(frozen=True)
class Item:
    """One finding with its zone and its anchor in the page."""

    zone: str
    finding: Finding
    anchor: str
    streak: int
    cells: tuple[Cell, ...]

    @property
    def decisive(self) -> Measurement | None:
        """The measurement that says most."""
        return words.decisive(self.finding)


def items_of(run: MonitorRun, history: History) -> list[Item]:
    """All findings, the worst first; anchors are numbered in that order."""
    pairs = [(report.zone, finding) for report in run.reports for finding in report.findings]
    pairs.sort(key=lambda pair: (words.urgency(pair[1]), pair[0]))
    return [
        Item(
            zone=zone,
            finding=finding,
            anchor=f"f{number}",
            streak=history.streak(zone, finding),
            cells=history.row(zone, finding),
        )
        for number, (zone, finding) in enumerate(pairs, start=1)
    ]


def cards_of(items: Sequence[Item]) -> list[Item]:
    """Those that get pictures and all their measures: the alerts, then the closest to their limits."""
    alerts = sum(item.finding.verdict == "ALERT" for item in items)
    defined = [item for item in items if item.finding.verdict != "UNDEFINED"]
    return defined[: min(MOST_CARDS, max(alerts, LEAST_CARDS))]


def heat_rows(items: Sequence[Item]) -> tuple[list[tuple[str, list[Item]]], int]:
    """Rows of the heat map by locale, and how many comparisons were left out.

    Those that were ever highest come first, so that an alert of an earlier span is not lost.
    """

    def highest(item: Item) -> tuple[bool, bool, float]:
        return (
            item.finding.verdict != "ALERT",
            not any(cell.verdict == "ALERT" for cell in item.cells),
            -max((cell.ratio or 0.0 for cell in item.cells), default=0.0),
        )

    kept = sorted(items, key=highest)[:MOST_HEAT_ROWS]
    by_locale: dict[str, list[Item]] = {}
    for item in kept:
        by_locale.setdefault(item.finding.locale, []).append(item)
    return list(by_locale.items()), len(items) - len(kept)


def zone_rows(run: MonitorRun) -> list[dict[str, Any]]:
    """Per zone how many comparisons alerted, were quiet or could not be made, and the worst of them."""
    rows = []
    for report in run.reports:
        verdicts = [finding.verdict for finding in report.findings]
        worst = min(report.findings, key=words.urgency, default=None)
        rows.append(
            {
                "report": report,
                "alerts": verdicts.count("ALERT"),
                "quiet": verdicts.count("OK"),
                "undefined": verdicts.count("UNDEFINED"),
                "worst": worst if worst is not None and worst.verdict == "ALERT" else None,
                "kinds": _kinds(report),
            }
        )
    return rows


def _kinds(report: MonitorReport) -> str:
    found = {finding.comparison: 0 for finding in report.findings}
    for finding in report.findings:
        found[finding.comparison] += 1
    return ", ".join(f"{words.COMPARISON_NAMES[kind].lower()} {n:,}" for kind, n in found.items())


def held_against(measurement: Measurement) -> str:
    """In words what decides: a number, the noise, or nothing."""
    return {"number": "threshold", "noise": "noise", "kept": "kept, judges nothing"}[measurement.rule]


def level(measurement: Measurement) -> float | None:
    """Length of the bar beside a value, in percent; the limit is at one half."""
    found = words.ratio(measurement)
    return None if found is None else round(min(100.0, 50 * found), 1)
