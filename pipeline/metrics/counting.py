"""Counters and times that outlive a run: a small file below the deployment's root.

A run is counted once, however often its metrics are written.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import portalocker
import pydantic

from components.errors import DataError
from components.executor_base import write_json
from pipeline.metrics.merging import not_merged
from pipeline.metrics.samples import Sample
from pipeline.metrics.words import CENTRAL, Words
from pipeline.report.model import LocaleReport, PipelineRun, RunReport

#: Ids of runs that are kept to know what was counted. Ids begin with their time: an older one was counted.
MAX_RUNS = 1000
_LOCK_S = 10.0


class CounterState(pydantic.BaseModel):
    """What the file holds.

    Attributes:
      runs: Ids of the runs that were counted, ascending, at most `MAX_RUNS`.
      counters: Zone (empty for the run as a whole) to metric to its label values, joined by a line break, to
        the count.
      last_success: Zone to seconds since the epoch.
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    version: Literal[1] = 1
    runs: tuple[str, ...] = ()
    counters: dict[str, dict[str, dict[str, float]]] = {}
    last_success: dict[str, float] = {}

    def samples(self, zone: str) -> Iterator[Sample]:
        """The counters of a zone."""
        for metric, found in sorted(self.counters.get(zone, {}).items()):
            for labels, value in sorted(found.items()):
                yield Sample(metric, tuple(labels.split("\n")) if labels else (), value)

    def counted(self, run_id: str) -> bool:
        """Whether a run is in it."""
        full = len(self.runs) >= MAX_RUNS
        return run_id in self.runs or (full and run_id < self.runs[0])


def count(state: CounterState, run: RunReport, words: Words, finished: float | None) -> CounterState:
    """The state with a run in it; the same where it is already, or has not ended.

    Args:
      state: Before.
      run: The run's report.
      words: What labels may say.
      finished: When the run ended, in seconds since the epoch.
    """
    header = run.run
    if header.exit_status is None or state.counted(header.run_id):
        return state
    counters = {
        zone: {name: dict(found) for name, found in of.items()} for zone, of in state.counters.items()
    }
    success = dict(state.last_success)

    def add(zone: str, metric: str, amount: float, *labels: str) -> None:
        found = counters.setdefault(zone, {}).setdefault(metric, {})
        key = "\n".join(labels)
        found[key] = found.get(key, 0) + amount

    def succeeded(zone: str) -> None:
        if finished is not None:
            success[zone] = max(finished, success.get(zone, finished))

    for known in range(4):  # a counter that is not there cannot be seen to rise
        add("", "isthmus_runs_total", float(known == header.exit_status), str(known))
    if header.exit_status == 0:
        succeeded("")
    zones: list[tuple[str, PipelineRun]] = [(item.locale, item.run) for item in run.locales]
    for zone, pipeline in [*zones, (CENTRAL, run.central.run)]:
        if pipeline.status not in ("succeeded", "failed") or words.locale(zone) != zone:
            continue
        add(zone, "isthmus_zone_failures_total", float(pipeline.status == "failed"))
        if pipeline.status == "succeeded":
            succeeded(zone)
    for item in run.locales:
        if item.locale in words.locales and item.run.status in ("succeeded", "failed"):
            published, failed = _outcome(item)
            add(item.locale, "isthmus_releases_published_total", published, item.locale)
            if item.sharing != "open":
                add(item.locale, "isthmus_gate_failures_total", failed, item.locale)
    left = not_merged(run.central, words)
    if left is not None:
        for name in dict.fromkeys((*words.locales, *left.refused)):
            add(CENTRAL, "isthmus_releases_refused_total", left.refused[name], name)
    return CounterState(
        runs=tuple(sorted((*state.runs, header.run_id))[-MAX_RUNS:]), counters=counters, last_success=success
    )


def _outcome(report: LocaleReport) -> tuple[float, float]:
    """Releases published, and refused by the gate, in this run; what the cache gave again is no new one."""
    executed = {item.id for item in report.run.components if item.state == "executed"}
    push, blessing = report.push.content, report.blessing.content
    published = "Pusher" in executed and push is not None and push.pushed
    failed = "ReleaseEvaluator" in executed and blessing is not None and blessing.verdict != "BLESSED"
    return float(published), float(failed)


def state_file(root: Path) -> Path:
    """Where a deployment's counters are: beside its runs, so that no locale's folder has that name."""
    return root / "runs" / "metrics.json"


def read_state(file: Path) -> CounterState:
    """The counters of a file; none where there is no file.

    Raises:
      DataError: the file is not what `update_state` wrote.
    """
    try:
        return CounterState.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return CounterState()
    except (OSError, pydantic.ValidationError) as error:
        raise DataError(
            f"{file}: no counters ({type(error).__name__}); allowed: what a run wrote, or no file"
        ) from None


@contextmanager
def hold_state(file: Path) -> Iterator[None]:
    """Keeps two processes from counting at once.

    Raises:
      DataError: another process holds the file for longer than ten seconds.
      OSError: the folder cannot be written.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with portalocker.Lock(file.with_suffix(".lock"), "a", timeout=_LOCK_S):
            yield
    except portalocker.exceptions.BaseLockException:
        raise DataError(
            f"{file}: held by another process for {_LOCK_S:g} s; allowed: one at a time"
        ) from None


def save_state(file: Path, state: CounterState) -> None:
    """Writes the counters, atomically."""
    write_json(file, state.model_dump(mode="json"))
