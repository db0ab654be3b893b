"""The command line. Exit status: 0 done, 1 a verdict was negative, 2 bad input, 3 our fault.

Heavy packages are imported inside the commands that need them: `validate` answers in a second.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from rich.console import Console

from components.errors import ConfigError, IsthmusError
from components.version import __version__

app = typer.Typer(
    name="isthmus",
    help="Regional GANs trained in place; nothing but a gated, signed synthetic release crosses a border.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
keys_app = typer.Typer(help="Signing keys of the locales.", no_args_is_help=True)
app.add_typer(keys_app, name="keys")

ConfigArgument = Annotated[Path, typer.Argument(help="Deployment file (YAML).", show_default=False)]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
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
    try:
        # Outside standalone mode `typer.Exit` is not raised but returned, and Ctrl-C comes back as 130.
        exit_status = int(app(standalone_mode=False) or 0)
    except IsthmusError as error:
        return _fail(str(error), error.exit_status)
    except typer.Abort:
        exit_status = _INTERRUPTED
    except Exception as error:
        # click's usage errors know how to show themselves, and that they are bad input.
        if hasattr(error, "show") and hasattr(error, "exit_code"):
            error.show()
            return 2
        traceback.print_exc()
        return _fail(f"{type(error).__name__}: {error} (our fault; the traceback is above)", 3)
    if exit_status == _INTERRUPTED:
        return _fail("interrupted; the next run goes on where this one stopped", exit_status)
    return exit_status


def _fail(message: str, exit_status: int) -> int:
    print(f"isthmus: {message}", file=sys.stderr)
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
def init(folder: Annotated[Path, typer.Argument(help="Folder to make.", show_default=False)]) -> None:
    """Write a commented deployment with simulated data that runs as it stands."""
    from pipeline import starter

    config = starter.write(folder)
    print(f"wrote {config}\nnext:  isthmus run {config}")


@app.command()
def doctor(as_json: JsonOption = False) -> None:
    """Say what is wrong with this machine, and the remedy."""
    import dataclasses

    from pipeline import doctor as examination

    checks = examination.examine()
    if as_json:
        _print_json([dataclasses.asdict(check) for check in checks])
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
) -> None:
    """Check deployment files: types, names, units, combinations. Reads no data."""
    for config in configs:
        deployment = _load(config)
        restricted = sum(locale.sharing == "restricted" for locale in deployment.locales)
        print(
            f"{config}: valid; {len(deployment.locales)} locales ({restricted} restricted), "
            f"quorum {deployment.central.quorum}, config digest {deployment.file_digest[:12]}"
        )


@app.command()
def simulate(
    out: Annotated[Path, typer.Argument(help="Folder to fill.", show_default=False)],
    size: Annotated[FleetSize, typer.Option(help="How large a fleet.")] = FleetSize.demo,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same bytes.")] = 7,
    spans: Annotated[int, typer.Option(min=1, help="Consecutive spans per locale.")] = 1,
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
) -> None:
    """Simulate three regions, run everything, and write a report."""
    from pipeline import starter

    config = out / "isthmus.yaml"
    if not config.exists():
        starter.write(out, seed=seed)
    raise typer.Exit(run_and_report(config, [], "merge", False, False))


@app.command()
def status(config: ConfigArgument, run_id: RunOption = None, as_json: JsonOption = False) -> None:
    """Show what became of each locale and of the centre."""
    from pipeline import inspect, tables

    found = inspect.status(_load(config), run_id)
    _print_json(found) if as_json else Console().print(tables.status_table(found))


@app.command()
def lineage(config: ConfigArgument, run_id: RunOption = None, as_json: JsonOption = False) -> None:
    """Show which data fed which release, and which releases fed the detector."""
    from pipeline import inspect, tables

    found = inspect.lineage(_load(config), run_id)
    _print_json(found) if as_json else Console().print(tables.lineage_tree(found))


@app.command()
def report(config: ConfigArgument, run_id: RunOption = None, as_json: JsonOption = False) -> None:
    """Write the HTML report of a run again, and name it."""
    from pipeline import inspect

    folder = inspect.run_folder(_load(config), run_id)
    page = write_report(folder)
    if as_json:
        print(page.with_suffix(".json").read_text())
    else:
        print(page)


@app.command()
def verify(
    release: Annotated[str, typer.Argument(help="Folder or URI of a release.", show_default=False)],
    key: Annotated[str, typer.Option(help="The locale's public key: a file, or the key itself.")],
    as_json: JsonOption = False,
) -> None:
    """Check a release offline: its files, digests and signature; say in words what was checked."""
    from components.release import keys
    from components.release.verify import verify_copy

    verified = verify_copy(release, [keys.load_public_key(key)])
    if as_json:
        _print_json({"release": release, "verified": True, "checked": list(verified.checks)})
    else:
        for sentence in verified.checks:
            print(f"- {sentence}")
        print("verified")


@keys_app.command("new")
def new_key(
    private: Annotated[Path, typer.Argument(help="File for the private key.", show_default=False)],
) -> None:
    """Make a locale's Ed25519 key pair: PRIVATE and PRIVATE.pub."""
    from components.release import keys

    if private.exists():
        raise ConfigError(f"{private}: exists already; choose another file, or remove it")
    key = keys.ensure_key_pair(private)
    print(f"private key: {private} (stays in the locale)")
    print(f"public key:  {keys.public_key_path(private)} (give it to the centre)")
    print(f"key id:      {key.public.key_id}")


def run_and_report(config: Path, locales: list[str], stage: str, small: bool, as_json: bool) -> int:
    """Runs a deployment, writes its report, prints the outcome; returns the exit status."""
    from pipeline import local_runner, tables
    from pipeline.progress_view import RunView

    deployment = _load(config)
    with RunView(_node_counts(deployment, locales, stage)) as view:
        state, folder = local_runner.run(
            deployment, config.resolve(), locales=locales, stage=stage, small=small, listener=view.listen
        )
    page = write_report(folder)
    if as_json:
        print((folder / "run.json").read_text())
    else:
        tables.print_outcome(folder, Console())
        print(f"report: {page}")
    return int(state.exit_status or 0)


def _node_counts(deployment: Any, locales: list[str], stage: str) -> dict[str, int]:
    """How many nodes each pipeline of a run has: the length of its bar."""
    from pipeline import local_runner

    restricted = {"onboard": 4, "train": 5}.get(stage, 9)
    opened = 4 if stage in ("onboard", "train") else 5
    chosen = [locale for locale in deployment.locales if not locales or locale.name in locales]
    counts = {locale.name: restricted if locale.sharing == "restricted" else opened for locale in chosen}
    if local_runner.has_centre(deployment, counts, stage):
        counts[local_runner.CENTRAL] = 8 if deployment.central.ideal else 7
    return counts


def write_report(folder: Path) -> Path:
    """Writes `report.html` and `report.json` into a run's folder; returns the page's path."""
    from pipeline.report.collect import collect
    from pipeline.report.render import render

    page = folder / "report.html"
    render(collect(folder), page)
    return page


def _load(config: Path) -> Any:
    from pipeline.config.load import load_deployment

    if config.is_dir():
        raise ConfigError(
            f"{config}: a folder; allowed: a deployment file, such as {config / 'isthmus.yaml'}"
        )
    return load_deployment(config)


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=1, sort_keys=True))
