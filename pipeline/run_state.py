"""What is known of a run, how it is booked as it goes, and which exit status it ends with.

Written as `run.json` after every step, so that `status` and the report see a run that was killed too.
"""

from __future__ import annotations

import dataclasses
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from components.errors import PrivacyBudgetExceededError, QuorumError
from components.executor_base import read_json, write_json
from components.governance.config import REJECTED, WAITING
from components.version import __version__
from pipeline import outward

CENTRAL = "central"


#: Not part of this run: another locale was asked for, or the run ends before the centre.
SKIPPED = "skipped"
#: Part of this run, which has not come to it; it stays so where the run was killed.
NOT_STARTED = "not started"
#: At work; it stays so where the run was killed.
RUNNING = "running"


@dataclasses.dataclass
class PipelineState:
    """What is known of one pipeline of a run; becomes a section of `run.json`.

    `status` is `SKIPPED`, `NOT_STARTED`, `RUNNING`, `succeeded` or `failed`. A run that was killed leaves
    the first three as they were.
    """

    status: str = SKIPPED
    sharing: str = ""
    error: str | None = None
    exit_status: int = 0
    error_kind: str = ""
    refusal: dict[str, Any] = dataclasses.field(default_factory=dict)
    log: str = ""
    egress: dict[str, Any] = dataclasses.field(default_factory=dict)
    governance: dict[str, Any] = dataclasses.field(default_factory=dict)
    seconds: float = 0.0
    components: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    running: str | None = None


@dataclasses.dataclass
class RunState:
    """A run, as `run.json` has it."""

    run_id: str
    name: str
    config: str
    config_digest: str
    seed: int
    started_at: str
    locales: dict[str, PipelineState]
    central: PipelineState
    stage: str
    finished_at: str | None = None
    exit_status: int | None = None
    exit_reason: str = ""
    versions: dict[str, str] = dataclasses.field(default_factory=dict)
    border: dict[str, Any] = dataclasses.field(default_factory=dict)
    words: tuple[str, ...] = ()

    def save(self, folder: Path) -> None:
        """Writes `run.json`, atomically; refuses a field that is on no list of what may leave a locale."""
        write_json(folder / "run.json", outward.run_record(dataclasses.asdict(self)))


def take(section: PipelineState, event: str, payload: dict[str, Any]) -> None:
    """Books one event of a worker: `running`, `finished`, `done` or `failed`; others change nothing."""
    if event == "running":
        section.running = payload["id"]
    elif event == "finished":
        section.components.append(payload)
        section.running = None
    elif event == "done":
        section.status, section.seconds = "succeeded", payload["seconds"]
    elif event == "failed":
        section.seconds, section.exit_status = payload["seconds"], payload["exit_status"]
        section.refusal = payload.get("refusal", {})
        fail(section, payload["error"], payload.get("error_kind", ""))


def fail(section: PipelineState, error: str, kind: str = "") -> None:
    """Books a failure, and the component that was running as failed. `kind`: the error's class."""
    section.status, section.error, section.error_kind = "failed", error, kind
    if section.running:
        section.components.append({"id": section.running, "state": "failed", "seconds": 0.0, "outputs": {}})
        section.running = None


def section_of(state: RunState, name: str) -> PipelineState:
    """The part of a run that a pipeline's name stands for."""
    return state.central if name == CENTRAL else state.locales[name]


def finish(state: RunState, chosen: list[str]) -> None:
    """Gives a run its exit status and the reason in words.

    The rule, first match first:

    - 3, our fault: a pipeline failed for a reason that is not the user's.
    - 2, bad input: a locale's data, keys or configuration were wrong, or the centre's own were. A run
      with bad input is not complete, whatever its verdicts; the words name those as well.
    - 1, a verdict was negative, or there is none yet: a gate refused a release, data were refused as
      anomalous, a detector was not blessed, a release would have exceeded its privacy budget, waits for
      approval or was rejected. That the quorum was not met for want of such a release is its
      consequence and takes nothing from it; the words say both.
    - 2: the quorum was not met and no verdict explains it (releases missing, altered or refused).
    - 0: done.

    Args:
      state: Of the run; `exit_status` and `exit_reason` are set.
      chosen: Locales that were asked for; the others do not count.
    """
    sections = {name: state.locales[name] for name in chosen} | {CENTRAL: state.central}
    failed = {name: section for name, section in sections.items() if section.status == "failed"}
    quorum_unmet = [name for name, section in failed.items() if section.error_kind == QuorumError.__name__]
    own = {name: section.exit_status for name, section in failed.items() if name not in quorum_unmet}
    negative = [f"{name} {verdict}" for name, section in sections.items() for verdict in negative_of(section)]
    negative += [f"{name} {_refusal(sections[name])}" for name, status in own.items() if status == 1]
    worst = max(own.values(), default=0)
    if worst >= 2:
        state.exit_status = worst
    elif negative:
        state.exit_status = 1
    else:
        state.exit_status = 2 if quorum_unmet else 0
    words = {3: "our fault", 2: "bad input"}
    reasons = [
        f"{words[level]}: {', '.join(name for name, status in own.items() if status == level)}"
        for level in (3, 2)
        if level in own.values()
    ]
    reasons += [f"a verdict was negative: {', '.join(negative)}"] if negative else []
    reasons += ["the quorum was not met"] if quorum_unmet else []
    state.exit_reason = "; ".join(reasons)


def output_json(components: list[dict[str, Any]], channel: str, file: str) -> dict[str, Any]:
    """A component's JSON file by the channel that it was written to; empty where there is none.

    Args:
      components: Of a `PipelineState`, or of a section of `run.json`.
      channel: Such as `pushed`.
      file: Such as `push.json`.
    """
    for component in components:
        uri = (component.get("outputs") or {}).get(channel)
        if uri and (Path(uri) / file).exists():
            return dict(read_json(Path(uri) / file))
    return {}


def negative_of(section: PipelineState) -> list[str]:
    """Verdicts of a pipeline's evaluators other than `BLESSED`, and what people have not approved."""
    found, undecided = [], []
    for component in section.components:
        uri = component.get("outputs", {}).get("blessing")
        if uri and (Path(uri) / "verdict.json").exists():
            found.append(str(read_json(Path(uri) / "verdict.json")["verdict"]))
        push = Path(component.get("outputs", {}).get("pushed") or "") / "push.json"
        if component.get("outputs", {}).get("pushed") and push.exists():
            undecided.append(str(read_json(push).get("outcome")))
    return [
        *(verdict for verdict in found if verdict != "BLESSED"),
        *(outcome for outcome in undecided if outcome in (WAITING, REJECTED)),
    ]


def _refusal(section: PipelineState) -> str:
    if section.error_kind == PrivacyBudgetExceededError.__name__:
        return "would exceed its privacy budget"
    return "refused its data"


def versions() -> dict[str, str]:
    """Versions of what the results depend on."""
    import platform
    from importlib import metadata

    names = (
        "tfx",
        "tensorflow",
        "tensorflow-data-validation",
        "tensorflow-transform",
        "apache-beam",
        "prophet",
    )
    found = {name: metadata.version(name) for name in (*names, "scikit-learn", "pyarrow", "numpy")}
    return {"isthmus": __version__, "python": platform.python_version(), **found}


def now() -> str:
    """The time as ISO 8601 in UTC, to the second."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
