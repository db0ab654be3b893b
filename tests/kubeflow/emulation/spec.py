"""A compiled pipeline as the back end reads it: two YAML documents, parsed by the protos and normalised."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

Release = tuple[int, int]
# Where the emulated releases of the back end differ (README.md names the changes).
NESTED_OUTPUTS: Release = (2, 4)
HOOKS: Release = (2, 5)
RETRIES: Release = (2, 5)
SALTED_URIS: Release = (2, 5)
EXECUTOR_LOGS: Release = (2, 5)
INHERITED_RETRIES: Release = (2, 14)
FINAL_STATUS: Release = (2, 14)
NAMES_PER_DAG: Release = (2, 14)
RETRY_DEFAULTS_ZERO: Release = (2, 14)
PVC_IN_KEY: Release = (2, 15)
ERRORS_ONLY: Release = (2, 17)
ENV_IN_KEY: Release = (2, 18)

EXIT = "ALL_UPSTREAM_TASKS_COMPLETED"


class SpecError(ValueError):
    """The back end does not take the spec, or it does not do what it seems to say; one line each."""


def release_of(text: str) -> Release:
    """The release of a back end as numbers, from "2.14" or "2.14.3"."""
    major, minor = text.split(".")[:2]
    return int(major), int(minor)


def integral(value: Any) -> Any:
    """The value with 5.0 as 5, as Go's protojson writes the numbers of a Struct; Python's writes 5.0."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: integral(item) for key, item in value.items()}
    if isinstance(value, list):
        return [integral(item) for item in value]
    return value


def dumps(value: Any) -> str:
    """Compact JSON with integral numbers."""
    return json.dumps(integral(value), ensure_ascii=False, separators=(",", ":"))


@dataclass
class Task:
    """A task of a DAG after the compiler's passes.

    Attributes:
      name: The task's key in its DAG.
      spec: PipelineTaskSpec as JSON.
      component: The name of its component.
      is_dag: Whether that is a nested DAG.
      dependencies: `dependentTasks` and the producers of its inputs.
      is_exit: Whether its trigger policy is to run whatever became of those.
      retry: Its retry policy, own or inherited; None where it has none.
    """

    name: str
    spec: dict[str, Any]
    component: str
    is_dag: bool
    dependencies: list[str]
    is_exit: bool
    retry: dict[str, Any] | None

    @property
    def display_name(self) -> str:
        """`taskInfo.name`."""
        return self.spec.get("taskInfo", {}).get("name", "")


@dataclass
class Spec:
    """A spec that was parsed.

    Attributes:
      pipeline: PipelineSpec as JSON, names in camel case.
      executors: Executors of the deployment spec by label.
      platform: Kubernetes settings by executor label.
      release: The back end's release.
      dags: The tasks of every DAG that root reaches, by component name and task name.
      stored: The component spec that the back end keeps for a container component.
    """

    pipeline: dict[str, Any]
    executors: dict[str, Any]
    platform: dict[str, Any]
    release: Release
    dags: dict[str, dict[str, Task]] = field(default_factory=dict)
    stored: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The pipeline's name."""
        return self.pipeline.get("pipelineInfo", {}).get("name", "")

    def component(self, name: str) -> dict[str, Any]:
        """ComponentSpec as the compiler wrote it; "root" is the root.

        Raises:
          SpecError: There is none of that name.
        """
        if name == "root":
            return self.pipeline.get("root", {})
        try:
            return self.pipeline.get("components", {})[name]
        except KeyError:
            raise SpecError(f"component {name}: not in the spec") from None

    def as_stored(self, name: str) -> dict[str, Any]:
        """ComponentSpec as a driver gets it: identical containers share the first one's."""
        return self.stored[name]

    def container(self, component: str) -> dict[str, Any]:
        """PipelineContainerSpec of a container component."""
        return self.executors[self.component(component)["executorLabel"]]["container"]

    def kubernetes(self, component: str) -> dict[str, Any]:
        """The platform spec of a container component."""
        return self.platform.get(self.component(component).get("executorLabel", ""), {})


