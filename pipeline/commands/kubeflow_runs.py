"""`isthmus submit`, `runs`, `watch`: compiled pipelines on a Kubeflow Pipelines API."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Optional

import typer

from pipeline.commands.kubeflow_options import (
    AuthoritiesOption,
    EndpointOption,
    InsecureOption,
    NamespaceOption,
    PollOption,
    TimeoutOption,
    TokenFileOption,
    TokenVariableOption,
    api_of,
    plain,
)
from pipeline.commands.kubeflow_submit import submit
from pipeline.commands.shared import JsonOption, print_json


class RunState(str, Enum):
    """States of a run in the API."""

    pending = "PENDING"
    running = "RUNNING"
    succeeded = "SUCCEEDED"
    skipped = "SKIPPED"
    failed = "FAILED"
    canceling = "CANCELING"
    canceled = "CANCELED"
    paused = "PAUSED"


def register(app: typer.Typer) -> None:
    """Adds the commands to the command line."""
    app.command()(submit)
    app.command("runs")(list_runs)
    app.command()(watch)


def list_runs(
    endpoint: EndpointOption = None,
    namespace: NamespaceOption = "",
    experiment: Annotated[Optional[str], plain(help="Only runs of this experiment.")] = None,
    state: Annotated[
        Optional[RunState], typer.Option(help="Only runs in this state.", case_sensitive=False)
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 20,
    token_file: TokenFileOption = None,
    token_env: TokenVariableOption = None,
    ca_file: AuthoritiesOption = None,
    insecure: InsecureOption = False,
    as_json: JsonOption = False,
) -> None:
    """List runs on Kubeflow Pipelines, newest first."""
    import itertools

    from pipeline.commands import kubeflow_view as view
    from pipeline.kfp_api import experiments, runs

    api = api_of(endpoint, namespace, token_file, token_env, ca_file, insecure)
    experiment_id = experiments.existing(api, experiment).experiment_id if experiment else ""
    chosen = runs.find(api, experiment_id, state.value if state else "")
    found = list(itertools.islice(chosen, limit))
    if as_json:
        fields = ("run_id", "name", "state", "experiment_id", "created", "finished")
        print_json({"runs": [{name: getattr(run, name) for name in fields} for run in found]})
    else:
        view.print_runs(found)


def watch(
    run: Annotated[str, typer.Argument(help="Id of the run.", show_default=False)],
    endpoint: EndpointOption = None,
    timeout: TimeoutOption = None,
    poll: PollOption = 5.0,
    token_file: TokenFileOption = None,
    token_env: TokenVariableOption = None,
    ca_file: AuthoritiesOption = None,
    insecure: InsecureOption = False,
    as_json: JsonOption = False,
) -> None:
    """Follow a run, region by region, until it ends: exit status 0 succeeded, 3 failed or canceled.

    Ctrl-C ends the watching, not the run. The API does not tell verdicts, so 1 is never returned: a gate that
    refused a release stands in the report.
    """
    from pipeline.commands import kubeflow_view as view

    api = api_of(endpoint, "", token_file, token_env, ca_file, insecure)
    result = view.watch_run(api, run, timeout, poll, as_json)
    if as_json:
        print_json(result)
    raise typer.Exit(result["exit"])
