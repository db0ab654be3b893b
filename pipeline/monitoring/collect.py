"""Gathers what the pipelines of a run found: the `MonitorRun` that reports, alerts and metrics are made from.

Of a restricted locale the run's own records have what may leave it (`outward.json`); the locale's own page,
below its root, has the whole.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pydantic

from components.drift.findings import SCHEMA_VERSION, MonitorReport, MonitorRun
from components.egress.monitoring import OUTWARD_FILE
from components.version import __version__
from pipeline.monitoring.intake import intake_report
from pipeline.report.reading import PipelineFiles, as_mapping, as_text, read_run
from pipeline.run_state import CENTRAL

#: Where a zone's report is: the first of these components that ran has all of it.
_REGION = ("GeneratorMonitor", "DriftMonitor")
_CENTRE = ("SkewMonitor",)
_CHANNEL = "monitor"
#: A zone's report in its artifact; and, in a run's folder, the `MonitorRun`.
MONITOR_FILE = "monitor.json"
_SUBJECT = "monitoring report"


def collect(run_folder: Path) -> MonitorRun:
    """What monitoring found in a run, as it may be shown outside the locales.

    Args:
      run_folder: `<root>/runs/<run_id>`.

    Returns:
      The reports that there are, locales first; that of a locale whose run failed before its monitor holds
      one alert, which says so. `missing` says of each other zone why it has none.

    Raises:
      DataError: `run.json` is missing or is no JSON object.
    """
    run = read_run(Path(run_folder))
    reports: list[MonitorReport] = []
    missing: dict[str, str] = {}
    for name, entry in as_mapping(run.get("locales")).items():
        _take(reports, missing, name, entry, _REGION, as_mapping(entry).get("sharing") != "open")
        _take_refusal(reports, missing, name, entry, Path(run_folder))
    _take(reports, missing, CENTRAL, run.get("central"), _CENTRE, False)
    return _made(run, Path(run_folder), reports, missing)


def collect_own(run_folder: Path, locale: str) -> MonitorRun:
    """What monitoring found in one locale, whole: bins and courses over time of its rows stay with it.

    Args:
      run_folder: `<root>/runs/<run_id>`.
      locale: The locale's name.

    Raises:
      DataError: `run.json` is missing or is no JSON object.
    """
    run = read_run(Path(run_folder))
    reports: list[MonitorReport] = []
    missing: dict[str, str] = {}
    entry = as_mapping(run.get("locales")).get(locale)
    _take(reports, missing, locale, entry, _REGION, False)
    _take_refusal(reports, missing, locale, entry, Path(run_folder))
    return _made(run, Path(run_folder), reports, missing)


def _made(
    run: dict[str, Any], run_folder: Path, reports: list[MonitorReport], missing: dict[str, str]
) -> MonitorRun:
    return MonitorRun(
        deployment=as_text(run.get("name"), "unnamed run"),
        run_id=as_text(run.get("run_id"), run_folder.name),
        finished=as_text(run.get("finished_at")),
        isthmus_version=as_text(as_mapping(run.get("versions")).get("isthmus"), __version__),
        reports=tuple(reports),
        missing=missing,
    )


def _take(
    reports: list[MonitorReport],
    missing: dict[str, str],
    zone: str,
    entry: Any,
    components: tuple[str, ...],
    outward: bool,
) -> None:
    """Reads a zone's report into `reports`, or says in `missing` why there is none."""
    files = PipelineFiles("the centre" if zone == CENTRAL else zone, entry)
    component = next((name for name in components if files.folder(name, _CHANNEL)), components[-1])
    folder = files.folder(component, _CHANNEL)
    if folder is None:
        missing[zone] = files.why_absent(component, _SUBJECT)
        return
    name = OUTWARD_FILE if outward else MONITOR_FILE
    try:
        reports.append(MonitorReport.model_validate_json((folder / name).read_bytes()))
    except FileNotFoundError:
        missing[zone] = f"{component} wrote no {name}, so there is no {_SUBJECT}."
    except pydantic.ValidationError:
        missing[zone] = f"{name} of {component} is not a {_SUBJECT} of version {SCHEMA_VERSION}."
    except OSError:
        missing[zone] = f"{name} of {component} cannot be read."


def _take_refusal(
    reports: list[MonitorReport], missing: dict[str, str], zone: str, entry: Any, run_folder: Path
) -> None:
    """Makes a report of a locale that failed before its monitor, in place of the reason for having none."""
    section = as_mapping(entry)
    refusal = as_mapping(section.get("refusal"))
    if zone not in missing or not refusal or section.get("status") != "failed":
        return

    def last_span() -> int:
        from pipeline.monitor_report.follow import read_history

        earlier = [report for run in read_history(run_folder) for report in run.reports]
        return max((report.span for report in earlier if report.zone == zone), default=0)

    found = intake_report(zone, as_text(section.get("sharing")), refusal, missing[zone], last_span)
    if found is not None:
        reports.append(found)
        del missing[zone]
