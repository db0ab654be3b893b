"""Runs: start, read, list, stop, retry."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from components.errors import ConfigError
from pipeline.kfp_api.client import Api
from pipeline.kfp_api.failures import ApiError
from pipeline.kfp_api.pipelines import Version
from pipeline.kfp_api.specs import Spec

STATES = ("PENDING", "RUNNING", "SUCCEEDED", "SKIPPED", "FAILED", "CANCELING", "CANCELED", "PAUSED")
#: States that a run does not leave by itself.
FINAL = frozenset({"SUCCEEDED", "SKIPPED", "FAILED", "CANCELED"})
#: The server takes any text and the driver fails on others (backend/src/v2/objectstore/config.go).
_ROOT = re.compile(r"(gs|s3|minio)://[^/?\s]+(/[^?\s]*)?(\?\S+)?")


@dataclass(frozen=True)
class Run:
    """A run as the API tells it; times are RFC 3339 texts, empty where there is none."""

    run_id: str
    name: str
    state: str
    experiment_id: str
    created: str
    finished: str
    raw: Mapping[str, Any]


@dataclass(frozen=True)
class Order:
    """What is asked for, the same for a run and for a schedule.

    Attributes:
      spec: The compiled pipeline.
      name: Of the run or the schedule.
      experiment_id: Whose namespace it runs in.
      parameters: Typed values.
      pipeline_root: Bucket and prefix of the artifacts; empty for the server's.
      service_account: Empty for the server's.
      caching: False turns it off in every task.
      version: Kept version that is run; None sends the spec with the order.
    """

    spec: Spec
    name: str
    experiment_id: str
    parameters: Mapping[str, Any]
    pipeline_root: str = ""
    service_account: str = ""
    caching: bool = True
    version: Version | None = None

    def fields(self) -> dict[str, Any]:
        """The fields that runs and recurring runs share."""
        import kfp_server_api

        reference = None
        if self.version is not None:
            reference = kfp_server_api.V2beta1PipelineVersionReference(
                pipeline_id=self.version.pipeline_id, pipeline_version_id=self.version.version_id
            )
        return {
            "display_name": self.name,
            "experiment_id": self.experiment_id,
            "pipeline_spec": self.spec.manifest(caching=self.caching) if reference is None else None,
            "pipeline_version_reference": reference,
            "runtime_config": kfp_server_api.V2beta1RuntimeConfig(
                parameters=dict(self.parameters), pipeline_root=self.pipeline_root or None
            ),
            "service_account": self.service_account or None,
        }


def pipeline_root(root: str) -> str:
    """The pipeline root as it stands.

    Raises:
      ConfigError: the driver would not know what to do with it.
    """
    if root and not _ROOT.fullmatch(root):
        raise ConfigError(
            f"--pipeline-root {root}: not a bucket; allowed: gs://, s3:// or minio://bucket/prefix"
        )
    return root


def start(api: Api, order: Order) -> Run:
    """Starts a run.

    Raises:
      ApiError: the API does not answer, or refuses.
    """
    import kfp_server_api

    body = kfp_server_api.V2beta1Run(**order.fields())
    try:
        return _run(api.write("Run", "create_run", f"run {order.name}", body=body))
    except ApiError as error:
        if not error.done_perhaps:
            raise
        text = f"{error}; it may have started all the same: look with isthmus runs before trying again"
        raise ApiError(text, status=error.status, passing=error.passing, done_perhaps=True) from None


def get(api: Api, run_id: str, *, patient: bool = True) -> Run:
    """A run, with the details of its tasks.

    Raises:
      ApiError: the API does not answer, or there is no such run.
    """
    return _run(api.read("Run", "get_run", f"run {run_id}", patient=patient, run_id=run_id))


def find(api: Api, experiment_id: str = "", state: str = "") -> Iterator[Run]:
    """Runs, newest first; of an experiment and in a state where these are given.

    Raises:
      ApiError: the API does not answer, or refuses.
    """
    fields = {"experiment_id": experiment_id}
    if not experiment_id:
        fields["namespace"] = api.connection.namespace
    for item in api.pages("Run", "list_runs", "runs", "runs", sort_by="created_at desc", **fields):
        run = _run(item)
        if not state or run.state == state:
            yield run


def stop(api: Api, run_id: str) -> None:
    """Terminates a run.

    Raises:
      ApiError: the API does not answer, or refuses.
    """
    api.write("Run", "terminate_run", f"run {run_id}", run_id=run_id)


def retry(api: Api, run_id: str) -> None:
    """Starts the failed tasks of a run again.

    Raises:
      ApiError: the API does not answer, or refuses: only a failed run can be retried.
    """
    api.write("Run", "retry_run", f"run {run_id}", run_id=run_id)


def moment(text: str | None) -> str:
    """A time of the API's; the server writes the epoch where it has none."""
    return "" if not text or text.startswith("1970-01-01T00:00:00") else text


def _run(item: Mapping[str, Any]) -> Run:
    return Run(
        run_id=str(item.get("run_id", "")),
        name=item.get("display_name", ""),
        state=item.get("state") or "RUNTIME_STATE_UNSPECIFIED",
        experiment_id=item.get("experiment_id", ""),
        created=moment(item.get("created_at")),
        finished=moment(item.get("finished_at")),
        raw=item,
    )
