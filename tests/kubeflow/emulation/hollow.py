"""Stands in for a container's command: makes its outputs, and nothing else, in milliseconds.

With it a compiled pipeline's shape can be run without its work: who waits for whom, what is tried again, what
the cache serves, what becomes of a failed region. An output's content is a digest of all inputs.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

TYPES_VARIABLE = "KFP_EMULATION_OUTPUT_TYPES"
_LOCAL = {"gs://": "gcs", "minio://": "minio", "s3://": "s3"}
_FILES = ("system.HTML", "system.Markdown", "system.Metrics")
_VALUES = {"LIST": "[]", "STRUCT": "{}", "BOOLEAN": "false"}


def _path(uri: str) -> Path:
    scheme = next(scheme for scheme in _LOCAL if uri.startswith(scheme))
    return Path(os.environ["ISTHMUS_LAUNCHER_ROOT"], _LOCAL[scheme], uri[len(scheme) :])


def _artifacts(side: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return sorted((name, items["artifacts"][0]) for name, items in side.get("artifacts", {}).items())


def main(text: str) -> None:
    """Args: text: the ExecutorInput."""
    given = json.loads(text)
    inputs, outputs = given.get("inputs", {}), given.get("outputs", {})
    digest = hashlib.sha256(json.dumps(inputs.get("parameterValues", {}), sort_keys=True).encode())
    for name, artifact in _artifacts(inputs):
        digest.update(name.encode())
        path = _path(artifact["uri"])
        for file in [path] if path.is_file() else sorted(path.rglob("*")):
            if file.is_file():
                digest.update(file.read_bytes())
    types = json.loads(os.environ.get(TYPES_VARIABLE, "{}"))
    for name, parameter in outputs.get("parameters", {}).items():
        Path(parameter["outputFile"]).write_text(_VALUES.get(types.get(name, "STRING"), "0"))
    for name, artifact in _artifacts(outputs):
        path = _path(artifact["uri"])
        if name == "executor-logs":
            continue
        if artifact.get("type", {}).get("schemaTitle") not in _FILES:
            path.mkdir()
            path = path / "content"
        path.write_text(f"{digest.hexdigest()} {name}\n")


if __name__ == "__main__":
    main(sys.argv[1])
