"""Reports a run of a deployment: the run's pages, and each restricted locale's own below its root."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pydantic

from components.drift.findings import SCHEMA_VERSION, MonitorRun
from components.executor_base import read_json
from pipeline.monitor_report.spans import MOST_SPANS
from pipeline.report.reading import as_list, as_mapping, as_text

_TWIN = "monitor.json"


def follow(deployment: Any, run_folder: Path, run: MonitorRun) -> None:
    """`report_run` as a follower of a finished run, which nobody asks for a result."""
    report_run(deployment, run_folder, run)


def report_run(deployment: Any, run_folder: Path, run: MonitorRun) -> Path:
    """Writes all pages of a run and their twins.

    Args:
      deployment: The deployment; not needed, but handed to whoever follows a run.
      run_folder: `<root>/runs/<run_id>`.
      run: What `collect` found in it.

    Returns:
      Path of the run's page.
    """
    # Drawing takes matplotlib, which whoever only registers a follower need not wait for.
    from pipeline.monitor_report.render import write, write_own
    from pipeline.monitoring.collect import collect_own

    record = read_json(run_folder / "run.json")
    history = read_history(run_folder)
    page = write(run, run_folder, history=history, names=frozenset(map(str, as_list(record.get("words")))))
    for name, section in as_mapping(record.get("locales")).items():
        root = run_folder.parent.parent / name
        if as_mapping(section).get("sharing") == "open" or not root.is_dir():
            continue
        own = collect_own(run_folder, name)
        if own.reports:
            write_own(own, name, own_folder(root, run_folder.name), history=history)
    return page


def own_folder(root: Path, run_id: str) -> Path:
    """Where a locale's own pages of a run lie; erasure and retention know what begins with the run's id."""
    return root / "reports" / f"{run_id}.monitor"


def read_history(run_folder: Path, most: int = MOST_SPANS) -> list[MonitorRun]:
    """What the runs before this one found, the oldest first; at most `most`.

    A `monitor.json` of another version is left out, and standard error names it.
    """
    found: list[MonitorRun] = []
    earlier = (path for path in run_folder.parent.glob(f"*/{_TWIN}") if path.parent.name != run_folder.name)
    started = _started(run_folder)
    runs = sorted((_started(path.parent), path) for path in earlier)
    for _, path in [(when, path) for when, path in runs if when < started][-most:]:
        try:
            found.append(MonitorRun.model_validate_json(path.read_bytes()))
        except (pydantic.ValidationError, OSError):
            why = f"not monitoring of version {SCHEMA_VERSION}; its spans are left out of the heat map"
            print(f"warning: {path}: {why}", file=sys.stderr)
    return found


def _started(folder: Path) -> tuple[str, str]:
    """When a run began; runs without a record come first."""
    try:
        return as_text(as_mapping(read_json(folder / "run.json")).get("started_at")), folder.name
    except (OSError, ValueError):
        return "", folder.name
