"""The launcher: inputs down, placeholders in, the user's command, outputs up, results published."""

from __future__ import annotations

import copy
import json
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from tests.kubeflow.emulation import pods
from tests.kubeflow.emulation.driver import Driven
from tests.kubeflow.emulation.metadata import COMPLETE, FAILED, RUNNING, MetadataError, Store
from tests.kubeflow.emulation.objects import ObjectError, Objects, local_path
from tests.kubeflow.emulation.records import AttemptRecord
from tests.kubeflow.emulation.resolve import text_of
from tests.kubeflow.emulation.spec import dumps, integral

_TITLES = {"schemaTitle": "title: {}", "instanceSchema": "{}"}


class LauncherError(RuntimeError):
    """The launcher gives up; its pod fails."""


@dataclass
class Launched:
    """What a pod left behind."""

    record: AttemptRecord
    parameters: dict[str, Any] = field(default_factory=dict)
    artifacts: dict[str, str] = field(default_factory=dict)


@dataclass
class Launcher:
    """Runs one attempt (component/launcher_v2.go, Execute and executeV2).

    Attributes:
      component: ComponentSpec, as the back end keeps it.
      command: The container's command and args, with placeholders.
      root: The run's root in the object store.
      keep: Whether the pod's folders stay after a success.
    """

    store: Store
    objects: Objects
    component: dict[str, Any]
    command: list[str]
    root: str
    keep: bool = False

    def launch(
        self, driven: Driven, pod: pods.Pod, record: AttemptRecord, fault: pods.Fault | None
    ) -> Launched:
        """One pod of a task, from its beginning to its end."""
        pod.prepare()
        record.log = str(pod.log)
        launched = Launched(record)
        self.store.set_state(driven.execution, RUNNING)
        executor_input = self._in_pod(driven.executor_input, pod.root)
        try:
            self._download(executor_input, pod, record)
            self._prepare_outputs(executor_input, pod.root)
            (pod.folder / "executor_input.json").write_text(dumps(executor_input))
            ended = pod.run(self._filled(executor_input, pod.root), fault)
            self._time(record, ended, executor_input)
            record.phase, record.reason, record.exit_code = ended.phase, ended.reason, ended.exit_code
            if ended.phase == pods.SUCCEEDED:
                began = time.time()
                numbers = self._collect(executor_input, pod, launched)
                record.upload_s = time.time() - began
                self.store.publish(driven.execution, COMPLETE, launched.parameters, numbers)
        except (LauncherError, ObjectError, MetadataError) as error:
            record.phase, record.reason = pods.FAILED, str(error)
        if record.phase == pods.SUCCEEDED:
            if not self.keep:
                # A mounted volume is a link there: the link goes, not what it points to.
                shutil.rmtree(pod.root)
        else:
            pod.say(f"failed to execute component: {record.reason}")
            self.store.publish(driven.execution, FAILED, {}, {})
        return launched

    def _in_pod(self, executor_input: dict[str, Any], root: Path) -> dict[str, Any]:
        """The input with its local paths below the pod's root; its URIs stay as they are."""
        changed = copy.deepcopy(executor_input)
        outputs = changed.get("outputs", {})
        for holder in [outputs, *outputs.get("parameters", {}).values()]:
            if "outputFile" in holder:
                holder["outputFile"] = f"{root}{holder['outputFile']}"
        return changed

    def _download(self, executor_input: dict[str, Any], pod: pods.Pod, record: AttemptRecord) -> None:
        began = time.time()
        for name, artifact in _artifacts(executor_input, "inputs"):
            path = local_path(artifact["uri"], pod.root)
            if path is None:
                pod.say(f"input artifact {name}: {artifact['uri']} is not downloaded, unknown scheme")
            elif not self.objects.download(artifact["uri"], path):
                pod.say(f"input artifact {name}: nothing at {artifact['uri']}")
        record.download_s = time.time() - began

    def _prepare_outputs(self, executor_input: dict[str, Any], root: Path) -> None:
        """launcher_v2.go, prepareOutputFolders: the parents, and nothing but them.

        The folder of `outputFile` is not among them.
        """
        for parameter in executor_input.get("outputs", {}).get("parameters", {}).values():
            Path(parameter["outputFile"]).parent.mkdir(parents=True, exist_ok=True)
        for name, artifact in _artifacts(executor_input, "outputs"):
            path = local_path(artifact["uri"], root)
            if path is None:
                raise LauncherError(f"failed to generate local storage path for output artifact {name!r}")
            path.parent.mkdir(parents=True, exist_ok=True)

    def _filled(self, executor_input: dict[str, Any], root: Path) -> list[str]:
        """Command and arguments, placeholders replaced (launcher_v2.go, getPlaceholders).

        `{{$}}` goes first: earlier releases went in random order (pull request 11925).
        """
        if not self.command:
            raise LauncherError("command and arguments are empty")
        values = self._placeholders(executor_input, root)
        filled = []
        for text in self.command:
            for placeholder, value in values.items():
                text = text.replace(placeholder, value)
            filled.append(text)
        return filled

    def _placeholders(self, executor_input: dict[str, Any], root: Path) -> dict[str, str]:
        with_defaults = copy.deepcopy(executor_input)
        parameters = with_defaults.setdefault("inputs", {}).setdefault("parameterValues", {})
        for name, definition in self.component.get("inputDefinitions", {}).get("parameters", {}).items():
            if "defaultValue" in definition:
                parameters.setdefault(name, definition["defaultValue"])
        values = {"{{$}}": dumps(with_defaults)}
        for side in ("inputs", "outputs"):
            for name, artifact in _artifacts(executor_input, side):
                values[f"{{{{$.{side}.artifacts['{name}'].uri}}}}"] = artifact["uri"]
                path = local_path(artifact["uri"], root)
                if path is not None:
                    values[f"{{{{$.{side}.artifacts['{name}'].path}}}}"] = str(path)
        for name, value in parameters.items():
            if value is None:
                raise LauncherError("unknown PipelineSpec Value type *structpb.Value_NullValue")
            values[f"{{{{$.inputs.parameters['{name}']}}}}"] = text_of(value)
        for name, parameter in executor_input.get("outputs", {}).get("parameters", {}).items():
            values[f"{{{{$.outputs.parameters['{name}'].output_file}}}}"] = parameter["outputFile"]
        return values

    def _time(self, record: AttemptRecord, ended: pods.Ended, executor_input: dict[str, Any]) -> None:
        """Start-up and work: as the process says in timings.json beside `outputFile`, else all is work."""
        ready = ended.started
        timings = Path(executor_input["outputs"]["outputFile"]).parent / "timings.json"
        if timings.exists():
            said = json.loads(timings.read_text()).get("ready", ended.started)
            ready = min(max(float(said), ended.started), ended.ended)
        record.start_up_s, record.work_s = ready - ended.started, ended.ended - ready

    def _collect(self, executor_input: dict[str, Any], pod: pods.Pod, launched: Launched) -> dict[str, int]:
        """Output parameters and artifacts; returns the artifacts' numbers in the store by name."""
        outputs = executor_input.get("outputs", {})
        said = _executor_output(Path(outputs["outputFile"]))
        launched.parameters = dict(said.get("parameterValues", {}))
        definitions = self.component.get("outputDefinitions", {}).get("parameters", {})
        for name, parameter in outputs.get("parameters", {}).items():
            if name not in launched.parameters:
                launched.parameters[name] = _parameter(name, parameter["outputFile"], definitions[name])
        numbers = {}
        for name, artifact in _artifacts(executor_input, "outputs"):
            merged = _merged(artifact, said.get("artifacts", {}).get(name, {}).get("artifacts", []))
            path = local_path(merged["uri"], pod.root)
            if path is None:
                pod.say(f"output artifact {name}: {merged['uri']} is not uploaded, unknown scheme")
            else:
                if name == "executor-logs":
                    path.write_bytes(pod.log.read_bytes())
                if not self.objects.upload(path, merged["uri"], self.root):
                    pod.say(f"output artifact {name}: {path} does not exist")
            numbers[name] = self.store.record(name, merged["uri"], _title(name, merged), merged["metadata"])
            launched.artifacts[name] = merged["uri"]
        return numbers