def load(path: Path, release: str = "2.14") -> Spec:
    """Reads, parses and compiles a spec.

    Args:
      path: The YAML file; its second document, the platform spec, may be missing.
      release: The back end's.

    Raises:
      SpecError: It is not a PipelineSpec of schema 2.1.0, or the back end cannot compile it.
    """
    documents = [document for document in yaml.safe_load_all(path.read_text()) if document]
    if not documents or len(documents) > 2:
        raise SpecError(f"{path}: {len(documents)} documents; a pipeline spec and at most one platform spec")
    pipeline = _parse(path, documents[0], pipeline_spec_pb2.PipelineSpec())
    platform: dict[str, Any] = {}
    if len(documents) == 2:
        parsed = _parse(path, documents[1], pipeline_spec_pb2.PlatformSpec())
        kubernetes = parsed.get("platforms", {}).get("kubernetes", {})
        platform = kubernetes.get("deploymentSpec", {}).get("executors", {})
    if pipeline.get("schemaVersion") != "2.1.0":
        raise SpecError(f"{path}: schemaVersion {pipeline.get('schemaVersion')!r}; 2.1.0 is taken")
    deployment = pipeline.get("deploymentSpec", {})
    json_format.ParseDict(
        deployment, pipeline_spec_pb2.PipelineDeploymentConfig(), ignore_unknown_fields=True
    )
    spec = Spec(pipeline, deployment.get("executors", {}), platform, release_of(release))
    if not spec.name:
        raise SpecError(f"{path}: pipelineInfo.name is empty")
    if "root" in pipeline.get("components", {}):
        raise SpecError(f"{path}: a component has the name root, which is reserved")
    _compile(spec, "root", None, [], {})
    return spec


def _parse(path: Path, document: Any, message: Any) -> dict[str, Any]:
    try:
        json_format.ParseDict(document, message)
    except json_format.ParseError as error:
        kind = message.DESCRIPTOR.name
        raise SpecError(f"{path}: not a {kind}: {' '.join(str(error).split())}") from None
    return integral(json_format.MessageToDict(message))


def container_hash(spec: Spec, component: str) -> str:
    """argo.go, hashComponentContainer: what the compiler keeps a container component's spec under."""
    text = json.dumps(spec.container(component), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _compile(
    spec: Spec, name: str, referring: Task | None, parents: list[str], by_hash: dict[str, dict[str, Any]]
) -> None:
    """visitor.go, dfs: each component once, its inner ones first, in the order of the task keys."""
    if name in parents:
        raise SpecError(f"component {name}: contains itself ({' > '.join([*parents, name])})")
    if name in spec.stored:
        return
    component = spec.component(name)
    if "executorLabel" in component:
        executor = spec.executors.get(component["executorLabel"])
        if executor is None:
            raise SpecError(f"component {name}: executor {component['executorLabel']} is not in the spec")
        if "container" not in executor:
            kind = next(iter(executor), "nothing")
            raise SpecError(f"component {name}: its executor is a {kind}; only containers are emulated")
        spec.stored[name] = by_hash.setdefault(container_hash(spec, name), component)
        return
    if "dag" not in component:
        raise SpecError(f"component {name}: neither a DAG nor an executor")
    raw = component["dag"].get("tasks", {})
    tasks: dict[str, Task] = {}
    for key in sorted(raw):
        task = _task(spec, name, key, raw, referring)
        tasks[key] = task
        _compile(spec, task.component, task, [*parents, name], by_hash)
    _no_cycle(name, tasks)
    spec.dags[name] = tasks
    spec.stored[name] = component


def _task(spec: Spec, dag: str, key: str, raw: dict[str, Any], referring: Task | None) -> Task:
    task = raw[key]
    where = f"task {key} of {dag}"
    if "parameterIterator" in task or "artifactIterator" in task:
        raise SpecError(f"{where}: iterators are not emulated")
    component = task.get("componentRef", {}).get("name", "")
    inner = spec.component(component)
    dependencies = list(task.get("dependentTasks", []))
    inputs = task.get("inputs", {})
    for source in [*inputs.get("parameters", {}).values(), *inputs.get("artifacts", {}).values()]:
        produced = source.get("taskOutputParameter") or source.get("taskOutputArtifact")
        if produced and produced["producerTask"] not in dependencies:
            dependencies.append(produced["producerTask"])
        if "taskFinalStatus" in source and spec.release < FINAL_STATUS:
            raise SpecError(f"{where}: task final status is not supported before 2.14")
    for dependency in dependencies:
        if dependency not in raw:
            raise SpecError(f"{where}: depends on {dependency}, which is not in that DAG")
    retry = task.get("retryPolicy")
    if retry is None and referring is not None and spec.release >= INHERITED_RETRIES:
        retry = referring.retry
    policy = task.get("triggerPolicy", {}).get("strategy")
    return Task(key, task, component, "dag" in inner, dependencies, policy == EXIT, retry)


def _no_cycle(dag: str, tasks: dict[str, Task]) -> None:
    done: set[str] = set()
    while len(done) < len(tasks):
        ready = {
            name for name, task in tasks.items() if name not in done and done.issuperset(task.dependencies)
        }
        if not ready:
            raise SpecError(
                f"component {dag}: its tasks {', '.join(sorted(set(tasks) - done))} form a circle"
            )
        done |= ready
