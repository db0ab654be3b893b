"""Compiled pipelines: one YAML file with the pipeline spec and, after it, the platform spec."""

from __future__ import annotations

import copy
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from components.errors import ConfigError

#: The only form that the server takes (`NewV2SpecTemplate`, backend/src/apiserver/template/v2_template.go).
SCHEMA_VERSION = "2.1.0"
#: Bytes; what the server takes for an uploaded file (pipeline.upload.swagger.json, 2.5.0).
_LARGEST_FILE = 32 * 1024 * 1024

_ALLOWED = "allowed: a file that `isthmus compile` wrote"


@dataclass(frozen=True)
class Spec:
    """A compiled pipeline.

    Attributes:
      path: Where it was read.
      name: `pipelineInfo.name`.
      pipeline: The PipelineSpec (IR).
      platform: The PlatformSpec; None where the file has one document only.
      digest: SHA-256 of the file, hexadecimal.
    """

    path: Path
    name: str
    pipeline: dict[str, Any]
    platform: dict[str, Any] | None
    digest: str

    @property
    def parameters(self) -> dict[str, dict[str, Any]]:
        """The definitions of the pipeline's parameters by name."""
        inputs = self.pipeline["root"].get("inputDefinitions") or {}
        found: dict[str, dict[str, Any]] = inputs.get("parameters") or {}
        return found

    def manifest(self, *, caching: bool = True) -> dict[str, Any]:
        """What goes into the `pipeline_spec` of a run.

        With a platform spec these are two keys (`pipelineSpecStructToYamlString`,
        backend/src/apiserver/server/util.go); without, the spec itself.

        Args:
          caching: False turns it off for every task, those of nested DAGs too.
        """
        pipeline = self.pipeline if caching else without_caching(self.pipeline)
        if self.platform is None:
            return pipeline
        return {"pipeline_spec": pipeline, "platform_spec": self.platform}


def read(path: Path) -> Spec:
    """The compiled pipeline of a file.

    Raises:
      ConfigError: no such file, not YAML, not one pipeline spec with at most one platform spec, or of
        another schema version.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); {_ALLOWED}") from None
    if len(raw) > _LARGEST_FILE:
        raise ConfigError(f"{path}: {len(raw)} bytes; allowed: {_LARGEST_FILE}, the server's limit")
    try:
        loaded = yaml.load_all(raw, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        documents = [document for document in loaded if document is not None]
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        place = f"{path}:{line + 1}" if line is not None else str(path)
        raise ConfigError(f"{place}: not YAML; {_ALLOWED}") from None
    pipelines = [document for document in documents if _is_pipeline(document)]
    platforms = [document for document in documents if _is_platform(document)]
    if len(pipelines) != 1 or len(platforms) > 1 or len(documents) != len(pipelines) + len(platforms):
        raise ConfigError(
            f"{path}: {len(documents)} documents, {len(pipelines)} of them pipeline specs and "
            f"{len(platforms)} platform specs; allowed: one pipeline spec, and one platform spec or none"
        )
    _check(path, pipelines[0])
    platform = platforms[0] if platforms else None
    name = pipelines[0]["pipelineInfo"]["name"]
    return Spec(path, name, pipelines[0], platform, hashlib.sha256(raw).hexdigest())


def without_caching(pipeline: dict[str, Any]) -> dict[str, Any]:
    """The spec with caching off in every task of every DAG."""
    changed = copy.deepcopy(pipeline)
    for component in [changed["root"], *(changed.get("components") or {}).values()]:
        for task in ((component.get("dag") or {}).get("tasks") or {}).values():
            task["cachingOptions"] = {"enableCache": False}
    return changed


def _is_pipeline(document: Any) -> bool:
    return isinstance(document, dict) and "pipelineInfo" in document


def _is_platform(document: Any) -> bool:
    return isinstance(document, dict) and set(document) == {"platforms"}


def _check(path: Path, pipeline: dict[str, Any]) -> None:
    version = pipeline.get("schemaVersion")
    if version != SCHEMA_VERSION:
        raise ConfigError(f"{path}: schemaVersion {version!r}; allowed: {SCHEMA_VERSION}")
    info, root = pipeline["pipelineInfo"], pipeline.get("root")
    if not isinstance(info, dict) or not isinstance(info.get("name"), str) or not info["name"]:
        raise ConfigError(f"{path}: pipelineInfo.name: missing; {_ALLOWED}")
    if not isinstance(root, dict):
        raise ConfigError(f"{path}: root: missing; {_ALLOWED}")
