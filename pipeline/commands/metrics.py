"""`isthmus metrics`: what a run's metrics are, without sending them anywhere."""

from __future__ import annotations

import sys
from enum import Enum
from typing import Annotated, Any, Optional

import typer

from pipeline.commands.shared import ConfigArgument, JsonOption, load, print_json


class Form(str, Enum):
    """Forms of the text."""

    prometheus = "prometheus"
    openmetrics = "openmetrics"


def metrics(
    config: ConfigArgument,
    run_id: Annotated[
        Optional[str], typer.Option("--run", help="Run id; the latest run where none is given.")
    ] = None,
    form: Annotated[
        Form, typer.Option(help="Prometheus' text format 0.0.4, or OpenMetrics 1.0.")
    ] = Form.prometheus,
    as_json: JsonOption = False,
) -> None:
    """Print a run's metrics, as they are written for Prometheus; counts and sends nothing."""
    from pipeline.inspect import run_folder
    from pipeline.metrics.render import render
    from pipeline.metrics.write import groups_of
    from pipeline.monitoring.collect import collect as collect_monitoring
    from pipeline.report.collect import collect as collect_report

    deployment = load(config)
    folder = run_folder(deployment, run_id)
    groups = groups_of(deployment, collect_report(folder), collect_monitoring(folder))
    if as_json:
        print_json([_series(group, sample) for group in groups for sample in group.samples])
        return
    sys.stdout.write(render(groups, form.value).decode())


def _series(group: Any, sample: Any) -> dict[str, Any]:
    """One series: its metric, its labels, its value."""
    from pipeline.metrics.catalogue import BY_NAME

    spec = BY_NAME[sample.metric]
    zone = (group.zone,) if spec.per == "zone" else ()
    labels = dict(zip(spec.all_labels, (group.deployment, *zone, *sample.labels)))
    return {"metric": sample.metric, "labels": labels, "value": sample.value}
