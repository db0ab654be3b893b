"""What `isthmus run` calls when a run is over."""

from __future__ import annotations

from pathlib import Path

from components.drift.findings import MonitorRun
from pipeline.config.model import Deployment
from pipeline.metrics.write import write
from pipeline.report.collect import collect


def follow(deployment: Deployment, run_folder: Path, monitor: MonitorRun) -> None:
    """Counts a run and sends its metrics.

    Args:
      deployment: The deployment.
      run_folder: `<root>/runs/<run_id>`.
      monitor: What its monitoring found.

    Raises:
      DataError: `run.json` is missing or is no JSON object.
    """
    write(deployment, collect(run_folder), monitor)
