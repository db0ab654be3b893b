"""Pieces of KFP's intermediate representation (schema 2.1.0) as plain data.

Source: `kubeflow/pipelines`, `api/v2alpha1/pipeline_spec.proto`; field names are those of its JSON form.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

SCHEMA_VERSION = "2.1.0"
STRING, INTEGER = "STRING", "NUMBER_INTEGER"
_INTEGERS = frozenset({"seed", "span", "ideal_span"})
#: TFX's types under the names that KFP and its UI know; the whole type travels in the metadata.
_SYSTEM = {"Examples": "system.Dataset", "Model": "system.Model"}

Data = dict[str, Any]


def parameter_type(name: str) -> str:
    """STRING, but for whole numbers."""
    return INTEGER if name in _INTEGERS else STRING


def system_type(artifact_type: str) -> str:
    """KFP's type for an artifact: of TFX by import path, or of KFP already."""
    if artifact_type.startswith("system."):
        return artifact_type
    return _SYSTEM.get(artifact_type.rsplit(".", 1)[-1], "system.Artifact")


def definitions(parameters: Iterable[str], artifacts: Mapping[str, str]) -> Data:
    """Input or output definitions: names of parameters, and artifacts with their types."""
    found: Data = {}
    names = sorted(set(parameters))
    if names:
        found["parameters"] = {name: {"parameterType": parameter_type(name)} for name in names}
    if artifacts:
        found["artifacts"] = {
            name: {"artifactType": {"schemaTitle": system_type(kind), "schemaVersion": "0.0.1"}}
            for name, kind in sorted(artifacts.items())
        }
    return found


def leaf(
    executor: str,
    inputs: tuple[Iterable[str], Mapping[str, str]],
    outputs: tuple[Iterable[str], Mapping[str, str]],
) -> Data:
    """A component that a container runs."""
    component: Data = {"executorLabel": executor}
    for key, (parameters, artifacts) in (("inputDefinitions", inputs), ("outputDefinitions", outputs)):
        if found := definitions(parameters, artifacts):
            component[key] = found
    return component


def dag(tasks: Mapping[str, Data], parameters: Iterable[str]) -> Data:
    """A component that is a graph of tasks; it hands no artifact in or out."""
    return {"inputDefinitions": definitions(parameters, {}), "dag": {"tasks": dict(tasks)}}


def task(
    name: str,
    component: str,
    parameters: Mapping[str, Data],
    *,
    artifacts: Mapping[str, Data] | None = None,
    after: Sequence[str] = (),
    cached: bool = False,
    retry: Data | None = None,
    at_the_end: bool = False,
) -> Data:
    """A use of a component.

    Args:
      name: Its key, which the back end also looks it up by.
      component: What it runs.
      parameters: Inputs, each as `constant`, `passed_down` or `from_task` gives it.
      artifacts: As `artifact_from` gives them.
      after: Tasks of the same graph that come before; runners that look at no data flow take the order
        from here.
      cached: Whether it may be served from the cache.
      retry: `retryPolicy`.
      at_the_end: Runs once when what it comes after has ended, also when that failed.
    """
    found: Data = {
        "taskInfo": {"name": name},
        "componentRef": {"name": component},
        "cachingOptions": {"enableCache": True} if cached else {},
        "inputs": {"parameters": dict(sorted(parameters.items()))},
    }
    if artifacts:
        found["inputs"]["artifacts"] = dict(sorted(artifacts.items()))
    if after:
        found["dependentTasks"] = sorted(after)
    if retry:
        found["retryPolicy"] = retry
    if at_the_end:
        # A hook on what it comes after: of several, each would start it (dag.go, `taskToExitTemplate`).
        assert len(after) == 1, name
        found["triggerPolicy"] = {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}
    return found


def constant(value: Any) -> Data:
    """A value that is written into the spec."""
    return {"runtimeValue": {"constant": value}}


def passed_down(name: str) -> Data:
    """An input of the graph that the task is in."""
    return {"componentInputParameter": name}


def from_task(producer: str, key: str) -> Data:
    """An output parameter of another task of the graph."""
    return {"taskOutputParameter": {"producerTask": producer, "outputParameterKey": key}}


def artifact_from(producer: str, key: str) -> Data:
    """An output artifact of another task of the graph."""
    return {"taskOutputArtifact": {"producerTask": producer, "outputArtifactKey": key}}


def parameter_with_default(name: str, default: Any, description: str) -> Data:
    """A parameter of the whole pipeline."""
    return {"parameterType": parameter_type(name), "defaultValue": default, "description": description}
