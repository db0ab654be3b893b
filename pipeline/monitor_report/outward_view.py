"""The run's monitoring as it may lie outside the locales: distances, counts and names, no shape of data.

A restricted locale's bins, shares and time lines stay in its own page (`render.write_own`), below its root.
What the centre compared has crossed the border already, as a release or a filtered sketch.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable

from components.drift.findings import Cause, Finding, Measurement, MonitorReport, MonitorRun
from components.egress.words import outward, words_of
from components.errors import InternalError


def outward_view(run: MonitorRun, names: Collection[str] = ()) -> MonitorRun:
    """The same run without what is a restricted locale's own.

    Args:
      run: From `collect`.
      names: Words of the deployment file (`words` of `run.json`), which texts may hold; names of
        locales, features and splits are among them already.

    Returns:
      Every measurement as it was. In the reports of restricted locales distributions, time lines and the
      evidence of causes are left out, times are to the hour, and texts hold our own words and names; other
      words and numbers become `…`. Counts are as `collect` gives them: rounded by the locale's policy.
    """
    known = frozenset(names) | words_of(_names(run))
    return run.model_copy(
        update={
            "reports": tuple(_report(report, known) for report in run.reports),
            "missing": {zone: outward(why, known) for zone, why in run.missing.items()},
        }
    )


def own_part(run: MonitorRun, zone: str) -> MonitorRun:
    """One zone's report alone, whole.

    Raises:
      InternalError: the run has none of that zone.
    """
    found = tuple(report for report in run.reports if report.zone == zone)
    if not found:
        raise InternalError(f"monitoring report: zone '{zone}' is not among those of the run")
    return run.model_copy(update={"reports": found, "missing": {}})


def is_outward(run: MonitorRun) -> bool:
    """Whether no report of a restricted locale holds a distribution or a time line."""
    return not any(
        finding.distribution or finding.time_line
        for report in run.reports
        if _restricted(report)
        for finding in report.findings
    )


def _restricted(report: MonitorReport) -> bool:
    return report.sharing not in ("open", "central")


def _names(run: MonitorRun) -> Iterable[str]:
    for report in run.reports:
        yield report.zone
        for finding in report.findings:
            yield from (finding.locale, finding.against, finding.feature, finding.split)


def _report(report: MonitorReport, known: frozenset[str]) -> MonitorReport:
    if not _restricted(report):
        return report
    findings = tuple(_finding(finding, known) for finding in report.findings)
    return report.model_copy(update={"findings": findings, "reason": outward(report.reason, known)})


def _finding(finding: Finding, known: frozenset[str]) -> Finding:
    return finding.model_copy(
        update={
            "distribution": None,
            "time_line": None,
            "cause": _cause(finding.cause, known),
            "measurements": tuple(_measurement(item, known) for item in finding.measurements),
            "reason": outward(finding.reason, known),
        }
    )


def _cause(cause: Cause | None, known: frozenset[str]) -> Cause | None:
    if cause is None:
        return None
    update = {
        "words": outward(cause.words, known),
        "evidence": {},
        "begin": _to_hour(cause.begin),
        "end": _to_hour(cause.end),
    }
    return cause.model_copy(update=update)


def _to_hour(text: str) -> str:
    """A time of ISO 8601 to the hour; what is none says nothing."""
    try:
        found = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return ""
    return found.replace(minute=0, second=0, microsecond=0).isoformat(timespec="seconds")


def _measurement(item: Measurement, known: frozenset[str]) -> Measurement:
    return item.model_copy(update={"reason": outward(item.reason, known)}) if item.reason else item
