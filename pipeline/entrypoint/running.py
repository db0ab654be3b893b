"""Runs a step's nodes: their executors, unmodified, in the order in which they were compiled."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from components.release.storage import file_entry
from components.tfx_shim import Artifact, BaseExecutor
from pipeline.compiler.placeholders import fill
from pipeline.entrypoint.artifacts import load, new, restored

Node = Mapping[str, Any]
#: Called with a node's id and, when it is done, its seconds.
Listener = Callable[[str, "float | None"], None]


def run_nodes(
    told: Mapping[str, Any],
    parameters: Mapping[str, Any],
    inputs: Mapping[str, tuple[Path, dict[str, Any]]],
    outputs: Mapping[str, Path],
    listener: Listener = lambda node, seconds: None,
) -> dict[str, tuple[str, Artifact]]:
    """Runs the nodes of a step one after another.

    Args:
      told: `nodes` and `properties` (`pipeline.compiler.zones.content`), and `beam`.
      parameters: What placeholders stand for.
      inputs: Artifact name to its folder and metadata.
      outputs: Artifact name to its empty folder.
      listener: Hears of each node.

    Returns:
      Artifact name to its type and what the executor made of it.

    Raises:
      Exception: whatever an executor raises.
    """
    made: dict[str, tuple[str, Artifact]] = {}
    for node in told["nodes"]:
        listener(node["id"], None)
        started = time.monotonic()
        taken = {
            key: [made[port][1] if port in made else restored(kind, *inputs[port])]
            for key, (port, kind) in node["inputs"].items()
        }
        given = {key: new(kind, outputs[port]) for key, (port, kind) in node["outputs"].items()}
        properties = fill(told["properties"][node["id"]], parameters)
        _execute(
            node,
            taken,
            {key: [artifact] for key, artifact in given.items()},
            properties,
            told.get("beam", ()),
        )
        for key, (port, kind) in node["outputs"].items():
            made[port] = (kind, given[key])
        listener(node["id"], time.monotonic() - started)
    return made


def _execute(
    node: Node,
    inputs: dict[str, list[Artifact]],
    outputs: dict[str, list[Artifact]],
    properties: dict[str, Any],
    beam: Sequence[str],
) -> None:
    executor_class = load(node["executor"])
    with tempfile.TemporaryDirectory(prefix="isthmus-") as scratch:
        common = {"tmp_dir": scratch, "unique_id": node["id"]}
        if node["beam"]:
            from components.tfx_shim import BaseBeamExecutor  # a second of imports that others save

            context: Any = BaseBeamExecutor.Context(beam_pipeline_args=list(beam), **common)
        else:
            context = BaseExecutor.Context(**common)
        executor_class(context).Do(inputs, outputs, properties)


def content_digest(outputs: Mapping[str, Path]) -> str:
    """SHA-256 (hex) over every file of the outputs, by name: what the next step's cache key sees."""
    digest = hashlib.sha256()
    for name, folder in sorted(outputs.items()):
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            digest.update(f"{name}/{file.relative_to(folder)}\0".encode())
            digest.update(file_entry(file).sha256.encode())
    return digest.hexdigest()
