"""The command line. Exit status: 0 done, 1 a verdict was negative, 2 bad input, 3 our fault.

Heavy packages are imported inside the commands that need them: `validate` answers in a second.
"""

from __future__ import annotations

import os
import sys
import traceback
from enum import Enum
from pathlib import Path
from typing import Annotated, Optional

import typer
from rich.console import Console

from components.errors import ConfigError, IsthmusError
from components.version import __version__
from pipeline.commands import alert, budget, keys, kubeflow_runs, monitor, people, releases, retention, serve
from pipeline.commands.canary import canary
from pipeline.commands.compile import compile_command
from pipeline.commands.egress import egress
from pipeline.commands.erasure import erase
from pipeline.commands.metrics import metrics
from pipeline.commands.predict import predict
from pipeline.commands.profile import profile
from pipeline.commands.run import run_and_report, write_report
from pipeline.commands.shared import (
    ConfigArgument,
    JsonOption,
    load,
    print_error,
    print_json,
    print_usage_error,
    simulation_warning,
)
from pipeline.commands.tune import tune

app = typer.Typer(
    name="isthmus",
    help="Regional GANs trained in place; nothing but a gated, signed synthetic release crosses a border.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(keys.app, name="keys")
app.add_typer(alert.app, name="alert")
releases.register(app)
budget.register(app)
people.register(app)
retention.register(app)
monitor.register(app)
kubeflow_runs.register(app)
serve.register(app)
app.command()(erase)
app.command()(egress)
app.command()(canary)
app.command()(predict)
app.command()(profile)
app.command()(tune)
app.command()(metrics)
app.command("compile")(compile_command)

RunOption = Annotated[
    Optional[str], typer.Option("--run", help="Run id; the latest run where none is given.")
]

#: What shells and click mean by it: 128 + SIGINT.
_INTERRUPTED = 130


class Stage(str, Enum):
    """Up to where a run goes; what comes before is run, or reused, too."""

    onboard = "onboard"
    train = "train"
    generate = "generate"
    merge = "merge"


class FleetSize(str, Enum):
    """Sizes of the simulated fleet."""

    small = "small"
    demo = "demo"
    large = "large"


def main() -> None:
    """Entry point: turns our errors into one line and an exit status."""
    exit_status = _run_app()
    sys.stdout.flush()
    sys.stderr.flush()
    # Native libraries (Arrow's reader threads among them) now and then abort in their destructors when
    # the interpreter is torn down, which would turn a clean refusal into a crash. All files are closed.
    os._exit(exit_status)


def _run_app() -> int:
    arguments = sys.argv[1:]
    try:
        # Outside standalone mode `typer.Exit` is not raised but returned, and Ctrl-C comes back as 130.
        exit_status = int(app(standalone_mode=False) or 0)
    except IsthmusError as error:
        return print_error(str(error), error.exit_status, arguments)
    except typer.Abort:
        exit_status = _INTERRUPTED
    except Exception as error:
        # click's usage errors know how to show themselves, and that they are bad input.
        if hasattr(error, "show") and hasattr(error, "exit_code"):
            return print_usage_error(error, arguments)
        traceback.print_exc()
        message = f"{type(error).__name__}: {error} (our fault; the traceback is above)"
        return print_error(message, 3, arguments)
    if exit_status == _INTERRUPTED:
        message = "interrupted; the next run goes on where this one stopped"
        return print_error(message, exit_status, arguments)
    return exit_status


def _version(value: bool) -> None:
    if value:
        print(f"isthmus {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Folder to make.", show_default=False)],
    as_json: JsonOption = False,
) -> None:
    """Write a commented deployment with simulated data that runs as it stands."""
    from pipeline import starter

    config = starter.write(folder)
    if as_json:
        print_json({"config": str(config)})
    else:
        print(f"wrote {config}\nnext:  isthmus run {config}")
        print(
            "A simulation, whose centre reads all raw rows; what to change for real data stands on its top."
        )


@app.command()
def doctor(as_json: JsonOption = False) -> None:
    """Say what is wrong with this machine, and the remedy."""
    import dataclasses

    from pipeline import doctor as examination

    checks = examination.examine()
    if as_json:
        print_json([dataclasses.asdict(check) for check in checks])
    else:
        from rich.table import Table

        table = Table("", "what", "found", "remedy")
        for check in checks:
            mark = "[green]ok[/]" if check.ok else "[red]no[/]"
            table.add_row(mark, check.name, check.found, "" if check.ok else check.remedy)
        Console().print(table)
    if not all(check.ok for check in checks):
        raise typer.Exit(2)


