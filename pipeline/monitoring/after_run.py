"""What follows a run: `monitor.json` of the run, then whoever reports, counts or alerts.

A failure here is told in one line and changes nothing about the run, which is over.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from components.drift.findings import MonitorRun
from components.errors import IsthmusError
from components.executor_base import write_json
from pipeline.monitoring.collect import MONITOR_FILE, collect

#: Called with the deployment, the run's folder and what monitoring found.
Follower = Callable[[Any, Path, MonitorRun], None]


def _reports(deployment: Any, run_folder: Path, run: MonitorRun) -> None:
    from pipeline.monitor_report.follow import follow

    follow(deployment, run_folder, run)


def _metrics(deployment: Any, run_folder: Path, run: MonitorRun) -> None:
    from pipeline.metrics.follow import follow

    follow(deployment, run_folder, run)


def _alerts(deployment: Any, run_folder: Path, run: MonitorRun) -> None:
    from pipeline.alerts.follow import follow

    follow(deployment, run_folder, run)


#: Who hears of a finished run, in this order, by name. Each imports what it needs when it is called; alerts
#: come last, because they link to the page that the reports wrote.
FOLLOWERS: dict[str, Follower] = {"reports": _reports, "metrics": _metrics, "alerts": _alerts}


def after_run(deployment: Any, run_folder: Path) -> MonitorRun | None:
    """Collects what a run's monitoring found, writes it beside `run.json`, and tells the followers.

    Args:
      deployment: The deployment.
      run_folder: `<root>/runs/<run_id>`.

    Returns:
      What was collected; None where that failed.
    """
    found: list[MonitorRun] = []

    def gather() -> None:
        run = collect(run_folder)
        write_json(run_folder / MONITOR_FILE, run.model_dump(mode="json"))
        found.append(run)

    _guarded("monitoring", gather)
    for run in found:
        for name, follower in FOLLOWERS.items():
            _guarded(name, lambda run=run, follower=follower: follower(deployment, run_folder, run))  # type: ignore[misc]
    return found[0] if found else None


def _guarded(name: str, act: Callable[[], None]) -> None:
    try:
        act()
    except IsthmusError as error:
        print(f"warning: {name} after the run: {error}", file=sys.stderr)
    except Exception as error:  # the run is over; whatever breaks here must not take its outcome away
        why = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        print(
            f"warning: {name} after the run failed ({why}); the run itself is not affected", file=sys.stderr
        )
