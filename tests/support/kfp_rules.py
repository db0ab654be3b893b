"""What KFP's API server refuses beyond the form of a request, and what it answers.

Written from the Go sources of kubeflow/pipelines, backend/src/apiserver, 2.x before the API lost
`run_details.task_details`: server/experiment_server.go at 06c28cc2, server/pipeline_upload_server.go at
a25322fc; of server/api_converter.go, server/run_server.go and resource/resource_manager.go a stored copy of
unknown release.
"""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass, field
from typing import Any

import yaml

from tests.support.kfp_spec_rules import (
    EXISTS,
    FORBIDDEN,
    INTERNAL,
    INVALID,
    NOT_FOUND,
    Refused,
    check_parameters,
    check_spec,
)

FINAL = ("SUCCEEDED", "FAILED", "CANCELED", "SKIPPED")
_EPOCH = "1970-01-01T00:00:00Z"
_Json = dict[str, Any]


@dataclass
class Store:
    """What the server keeps.

    Attributes:
      multi_user: Whether KFP runs for several users: then everything is in a namespace.
      forbidden: Namespaces that the token's identity may not use.
      script: What looks at a run find, one entry a look: the run's state, and state by node name.
    """

    multi_user: bool = False
    forbidden: frozenset[str] = frozenset()
    script: list[tuple[str, dict[str, str]]] = field(default_factory=lambda: [("SUCCEEDED", {})])
    experiments: dict[str, _Json] = field(default_factory=dict)
    pipelines: dict[str, _Json] = field(default_factory=dict)
    versions: dict[str, _Json] = field(default_factory=dict)
    runs: dict[str, _Json] = field(default_factory=dict)
    schedules: dict[str, _Json] = field(default_factory=dict)
    looks: dict[str, int] = field(default_factory=dict)

    # --- experiments (server/experiment_server.go, resource_manager.go CreateExperiment) ---
    def create_experiment(self, body: _Json) -> _Json:
        namespace = self._namespace(body.get("namespace", ""), "An experiment")
        if not body.get("display_name"):
            raise Refused(INVALID, "Experiment name is empty")
        self._no_twin(self.experiments, body["display_name"], namespace, "experiment")
        return self._keep(
            self.experiments, "experiment_id", {"display_name": body["display_name"], "namespace": namespace}
        )

    def list_experiments(self, query: dict[str, str]) -> list[_Json]:
        namespace = self._namespace(query.get("namespace", ""), "An experiment")
        return [item for item in self.experiments.values() if item["namespace"] == namespace]

    # --- pipelines and versions (pipeline_upload_server.go, storage/pipeline_store.go) ---
    def create_pipeline(self, body: _Json) -> _Json:
        # A pipeline without a namespace is shared by all users.
        namespace = body.get("namespace", "") if self.multi_user else ""
        self._no_twin(self.pipelines, body.get("display_name", ""), namespace, "pipeline")
        return self._keep(
            self.pipelines, "pipeline_id", {"display_name": body["display_name"], "namespace": namespace}
        )

    def upload_version(self, query: dict[str, str], file: bytes) -> _Json:
        pipeline = query.get("pipelineid", "")
        if pipeline not in self.pipelines:
            raise Refused(INVALID, "Failed to create a pipeline version due to error reading pipeline id")
        manifest = _manifest_of_file(file)
        check_spec(manifest)
        for other in self.list_versions(pipeline):
            if other["display_name"] == query.get("name"):
                raise Refused(EXISTS, f"The name {query.get('name')} already exist. Specify a new name")
        found = {"pipeline_id": pipeline, "display_name": query.get("name", ""), "pipeline_spec": manifest}
        return self._keep(self.versions, "pipeline_version_id", found)

    def list_versions(self, pipeline: str) -> list[_Json]:
        return [item for item in self.versions.values() if item["pipeline_id"] == pipeline]

    # --- runs (server/run_server.go createRun, resource_manager.go CreateRun, TerminateRun, RetryRun) ---
    def create_run(self, body: _Json) -> _Json:
        if not body.get("display_name"):
            raise Refused(INTERNAL, "Run name cannot be empty")
        self._order(body, "")
        found = self._keep(self.runs, "run_id", {**body, "state": "PENDING", "finished_at": _EPOCH})
        self.looks[found["run_id"]] = 0
        return found

    def get_run(self, run_id: str) -> _Json:
        run = self.get(self.runs, run_id, "Run")
        if run["state"] not in FINAL:
            look = self.looks[run_id]
            self.looks[run_id] = look + 1
            state, nodes = self.script[min(look, len(self.script) - 1)]
            if not _root_is_known(run):
                # The server takes any pipeline root; the driver fails on it (v2/objectstore/config.go).
                state, nodes = "FAILED", {"root": "FAILED", "root-driver": "FAILED"}
            run["state"] = state
            run["run_details"] = {"task_details": _details(run_id, nodes)}
            if state in FINAL:
                run["finished_at"] = "2026-11-21T12:30:00Z"
        return run

    def list_runs(self, query: dict[str, str]) -> list[_Json]:
        experiment = query.get("experiment_id", "")
        if experiment:
            self.get(self.experiments, experiment, "Experiment")
            return [run for run in self.runs.values() if run["experiment_id"] == experiment]
        namespace = self._namespace(query.get("namespace", ""), "A run")
        own = {key for key, item in self.experiments.items() if item["namespace"] == namespace}
        return [run for run in self.runs.values() if run["experiment_id"] in own]

    def terminate_run(self, run_id: str) -> _Json:
        run = self.get(self.runs, run_id, "Run")
        if run["state"] in FINAL:
            raise Refused(INVALID, f"Failed to terminate a run {run_id}. Row not found or already finished")
        run["state"] = "CANCELED"
        return {}

    def retry_run(self, run_id: str) -> _Json:
        run = self.get(self.runs, run_id, "Run")
        if run["state"] != "FAILED":
            raise Refused(INTERNAL, f"Failed to retry run {run_id} as it does not allow reties")
        run["state"] = "RUNNING"
        return {}

    # --- recurring runs (api_converter.go toModelJob) ---
    def create_schedule(self, body: _Json) -> _Json:
        if not body.get("display_name"):
            raise Refused(INTERNAL, "Recurring run's name cannot be empty")
        if not 1 <= int(body.get("max_concurrency", "0")) <= 10:
            raise Refused(INVALID, "Max concurrency of a recurring run must be at leas 1 and at most 10")
        cron = ((body.get("trigger") or {}).get("cron_schedule") or {}).get("cron", "")
        if len(cron.split()) != 6:
            raise Refused(INVALID, "Schedule cron is not a supported format")
        self._order(body, body.get("namespace", ""))
        status = "ENABLED" if body.get("mode") == "ENABLE" else "DISABLED"
        return self._keep(self.schedules, "recurring_run_id", {**body, "status": status})

    def list_schedules(self, query: dict[str, str]) -> list[_Json]:
        return [
            item for item in self.schedules.values() if item["experiment_id"] == query.get("experiment_id")
        ]

    def switch_schedule(self, schedule_id: str, enabled: bool) -> _Json:
        item = self.get(self.schedules, schedule_id, "Job")
        item["status"] = "ENABLED" if enabled else "DISABLED"
        return {}

    # --- common ---
    def get(self, table: dict[str, _Json], key: str, kind: str) -> _Json:
        if key not in table:
            raise Refused(NOT_FOUND, f"ResourceNotFoundError: {kind} {key} not found.")
        return table[key]

    def _namespace(self, namespace: str, kind: str) -> str:
        """`ReplaceNamespace` and `canAccess…`: single-user mode knows no namespaces."""
        if not self.multi_user:
            return ""
        if not namespace:
            raise Refused(INVALID, f"{kind} cannot have an empty namespace in multi-user mode")
        if namespace in self.forbidden:
            raise Refused(FORBIDDEN, f"User 'made-up' is not authorized with reason: none in {namespace}")
        return namespace

    def _order(self, body: _Json, namespace: str) -> None:
        """`GetValidExperimentNamespacePair`, then the spec, then `validatePipelineJobInputs`."""
        experiment = body.get("experiment_id", "")
        if experiment:
            own = self.get(self.experiments, experiment, "Experiment")["namespace"]
            if self.multi_user and namespace and namespace != own:
                raise Refused(
                    INVALID, f"Experiment {experiment} belongs to namespace '{own}' instead of '{namespace}'"
                )
            self._namespace(own, "A run")
        elif self.multi_user:
            raise Refused(INVALID, "Experiment id can not be empty in multi-user mode")
        reference = body.get("pipeline_version_reference")
        if reference:
            version = self.get(self.versions, reference["pipeline_version_id"], "PipelineVersion")
            manifest = version["pipeline_spec"]
        else:
            manifest = body.get("pipeline_spec") or {}
        spec = check_spec(manifest)
        check_parameters(spec, (body.get("runtime_config") or {}).get("parameters") or {})

    def _no_twin(self, table: dict[str, _Json], name: str, namespace: str, kind: str) -> None:
        if any(item["display_name"] == name and item["namespace"] == namespace for item in table.values()):
            raise Refused(
                EXISTS,
                f"Failed to create a new {kind}. The name {name} already exist. Please specify a new name",
            )

    def _keep(self, table: dict[str, _Json], key: str, item: _Json) -> _Json:
        identity = str(uuid.uuid4())
        table[identity] = {key: identity, "created_at": f"2026-11-21T12:00:{len(table) % 60:02d}Z", **item}
        return table[identity]


