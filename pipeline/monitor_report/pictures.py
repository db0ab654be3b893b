"""Draws each finding's pictures once, however many pages show them."""

from __future__ import annotations

from dataclasses import dataclass, field

from markupsafe import Markup

from components.drift.findings import Finding
from pipeline.monitor_report import plots


@dataclass
class Pictures:
    """Pictures by finding; their identifiers are unique in every page of one run.

    Attributes:
      drawn: By position of the finding in memory: the finding, which keeps that position taken, and its SVG.
    """

    drawn: dict[int, tuple[Finding, list[Markup]]] = field(default_factory=dict)

    def of(self, finding: Finding) -> list[Markup]:
        """Histogram, distribution function and time line, where the finding has what they show."""
        if id(finding) not in self.drawn:
            self.drawn[id(finding)] = (finding, self._draw(finding, f"p{len(self.drawn) + 1}"))
        return self.drawn[id(finding)][1]

    def _draw(self, finding: Finding, name: str) -> list[Markup]:
        found = []
        shown = finding.distribution
        if shown is not None and len(shown.share) == len(shown.share_baseline) > 0:
            if shown.labels or len(shown.edges) == len(shown.share) + 1:
                found.append(plots.histogram_svg(finding, f"{name}h"))
            if not shown.labels and len(shown.edges) == len(shown.share) + 1:
                found.append(plots.ecdf_svg(finding, f"{name}e"))
        if finding.time_line is not None and finding.time_line.begin:
            found.append(plots.time_line_svg(finding, f"{name}t"))
        return [Markup(text) for text in found]