def _artifacts(executor_input: dict[str, Any], side: str) -> list[tuple[str, dict[str, Any]]]:
    lists = executor_input.get(side, {}).get("artifacts", {})
    return [(name, items["artifacts"][0]) for name, items in lists.items() if items.get("artifacts")]


def _merged(artifact: dict[str, Any], said: list[dict[str, Any]]) -> dict[str, Any]:
    """launcher_v2.go, mergeRuntimeArtifacts: URI and metadata are the process's; type and name are not."""
    merged = {**artifact, "metadata": dict(artifact.get("metadata", {}))}
    if said:
        merged["uri"] = said[0].get("uri") or artifact["uri"]
        merged["metadata"] |= said[0].get("metadata", {})
    return merged


def _title(name: str, artifact: dict[str, Any]) -> str:
    """The artifact type's name (getArtifactSchema, SchemaToArtifactType): the schema's title."""
    for kind, form in _TITLES.items():
        if kind in artifact.get("type", {}):
            schema = yaml.safe_load(form.format(artifact["type"][kind]))
            if not isinstance(schema, dict) or not schema.get("title"):
                raise LauncherError(f"output artifact {name}: its schema has no title")
            return str(schema["title"])
    raise LauncherError(f"failed to determine schema for output {name!r}")


def _executor_output(path: Path) -> dict[str, Any]:
    """launcher_v2.go, getExecutorOutputFile: nothing where there is no file."""
    if not path.exists():
        return {}
    message = pipeline_spec_pb2.ExecutorOutput()
    try:
        json_format.Parse(path.read_text(), message)
    except (json_format.ParseError, UnicodeDecodeError) as error:
        text = " ".join(str(error).split())
        raise LauncherError(f"failed to unmarshall ExecutorOutput in file {path.name!r}: {text}") from None
    return integral(json_format.MessageToDict(message))


def _parameter(name: str, path: str, definition: dict[str, Any]) -> Any:
    """An output parameter from its file (converter.go, TextToPbValue)."""
    kind = definition.get("parameterType", "STRING")
    try:
        text = Path(path).read_text()
        if kind == "STRING":
            return text
        if kind == "NUMBER_INTEGER":
            return int(text.strip())
        if kind == "NUMBER_DOUBLE":
            return float(text.strip())
        if kind == "BOOLEAN":
            return {"1": True, "t": True, "true": True, "0": False, "f": False, "false": False}[
                text.strip().lower()
            ]
        value = json.loads(text)
        if not isinstance(value, list if kind == "LIST" else dict):
            raise ValueError("unexpected type")
        return value
    except (OSError, ValueError, KeyError) as error:
        raise LauncherError(f"failed to read output parameter name={name!r} type={kind!r}: {error}") from None