def filtered(items: list[_Json], query: dict[str, str]) -> list[_Json]:
    """The filter and the order of a list (list_request_util.go); only what the tests need of them."""
    if query.get("filter"):
        for predicate in json.loads(query["filter"])["predicates"]:
            if predicate["operation"] not in ("EQUALS", 1):
                raise Refused(INVALID, "the simulation knows EQUALS only")
            items = [item for item in items if item.get(predicate["key"]) == predicate["string_value"]]
    key, _, order = query.get("sort_by", "").partition(" ")
    if key:
        # Equal times keep their order, newest first: what was kept later is later.
        items = sorted(items, key=lambda item: item.get(key, ""), reverse=order == "desc")
    return items


def _manifest_of_file(file: bytes) -> _Json:
    documents = [document for document in yaml.safe_load_all(file) if document]
    if len(documents) == 1:
        return documents[0]
    return {"pipeline_spec": documents[0], "platform_spec": documents[1]}


def _root_is_known(run: _Json) -> bool:
    root = (run.get("runtime_config") or {}).get("pipeline_root", "")
    return not root or bool(re.match(r"(gs|s3|minio)://[^/?]+", root))


def _details(run_id: str, nodes: dict[str, str]) -> list[_Json]:
    """Tasks as `toApiPipelineTaskDetail` writes them. `name#2` in a script is a second node of that name."""
    found = []
    for number, (node, state) in enumerate(nodes.items()):
        ended = "2026-11-21T12:20:00Z" if state in FINAL else _EPOCH
        started = _EPOCH if state == "PENDING" else f"2026-11-21T12:{number % 60:02d}:00Z"
        name, _, error = node.partition("!")
        found.append(
            {
                "run_id": run_id,
                "task_id": str(uuid.uuid5(uuid.NAMESPACE_OID, run_id + node)),
                "display_name": name.split("#")[0],
                "create_time": "2026-11-21T12:00:00Z",
                "start_time": started,
                "end_time": ended,
                "state": state,
                "execution_id": str(number),
                "child_tasks": [],
                **({"error": {"code": 13, "message": error}} if error else {}),
            }
        )
    return found
