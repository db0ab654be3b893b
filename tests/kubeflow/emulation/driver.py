"""The drivers: the inputs of a task are resolved, its outputs named, its cache entry looked up."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from dataclasses import dataclass, field
from typing import Any

from tests.kubeflow.emulation import expression
from tests.kubeflow.emulation.metadata import (
    CACHED,
    CANCELED,
    CONTAINER,
    DAG,
    RUNNING,
    Execution,
    Store,
)
from tests.kubeflow.emulation.resolve import DriverError, Resolver
from tests.kubeflow.emulation.spec import (
    ENV_IN_KEY,
    EXECUTOR_LOGS,
    PVC_IN_KEY,
    SALTED_URIS,
    Spec,
    Task,
    dumps,
)

OUTPUT_FILE = "/tmp/kfp_outputs/output_metadata.json"  # component/constants.go, OutputMetadataFilepath
PARAMETER_FOLDER = "/tmp/kfp/outputs"  # driver.go, provisionOutputs
_CHANNEL = re.compile(r"\$.inputs.parameters\['(.+?)'\]")


@dataclass
class Driven:
    """What a driver hands on.

    Attributes:
      execution: Its number in the store.
      runs: False where the task's condition is false.
      cached: The earlier execution's outputs are taken: nothing runs.
      executor_input: For the launcher, as JSON.
      image: With its placeholder resolved.
    """

    execution: int
    runs: bool = True
    cached: bool = False
    executor_input: dict[str, Any] = field(default_factory=dict)
    image: str = ""
    fingerprint: str = ""


class Driver:
    """The drivers of one run.

    Args:
      pipeline_root: Where its artifacts lie, before pipeline name and run are added.
      namespace: The run's; part of the look-up in the cache.
      publish_logs: Whether the launcher's log is an output artifact (from 2.5; PUBLISH_LOGS).
      cache: Whether the installation has caching at all.
    """

    def __init__(
        self,
        spec: Spec,
        store: Store,
        run_id: str,
        pipeline_root: str,
        namespace: str,
        publish_logs: bool,
        cache: bool,
    ) -> None:
        self.spec = spec
        self.store = store
        self.run_id = run_id
        self.root = f"{pipeline_root.split('?')[0].rstrip('/')}/{spec.name}/{run_id}"
        self.namespace = namespace
        self.publish_logs = publish_logs and spec.release >= EXECUTOR_LOGS
        self.cache = cache
        self.resolver = Resolver(spec, store, run_id)

    def root_dag(self, parameters: dict[str, Any]) -> int:
        """root_dag.go, RootDAG. Returns its execution.

        Raises:
          DriverError: A parameter is unknown, missing or of another type.
        """
        definitions = self.spec.component("root").get("inputDefinitions", {}).get("parameters", {})
        unknown = sorted(set(parameters) - set(definitions))
        if unknown:
            raise DriverError(f"parameter {unknown[0]}: the pipeline has none of that name")
        values = {}
        for name, definition in sorted(definitions.items()):
            if name in parameters:
                values[name] = parameters[name]
            elif "defaultValue" in definition:
                values[name] = definition["defaultValue"]
            elif definition.get("isOptional"):
                values[name] = None
            else:
                raise DriverError(f"parameter {name}: has neither a value nor a default")
            if values[name] is not None:
                self.resolver.check_type(name, values[name], definition.get("parameterType", "STRING"))
        execution = Execution(0, self.run_id, 0, "", DAG, RUNNING, values)
        execution.producers = self.spec.component("root").get("dag", {}).get("outputs", {})
        return self.store.create(execution, {})

    def dag(self, task: Task, parent: int) -> Driven:
        """dag.go, DAG: the driver of a nested DAG.

        Raises:
          DriverError: An input cannot be resolved.
        """
        component = self.spec.as_stored(task.component)
        inputs, artifacts = self.resolver.inputs(task, component, self.store.get(parent), is_dag=True)
        runs = self._runs(task, inputs)
        execution = Execution(0, self.run_id, parent, task.name, DAG, RUNNING if runs else CANCELED, inputs)
        execution.producers = component["dag"].get("outputs", {})
        execution.total = len(component["dag"].get("tasks", {}))
        return Driven(self.store.create(execution, _numbers(artifacts)), runs)

    def container(self, task: Task, parent: int) -> Driven:
        """container.go, Container: the driver of a container task; looks into the cache.

        Raises:
          DriverError: An input cannot be resolved, or the image.
        """
        component = self.spec.as_stored(task.component)
        inputs, artifacts = self.resolver.inputs(task, component, self.store.get(parent), is_dag=False)
        runs = self._runs(task, inputs)
        executor_input: dict[str, Any] = {"inputs": {"parameterValues": inputs}}
        if artifacts:
            executor_input["inputs"]["artifacts"] = {
                name: {"artifacts": [item]} for name, item in artifacts.items()
            }
        if runs:
            executor_input["outputs"] = self._outputs(task, component)
        fingerprint, earlier = "", 0
        if self.cache and runs and task.spec.get("cachingOptions", {}).get("enableCache"):
            fingerprint = self._fingerprint(task, component, executor_input)
            earlier = self.store.cached(fingerprint, f"pipeline/{self.spec.name}", self.namespace)
        execution = Execution(
            0, self.run_id, parent, task.name, CONTAINER, RUNNING if runs else CANCELED, inputs
        )
        execution.fingerprint = fingerprint
        driven = Driven(self.store.create(execution, _numbers(artifacts)), runs, False, executor_input)
        driven.fingerprint = fingerprint
        if earlier:
            self._reuse(driven, earlier)
        elif runs:
            driven.image = self._image(task, inputs)
        return driven

    def _runs(self, task: Task, inputs: dict[str, Any]) -> bool:
        text = task.spec.get("triggerPolicy", {}).get("condition", "")
        try:
            return expression.condition(text, inputs) if text else True
        except expression.ExpressionError as error:
            raise DriverError(str(error)) from None

    def _outputs(self, task: Task, component: dict[str, Any]) -> dict[str, Any]:
        """driver.go, provisionOutputs: a new URI for each run, below the run's root and the task's name."""
        definitions = component.get("outputDefinitions", {})
        artifacts = dict(definitions.get("artifacts", {}))
        if self.publish_logs:
            artifacts["executor-logs"] = {"artifactType": {"schemaTitle": "system.Artifact"}}
        salt = [str(uuid.uuid4())] if self.spec.release >= SALTED_URIS else []
        outputs: dict[str, Any] = {"outputFile": OUTPUT_FILE}
        for name, definition in artifacts.items():
            artifact = {
                "uri": "/".join([self.root, task.display_name, *salt, name]),
                "type": definition.get("artifactType", {}),
            }
            if "metadata" in definition:
                artifact["metadata"] = definition["metadata"]
            outputs.setdefault("artifacts", {})[name] = {"artifacts": [artifact]}
        for name in definitions.get("parameters", {}):
            outputs.setdefault("parameters", {})[name] = {"outputFile": f"{PARAMETER_FOLDER}/{name}"}
        return outputs

    def _fingerprint(self, task: Task, component: dict[str, Any], executor_input: dict[str, Any]) -> str:
        """cacheutils/cache.go, GenerateCacheKey: all that takes part in the key, and nothing else.

        An input artifact takes part by its number in the store, not by what is in it; the image and the
        arguments as the spec has them, placeholders and all.
        """
        container = self.spec.container(task.component)
        inputs, outputs = executor_input["inputs"], executor_input["outputs"]
        key: dict[str, Any] = {
            "inputArtifactNames": {
                name: [item["name"] for item in items["artifacts"]]
                for name, items in inputs.get("artifacts", {}).items()
            },
            "inputParameterValues": inputs["parameterValues"],
            "outputArtifactsSpec": {
                name: {part: item for part, item in items["artifacts"][0].items() if part != "uri"}
                for name, items in outputs.get("artifacts", {}).items()
            },
            "outputParametersSpec": {
                name: definition.get("parameterType")
                for name, definition in component.get("outputDefinitions", {}).get("parameters", {}).items()
            },
            "image": container.get("image", ""),
            "cmdArgs": [*container.get("command", []), *container.get("args", [])],
        }
        if self.spec.release >= PVC_IN_KEY:
            mounts = self.spec.kubernetes(task.component).get("pvcMount", [])
            key["pvcNames"] = sorted({json.dumps(mount, sort_keys=True) for mount in mounts})
        if self.spec.release >= ENV_IN_KEY:
            key["env"] = container.get("env", [])
        return hashlib.sha256(json.dumps(json.loads(dumps(key)), sort_keys=True).encode()).hexdigest()

    def _reuse(self, driven: Driven, earlier: int) -> None:
        """driver/cache.go, reuseCachedOutputs: the same artifacts, so that what follows hits too."""
        before = self.store.artifacts(earlier, "out")
        numbers = {}
        for name in driven.executor_input["outputs"].get("artifacts", {}):
            if name not in before:
                raise DriverError(f"unable to find artifact with name {name} in the cached outputs")
            numbers[name] = int(before[name]["name"])
        self.store.publish(driven.execution, CACHED, self.store.get(earlier).outputs, numbers)
        driven.cached = True

    def _image(self, task: Task, inputs: dict[str, Any]) -> str:
        """driver.go, initPodSpecPatch: the image may be an input parameter, as a whole."""
        image = str(self.spec.container(task.component).get("image", ""))
        found = _CHANNEL.search(image)
        if not found:
            return image
        if found.group(1) not in inputs:
            raise DriverError("executorInput did not contain container Image input parameter")
        return str(inputs[found.group(1)])


def _numbers(artifacts: dict[str, dict[str, Any]]) -> dict[str, list[int]]:
    return {name: [int(artifact["name"])] for name, artifact in artifacts.items()}
