"""What KFP's launcher gives a container and takes from it: ExecutorInput and ExecutorOutput.

The launcher downloads input artifacts to, and uploads output artifacts from, local folders that stand
for their addresses: `minio://b/k` is `/minio/b/k`, `s3://` is `/s3/`, `gs://` is `/gcs/`. The addresses in
the ExecutorInput stay remote, and remote they go back: an output with a local address is not uploaded.

Source: `kubeflow/pipelines`, `backend/src/v2/component/launcher_v2.go` (`LocalPathForURI`,
`executeV2`, `uploadOutputArtifacts`), read at 2.0.5 to 2.15; KFP's local orchestrator has plain paths.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.errors import InternalError
from components.executor_base import write_atomically

#: Stands before `/minio`, `/s3` and `/gcs` where several pods share one file system: in tests.
ROOT_VARIABLE = "ISTHMUS_LAUNCHER_ROOT"
_LOCAL = {"minio://": "minio", "s3://": "s3", "gs://": "gcs"}
#: KFP's own types whose content is one file.
_FILES = ("system.HTML", "system.Markdown", "system.Metrics")
#: In place of an empty text, which not every back end hands on.
NOTHING = "none"
#: A locale may be called `none`.
_NEVER_EMPTY = ("zone", "template", "own", "run")


@dataclasses.dataclass(frozen=True)
class Slot:
    """An artifact of the ExecutorInput.

    Attributes:
      name: Of the input or output.
      uri: As the launcher knows it.
      path: Where its content is, or goes.
      metadata: What the store kept of it.
    """

    name: str
    uri: str
    path: Path
    metadata: dict[str, Any]


class Invocation:
    """One call of a container."""

    def __init__(self, executor_input: Mapping[str, Any]) -> None:
        """Args: executor_input: the JSON that `{{$}}` stands for."""
        given = executor_input.get("inputs") or {}
        wanted = executor_input.get("outputs") or {}
        self.parameters: dict[str, Any] = dict(given.get("parameterValues") or {})
        self.inputs = {name: _slot(name, found) for name, found in (given.get("artifacts") or {}).items()}
        # From 2.5 on the launcher's own log is among the outputs.
        self.outputs = {
            name: _slot(name, found)
            for name, found in (wanted.get("artifacts") or {}).items()
            if name != "executor-logs"
        }
        self.output_file = Path(wanted.get("outputFile") or "/tmp/kfp_outputs/output_metadata.json")
        self._parameter_files = {
            name: Path(found["outputFile"]) for name, found in (wanted.get("parameters") or {}).items()
        }
        self._types = {
            name: ((found.get("artifacts") or [{}])[0].get("type") or {}).get("schemaTitle", "")
            for name, found in (wanted.get("artifacts") or {}).items()
        }

    def text(self, name: str) -> str:
        """A parameter as text; "" where it is not given or stands for nothing.

        Raises:
          InternalError: it is no text.
        """
        found = self.parameters.get(name, "")
        if not isinstance(found, str):
            raise InternalError(f"entrypoint: parameter '{name}' is {type(found).__name__}, expected text")
        return "" if found == NOTHING and name not in _NEVER_EMPTY else found

    def whole(self, name: str) -> int:
        """A parameter as a whole number; some stores give a float back, others a text.

        Raises:
          InternalError: it is none.
        """
        found = self.parameters[name]
        if isinstance(found, (int, float, str)) and not isinstance(found, bool):
            with contextlib.suppress(ValueError, OverflowError):
                number = int(found)
                if isinstance(found, str) or number == found:
                    return number
        raise InternalError(f"entrypoint: parameter '{name}' is '{found}', expected a whole number")

    def prepare(self) -> None:
        """Clears what a failed attempt may have left, and makes the folders that the launcher does not."""
        self.output_file.unlink(missing_ok=True)
        for file in (self.output_file, *self._parameter_files.values()):
            file.parent.mkdir(parents=True, exist_ok=True)
        for file in self._parameter_files.values():
            file.unlink(missing_ok=True)
        for name, slot in self.outputs.items():
            if slot.path.is_dir():
                shutil.rmtree(slot.path)
            slot.path.unlink(missing_ok=True)
            slot.path.parent.mkdir(parents=True, exist_ok=True)
            if self._types[name] not in _FILES:
                slot.path.mkdir()

    def finish(self, parameters: Mapping[str, Any], metadata: Mapping[str, Mapping[str, Any]]) -> None:
        """Writes output parameters and, last, the ExecutorOutput.

        Args:
          parameters: Outputs by name; empty texts are written as `none`.
          metadata: Of output artifacts by name; null and empty values are left out, for the store
            refuses them, and NaN, which JSON has no word for.

        Raises:
          InternalError: an output parameter is missing, or was not asked for.
        """
        if set(parameters) != set(self._parameter_files):
            odd = sorted(set(parameters) ^ set(self._parameter_files))
            raise InternalError(
                f"entrypoint: output parameters {', '.join(odd)} are given or asked for alone"
            )
        values: dict[str, Any] = {}
        for name, value in parameters.items():
            values[name] = NOTHING if value == "" else value
            write_atomically(self._parameter_files[name], str(values[name]))
        artifacts = {}
        for name, slot in self.outputs.items():
            kept = {
                key: value
                for key, value in (metadata.get(name) or {}).items()
                if value not in (None, "", {}, []) and not _is_no_number(value)
            }
            found: dict[str, Any] = {"name": slot.name, "uri": slot.uri}
            artifacts[name] = {"artifacts": [found | ({"metadata": kept} if kept else {})]}
        output = {"parameterValues": values, "artifacts": artifacts}
        write_atomically(self.output_file, json.dumps(output, allow_nan=False))


def local_path(uri: str) -> Path:
    """Where the launcher puts, or takes from, what an address names.

    Raises:
      InternalError: the address has a scheme that the launcher does not know, or climbs out of its folder.
    """
    inside = uri.split("://", 1)[-1]
    # What is there is removed before a step starts: a bucket itself, or `/`, is no artifact.
    if ".." in inside.split("/") or "/" not in inside.strip("/"):
        raise InternalError(
            f"entrypoint: an artifact lies at '{uri}'; allowed: below a bucket or folder, without '..'"
        )
    for scheme, folder in _LOCAL.items():
        if uri.startswith(scheme):
            return Path(os.environ.get(ROOT_VARIABLE) or "/") / folder / inside.lstrip("/")
    if "://" in uri and not uri.startswith("file://"):
        raise InternalError(
            f"entrypoint: an artifact lies at {uri.split('://')[0]}://, which no launcher brings; allowed: "
            f"{', '.join(sorted(_LOCAL))}"
        )
    return Path(uri.removeprefix("file://"))


def _slot(name: str, found: Mapping[str, Any]) -> Slot:
    artifacts = found.get("artifacts") or []
    if len(artifacts) != 1:
        raise InternalError(f"entrypoint: '{name}' holds {len(artifacts)} artifacts, expected exactly 1")
    artifact = artifacts[0]
    uri = artifact["uri"]
    metadata = {key: _unwrapped(value) for key, value in (artifact.get("metadata") or {}).items()}
    # The name goes back as it came: the store knows the artifact by it.
    return Slot(artifact.get("name") or name, uri, local_path(uri), metadata)


def _is_no_number(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _unwrapped(value: Any) -> Any:
    """Lists and mappings come back from the store inside one more mapping."""
    if isinstance(value, dict) and set(value) in ({"list"}, {"struct"}):
        return next(iter(value.values()))
    return value
