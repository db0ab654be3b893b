"""`isthmus submit`: starts compiled pipelines on a Kubeflow Pipelines API, now or by a schedule."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from components.errors import ConfigError, IsthmusError
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
from pipeline.commands.kubeflow_view import InterruptedCommandError
from pipeline.commands.shared import JsonOption, print_json

if TYPE_CHECKING:
    from pipeline.kfp_api.client import Api
    from pipeline.kfp_api.experiments import Experiment
    from pipeline.kfp_api.runs import Order
    from pipeline.kfp_api.specs import Spec


def submit(
    specs: Annotated[
        list[Path], typer.Argument(metavar="SPEC…", help="Compiled pipelines.", show_default=False)
    ],
    endpoint: EndpointOption = None,
    namespace: NamespaceOption = "",
    experiment: Annotated[str, typer.Option(help="Experiment; made where there is none.")] = "isthmus",
    run_name: Annotated[
        Optional[str], typer.Option(help="Name of the run.", show_default="pipeline and time")
    ] = None,
    param: Annotated[Optional[list[str]], plain(help="Parameter key=value; repeatable.")] = None,
    span: Annotated[Optional[str], plain(help="Parameter span: a number, or latest.")] = None,
    seed: Annotated[Optional[int], plain(help="Parameter seed.")] = None,
    exchange: Annotated[Optional[str], plain(help="Parameter exchange: address.")] = None,
    image: Annotated[Optional[str], plain(help="Parameter image: container image.")] = None,
    pipeline_root: Annotated[str, typer.Option(help="Bucket and prefix of the artifacts.")] = "",
    service_account: Annotated[str, typer.Option(help="Kubernetes service account of the run.")] = "",
    keep: Annotated[
        str, typer.Option("--pipeline", help="Keep the spec as a version of this pipeline and run that.")
    ] = "",
    recurring: Annotated[
        Optional[str],
        plain(metavar="CRON", help="Run by this schedule instead of now."),
    ] = None,
    max_concurrency: Annotated[int, typer.Option(help="With --recurring: runs at a time, 1 to 10.")] = 1,
    disabled: Annotated[bool, typer.Option("--disabled", help="With --recurring: do not start.")] = False,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Run every task, whatever is cached.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Watch until the end; exit status as watch.")] = False,
    timeout: TimeoutOption = None,
    poll: PollOption = 5.0,
    token_file: TokenFileOption = None,
    token_env: TokenVariableOption = None,
    ca_file: AuthoritiesOption = None,
    insecure: InsecureOption = False,
    as_json: JsonOption = False,
) -> None:
    """Run compiled pipelines on Kubeflow Pipelines, now or by a schedule.

    All SPECs go to one address and namespace, one run each. A layout with a cluster or a namespace per region
    is a loop of calls, each with its own --endpoint, --namespace and token.
    """
    from pipeline.commands import kubeflow_view as view
    from pipeline.kfp_api import experiments, parameters, runs
    from pipeline.kfp_api import specs as compiled

    _check(recurring, max_concurrency, disabled, wait, keep, no_cache)
    given = _given(param or [], span=_span(span), seed=seed, exchange=exchange, image=image)
    root = runs.pipeline_root(pipeline_root)
    found = [compiled.read(path) for path in specs]
    values = [parameters.typed(spec, given) for spec in found]
    api = api_of(endpoint, namespace, token_file, token_env, ca_file, insecure)
    folder = experiments.ensure(api, experiment)
    names = [_name(spec, run_name, len(found) > 1, recurring is not None) for spec in found]
    orders = [
        runs.Order(spec, name, folder.experiment_id, typed, root, service_account, not no_cache)
        for spec, name, typed in zip(found, names, values)
    ]
    send = partial(_start, api)
    if recurring is not None:
        send = partial(_schedule, api, recurring, not disabled, max_concurrency)
    sent = _send_all(orders, api, keep, send)
    if not wait:
        _report(sent, folder, as_json)
        return
    _report(sent, folder, False, sys.stderr if as_json else sys.stdout)
    results = [view.watch_run(api, entry["run_id"], timeout, poll, as_json) for entry in sent]
    if as_json:
        print_json({"runs": results})
    raise typer.Exit(max(result["exit"] for result in results))


def _check(
    recurring: str | None, at_once: int, disabled: bool, wait: bool, keep: str, no_cache: bool
) -> None:
    from pipeline.kfp_api import cron, schedules

    if recurring is not None and wait:
        raise ConfigError("--recurring and --wait: both given; allowed: one of them, a schedule has no end")
    if recurring is None and (disabled or at_once != 1):
        raise ConfigError("--disabled and --max-concurrency: need --recurring CRON")
    if keep and no_cache:
        raise ConfigError("--pipeline and --no-cache: both given; allowed: one, a kept version runs as it is")
    if recurring is not None:
        cron.with_seconds(recurring)
        schedules.check_at_once(at_once)


def _given(pairs: list[str], **shortcuts: object) -> dict[str, str]:
    """The parameters of `--param` and of the options that stand for some of them."""
    from pipeline.kfp_api import parameters

    given = parameters.parse_pairs(pairs)
    for name, value in shortcuts.items():
        if value is not None and given.setdefault(name, str(value)) != str(value):
            raise ConfigError(f"--{name} and --param {name}: differ; allowed: one of them")
    return given


def _span(text: str | None) -> int | None:
    if text is None:
        return None
    if text == "latest":
        return -1
    if not (text.isascii() and text.isdigit()):
        raise ConfigError(f"--span {text}; allowed: a number from 0, or latest")
    return int(text)


def _name(spec: Spec, given: str | None, several: bool, scheduled: bool) -> str:
    if given:
        return f"{given} {spec.name}" if several else given
    # A schedule's name is its identity, so that the same one is not made twice.
    return spec.name if scheduled else f"{spec.name} {datetime.now(timezone.utc):%Y-%m-%d %H:%M:%S}"


def _send_all(orders: list[Order], api: Api, keep: str, send: Callable[[Order], Any]) -> list[dict[str, Any]]:
    """Sends one order after the other; an error names what was sent before it."""
    from pipeline.kfp_api import pipelines

    sent: list[dict[str, Any]] = []
    for order in orders:
        try:
            if keep:
                order = dataclasses.replace(order, version=pipelines.ensure_version(api, order.spec, keep))
            entry = {"spec": str(order.spec.path), "name": order.name, "parameters": dict(order.parameters)}
            sent.append({**entry, **send(order)})
        except KeyboardInterrupt:
            text = f"interrupted; {order.spec.path} may have been submitted: look with isthmus runs"
            raise InterruptedCommandError(text) from None
        except IsthmusError as error:
            if not sent:
                raise
            before = ", ".join(f"{entry['spec']} as {entry['run_id']}" for entry in sent)
            error.args = (f"{order.spec.path}: {error}; submitted before it: {before}",)
            raise
    return sent


def _start(api: Api, order: Order) -> dict[str, Any]:
    from pipeline.kfp_api import runs

    run = runs.start(api, order)
    return {"run_id": run.run_id, "state": run.state}


def _schedule(api: Api, cron: str, enabled: bool, at_once: int, order: Order) -> dict[str, Any]:
    from pipeline.kfp_api import schedules

    made = schedules.start(api, order, cron, enabled=enabled, at_once=at_once)
    return {"run_id": made.schedule_id, "cron": made.cron, "enabled": made.enabled}


def _report(sent: list[dict[str, Any]], folder: Experiment, as_json: bool, to: Any = None) -> None:
    if as_json:
        print_json({"experiment": dataclasses.asdict(folder), "runs": sent})
        return
    for entry in sent:
        if "cron" in entry:
            kind = (
                f"recurring run {entry['run_id']} ({entry['cron']}{'' if entry['enabled'] else ', disabled'})"
            )
        else:
            kind = f"run {entry['run_id']}"
        print(f"{entry['spec']}: {kind} '{entry['name']}' in experiment {folder.name}", file=to)
