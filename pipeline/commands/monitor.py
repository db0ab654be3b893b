"""`isthmus monitor`: the monitoring pages of a run again, and whether anything alerts."""

from __future__ import annotations

from typing import Annotated, Any, Optional

import typer

from pipeline.commands.shared import ConfigArgument, JsonOption, load, print_json


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(monitor)


def monitor(
    config: ConfigArgument,
    run_id: Annotated[
        Optional[str], typer.Option("--run", help="Run id; the latest run where none is given.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write the monitoring pages of a run again; exit status 1 with an alert, 0 without."""
    from pipeline import inspect
    from pipeline.monitor_report import words
    from pipeline.monitor_report.follow import report_run
    from pipeline.monitoring.collect import collect

    deployment = load(config)
    folder = inspect.run_folder(deployment, run_id)
    run = collect(folder)
    page = report_run(deployment, folder, run)
    alerts = sum(len(report.alerts) for report in run.reports)
    if as_json:
        answer: dict[str, Any] = {
            "run_id": run.run_id,
            "alerts": alerts,
            "headline": words.headline(run),
            "remarks": words.remarks(run),
            "page": str(page),
        }
        print_json(answer)
    else:
        print("\n".join([words.headline(run), *words.remarks(run), f"report: {page}"]))
    raise typer.Exit(1 if alerts else 0)
