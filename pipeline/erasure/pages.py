"""Pages of a run that lie outside a locale and hold bins of its rows: an open locale's, or its release's.

Of a restricted locale's own report no bin leaves it; what the centre compared of its release has some.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from pipeline.report.reading import as_list, as_mapping

TWIN, PAGE, FOLDER = "monitor.json", "monitor.html", "monitor"


def pages_with_bins(root: Path, locale: str, runs: Collection[str], spans: Collection[int]) -> list[Path]:
    """Monitoring pages and their JSON twins, in the runs' folders, with bins that a subject's rows went into.

    Args:
      root: Of the deployment.
      locale: The subject's.
      runs: Ids of runs that read the rows, or were measured against them.
      spans: Numbers of the spans that have the rows: a later run may show them again.

    Returns:
      Files, by run. Where a run of `runs` has pages and no twin that can be read, all of its pages: what they
      show cannot be told.
    """
    found: list[Path] = []
    for folder in sorted(path for path in (root / "runs").glob("*") if path.is_dir()):
        zones = _zones(folder, locale, None if folder.name in runs else spans)
        if zones is None and folder.name in runs:
            zones = {path.stem for path in (folder / FOLDER).glob("*.html")}
        if zones:
            named = [
                folder / TWIN,
                folder / PAGE,
                *(folder / FOLDER / f"{zone}.html" for zone in sorted(zones)),
            ]
            found += [path for path in named if path.exists()]
    return found


def _zones(folder: Path, locale: str, spans: Collection[int] | None) -> set[str] | None:
    """Zones whose part of the twin has bins of the locale, in any span or in some; None without a twin."""
    try:
        reports = as_list(as_mapping(json.loads((folder / TWIN).read_text()))["reports"])
    except (OSError, ValueError, KeyError):
        return None
    return {
        str(report.get("zone"))
        for report in map(as_mapping, reports)
        for finding in _with_bins(report)
        if locale in (finding.get("locale"), finding.get("against"))
        and (spans is None or finding.get("span") in spans)
    }


def _with_bins(report: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for finding in map(as_mapping, as_list(report.get("findings"))):
        if finding.get("distribution") or finding.get("time_line"):
            yield finding
