"""Inputs of a task: parameters and artifacts of the DAG that holds it, constants, other tasks' outputs."""

from __future__ import annotations

from typing import Any

from tests.kubeflow.emulation.metadata import CACHED, COMPLETE, DAG, FAILED, Execution, MetadataError, Store
from tests.kubeflow.emulation.spec import NAMES_PER_DAG, Spec, Task, dumps

Values = dict[str, Any]
Artifacts = dict[str, dict[str, Any]]
# An output parameter that its producer did not write: Go's nil, which is not JSON's null.
NIL = object()

_TYPES: dict[str, tuple[type, ...]] = {
    "NUMBER_INTEGER": (int, float),
    "NUMBER_DOUBLE": (int, float),
    "BOOLEAN": (bool,),
    "LIST": (list,),
    "STRUCT": (dict,),
    "TASK_FINAL_STATUS": (dict,),
    "STRING": (str,),
}


class DriverError(RuntimeError):
    """A driver fails: its task does not run, and neither does what depends on it."""


class _Null(Exception):
    """An optional parameter without a value."""


def text_of(value: Any) -> str:
    """metadata/converter.go, PbValueToText: any value as the text of a STRING parameter."""
    if value is None or value is NIL:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not value.is_integer():
        return format(value, "f") if "e" in repr(value) else repr(value)
    return dumps(value)


