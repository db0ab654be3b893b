"""What `isthmus runs` and `watch` show: a live table on a terminal, one line per change elsewhere."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console
from rich.markup import escape

from components.errors import IsthmusError

if TYPE_CHECKING:
    from rich.table import Table

    from pipeline.kfp_api.client import Api
    from pipeline.kfp_api.runs import Run
    from pipeline.kfp_api.tasks import Task
    from pipeline.kfp_api.watching import Sight

_COLOURS = {"SUCCEEDED": "green", "FAILED": "red", "CANCELED": "red", "RUNNING": "cyan", "SKIPPED": "dim"}
#: What `watch` ends with; everything that is not a success is the run's failure.
_SUCCEEDED, _FAILED = 0, 3


class InterruptedCommandError(IsthmusError):
    """Ctrl-C; what was started on the cluster does not notice."""

    exit_status = 130


def print_runs(runs: Iterable[Run]) -> None:
    """Runs as a table; as lines of fields with tabs between them where stdout is no terminal."""
    from rich.table import Table

    from pipeline.kfp_api.failures import one_line

    console = Console()
    rows = [
        [one_line(text) for text in (run.run_id, run.name, run.state, run.created, run.finished)]
        for run in runs
    ]
    if not console.is_terminal:
        for row in rows:
            print("\t".join(row))
        return
    table = Table("run", "name", "state", "created", "finished")
    for run_id, name, state, created, finished in rows:
        table.add_row(escape(run_id), escape(name), _painted(state), escape(created), escape(finished))
    console.print(table)


def watch_run(api: Api, run_id: str, timeout: float | None, poll: float, as_json: bool) -> dict[str, Any]:
    """Shows a run until it ends; gives its end as JSON, with the exit status in it.

    Args:
      api: The API.
      run_id: The run.
      timeout: Seconds to watch at most; None for no limit.
      poll: Seconds between two looks.
      as_json: Lines of changes go to stderr, stdout is the caller's.

    Raises:
      ApiError: no such run, no answer for long, or the time is over.
      InterruptedCommandError: Ctrl-C.
    """
    from pipeline.kfp_api import watching

    try:
        return follow(watching.watch(api, run_id, watching.Pace(poll=poll, timeout=timeout)), as_json)
    except KeyboardInterrupt:
        text = f"interrupted; run {run_id} goes on: isthmus watch {run_id} looks again"
        raise InterruptedCommandError(text) from None


def follow(looks: Iterator[Sight], as_json: bool) -> dict[str, Any]:
    """As `watch_run`, of looks that are at hand."""
    console = Console()
    if console.is_terminal and not as_json:
        last = _live(looks, console)
    else:
        last = _lines(looks, sys.stderr if as_json else sys.stdout)
    result = _result(last)
    if not as_json:
        print(_end(result))
    return result


def change_line(task: Task, now: datetime) -> str:
    """One line about a task whose state changed: time, region, task, state, attempt, error."""
    from pipeline.kfp_api.failures import one_line

    line = f"{now:%Y-%m-%dT%H:%M:%SZ} {task.region} {task.name} {task.state}"
    if task.attempts > 1:
        line += f" attempt {task.attempts}"
    return one_line(f"{line}: {task.error}" if task.error else line, 500)


def _lines(looks: Iterator[Sight], to: TextIO) -> Sight:
    last = None
    for sight in looks:
        now = datetime.now(timezone.utc)
        if sight.trouble:
            print(f"{now:%Y-%m-%dT%H:%M:%SZ} - api {sight.trouble}; trying again", file=to, flush=True)
            continue
        for task in sight.changes:
            print(change_line(task, now), file=to, flush=True)
        last = sight
    return _ended(last)


def _live(looks: Iterator[Sight], console: Console) -> Sight:
    from rich.live import Live

    last = None
    with Live(console=console, auto_refresh=False) as live:
        for sight in looks:
            last = last if sight.trouble else sight
            live.update(_table(last, sight.trouble), refresh=True)
    return _ended(last)


def _ended(last: Sight | None) -> Sight:
    # `watch` gives the final state as its last look, or raises.
    if last is None or last.run is None:
        raise AssertionError("watching ended without a look at the run")
    return last


def _table(sight: Sight | None, trouble: str) -> Table:
    from rich.table import Table

    from pipeline.kfp_api.failures import one_line
    from pipeline.kfp_api.tasks import by_region, state_of

    run = sight.run if sight else None
    title = f"{one_line(run.name)}: {run.state}" if run else "waiting for the API"
    table = Table("region", "state", "done", "now", "failed", title=escape(title))
    if trouble:
        table.caption = escape(f"{trouble}; trying again")
    for region, tasks in by_region(sight.tasks if sight else []).items():
        own = [task for task in tasks if task.name != region]
        done = sum(task.state in ("SUCCEEDED", "SKIPPED") for task in own)
        now = ", ".join(_short(task) for task in own if task.state == "RUNNING")
        failed = ", ".join(_short(task) for task in own if task.state == "FAILED")
        state = _painted(state_of(region, tasks))
        table.add_row(escape(region), state, f"{done}/{len(own)}", escape(now), escape(failed))
    return table


def _short(task: Task) -> str:
    name = task.name.removeprefix(task.region + "-")
    return f"{name} ({task.attempts}.)" if task.attempts > 1 else name


def _painted(state: str) -> str:
    colour = _COLOURS.get(state)
    return f"[{colour}]{escape(state)}[/]" if colour else escape(state)


def _result(last: Sight) -> dict[str, Any]:
    from pipeline.kfp_api.tasks import by_region, state_of

    run = last.run
    if run is None:
        raise AssertionError("a look without a run has no result")
    regions = {
        region: {"state": state_of(region, tasks), "tasks": [dataclasses.asdict(task) for task in tasks]}
        for region, tasks in by_region(last.tasks).items()
    }
    return {
        "run_id": run.run_id,
        "name": run.name,
        "state": run.state,
        "exit": _SUCCEEDED if run.state == "SUCCEEDED" else _FAILED,
        "created": run.created,
        "finished": run.finished,
        "regions": regions,
    }


def _end(result: dict[str, Any]) -> str:
    states = ", ".join(f"{region} {found['state']}" for region, found in result["regions"].items())
    # KFP 3.0 tells tasks elsewhere (kubeflow/pipelines#13141); a run that never started has none anywhere.
    return f"run {result['run_id']} {result['state']}; {states or 'the API names no tasks of it'}"
