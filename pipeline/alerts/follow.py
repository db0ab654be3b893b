"""What `isthmus run` does when a run is over: dispatch, and one line about it."""

from __future__ import annotations

import sys
from pathlib import Path

from components.drift.findings import MonitorRun
from pipeline.alerts.dispatch import dispatch
from pipeline.config.model import Deployment

#: The run's page of monitoring, where `alerts.report_link` names no published one.
PAGE = "monitor.html"


def follow(deployment: Deployment, run_folder: Path, run: MonitorRun) -> None:
    """Tells who has to know, and prints what became of it on stderr; nothing where there was nothing to tell.

    Args:
      deployment: Without a channel nothing happens.
      run_folder: `<root>/runs/<run_id>`.
      run: What monitoring found.
    """
    page = run_folder / PAGE
    link = str(page) if page.exists() and not deployment.alerts.report_link else ""
    words = dispatch(deployment, run, report_link=link).words
    if words:
        print(words, file=sys.stderr)
