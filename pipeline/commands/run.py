"""Running a deployment from the command line: progress, report, outcome."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from components.errors import IsthmusError
from pipeline.commands.shared import load, simulation_warning

if TYPE_CHECKING:
    from pipeline.run_state import RunState


def run_and_report(config: Path, locales: list[str], stage: str, small: bool, as_json: bool) -> int:
    """Runs a deployment, writes its report, prints the outcome; returns the exit status."""
    from pipeline import tables

    deployment = load(config)
    if warning := simulation_warning(deployment, config):
        print(warning, file=sys.stderr)
    state, folder, page = run_once(deployment, config, locales, stage, small)
    if as_json:
        print((folder / "run.json").read_text())
    else:
        tables.print_outcome(folder, Console())
        print(f"report: {page}")
    return int(state.exit_status or 0)


def run_once(
    deployment: Any, config: Path, locales: list[str], stage: str, small: bool, centre: bool = False
) -> tuple[RunState, Path, Path]:
    """Runs a deployment and writes its report; returns the state, the run's folder and the page.

    `centre`: whether the centre runs though not all locales were asked for.
    """
    from pipeline import local_runner
    from pipeline.monitoring.after_run import after_run
    from pipeline.progress_view import RunView

    begun: list[Path] = []
    try:
        with RunView(_pipelines(deployment, locales, stage, centre)) as view:
            state, folder = local_runner.run(
                deployment,
                config.resolve(),
                locales=locales,
                stage=stage,
                small=small,
                centre=centre,
                listener=view.listen,
                begun=begun.append,
            )
    except IsthmusError:
        for folder in begun:  # no locale was fit to start: this above all is to be told
            after_run(deployment, folder)
        raise
    page = write_report(folder)
    after_run(deployment, folder)
    return state, folder, page


def _pipelines(deployment: Any, locales: list[str], stage: str, centre: bool) -> list[str]:
    """Names of the pipelines of a run, each of which has a bar."""
    from pipeline import local_runner

    chosen = [locale.name for locale in deployment.locales if not locales or locale.name in locales]
    merged = centre or local_runner.has_centre(deployment, chosen, stage)
    return [*chosen, local_runner.CENTRAL] if merged else chosen


def write_report(folder: Path) -> Path:
    """Writes `report.html` and `report.json` into a run's folder; returns the page's path."""
    from components.executor_base import read_json
    from pipeline.report.collect import collect, collect_own
    from pipeline.report.render import render

    page = folder / "report.html"
    render(collect(folder), page)
    # Each restricted locale's own report, with curves of its real rows, stays below its root.
    for name, section in read_json(folder / "run.json")["locales"].items():
        root = folder.parent.parent / name
        if section["sharing"] == "restricted" and section["components"] and root.is_dir():
            render(collect_own(folder, name), root / "reports" / f"{folder.name}.html")
    return page
