"""The same comparison from span to span: cells of the heat map, and how long an alert has stood."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from components.drift.findings import Finding, MonitorRun, Verdict
from pipeline.monitor_report.words import cause_name, decisive, ratio

#: Columns of the heat map; older spans are in their own runs' `monitor.json`.
MOST_SPANS = 30


@dataclass(frozen=True)
class Cell:
    """One comparison in one span.

    Attributes:
      verdict: Empty where it was not made in that span.
      ratio: Value by limit of the measurement that says most; None where there is none.
      note: The cause of an alert; else empty.
    """

    verdict: Verdict | str = ""
    ratio: float | None = None
    note: str = ""

    @property
    def text(self) -> str:
        """What stands in the cell: the ratio in at most three characters, or a sign."""
        if self.verdict in ("", "UNDEFINED"):
            return "?" if self.verdict else ""
        if self.ratio is None:
            return "!" if self.verdict == "ALERT" else "ok"
        return "99+" if self.ratio >= 99.5 else f"{self.ratio:.{1 if self.ratio < 9.95 else 0}f}"

    @property
    def level(self) -> int:
        """Percentage of full colour: half at the limit, a fifth at two thirds of it."""
        if self.verdict == "ALERT" and self.ratio is None:
            return 100
        return 0 if self.ratio is None else round(min(100.0, 50 * self.ratio**2))


@dataclass(frozen=True)
class History:
    """All comparisons of a run and of those before it, span by span.

    Attributes:
      spans: Their numbers, ascending: the last `MOST_SPANS`, and those of the run's own findings.
      cells: By zone and the finding's key, the cell of each span. Shape of each [spans].
    """

    spans: tuple[int, ...]
    cells: dict[tuple[str, str], tuple[Cell, ...]]

    def row(self, zone: str, finding: Finding) -> tuple[Cell, ...]:
        """The cells of one comparison."""
        return self.cells[(zone, finding.key)]

    def streak(self, zone: str, finding: Finding) -> int:
        """For how many spans up to the finding's own it has alerted without a break; a gap breaks it."""
        upto = self.cells[(zone, finding.key)][: self.spans.index(finding.span) + 1]
        length = 0
        for cell in reversed(upto):
            if cell.verdict != "ALERT":
                break
            length += 1
        return length


def history_of(run: MonitorRun, earlier: Sequence[MonitorRun] = ()) -> History:
    """Lines up the comparisons of a run with those of earlier ones.

    Args:
      run: The run that is reported.
      earlier: Runs before it, the oldest first. Of two runs over one span the later counts.
    """
    found: dict[tuple[str, str], dict[int, Cell]] = {}
    for one in (*earlier, run):
        for report in one.reports:
            for finding in report.findings:
                measured = decisive(finding)
                alert = finding.verdict == "ALERT"
                cell = Cell(
                    finding.verdict,
                    ratio(measured) if measured is not None and finding.verdict != "UNDEFINED" else None,
                    cause_name(finding) if alert else "",
                )
                found.setdefault((report.zone, finding.key), {})[finding.span] = cell
    own = {finding.span for report in run.reports for finding in report.findings}
    newest, oldest = max(own, default=0), min((min(by_span) for by_span in found.values()), default=0)
    # A span without a run is a column of its own, which stays empty.
    known = range(max(oldest, newest - MOST_SPANS + 1), newest + 1) if own else ()
    spans = tuple(sorted(own | set(known)))
    cells = {key: tuple(by_span.get(span, Cell()) for span in spans) for key, by_span in found.items()}
    return History(spans, cells)
