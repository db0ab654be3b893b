"""Faults of a spec that the back end takes, or mostly takes, and that make it do something else."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

from tests.kubeflow.emulation.spec import HOOKS, NESTED_OUTPUTS, Spec, Task, container_hash, dumps

# kubernetes_executor_config.proto, KubernetesExecutorConfig's fields on the master branch in 2025; a driver
# refuses a name that it does not know.
_PLATFORM_FIELDS = {
    "secretAsVolume",
    "secretAsEnv",
    "pvcMount",
    "nodeSelector",
    "podMetadata",
    "imagePullSecret",
    "imagePullPolicy",
    "configMapAsVolume",
    "configMapAsEnv",
    "activeDeadlineSeconds",
    "fieldPathAsEnv",
    "tolerations",
    "genericEphemeralVolume",
    "nodeAffinity",
    "podAffinity",
    "enabledSharedMemory",
    "emptyDirMounts",
    "securityContext",
}

_OBJECT_BYTES = 1_572_864  # etcd, --max-request-bytes: 1.5 MiB by default
_TASK_BYTES = 1200  # the two nodes of a container task without its specification, as compiled by hand
# argo-workflows: workflow/validate/validate.go; workflow/controller/dag.go, evaluateDependsLogic, and the
# words of the expression language that it uses.
_FIELD = re.compile(r"[a-zA-Z0-9][-a-zA-Z0-9]*")
_NAME_LENGTH = 128
_WORDS = {"in", "or", "and", "not", "let", "if", "else", "nil", "true", "false", "matches", "contains"}


def problems(spec: Spec) -> list[str]:
    """What an operator would be surprised by, one line each; README.md says where each comes from."""
    return [
        *_argo_names(spec),
        *_names(spec),
        *_shared_containers(spec),
        *_platform(spec),
        *_size(spec),
        *(line for dag, tasks in spec.dags.items() for line in _dag(spec, dag, tasks)),
    ]


def _argo_names(spec: Spec) -> list[str]:
    """Names that Argo refuses, or that break the expression that it makes of dependencies."""
    lines = []
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", spec.name.rsplit("/", 1)[-1]):
        lines.append(f"pipeline {spec.name}: its name is no name of a Kubernetes object")
    for dag, tasks in spec.dags.items():
        longest = max((len(name) for name, task in tasks.items() if task.is_exit), default=-1)
        if not _FIELD.fullmatch(dag) or len(dag) + longest + len("exit-hook--") > _NAME_LENGTH:
            lines.append(
                f"component {dag}: letters, digits and hyphens, at most {_NAME_LENGTH} with its hook"
            )
        for name in tasks:
            if not _FIELD.fullmatch(name) or name[0].isdigit() or len(f"{name}-driver") > _NAME_LENGTH:
                lines.append(
                    f"task {name} of {dag}: letters, digits and hyphens, not a digit at its beginning"
                )
            if name in _WORDS:
                lines.append(f"task {name} of {dag}: a word of the language of Argo's expressions")
            if f"{name}-driver" in tasks:
                lines.append(f"task {name}-driver of {dag}: the driver of {name} has that name")
    return lines


def _names(spec: Spec) -> list[str]:
    """driver/resolve.go, getDAGTasks: 2.4 and 2.5 flatten nested DAGs by name."""
    found: dict[str, list[str]] = defaultdict(list)
    uses: dict[str, list[str]] = defaultdict(list)
    lines = []
    for dag, tasks in spec.dags.items():
        for task in tasks.values():
            if task.display_name != task.name:
                lines.append(
                    f"task {task.name} of {dag}: taskInfo.name is {task.display_name!r}, not its key"
                )
            found[task.name].append(dag)
            uses[task.component].append(f"{dag}/{task.name}")
    lines += [f"task {name}: is in {' and '.join(dags)}" for name, dags in found.items() if len(dags) > 1]
    for component, places in uses.items():
        if component in spec.dags and len(places) > 1 and spec.dags[component]:
            lines.append(
                f"component {component}: used by {' and '.join(places)}, its tasks' names are not unique"
            )
    return lines


def _shared_containers(spec: Spec) -> list[str]:
    """argo.go, saveComponentSpec: kept under the container's hash, the first one stays."""
    owners: dict[str, str] = {}
    lines = []
    for name in spec.stored:
        if name in spec.dags:
            continue
        first = owners.setdefault(container_hash(spec, name), name)
        if _definitions(spec, name) != _definitions(spec, first):
            lines.append(f"component {name}: its container equals that of {first}, whose definitions it gets")
    return lines


