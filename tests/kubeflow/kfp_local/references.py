"""Do the names in a pipeline spec point to what is there? kfp's protos and its loader do not ask.

Works on the spec as a mapping (the first YAML document) and imports the standard library only.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Mapping = dict[str, Any]


def dags(spec: Mapping) -> Iterator[tuple[str, Mapping]]:
    """Yields the root and every component that is a DAG, by name."""
    for name, component in [("root", spec.get("root", {})), *spec.get("components", {}).items()]:
        if "dag" in component:
            yield name, component


def container_tasks(spec: Mapping) -> dict[str, list[str]]:
    """Returns, for every component with an executor, the places of its tasks as `dag/task`."""
    places: dict[str, list[str]] = {}
    for name, dag in dags(spec):
        for key, task in dag["dag"].get("tasks", {}).items():
            component = task.get("componentRef", {}).get("name", "")
            if "executorLabel" in spec.get("components", {}).get(component, {}):
                places.setdefault(component, []).append(f"{name}/{key}")
    return places


def shared_components(spec: Mapping) -> list[str]:
    """Returns a line for every component with an executor that more than one task uses."""
    return [
        f"{component} is used by {', '.join(places)}"
        for component, places in container_tasks(spec).items()
        if len(places) > 1
    ]


def problems(spec: Mapping) -> list[str]:
    """Returns a line for every name that points nowhere, every cycle and every input left open."""
    components, executors = spec.get("components", {}), spec.get("deploymentSpec", {}).get("executors", {})
    found = [
        f"components.{name}: no executor {component['executorLabel']}"
        for name, component in components.items()
        if "executorLabel" in component and component["executorLabel"] not in executors
    ]
    for name, dag in dags(spec):
        tasks = dag["dag"].get("tasks", {})
        for key, task in tasks.items():
            found += [f"{name}/{key}: {line}" for line in _task(spec, dag, tasks, task)]
        found += [f"{name}: {line}" for line in _outputs(spec, dag, tasks)]
        found += [f"{name}: {key} depends on itself" for key in tasks if key in _upstream(tasks, key)]
    return found


def _definitions(component: Mapping, way: str, kind: str) -> Mapping:
    return component.get(f"{way}Definitions", {}).get(kind, {})


def _component(spec: Mapping, task: Mapping) -> Mapping:
    return spec.get("components", {}).get(task.get("componentRef", {}).get("name", ""), {})


def _upstream(tasks: Mapping, key: str) -> set[str]:
    found: set[str] = set()
    waiting = list(tasks[key].get("dependentTasks", []))
    while waiting:
        one = waiting.pop()
        if one in tasks and one not in found:
            found.add(one)
            waiting += tasks[one].get("dependentTasks", [])
    return found


def _task(spec: Mapping, dag: Mapping, tasks: Mapping, task: Mapping) -> Iterator[str]:
    component_name = task.get("componentRef", {}).get("name", "")
    component = _component(spec, task)
    if not component:
        yield f"no component {component_name}"
        return
    dependent = task.get("dependentTasks", [])
    yield from (f"dependentTasks names {one}, which is no task here" for one in dependent if one not in tasks)
    for kind, kind_of_one in (("parameters", "Parameter"), ("artifacts", "Artifact")):
        given = task.get("inputs", {}).get(kind, {})
        defined = _definitions(component, "input", kind)
        yield from (f"{component_name} has no input {one}" for one in given.keys() - defined.keys())
        for one in defined.keys() - given.keys():
            if not (defined[one].get("isOptional") or "defaultValue" in defined[one]):
                yield f"input {one} of {component_name} is not given"
        for one, source in given.items():
            outer = source.get(f"componentInput{kind_of_one}")
            if outer is not None and outer not in _definitions(dag, "input", kind):
                yield f"input {one}: the DAG has no input {outer}"
            producer = source.get(f"taskOutput{kind_of_one}")
            if producer is not None:
                yield from _producer(spec, tasks, kind, kind_of_one, one, producer, dependent)


def _producer(
    spec: Mapping,
    tasks: Mapping,
    kind: str,
    kind_of_one: str,
    name: str,
    source: Mapping,
    dependent: list[str],
) -> Iterator[str]:
    producer, key = source.get("producerTask", ""), source.get(f"output{kind_of_one}Key", "")
    if producer not in tasks:
        yield f"input {name}: {producer} is no task here"
    elif key not in _definitions(_component(spec, tasks[producer]), "output", kind):
        yield f"input {name}: {producer} has no output {key}"
    elif producer not in dependent:
        # kfp.local orders tasks by dependentTasks alone.
        yield f"input {name}: its producer {producer} is not among dependentTasks"


def _outputs(spec: Mapping, dag: Mapping, tasks: Mapping) -> Iterator[str]:
    for kind, kind_of_one in (("parameters", "Parameter"), ("artifacts", "Artifact")):
        selected = dag["dag"].get("outputs", {}).get(kind, {})
        defined = _definitions(dag, "output", kind)
        yield from (f"output {one} is selected but not defined" for one in selected.keys() - defined.keys())
        yield from (f"output {one} is defined but not selected" for one in defined.keys() - selected.keys())
        for one, source in selected.items():
            selectors = source.get("artifactSelectors", [])
            if "valueFromParameter" in source:
                selectors = [source["valueFromParameter"]]
            elif "valueFromOneof" in source:
                selectors = source["valueFromOneof"].get("parameterSelectors", [])
            for selector in selectors:
                producer, key = (
                    selector.get("producerSubtask", ""),
                    selector.get(f"output{kind_of_one}Key", ""),
                )
                if producer not in tasks:
                    yield f"output {one}: {producer} is no task here"
                elif key not in _definitions(_component(spec, tasks[producer]), "output", kind):
                    yield f"output {one}: {producer} has no output {key}"
