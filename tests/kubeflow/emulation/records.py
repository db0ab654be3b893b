"""What a run leaves behind: one record per task, as a table and as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from components.executor_base import write_atomically

SUCCEEDED, CACHED, FAILED, SKIPPED = "succeeded", "cached", "failed", "skipped"


@dataclass
class AttemptRecord:
    """One pod of a task.

    Attributes:
      number: From 1.
      phase: As Argo names it: Succeeded, Failed (retried where a policy says so), Error (not retried).
      reason: Why it ended so, one line; empty where it succeeded.
      exit_code: The process's, negative where a signal ended it; None where none was started.
      download_s: Seconds of the input artifacts' download.
      start_up_s: Seconds from the start of the process until it says that it is ready (timings.json);
        0.0 where it does not say.
      work_s: Seconds of the process after that.
      upload_s: Seconds of the output artifacts' upload.
      log: The pod's log, standard output and error together.
    """

    number: int
    phase: str = ""
    reason: str = ""
    exit_code: int | None = None
    download_s: float = 0.0
    start_up_s: float = 0.0
    work_s: float = 0.0
    upload_s: float = 0.0
    log: str = ""


@dataclass
class TaskRecord:
    """A task of the run, a nested DAG's among them.

    Attributes:
      path: The names from the root on, joined by slashes.
      kind: "container" or "dag".
      state: succeeded, cached, failed or skipped (a condition was false, or a task before it failed).
      reason: One line; empty where it succeeded.
      driver_s: Seconds of its driver.
      parameters: Output parameters by name.
      artifacts: URIs of the output artifacts by name.
      execution_id: In the metadata store; 0 where its driver did not get so far.
      fingerprint: The cache key; empty where caching is off.
    """

    path: str
    kind: str
    state: str = SKIPPED
    reason: str = ""
    driver_s: float = 0.0
    attempts: list[AttemptRecord] = field(default_factory=list)
    parameters: dict[str, Any] = field(default_factory=dict)
    artifacts: dict[str, str] = field(default_factory=dict)
    execution_id: int = 0
    fingerprint: str = ""

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rsplit("/", 1)[-1]

    def seconds(self, what: str) -> float:
        """The sum over the attempts; what: download_s, start_up_s, work_s or upload_s."""
        return sum(getattr(attempt, what) for attempt in self.attempts)


_COLUMNS = ("task", "state", "tries", "driver", "download", "start-up", "work", "upload", "why")


@dataclass
class RunRecord:
    """A run.

    Attributes:
      state: SUCCEEDED, FAILED or CANCELED, as KFP's API gives it.
      seconds: Of the whole run.
      tasks: In the order in which they began; one that ran twice (a hook of two tasks) is there twice.
    """

    run_id: str
    pipeline: str
    state: str = "RUNNING"
    seconds: float = 0.0
    parameters: dict[str, Any] = field(default_factory=dict)
    tasks: list[TaskRecord] = field(default_factory=list)

    def all(self, name: str) -> list[TaskRecord]:
        """The records of that name or path."""
        return [task for task in self.tasks if name in (task.path, task.name)]

    def task(self, name: str) -> TaskRecord:
        """The one record of that name or path.

        Raises:
          KeyError: There is none, or more than one.
        """
        found = self.all(name)
        if len(found) != 1:
            raise KeyError(f"{name}: {len(found)} tasks of that name, one is expected")
        return found[0]

    def states(self, prefix: str = "") -> dict[str, str]:
        """State by path, of the tasks below `prefix`."""
        return {task.path: task.state for task in self.tasks if task.path.startswith(prefix)}

    def containers(self) -> list[TaskRecord]:
        """The tasks that have pods."""
        return [task for task in self.tasks if task.kind == "container"]

    def table(self) -> str:
        """Plain text, one line per task, seconds with one digit."""
        rows: list[tuple[str, ...]] = [_COLUMNS]
        for task in self.tasks:
            times = [
                f"{task.seconds(what):.1f}" if task.attempts else ""
                for what in ("download_s", "start_up_s", "work_s", "upload_s")
            ]
            tries = str(len(task.attempts)) if task.attempts else ""
            rows.append((task.path, task.state, tries, f"{task.driver_s:.2f}", *times, task.reason[:70]))
        widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
        return "\n".join([*lines, f"{self.run_id}: {self.state} in {self.seconds:.1f} s"])

    def write(self, path: Path) -> None:
        """Writes it as JSON."""
        write_atomically(path, json.dumps(asdict(self), indent=2, default=str).encode())
