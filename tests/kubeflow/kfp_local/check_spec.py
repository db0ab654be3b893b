"""Checks a compiled pipeline against a current kfp: protos, loader, platform settings, references.

Started by the Python of `.venvs/kfp` (make kubeflow-env); imports kfp, yaml and the standard library only.

    .venvs/kfp/bin/python tests/kubeflow/kfp_local/check_spec.py pipeline.yaml ...

Prints a JSON object (counts and versions) for each file that is right, a line for each problem on the error
stream, and exits 2 if there is any.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import references
import yaml
from google.protobuf import json_format
from kfp import components
from kfp.kubernetes import kubernetes_executor_config_pb2
from kfp.pipeline_spec import pipeline_spec_pb2


class StrictLoader(yaml.SafeLoader):
    """A safe loader that refuses a key given twice, which YAML forbids and PyYAML lets pass."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Builds a mapping, each key once."""
        merge = "tag:yaml.org,2002:merge"
        keys = [self.construct_object(key, deep=True) for key, _ in node.value if key.tag != merge]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} twice", node.start_mark)
        return super().construct_mapping(node, deep)


def parsed(place: str, value: Any, message: Any) -> Iterator[str]:
    """Parses `value` into `message`, unknown fields refused; yields a line where that fails."""
    try:
        json_format.ParseDict(value, message, ignore_unknown_fields=False)
    except (json_format.ParseError, AttributeError, TypeError, ValueError) as error:
        yield f"{place}: {' '.join(str(error).split())}"


def pipeline_problems(spec: dict[str, Any]) -> Iterator[str]:
    """Checks the first document: the spec, and the executors, which the spec's proto holds untyped."""
    yield from parsed("pipeline spec", spec, pipeline_spec_pb2.PipelineSpec())
    deployment = spec.get("deploymentSpec", {})
    yield from parsed("deploymentSpec", deployment, pipeline_spec_pb2.PipelineDeploymentConfig())
    if spec.get("schemaVersion") != "2.1.0":
        yield f"schemaVersion: found {spec.get('schemaVersion')!r}, the back end takes 2.1.0"
    yield from references.problems(spec)


def platform_problems(spec: dict[str, Any], platform: dict[str, Any]) -> Iterator[str]:
    """Checks the second document: its proto, and each executor's settings by kfp-kubernetes."""
    yield from parsed("platform spec", platform, pipeline_spec_pb2.PlatformSpec())
    for name in platform.get("platforms", {}).keys() - {"kubernetes"}:
        yield f"platforms.{name}: unknown, kubernetes is allowed"
    executors = spec.get("deploymentSpec", {}).get("executors", {})
    for label, settings in settings_of(platform).items():
        place = f"platforms.kubernetes.deploymentSpec.executors.{label}"
        if label not in executors:
            yield f"{place}: the pipeline has no such executor"
        yield from parsed(place, settings, kubernetes_executor_config_pb2.KubernetesExecutorConfig())


def settings_of(platform: dict[str, Any]) -> dict[str, Any]:
    """Returns the Kubernetes settings by executor label."""
    found = platform.get("platforms", {}).get("kubernetes", {}).get("deploymentSpec", {}).get("executors", {})
    return dict(found)


def check(text: str) -> tuple[list[str], dict[str, Any]]:
    """Checks a compiled pipeline.

    Args:
        text: one or two YAML documents.

    Returns: a line for each problem, and counts for the reader.
    """
    try:
        documents = list(yaml.load_all(text, Loader=StrictLoader))
    except yaml.YAMLError as error:
        return [f"YAML: {' '.join(str(error).split())}"], {}
    if not 1 <= len(documents) <= 2 or not all(isinstance(document, dict) for document in documents):
        return [f"YAML: found {len(documents)} documents, one or two mappings are allowed"], {}
    spec, platform = documents[0], documents[1] if len(documents) == 2 else {}
    found = [*pipeline_problems(spec), *platform_problems(spec, platform)]
    if not found:
        try:
            components.load_component_from_text(text)
        except Exception as error:
            # The loader lets through whatever its parts raise.
            found = [f"kfp's loader: {type(error).__name__}: {' '.join(str(error).split())}"]
    return found, {
        "bytes": len(text.encode()),
        "components": len(spec.get("components", {})),
        "containers": sum(map(len, references.container_tasks(spec).values())),
        "executors": len(spec.get("deploymentSpec", {}).get("executors", {})),
        "platform_executors": len(settings_of(platform)),
        "kfp": metadata.version("kfp"),
        "kfp-kubernetes": metadata.version("kfp-kubernetes"),
        "kfp-pipeline-spec": metadata.version("kfp-pipeline-spec"),
    }


def main() -> int:
    """Checks the files named on the command line; returns the exit status."""
    if len(sys.argv) < 2:
        print("check_spec: compiled pipelines are expected as arguments", file=sys.stderr)
        return 2
    wrong = False
    for name in sys.argv[1:]:
        try:
            found, counts = check(Path(name).read_text())
        except (OSError, UnicodeDecodeError) as error:
            found = [f"cannot be read: {error}"]
        for line in found:
            print(f"{name}: {line}", file=sys.stderr)
        if not found:
            print(json.dumps({"spec": name, **counts}, sort_keys=True))
        wrong = wrong or bool(found)
    return 2 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
