"""The tasks of a run, grouped by region.

The API lists a run's tasks flat, by the names of the workflow's nodes: beside the pipeline's own tasks it
names plumbing (`root`, `<task>-driver`, `executor`), and a retried task appears once per attempt. The
names of the pipeline's tasks are unique in the whole spec, so the spec tells which is whose.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.kfp_api.failures import one_line
from pipeline.kfp_api.runs import moment

#: Where tasks stand that are no region's: groups of regions, the report. No slug has parentheses.
NO_REGION = "(pipeline)"
_DRIVER = "-driver"
_NO_STATE = "PENDING"
#: Worst first: what a region is said to be.
_ORDER = ("FAILED", "CANCELED", "CANCELING", "RUNNING", "PAUSED", "PENDING", "SKIPPED", "SUCCEEDED")


@dataclass(frozen=True)
class Task:
    """A task of a run.

    Attributes:
      name: Its key in the spec, such as `eu-west-train`.
      region: Slug of the locale, `central`, or `(pipeline)`.
      state: As the API says it; a failed driver counts as its task's failure.
      started: RFC 3339; empty where it has not started.
      ended: RFC 3339; empty where it has not ended.
      attempts: How often it was started.
      error: One line; mostly empty, the API seldom says.
    """

    name: str
    region: str
    state: str
    started: str = ""
    ended: str = ""
    attempts: int = 1
    error: str = ""


def regions_of(manifest: Mapping[str, Any] | None) -> dict[str, str]:
    """Task name to region, from a run's `pipeline_spec` (with or without a platform spec beside it).

    A DAG is a region where tasks in it carry its name: `eu-west` with `eu-west-train`. All tasks below it are
    the region's. Other DAGs are groups.
    """
    spec = (manifest or {}).get("pipeline_spec") or manifest or {}
    components = spec.get("components") or {}
    found: dict[str, str] = {}

    def descend(component: Mapping[str, Any], region: str) -> None:
        for name, task in _tasks_in(component).items():
            inner = components.get((task.get("componentRef") or {}).get("name")) or {}
            is_region = region == NO_REGION and any(
                below.startswith(name + "-") for below in _tasks_in(inner)
            )
            own = name if is_region else region
            found.setdefault(name, own)
            descend(inner, own)

    descend(spec.get("root") or {}, NO_REGION)
    return found


def _tasks_in(component: Mapping[str, Any]) -> Mapping[str, Any]:
    tasks: Mapping[str, Any] = (component.get("dag") or {}).get("tasks") or {}
    return tasks


def tasks_of(run: Mapping[str, Any], regions: Mapping[str, str]) -> list[Task]:
    """The tasks of a run as the API gives it, by region and name; plumbing left out.

    Args:
      run: JSON of `get_run`.
      regions: From `regions_of`; empty where the spec is not at hand: then names tell.
    """
    details = (run.get("run_details") or {}).get("task_details") or []
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for detail in details:
        by_name.setdefault(str(detail.get("display_name", "")), []).append(detail)
    known = regions or _guess(by_name)
    found = [_task(name, region, by_name) for name, region in known.items()]
    own = (task for task in found if task)
    return sorted(own, key=lambda task: (_place(task.region), task.started, task.name))


def by_region(tasks: Iterable[Task]) -> dict[str, list[Task]]:
    """Region to its tasks, the centre and what has no region last."""
    found: dict[str, list[Task]] = {}
    for task in tasks:
        found.setdefault(task.region, []).append(task)
    return {name: found[name] for name in sorted(found, key=_place)}


def state_of(region: str, tasks: Iterable[Task]) -> str:
    """What a region is said to be: its DAG's own state, or else the worst of its tasks'."""
    tasks = list(tasks)
    for task in tasks:
        if task.name == region:
            return task.state
    return min((task.state for task in tasks), key=_rank, default=_NO_STATE)


def _place(region: str) -> tuple[int, str]:
    """Where a region stands: the centre after the regions, what has no region last."""
    return {"central": 1, NO_REGION: 2}.get(region, 0), region


def _rank(state: str) -> int:
    return _ORDER.index(state) if state in _ORDER else len(_ORDER)


def _task(name: str, region: str, by_name: Mapping[str, list[Mapping[str, Any]]]) -> Task | None:
    details = by_name.get(name, [])
    failed = [detail for detail in by_name.get(name + _DRIVER, []) if detail.get("state") == "FAILED"]
    if not details and not failed:
        return None
    latest = max(details or failed, key=lambda detail: (moment(detail.get("start_time")), _time(detail)))
    state = latest.get("state") or _NO_STATE
    if failed and state in (_NO_STATE, "SKIPPED", "RUNTIME_STATE_UNSPECIFIED"):
        state, latest = "FAILED", failed[-1]
    if state == "RUNTIME_STATE_UNSPECIFIED":
        state = _NO_STATE
    started = moment(latest.get("start_time"))
    return Task(
        name, region, state, started, moment(latest.get("end_time")), len(details) or 1, _error(latest)
    )


def _time(detail: Mapping[str, Any]) -> str:
    return str(detail.get("create_time") or "")


def _error(detail: Mapping[str, Any]) -> str:
    own = detail.get("error") or {}
    past = [entry.get("error") or {} for entry in detail.get("state_history") or []]
    said = [error.get("message", "") for error in [own, *reversed(past)]]
    return one_line(next((text for text in said if text), ""), 200)


def _guess(names: Iterable[str]) -> dict[str, str]:
    """Regions from the names alone: a name that begins others, with a dash after it, is a region."""
    own = [name for name in names if name and not _is_plumbing(name)]
    parents = [name for name in own if any(other.startswith(name + "-") for other in own)]
    found = {}
    for name in own:
        above = [parent for parent in parents if name == parent or name.startswith(parent + "-")]
        # A region within another's name (`eu`, `eu-west`) has tasks of its own.
        found[name] = name if name in parents else max(above, key=len, default=NO_REGION)
    return found


def _is_plumbing(name: str) -> bool:
    return name in ("root", "root-driver") or name.endswith(_DRIVER) or name.split("(")[0] == "executor"
