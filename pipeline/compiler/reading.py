"""Reads a PipelineSpec back: every container task with where its inputs come from.

A name in a graph means an input of that graph, a task in it, or an output of a graph in it; all three are
followed to the container task that makes the value.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from typing import Any

from components.errors import InternalError
from pipeline.compiler.placeholders import fill_own

Data = Mapping[str, Any]
#: Graphs inside graphs that are followed; what is compiled has two.
_DEEPEST = 16


@dataclasses.dataclass(frozen=True)
class Leaf:
    """A container task.

    Attributes:
      path: Names of the graphs that it is in and its own, joined by `/`.
      zone: The locale, or `central`, or `report`.
      step: Its step.
      told: What its container is told (`pipeline.compiler.zones.content`), with placeholders.
      constants: Input parameters that are written in the spec.
      parameters: Those that are outputs of a task: name to the task's path and output.
      asked: Those that are the pipeline's own: name to the pipeline's name for it.
      artifacts: Input artifacts: name to the task's path and output.
      executor: Its label.
      container: What the executor starts; empty where it is no container.
    """

    path: str
    zone: str
    step: str
    told: Data
    constants: dict[str, Any]
    parameters: dict[str, tuple[str, str]]
    asked: dict[str, str]
    artifacts: dict[str, tuple[str, str]]
    executor: str
    container: Data

    @property
    def nodes(self) -> tuple[Data, ...]:
        """Its nodes; none of a first step and of the report."""
        return tuple(self.told.get("nodes", ()))

    @property
    def is_report(self) -> bool:
        """Whether it reports at the end. Its zone is named `report`, as a locale may be too."""
        return arguments_of(self.container).get("role") == "report"

    @property
    def graph(self) -> str:
        """Path of the graph that it is in."""
        return self.path.rpartition("/")[0]


@dataclasses.dataclass(frozen=True)
class _Frame:
    """A graph in use: its component, its path, and what its task was given."""

    dag: Data
    path: str
    given: Data
    outer: _Frame | None


def leaves(pipeline: Data) -> Iterator[Leaf]:
    """All container tasks of a spec.

    Raises:
      InternalError: the spec names something that it does not hold.
    """
    root = _Frame(pipeline["root"]["dag"], "", {}, None)
    yield from _walk(pipeline, root)


def _walk(pipeline: Data, frame: _Frame) -> Iterator[Leaf]:
    for name, task in sorted(frame.dag["tasks"].items()):
        component_name = task["componentRef"]["name"]
        component = pipeline["components"].get(component_name)
        if component is None:
            raise InternalError(
                f"compiled spec: {_join(frame, name)} uses {component_name}, which is not there"
            )
        if "dag" in component:
            if frame.path.count("/") > _DEEPEST:
                raise InternalError(f"compiled spec: {_join(frame, name)} is a graph within itself")
            yield from _walk(
                pipeline, _Frame(component["dag"], _join(frame, name), task.get("inputs", {}), frame)
            )
        else:
            yield _leaf(pipeline, frame, name, task, component["executorLabel"])


def _leaf(pipeline: Data, frame: _Frame, name: str, task: Data, executor: str) -> Leaf:
    container = pipeline["deploymentSpec"]["executors"].get(executor, {}).get("container", {})
    constants: dict[str, Any] = {}
    parameters: dict[str, tuple[str, str]] = {}
    asked: dict[str, str] = {}
    for key, source in task.get("inputs", {}).get("parameters", {}).items():
        kind, value = _parameter(pipeline, frame, source)
        if kind == "constant":
            constants[key] = value
        elif kind == "pipeline":
            asked[key] = value
        else:
            parameters[key] = value
    artifacts = {
        key: _artifact(pipeline, frame, source)
        for key, source in task.get("inputs", {}).get("artifacts", {}).items()
    }
    return Leaf(
        path=_join(frame, name),
        zone=str(constants.get("zone", "")),
        step=arguments_of(container).get("step", ""),
        told=_told(constants),
        constants=constants,
        parameters=parameters,
        asked=asked,
        artifacts=artifacts,
        executor=executor,
        container=container,
    )


def arguments_of(container: Data) -> dict[str, str]:
    """The arguments of the form `--name=value` that a container is started with."""
    found = (text[2:].partition("=") for text in container.get("args", ()) if text.startswith("--"))
    return {name: value for name, equals, value in found if equals}


def _told(constants: Data) -> Data:
    template, own = (json.loads(constants.get(key, "{}")) for key in ("template", "own"))
    found = fill_own(template, own)
    return dict(found) if isinstance(found, Mapping) else {}


def _parameter(pipeline: Data, frame: _Frame, source: Data) -> tuple[str, Any]:
    if "runtimeValue" in source:
        return "constant", source["runtimeValue"].get("constant")
    if "componentInputParameter" in source:
        if frame.outer is None:
            return "pipeline", source["componentInputParameter"]
        given = frame.given.get("parameters", {}).get(source["componentInputParameter"])
        if given is None:
            return "task", (f"{frame.path} ({source['componentInputParameter']} is not given)", "")
        return _parameter(pipeline, frame.outer, given)
    if "taskOutputParameter" in source:
        found = source["taskOutputParameter"]
        return "task", _output(
            pipeline, frame, found["producerTask"], found["outputParameterKey"], "parameters"
        )
    return "task", (f"{frame.path} ({sorted(source)[0]})", "")


def _artifact(pipeline: Data, frame: _Frame, source: Data) -> tuple[str, str]:
    if "componentInputArtifact" in source:
        if frame.outer is None:
            return "", ""
        given = frame.given.get("artifacts", {}).get(source["componentInputArtifact"])
        return _artifact(pipeline, frame.outer, given) if given else ("", "")
    found = source["taskOutputArtifact"]
    return _output(pipeline, frame, found["producerTask"], found["outputArtifactKey"], "artifacts")


def _output(pipeline: Data, frame: _Frame, task: str, key: str, kind: str) -> tuple[str, str]:
    """The container task behind an output of a task, however deep."""
    path, tasks = frame.path, frame.dag["tasks"]
    for _ in range(_DEEPEST):
        used = tasks.get(task)
        path = f"{path}/{task}" if path else task
        component = pipeline["components"].get(used["componentRef"]["name"]) if used else None
        if component is None or "dag" not in component:
            return path, key
        handed = component["dag"].get("outputs", {}).get(kind, {}).get(key, {})
        if kind == "artifacts":
            selectors = handed.get("artifactSelectors") or [{}]
            if len(selectors) > 1:  # one of several, which one a run decides
                return path, key
            task, key = selectors[0].get("producerSubtask", ""), selectors[0].get("outputArtifactKey", "")
        else:
            chosen = handed.get("valueFromParameter", {})
            task, key = chosen.get("producerSubtask", ""), chosen.get("outputParameterKey", "")
        if not task:
            return path, key
        tasks = component["dag"]["tasks"]
    return path, key


def _join(frame: _Frame, name: str) -> str:
    return f"{frame.path}/{name}" if frame.path else name
