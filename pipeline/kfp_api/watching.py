"""Follows a run until it ends, through passing failures of the API."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from pipeline.kfp_api import pipelines, runs
from pipeline.kfp_api.client import Api
from pipeline.kfp_api.failures import ApiError
from pipeline.kfp_api.runs import FINAL, Run
from pipeline.kfp_api.tasks import Task, regions_of, tasks_of

#: Seconds between requests while all is well; doubled after every failure up to the second.
POLL_SECONDS, LONGEST_PAUSE = 5.0, 60.0
#: Seconds of nothing but failures after which watching ends.
PATIENCE = 600.0


@dataclass(frozen=True)
class Sight:
    """What one look found.

    Attributes:
      run: The run; None where the API did not answer this time.
      tasks: All its tasks.
      changes: Those whose state differs from the last look's.
      trouble: What the API's failure was, empty where it answered.
    """

    run: Run | None
    tasks: list[Task] = field(default_factory=list)
    changes: list[Task] = field(default_factory=list)
    trouble: str = ""


@dataclass(frozen=True)
class Pace:
    """How often to look, in seconds, and when to give up."""

    poll: float = POLL_SECONDS
    patience: float = PATIENCE
    timeout: float | None = None
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic


def watch(api: Api, run_id: str, pace: Pace | None = None) -> Iterator[Sight]:
    """Looks at a run until it has ended; the last look's run is in a final state.

    A token that was refused is read anew by the next look, so 401 counts as passing once the run has
    been seen: tokens in pods are renewed.

    Raises:
      ApiError: there is no such run, the API has not answered for `patience` seconds, or `timeout` seconds
        are over. The run goes on.
    """
    pace = pace or Pace()
    begun = last_good = pace.clock()
    regions: dict[str, str] | None = None
    before: dict[str, tuple[str, int]] = {}
    pause, seen = pace.poll, False
    while True:
        try:
            run = runs.get(api, run_id, patient=False)
            if regions is None:
                regions = regions_of(_manifest(api, run))
        except ApiError as error:
            if not (error.passing and (seen or error.status)) and not (seen and error.status in (401, 500)):
                raise
            if pace.clock() - last_good > pace.patience:
                text = f"{error}; no answer for {pace.patience:.0f} s: watching ends, the run goes on"
                raise ApiError(text, status=error.status, passing=True) from None
            yield Sight(None, trouble=str(error))
            pause = min(max(pause * 2, pace.poll), LONGEST_PAUSE)
        else:
            tasks = tasks_of(run.raw, regions)
            changes = [task for task in tasks if before.get(task.name) != (task.state, task.attempts)]
            before = {task.name: (task.state, task.attempts) for task in tasks}
            last_good, pause, seen = pace.clock(), pace.poll, True
            yield Sight(run, tasks, changes)
            if run.state in FINAL:
                return
        if pace.timeout is not None and pace.clock() - begun + pause > pace.timeout:
            raise ApiError(f"run {run_id}: not ended within --timeout {pace.timeout:g} s; it goes on")
        pace.sleep(pause)


def _manifest(api: Api, run: Run) -> dict[str, Any]:
    """The run's spec: in the run itself, or with the version that it names."""
    inline: dict[str, Any] | None = run.raw.get("pipeline_spec")
    if inline:
        return inline
    reference = run.raw.get("pipeline_version_reference") or {}
    pipeline_id, version_id = reference.get("pipeline_id"), reference.get("pipeline_version_id")
    if not pipeline_id or not version_id:
        return {}
    try:
        return pipelines.manifest(api, pipeline_id, version_id)
    except ApiError as error:
        # Without the spec (deleted, or not ours to read) the names tell the regions.
        if error.passing:
            raise
        return {}