class Resolver:
    """resolve.go, resolveInputs, for the tasks of one run."""

    def __init__(self, spec: Spec, store: Store, run_id: str) -> None:
        self.spec = spec
        self.store = store
        self.run_id = run_id

    def inputs(
        self, task: Task, component: dict[str, Any], dag: Execution, is_dag: bool
    ) -> tuple[Values, Artifacts]:
        """Parameters and artifacts of a task.

        Args:
          task: The task.
          component: Its component, as the back end keeps it.
          dag: The execution of the DAG that holds it.
          is_dag: The task is a nested DAG: optional parameters that it is not given get their default, or
            null.

        Raises:
          DriverError: Something cannot be resolved, or is not of the type that the component declares.
        """
        definitions = component.get("inputDefinitions", {}).get("parameters", {})
        given = task.spec.get("inputs", {})
        values: Values = {}
        if is_dag:
            for name, definition in definitions.items():
                if name not in given.get("parameters", {}) and definition.get("isOptional"):
                    values[name] = definition.get("defaultValue")
        nulls = {name for name, value in values.items() if value is None}
        try:
            for name, source in given.get("parameters", {}).items():
                try:
                    values[name] = self._parameter(task, source, dag)
                except _Null:
                    if not definitions.get(name, {}).get("isOptional"):
                        raise DriverError(f"parameter {name}: the resolved input parameter is null") from None
            artifacts = {
                name: self._artifact(name, source, dag) for name, source in given.get("artifacts", {}).items()
            }
        except MetadataError as error:
            raise DriverError(str(error)) from None
        for name, definition in definitions.items():
            self._convert(name, definition, values, nulls)
        return values, artifacts

    def _convert(self, name: str, definition: dict[str, Any], values: Values, nulls: set[str]) -> None:
        """resolve.go, handleParamTypeValidationAndConversion."""
        if name not in values:
            if definition.get("isOptional"):
                return
            if "defaultValue" not in definition:
                raise DriverError(
                    f"neither value nor default value provided for non-optional parameter {name!r}"
                )
        value = values.get(name, NIL)
        if name in nulls:
            return
        kind = definition.get("parameterType", "STRING")
        if kind == "STRING":
            values[name] = text_of(value)
        else:
            self.check_type(name, value, kind)

    def check_type(self, name: str, value: Any, kind: str) -> None:
        """Refuses a value that is not of the parameter's type.

        Raises:
          DriverError: It is not.
        """
        if value is NIL:
            raise DriverError(f"parameter {name} has unknown protobuf.Value type: <nil>")
        if value is None:
            raise DriverError(f"got null for input parameter {name!r}")
        fits = isinstance(value, _TYPES.get(kind, (object,)))
        if not fits or (isinstance(value, bool) and kind != "BOOLEAN"):
            found = type(value).__name__
            raise DriverError(f"input parameter {name!r} type mismatch: expect {kind}, got {found}")

    def _parameter(self, task: Task, source: dict[str, Any], dag: Execution) -> Any:
        if "componentInputParameter" in source:
            name = source["componentInputParameter"]
            if name not in dag.inputs:
                raise DriverError(f"parent DAG does not have input parameter {name}")
            if dag.inputs[name] is None:
                raise _Null
            return dag.inputs[name]
        if "runtimeValue" in source:
            constant = source["runtimeValue"].get("constant")
            placeholders = {
                "{{$.pipeline_job_name}}": self.spec.name,
                "{{$.pipeline_job_resource_name}}": self.run_id,
                "{{$.pipeline_job_uuid}}": self.run_id,
                "{{$.pipeline_task_name}}": task.name,
                "{{$.pipeline_task_uuid}}": str(dag.id),
            }
            return placeholders.get(constant, constant) if isinstance(constant, str) else constant
        if "taskFinalStatus" in source:
            return self._final_status(task, dag)
        if "taskOutputParameter" in source:
            output = source["taskOutputParameter"]
            producer, key = self._producer(
                dag, output["producerTask"], output["outputParameterKey"], "parameters"
            )
            return producer.outputs.get(key, NIL)
        raise DriverError(f"parameter of kind {', '.join(source) or 'nothing'}: not implemented yet")

    def _final_status(self, task: Task, dag: Execution) -> dict[str, Any]:
        if not task.dependencies:
            raise DriverError(f"task {task.display_name} has no dependent tasks")
        producer = self.store.children(self.run_id, dag.id).get(task.dependencies[0])
        if producer is None:
            raise DriverError(f"producer task, {task.dependencies[0]}, not in tasks")
        return {
            "state": producer.state,
            "pipelineTaskName": producer.name,
            "pipelineJobResourceName": self.run_id,
            "error": {},
        }

    def _artifact(self, name: str, source: dict[str, Any], dag: Execution) -> dict[str, Any]:
        if "componentInputArtifact" in source:
            wanted = source["componentInputArtifact"]
            found = self.store.artifacts(dag.id, "in")
            if wanted not in found:
                raise DriverError(f"input artifact {name}: parent DAG does not have input artifact {wanted}")
            return found[wanted]
        output = source["taskOutputArtifact"]
        producer, key = self._producer(dag, output["producerTask"], output["outputArtifactKey"], "artifacts")
        artifacts = self.store.artifacts(producer.id, "out")
        if key not in artifacts:
            # resolve.go makes this error and drops it, and hands on an artifact that is nil.
            raise DriverError(
                f"input artifact {name}: cannot find output artifact key {key!r} in {producer.name!r}"
            )
        # client.go, GetOutputArtifactsByExecutionId: the schema is not kept, its place stays empty.
        return {**artifacts[key], "type": {"instanceSchema": ""}}

    def _producer(self, dag: Execution, name: str, key: str, kind: str) -> tuple[Execution, str]:
        """resolve.go, resolveUpstreamParameters and …Artifacts: down to the container that wrote it."""
        tasks = self._tasks(dag)
        current = tasks.get((dag.id, name))
        if current is None:
            raise DriverError(f"producer task, {name}, not in tasks")
        while current.type == DAG:
            inner, key = self._below(current, key, kind, tasks)
            below = tasks.get((current.id, inner))
            if below is None:
                raise DriverError(f"subTaskName, {inner}, not in tasks")
            current = below
        return current, key

    def _below(self, dag: Execution, key: str, kind: str, tasks: _Tasks) -> tuple[str, str]:
        """resolve.go, GetProducerTask: which inner task gives an output of a nested DAG."""
        output = dag.producers.get(kind, {}).get(key)
        if output is None:
            raise DriverError(f"task, {dag.name}, does not have an output {key}")
        if kind == "artifacts":
            selector = output.get("artifactSelectors", [{}])[-1]
            return selector.get("producerSubtask", ""), selector.get("outputArtifactKey", "")
        if "valueFromParameter" in output:
            selector = output["valueFromParameter"]
            return selector.get("producerSubtask", ""), selector.get("outputParameterKey", "")
        for selector in output.get("valueFromOneof", {}).get("parameterSelectors", []):
            found = tasks.get((dag.id, selector["producerSubtask"]))
            if found is not None and found.state in (CACHED, COMPLETE, FAILED):
                return selector["producerSubtask"], selector["outputParameterKey"]
        raise DriverError("processing OneOf: No successful task found")

    def _tasks(self, dag: Execution) -> _Tasks:
        """resolve.go, getDAGTasks: the tasks of a DAG and of those below it.

        Until 2.5 they are one table by name alone, where a task of a nested DAG replaces its namesake.
        """
        found = _Tasks(flat=self.spec.release < NAMES_PER_DAG)
        waiting = [dag.id]
        while waiting:
            parent = waiting.pop()
            for name, execution in self.store.children(self.run_id, parent).items():
                found.add(parent, name, execution)
                if execution.type == DAG:
                    waiting.append(execution.id)
        return found


class _Tasks:
    """Executions by DAG and name; by name alone where `flat`."""

    def __init__(self, flat: bool) -> None:
        self._flat = flat
        self._found: dict[tuple[int, str], Execution] = {}

    def add(self, dag: int, name: str, execution: Execution) -> None:
        self._found[(0 if self._flat else dag, name)] = execution

    def get(self, key: tuple[int, str]) -> Execution | None:
        return self._found.get((0 if self._flat else key[0], key[1]))
