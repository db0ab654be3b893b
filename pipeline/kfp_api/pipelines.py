"""Pipelines and their versions: specs that the server keeps, so that its pages can show and rerun them."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipeline.kfp_api.client import Api, equals
from pipeline.kfp_api.failures import ApiError
from pipeline.kfp_api.specs import Spec


@dataclass(frozen=True)
class Version:
    """A version of a pipeline; its name is the start of its file's digest."""

    pipeline_id: str
    version_id: str
    name: str


def ensure_version(api: Api, spec: Spec, name: str) -> Version:
    """The spec as a version of the pipeline of this name; nothing is sent that is there already.

    Raises:
      ApiError: the API does not answer, or refuses.
    """
    pipeline_id = _pipeline_id(api, name) or _make(api, name)
    version = spec.digest[:16]
    found = _version_id(api, pipeline_id, version)
    if found is None:
        try:
            found = _upload(api, spec, pipeline_id, version, f"version {version} of pipeline {name}")
        except ApiError as error:
            # Somebody else kept the same file between the two requests.
            found = _version_id(api, pipeline_id, version) if error.status == 409 else None
            if found is None:
                raise
    return Version(pipeline_id, found, version)


def manifest(api: Api, pipeline_id: str, version_id: str) -> dict[str, Any]:
    """The spec that the server keeps for a version, as in a run.

    Raises:
      ApiError: the API does not answer, or refuses.
    """
    what = f"version {version_id} of pipeline {pipeline_id}"
    found = api.read(
        "Pipeline", "get_pipeline_version", what, pipeline_id=pipeline_id, pipeline_version_id=version_id
    )
    spec: dict[str, Any] = found.get("pipeline_spec") or {}
    return spec


def _pipeline_id(api: Api, name: str) -> str | None:
    fields = {"namespace": api.connection.namespace, "filter": equals("display_name", name)}
    for item in api.pages("Pipeline", "list_pipelines", "pipelines", "pipelines", **fields):
        if item.get("display_name") == name:
            return str(item["pipeline_id"])
    return None


def _version_id(api: Api, pipeline_id: str, name: str) -> str | None:
    what = f"versions of pipeline {pipeline_id}"
    fields = {"pipeline_id": pipeline_id, "filter": equals("display_name", name)}
    for item in api.pages("Pipeline", "list_pipeline_versions", what, "pipeline_versions", **fields):
        if item.get("display_name") == name:
            return str(item["pipeline_version_id"])
    return None


def _make(api: Api, name: str) -> str:
    import kfp_server_api

    body = kfp_server_api.V2beta1Pipeline(display_name=name, namespace=api.connection.namespace or None)
    try:
        made = api.write("Pipeline", "create_pipeline", f"pipeline {name}", body=body)
    except ApiError as error:
        found = _pipeline_id(api, name) if error.status == 409 else None
        if found is None:
            raise
        return found
    return str(made["pipeline_id"])


def _upload(api: Api, spec: Spec, pipeline_id: str, version: str, what: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        # The server tells the form by the name's ending (`ReadPipelineFile`, apiserver/server/util.go).
        file = Path(folder) / "pipeline.yaml"
        documents = [spec.pipeline] if spec.platform is None else [spec.pipeline, spec.platform]
        file.write_text(yaml.safe_dump_all(documents, sort_keys=True, allow_unicode=True), encoding="utf-8")
        fields = {"uploadfile": str(file), "name": version, "pipelineid": pipeline_id}
        made = api.write("PipelineUpload", "upload_pipeline_version", what, **fields)
    return str(made["pipeline_version_id"])
