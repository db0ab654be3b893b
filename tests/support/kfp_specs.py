"""Small pipelines for the emulation's tests, written as the data that a compiler writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

Source = str | int | float | bool | list | dict | tuple[str, str]


def _parameter(source: Source) -> dict[str, Any]:
    """ "@x" is a parameter of the DAG, ("task", "key") another task's, all else a constant."""
    if isinstance(source, tuple):
        return {"taskOutputParameter": {"producerTask": source[0], "outputParameterKey": source[1]}}
    if isinstance(source, str) and source.startswith("@"):
        return {"componentInputParameter": source[1:]}
    return {"runtimeValue": {"constant": source}}


def _artifact(source: str | tuple[str, str]) -> dict[str, Any]:
    if isinstance(source, tuple):
        return {"taskOutputArtifact": {"producerTask": source[0], "outputArtifactKey": source[1]}}
    return {"componentInputArtifact": source.removeprefix("@")}


def task(
    component: str,
    parameters: dict[str, Source] | None = None,
    artifacts: dict[str, str | tuple[str, str]] | None = None,
    after: tuple[str, ...] = (),
    on_exit: bool = False,
    cache: bool = False,
    retry: dict[str, Any] | None = None,
    condition: str = "",
) -> dict[str, Any]:
    """A PipelineTaskSpec; its taskInfo is filled in by `Pipeline`."""
    made: dict[str, Any] = {"componentRef": {"name": component}}
    if parameters:
        made["inputs"] = {"parameters": {name: _parameter(source) for name, source in parameters.items()}}
    if artifacts:
        made.setdefault("inputs", {})["artifacts"] = {
            name: _artifact(source) for name, source in artifacts.items()
        }
    if after:
        made["dependentTasks"] = list(after)
    if on_exit:
        made["triggerPolicy"] = {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}
    if condition:
        made["triggerPolicy"] = {"condition": condition}
    if cache:
        made["cachingOptions"] = {"enableCache": True}
    if retry is not None:
        made["retryPolicy"] = retry
    return made


def _definitions(parameters: dict[str, str] | None, artifacts: dict[str, str] | None) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if parameters:
        made["parameters"] = {name: {"parameterType": kind} for name, kind in parameters.items()}
    if artifacts:
        made["artifacts"] = {
            name: {"artifactType": {"schemaTitle": title, "schemaVersion": "0.0.1"}}
            for name, title in artifacts.items()
        }
    return made


class Pipeline:
    """A pipeline whose containers are shell scripts; `$1` … are the further arguments."""

    def __init__(self, **parameters: str) -> None:
        self.components: dict[str, Any] = {}
        self.executors: dict[str, Any] = {}
        self.platform: dict[str, Any] = {}
        self.parameters = parameters
        self.root: dict[str, Any] = {}

    def container(
        self,
        name: str,
        script: str,
        *arguments: str,
        parameters: dict[str, str] | None = None,
        artifacts: dict[str, str] | None = None,
        out_parameters: dict[str, str] | None = None,
        out_artifacts: dict[str, str] | None = None,
        env: dict[str, str] | None = None,
        image: str = "python:3.10",
        platform: dict[str, Any] | None = None,
    ) -> None:
        """A container component; types by name, as in {"n": "NUMBER_INTEGER"}, {"model": "system.Model"}."""
        label = f"exec-{name}"
        self.components[name] = {"executorLabel": label}
        for part, definitions in (
            ("inputDefinitions", _definitions(parameters, artifacts)),
            ("outputDefinitions", _definitions(out_parameters, out_artifacts)),
        ):
            if definitions:
                self.components[name][part] = definitions
        container: dict[str, Any] = {"image": image, "command": ["sh", "-ec", script, name]}
        if arguments:
            container["args"] = list(arguments)
        if env:
            container["env"] = [{"name": key, "value": value} for key, value in env.items()]
        self.executors[label] = {"container": container}
        if platform:
            self.platform[label] = platform

    def dag(
        self,
        name: str,
        tasks: dict[str, dict[str, Any]],
        parameters: dict[str, str] | None = None,
        artifacts: dict[str, str] | None = None,
        out_parameters: dict[str, tuple[str, str, str]] | None = None,
        out_artifacts: dict[str, tuple[str, str, str]] | None = None,
    ) -> None:
        """A nested DAG; its outputs are (type, inner task, key)."""
        dag: dict[str, Any] = {"tasks": _named(tasks)}
        component: dict[str, Any] = {"dag": dag}
        if parameters or artifacts:
            component["inputDefinitions"] = _definitions(parameters, artifacts)
        if out_parameters or out_artifacts:
            component["outputDefinitions"] = _definitions(
                {key: kind for key, (kind, _, _) in (out_parameters or {}).items()},
                {key: kind for key, (kind, _, _) in (out_artifacts or {}).items()},
            )
            dag["outputs"] = {}
        for key, (_, inner, output) in (out_parameters or {}).items():
            dag["outputs"].setdefault("parameters", {})[key] = {
                "valueFromParameter": {"producerSubtask": inner, "outputParameterKey": output}
            }
        for key, (_, inner, output) in (out_artifacts or {}).items():
            dag["outputs"].setdefault("artifacts", {})[key] = {
                "artifactSelectors": [{"producerSubtask": inner, "outputArtifactKey": output}]
            }
        self.components[name] = component

    def write(self, path: Path, **tasks: dict[str, Any]) -> Path:
        """Writes it; `tasks` are the root's, with "_" for "-" in their names."""
        named = {name.replace("_", "-"): made for name, made in tasks.items()}
        root: dict[str, Any] = {"dag": {"tasks": _named(named)}}
        if self.parameters:
            root["inputDefinitions"] = _definitions(self.parameters, None)
        pipeline = {
            "pipelineInfo": {"name": "small"},
            "schemaVersion": "2.1.0",
            "sdkVersion": "kfp-2.5.0",
            "root": root,
            "components": self.components,
            "deploymentSpec": {"executors": self.executors},
        }
        documents = [pipeline]
        if self.platform:
            documents.append({"platforms": {"kubernetes": {"deploymentSpec": {"executors": self.platform}}}})
        path.write_text(yaml.safe_dump_all(documents))
        return path


def _named(tasks: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {name: {"taskInfo": {"name": name}, **made} for name, made in tasks.items()}