def _definitions(spec: Spec, name: str) -> Any:
    component = spec.component(name)
    return component.get("inputDefinitions"), component.get("outputDefinitions")


def _platform(spec: Spec) -> list[str]:
    used = {spec.component(name).get("executorLabel") for name in spec.stored}
    lines = [
        f"platform spec: executor {label} is in no component" for label in sorted(set(spec.platform) - used)
    ]
    for label, settings in spec.platform.items():
        unknown = sorted(set(settings) - _PLATFORM_FIELDS)
        lines += [f"platform spec: {label}.{name} is no setting that the driver knows" for name in unknown]
    return lines


def _size(spec: Spec) -> list[str]:
    """Estimates the workflow that the compiler makes: components once, each task with its specification."""
    components = {container_hash(spec, name) for name in spec.stored if name not in spec.dags}
    containers = [name for name in spec.stored if name not in spec.dags]
    once = sum(len(dumps(spec.component(name))) for name in [*spec.dags, *containers[: len(components)]])
    once += sum(len(dumps(spec.container(name))) + len(dumps(spec.kubernetes(name))) for name in containers)
    tasks = [task for dag in spec.dags.values() for task in dag.values()]
    size = once + sum(len(dumps(task.spec)) + _TASK_BYTES for task in tasks)
    if size <= _OBJECT_BYTES:
        return []
    return [f"the workflow has about {size} bytes; a cluster takes {_OBJECT_BYTES}"]


def _dag(spec: Spec, dag: str, tasks: dict[str, Task]) -> list[str]:
    lines = []
    hooked: dict[str, str] = {}
    exits = {name for name, task in tasks.items() if task.is_exit}
    if tasks and exits == set(tasks):
        lines.append(f"component {dag}: has exit tasks only")
    for task in tasks.values():
        where = f"task {task.name} of {dag}"
        for dependency in task.dependencies:
            if dependency in exits:
                lines.append(f"{where}: depends on the exit task {dependency}, which nothing can wait for")
        lines += _undefined_inputs(spec, where, task)
        if task.is_exit:
            lines += _exit(spec, where, task, hooked)
        elif spec.release < NESTED_OUTPUTS:
            lines += _nested(where, task, tasks)
    return lines


def _undefined_inputs(spec: Spec, where: str, task: Task) -> list[str]:
    """A parameter with a default must be optional: else the driver passes an empty string on, or fails."""
    definitions = spec.component(task.component).get("inputDefinitions", {}).get("parameters", {})
    given = task.spec.get("inputs", {}).get("parameters", {})
    return [
        f"{where}: parameter {name} has a default and is not optional, so that the default is not used"
        for name, definition in definitions.items()
        if "defaultValue" in definition and not definition.get("isOptional") and name not in given
    ]


def _exit(spec: Spec, where: str, task: Task, hooked: dict[str, str]) -> list[str]:
    if spec.release < HOOKS:
        return [
            f"{where}: an exit task that is a DAG runs only where all succeeded, before 2.5"
        ] * task.is_dag
    lines = []
    if len(task.dependencies) != 1:
        lines.append(f"{where}: an exit task of {len(task.dependencies)} tasks runs once for each of them")
    for dependency in task.dependencies:
        if dependency in hooked:
            lines.append(
                f"{where}: {hooked[dependency]} is an exit task of {dependency} too, one replaces the other"
            )
        hooked[dependency] = task.name
    return lines


def _nested(where: str, task: Task, tasks: dict[str, Task]) -> list[str]:
    inputs = task.spec.get("inputs", {})
    sources = [*inputs.get("parameters", {}).values(), *inputs.get("artifacts", {}).values()]
    producers = {
        produced["producerTask"]
        for source in sources
        if (produced := source.get("taskOutputParameter") or source.get("taskOutputArtifact"))
    }
    return [
        f"{where}: takes an output of the nested DAG {name}, which works from 2.4"
        for name in sorted(producers)
        if tasks[name].is_dag
    ]
