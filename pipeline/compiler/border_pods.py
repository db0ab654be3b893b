"""The border's check of pods, on the compiled spec: each is started as its zone's, and gets its zone's only.

What a task reads and writes is judged by what it is told; that holds only where the container is ours,
where its arguments, secrets and disks are those of the zone that it says it is of, and where nothing can be
put in their place when a run is submitted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.border_model import BorderError
from pipeline.compiler.lower import COMMAND, GRACE_S, IMAGE, store_argument
from pipeline.compiler.platform import executor_config
from pipeline.compiler.reading import Leaf, arguments_of
from pipeline.config.model import slug
from pipeline.config.placement import PlacementSection

Data = Mapping[str, Any]
_LAST = ["--executor_input", "{{$}}"]
_LOCALE = "isthmus.dev/locale"
#: What the back end makes of one task; everything else could bring in a value from elsewhere.
_TASK = {
    "taskInfo",
    "componentRef",
    "cachingOptions",
    "inputs",
    "dependentTasks",
    "retryPolicy",
    "triggerPolicy",
}
_SOURCES = {
    "parameters": {"runtimeValue", "componentInputParameter", "taskOutputParameter"},
    "artifacts": {"componentInputArtifact", "taskOutputArtifact"},
}


def check_pod(
    leaf: Leaf, platform: Data, zone: str, sharing: str, placement: PlacementSection, timeout_s: int
) -> None:
    """Refuses a container that is not started as the zone's.

    Args:
      leaf: The task.
      platform: The platform spec's executors.
      zone: The zone whose pod it is; for the report, the one that it runs beside.
      sharing: The zone's.
      placement: The zone's.
      timeout_s: Of every step.

    Raises:
      BorderError: names the task, what was found, what is allowed.
    """

    def refuse(what: str, found: object, allowed: str) -> BorderError:
        return BorderError(f"border: {leaf.path} → {what}: found {found}; allowed: {allowed}")

    container = leaf.container
    strange = sorted(set(container) - {"image", "command", "args", "resources"})
    if not container or strange:
        raise refuse(f"executor {leaf.executor}", strange or "no container", "a container of ours")
    if container.get("command") != COMMAND or container.get("image") != IMAGE:
        raise refuse("container", container.get("command"), f"{' '.join(COMMAND)}, and the pipeline's image")
    arguments = arguments_of(container)
    role = "report" if leaf.is_report else "centre" if sharing == "central" else "region"
    wanted = {
        "task": arguments.get("task", ""),
        "step": leaf.step,
        "role": role,
        "sharing": sharing,
        "timeout-s": str(timeout_s),
    }
    if placement.store is not None:
        wanted["store"] = store_argument(placement.store)
    if placement.state is not None:
        wanted["state"] = placement.state
    for name in sorted({*wanted, *arguments}):
        if arguments.get(name) != wanted.get(name):
            raise refuse(f"--{name}", arguments.get(name), f"{wanted.get(name)}, as zone {zone} has it")
    if container.get("args") != [*(f"--{name}={value}" for name, value in wanted.items()), *_LAST]:
        raise refuse("container", "arguments in another form", "--name=value, each once")
    labels = {"app.kubernetes.io/name": "isthmus", "isthmus.dev/role": role, "isthmus.dev/sharing": sharing}
    found = platform.get(leaf.executor, {})
    # Pods of zones that share an executor are told apart by nothing.
    if _LOCALE in found.get("podMetadata", {}).get("labels", {}):
        labels[_LOCALE] = slug(zone)
    _check_platform(leaf, found, executor_config(placement, labels, timeout_s + GRACE_S), zone)


def _check_platform(leaf: Leaf, found: Data, whole: Data, zone: str) -> None:
    for key in sorted({*whole, *found}):
        theirs, ours = found.get(key), whole.get(key)
        if key == "secretAsEnv":
            fits = _variables(theirs) <= _variables(ours)
        elif key == "secretAsVolume":
            fits = all(item in (ours or []) for item in theirs or [])
        else:
            fits = theirs == ours
        if not fits:
            raise BorderError(
                f"border: {leaf.path} → {leaf.executor}.{key}: not what the placement of zone {zone} says; "
                "allowed: its own nodes, secrets and disks"
            )


def _variables(found: Any) -> set[tuple[str, str, str]]:
    return {
        (item.get("secretName", ""), key.get("secretKey", ""), key.get("envVar", ""))
        for item in found or ()
        for key in item.get("keyToEnv", ())
    }


def check_form(pipeline: Data) -> None:
    """Refuses graphs that hand something out, and tasks that take something in ways that nobody follows.

    Raises:
      BorderError: names the graph or task.
    """
    graphs = {"root": pipeline["root"], **pipeline["components"]}
    for name, component in graphs.items():
        tasks = component.get("dag", {}).get("tasks", {})
        if tasks and (component["dag"].get("outputs") or component.get("outputDefinitions")):
            raise BorderError(
                f"border: {name} → outputs: a graph hands something out; allowed: none, zones meet in the "
                "exchange"
            )
        given = component.get("inputDefinitions", {}).get("parameters", {})
        preset = sorted(key for key, how in given.items() if "defaultValue" in how)
        if preset and name != "root":
            raise BorderError(
                f"border: {name} → {preset[0]}: has a value of its own; allowed: what its task gives it"
            )
        for key, task in tasks.items():
            _check_task(f"{name}/{key}", task)


def _check_task(place: str, task: Data) -> None:
    strange = sorted(set(task) - _TASK) + sorted(set(task.get("triggerPolicy", {})) - {"strategy"})
    if strange:
        raise BorderError(
            f"border: {place} → {strange[0]}: a task takes what no one follows; allowed: constants, inputs "
            "of its graph and outputs of its tasks"
        )
    for kind, known in _SOURCES.items():
        for name, source in task.get("inputs", {}).get(kind, {}).items():
            if len(source) != 1 or not set(source) <= known:
                raise BorderError(
                    f"border: {place}.{name} → {', '.join(sorted(source))}: comes from where no one follows; "
                    f"allowed: {', '.join(sorted(known))}"
                )
