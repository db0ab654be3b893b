"""Runs a compiled pipeline under KFP's own local orchestrator, its containers as processes.

Started by the Python of `.venvs/kfp` (make kubeflow-env); imports kfp, yaml and the standard library only.
README.md beside it says how to call it, what the record holds and where kfp.local differs from a cluster.

Exit status: 0 the pipeline succeeded, 1 it failed (the record says which tasks), 2 it could not be started.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import docker_standin
import references
import yaml


class Refused(Exception):
    """The run cannot start; the message is one line."""


def arguments() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("spec", type=Path, help="the compiled pipeline, one or two YAML documents")
    add("--parameters", default="{}", help="JSON or @FILE: the pipeline's parameters")
    add("--environment", default="{}", help="JSON or @FILE: {task prefix or *: {NAME: value}}")
    add("--root", type=Path, required=True, help="folder for outputs, logs and the record; new or empty")
    add("--python", type=Path, default=Path(".venv/bin/python"), help="`python` in the containers")
    add("--record", type=Path, help="default: record.json in the root")
    add("--cache", type=Path, help="turns kfp.local's caching on, entries in this folder")
    add("--limit", type=float, default=1200, help="seconds until a container is killed")
    return parser.parse_args()


def mapping(text: str, option: str) -> dict[str, Any]:
    """Reads a JSON object from the command line or, behind `@`, from a file."""
    try:
        found = json.loads(Path(text[1:]).read_text() if text.startswith("@") else text)
    except (OSError, ValueError) as error:
        raise Refused(f"{option}: a JSON object or @FILE is expected: {error}") from None
    if not isinstance(found, dict):
        raise Refused(f"{option}: found {type(found).__name__}, a JSON object is expected")
    return found


def variables(text: str) -> dict[str, dict[str, str]]:
    """Reads `--environment`."""
    found = mapping(text, "--environment")
    for prefix, values in found.items():
        if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
            raise Refused(f"--environment: {prefix}: an object of texts is expected")
    return found


def outputs_of(executor_input: dict[str, Any]) -> dict[str, Any]:
    """Returns what a task wrote: parameters (from their files or the executor's output) and artifacts."""
    outputs = executor_input.get("outputs", {})
    written: dict[str, Any] = {}
    if "outputFile" in outputs and Path(outputs["outputFile"]).is_file():
        written = json.loads(Path(outputs["outputFile"]).read_text())
    parameters = dict(written.get("parameterValues", {}))
    for name, place in outputs.get("parameters", {}).items():
        if Path(place["outputFile"]).is_file():
            parameters[name] = Path(place["outputFile"]).read_text()
    artifacts = {
        name: [
            {key: one[key] for key in ("uri", "metadata") if key in one}
            for one in listed.get("artifacts", [])
        ]
        for name, listed in written.get("artifacts", {}).items()
    }
    return {"parameters": parameters, "artifacts": artifacts}


def plain(value: Any) -> Any:
    """Returns a pipeline's output as JSON knows it: an artifact becomes its address and metadata."""
    if isinstance(value, list):
        return [plain(one) for one in value]
    return {"uri": value.uri, "metadata": value.metadata} if hasattr(value, "uri") else value


def run(spec: Path, parameters: dict[str, Any], root: Path, cache: Path | None) -> dict[str, Any]:
    """Runs the pipeline to its end.

    Returns: `state` (SUCCEEDED or FAILED), `outputs` and, where it failed, `error`.
    """
    from kfp import components, local

    try:
        pipeline = components.load_component_from_file(str(spec))
    except Exception as error:
        # Whatever kfp's reader raises: ParseError, KeyError, ValueError, yaml's own.
        raise Refused(f"{spec}: kfp cannot read it: {type(error).__name__}: {error}") from None
    inputs, needed = pipeline.component_spec.inputs or {}, pipeline.required_inputs
    for name in sorted(parameters.keys() - inputs.keys()):
        raise Refused(f"--parameters: {name} is unknown, the pipeline has {', '.join(sorted(inputs))}")
    for name in sorted(set(needed) - parameters.keys()):
        raise Refused(f"--parameters: {name} has no default and is not given")
    local.init(
        local.DockerRunner(),
        pipeline_root=str(root / "outputs"),
        workspace_root=str(root / "workspace"),
        raise_on_error=True,
        enable_caching=cache is not None,
        cache_root=str(cache) if cache else None,
    )
    try:
        task = pipeline(**parameters)
    except RuntimeError as error:
        # kfp colours the names of tasks.
        message = re.sub("\x1b\\[[0-9;]*m", "", str(error))
        return {"state": "FAILED", "error": message, "outputs": {}}
    except Exception as error:
        # kfp.local ends with a traceback where a cluster fails one task, for instance on a missing output.
        return {"state": "FAILED", "error": f"{type(error).__name__}: {error}", "outputs": {}}
    return {"state": "SUCCEEDED", "outputs": {name: plain(value) for name, value in task.outputs.items()}}


def main() -> int:
    """Runs the pipeline and writes the record; returns the exit status."""
    given = arguments()
    try:
        # Not resolved: the link in a virtual environment's bin is what makes it one.
        python = given.python.absolute()
        if not os.access(python, os.X_OK):
            raise Refused(f"--python: {python} is not an executable file")
        parameters, environment = mapping(given.parameters, "--parameters"), variables(given.environment)
        try:
            document = next(yaml.safe_load_all(given.spec.read_text()))
        except (OSError, yaml.YAMLError, StopIteration) as error:
            raise Refused(f"{given.spec}: a YAML file is expected: {error}") from None
        for shared in references.shared_components(document):
            raise Refused(f"{given.spec}: {shared}; kfp.local would give these tasks one folder of outputs")
        root = given.root.absolute()
        root.mkdir(parents=True, exist_ok=True)
        if any(root.iterdir()):
            raise Refused(f"--root: {root} is not empty")
        containers = docker_standin.Containers(root, python, environment, given.limit, outputs_of)
        docker_standin.register(containers)
        started = time.monotonic()
        result = run(given.spec, parameters, root, given.cache)
    except Refused as refusal:
        print(f"run_spec: {refusal}", file=sys.stderr)
        return 2
    ran = {record["component"] for record in containers.records}
    record = {
        "spec": str(given.spec),
        "kfp": metadata.version("kfp"),
        "parameters": parameters,
        **result,
        "seconds": round(time.monotonic() - started, 3),
        "tasks": containers.records,
        "without_container": sorted(references.container_tasks(document).keys() - ran),
    }
    place = given.record or root / "record.json"
    place.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")
    print(f"run_spec: {record['state']} after {record['seconds']} s, {len(ran)} components ran: {place}")
    return 0 if record["state"] == "SUCCEEDED" else 1


if __name__ == "__main__":
    sys.exit(main())