@app.command()
def validate(
    configs: Annotated[list[Path], typer.Argument(help="Deployment files.", show_default=False)],
    as_json: JsonOption = False,
) -> None:
    """Check deployment files: types, names, units, combinations. Reads no data."""
    valid = []
    for config in configs:
        deployment = load(config)
        found = {
            "config": str(config),
            "locales": len(deployment.locales),
            "restricted": sum(locale.sharing == "restricted" for locale in deployment.locales),
            "quorum": deployment.central.quorum,
            "config_digest": deployment.file_digest,
            "warning": simulation_warning(deployment, config),
        }
        valid.append(found)
        if found["warning"]:
            print(found["warning"], file=sys.stderr)
        if not as_json:
            print(
                f"{config}: valid; {found['locales']} locales ({found['restricted']} restricted), "
                f"quorum {found['quorum']}, config digest {deployment.file_digest[:12]}"
            )
    if as_json:
        print_json({"status": "valid", "deployments": valid})


@app.command()
def simulate(
    out: Annotated[Path, typer.Argument(help="Folder to fill.", show_default=False)],
    size: Annotated[FleetSize, typer.Option(help="How large a fleet.")] = FleetSize.demo,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same bytes.")] = 7,
    spans: Annotated[int, typer.Option(min=1, help="Consecutive spans per locale.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Simulate a fleet: thermal, battery and pump telemetry of three regions with labelled anomalies."""
    from components.simulator.core.fleet import simulate_fleet
    from components.simulator.presets import default_fleet

    if (out / "fleet.json").exists():
        raise ConfigError(f"{out}: holds a fleet already; choose another folder, or remove it")
    fleet = default_fleet(size.value, seed)
    try:
        simulate_fleet(fleet, out, spans=spans)
    except OSError as error:
        raise ConfigError(f"{out}: cannot be written ({error.strerror})") from None
    if as_json:
        sharing = {locale.name: locale.sharing for locale in fleet.locales}
        print_json({"folder": str(out), "locales": sharing, "test": str(out / "test"), "seed": seed})
        return
    for locale in fleet.locales:
        print(f"{out / locale.name}: {locale.sharing}")
    print(f"{out / 'test'}: labelled test period")


@app.command()
def run(
    config: ConfigArgument,
    locale: Annotated[Optional[list[str]], typer.Option(help="Only this locale; repeatable.")] = None,
    stage: Annotated[Stage, typer.Option(help="Go up to this stage.")] = Stage.merge,
    small: Annotated[bool, typer.Option("--small", help="The synthesizer's small preset.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Run the regions and the centre; finished work is reused."""
    exit_status = run_and_report(config, locale or [], stage.value, small, as_json)
    raise typer.Exit(exit_status)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for data, runs and the report.")] = Path("demo"),
    seed: Annotated[int, typer.Option(min=0, help="Seed of the fleet and of everything after it.")] = 7,
    as_json: JsonOption = False,
) -> None:
    """Simulate three regions, run everything, and write a report."""
    from pipeline import starter

    config = out / "isthmus.yaml"
    if not config.exists():
        starter.write(out, seed=seed)
    raise typer.Exit(run_and_report(config, [], "merge", False, as_json))


@app.command()
def status(config: ConfigArgument, run_id: RunOption = None, as_json: JsonOption = False) -> None:
    """Show what became of each locale and of the centre."""
    from pipeline import inspect, tables

    found = inspect.status(load(config), run_id)
    print_json(found) if as_json else Console().print(tables.status_table(found))


@app.command()
def lineage(config: ConfigArgument, run_id: RunOption = None, as_json: JsonOption = False) -> None:
    """Show which data fed which release, and which releases fed the detector."""
    from pipeline import inspect, tables

    found = inspect.lineage(load(config), run_id)
    print_json(found) if as_json else Console().print(tables.lineage_tree(found))


@app.command()
def report(config: ConfigArgument, run_id: RunOption = None, as_json: JsonOption = False) -> None:
    """Write the HTML report of a run again, and name it."""
    from pipeline import inspect

    folder = inspect.run_folder(load(config), run_id)
    page = write_report(folder)
    if as_json:
        print(page.with_suffix(".json").read_text())
    else:
        print(page)
