"""`isthmus alert`: who is told of what monitoring found, and what became of the messages."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from components.errors import ConfigError, DataError, nearest_name
from pipeline.commands.shared import ConfigArgument, JsonOption, load, print_json

RunOption = Annotated[
    Optional[str], typer.Option("--run", help="Run id; the latest where none is given.", show_default=False)
]
app = typer.Typer(help="Messages about what monitoring found.", no_args_is_help=True)


@app.command("test")
def test_channels(
    config: ConfigArgument,
    channel: Annotated[
        Optional[list[str]], typer.Option(help="Only this channel; repeatable. All of them without.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Send a marked test message over the whole path, and say what happened."""
    from pipeline.alerts.trying import try_channels

    deployment = _with_channels(config)
    known = list(deployment.alerts.channels)
    for name in channel or []:
        if name not in known:
            raise ConfigError(
                f"--channel {name}: not configured{nearest_name(name, known)}; allowed: {', '.join(known)}"
            )
    found = try_channels(deployment, list(dict.fromkeys(channel or known)))
    if as_json:
        print_json([{"channel": x.channel, "sent": x.sent, "words": x.words} for x in found])
    else:
        for item in found:
            print(f"{item.channel}: {'sent' if item.sent else 'NOT sent'} ({item.words})")
    if failed := [item.channel for item in found if not item.sent]:
        print(f"isthmus: alert test: not taken by {', '.join(failed)}", file=sys.stderr)
        raise typer.Exit(2)


@app.command()
def send(
    config: ConfigArgument,
    run_id: Annotated[
        Optional[str], typer.Option("--run", help="Run id; the latest where none is given.")
    ] = None,
    monitor: Annotated[
        Optional[Path], typer.Option(help="A MonitorRun as JSON, in place of a run.", show_default=False)
    ] = None,
    report_link: Annotated[str, typer.Option(help="Address of the run's report.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Tell what a run's monitoring found; what was told already is not told again."""
    from pipeline.alerts.dispatch import dispatch

    deployment = _with_channels(config)
    found = dispatch(deployment, _run_of(deployment, run_id, monitor), report_link=report_link)
    if as_json:
        print_json(found.to_json())
    else:
        print(found.words or "alerts: nothing to tell")
    if found.problems:
        raise typer.Exit(2)


@app.command()
def flush(
    config: ConfigArgument,
    now: Annotated[bool, typer.Option("--now", help="Do not wait for pauses after failures.")] = False,
    failed: Annotated[bool, typer.Option("--failed", help="Also what was set aside.")] = False,
    wait_s: Annotated[float, typer.Option("--wait", min=0, max=3600, help="For what fails, in s.")] = 0.0,
    as_json: JsonOption = False,
) -> None:
    """Send what the outbox holds; for a timer, after quiet hours for instance."""
    from pipeline.alerts import outbox
    from pipeline.alerts.clock import SYSTEM
    from pipeline.alerts.dispatch import empty
    from pipeline.alerts.place import open_place

    deployment = _with_channels(config)
    place = open_place(deployment)
    with outbox.state_lock(place, SYSTEM):
        moment = SYSTEM.now().isoformat()
        if failed:
            outbox.bring_back(place, moment)
        if now or failed:
            state = outbox.load_state(place, deployment.name)
            outbox.save_state(place, outbox.make_due(place, state, moment))
    _print_sent(empty(place, deployment, wait_s), as_json)


@app.command()
def close(
    config: ConfigArgument,
    incident: Annotated[int, typer.Argument(min=1, help="Its number, as list and messages have it.")],
    as_json: JsonOption = False,
) -> None:
    """End an incident by hand, and tell those who were told of it."""
    from pipeline.alerts.dispatch import close_incident

    _print_sent(close_incident(_with_channels(config), incident), as_json)


@app.command("list")
def list_alerts(config: ConfigArgument, as_json: JsonOption = False) -> None:
    """Show what holds, what is on its way, and what was set aside."""
    from pipeline.alerts.overview import overview, table

    found = overview(_with_channels(config))
    if as_json:
        print_json(found)
        return
    from rich.console import Console

    for part in table(found):
        Console().print(part)


def _print_sent(done: Any, as_json: bool) -> None:
    if as_json:
        print_json(dataclasses.asdict(done))
    else:
        print(f"sent {done.sent}, waiting {done.waiting}, held back {done.held}, set aside {done.set_aside}")
        for line in done.problems:
            print(f"isthmus: {line}", file=sys.stderr)
    if done.problems:
        raise typer.Exit(2)


def _with_channels(config: Path) -> Any:
    deployment = load(config)
    if not deployment.alerts.channels:
        raise ConfigError(f"{config}: alerts: no channel is configured; allowed: slack, webhook, email")
    return deployment


def _run_of(deployment: Any, run_id: str | None, monitor: Path | None) -> Any:
    import pydantic

    from components.drift.findings import MonitorRun
    from pipeline import inspect

    if monitor is None:
        from pipeline.monitoring.collect import collect  # type: ignore[import-not-found,unused-ignore]

        return collect(inspect.run_folder(deployment, run_id))
    if run_id is not None:
        raise ConfigError("--run, --monitor: both given; allowed: one of them")
    try:
        return MonitorRun.model_validate_json(monitor.read_bytes())
    except OSError as error:
        raise DataError(f"{monitor}: cannot be read ({error.strerror})") from None
    except pydantic.ValidationError as error:
        place = ".".join(map(str, error.errors()[0]["loc"])) or "the file"
        raise DataError(
            f"{monitor}: no monitoring of a run ({place}); allowed: a MonitorRun of version 1"
        ) from None
