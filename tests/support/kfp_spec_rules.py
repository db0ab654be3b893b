"""How KFP's API server judges a spec and its parameters, and how it refuses.

Written from backend/src/apiserver/template/v2_template.go of kubeflow/pipelines at 04407fbe. The status codes
are the server's, odd ones too: an empty run name and a spec that does not parse are internal errors there,
because `NewInternalServerError` wraps them (resource/resource_manager.go, CreateRun).
"""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import Any

#: HTTP status and gRPC code.
INVALID, NOT_FOUND, EXISTS, INTERNAL, FORBIDDEN = (400, 3), (404, 5), (409, 6), (500, 13), (403, 7)
_Json = dict[str, Any]


class Refused(Exception):
    """The server's refusal: HTTP status, gRPC code, words."""

    def __init__(self, status: tuple[int, int], message: str) -> None:
        super().__init__(message)
        self.status, self.code = status


def check_spec(manifest: _Json) -> Any:
    """`NewV2SpecTemplate`: the pipeline spec as KFP's own message. Refuses as CreateRun does, with 500."""
    from google.protobuf import json_format

    pipeline_spec_pb2 = _messages()
    both = "pipeline_spec" in manifest
    spec, platform = pipeline_spec_pb2.PipelineSpec(), pipeline_spec_pb2.PlatformSpec()
    try:
        json_format.ParseDict(manifest["pipeline_spec"] if both else manifest, spec)
        json_format.ParseDict(manifest.get("platform_spec", {}) if both else {}, platform)
    except json_format.ParseError as error:
        raise Refused(INTERNAL, f"InvalidInputError: pipeline spec is invalid: {error}") from None
    if not spec.pipeline_info.name or not spec.HasField("root"):
        raise Refused(INTERNAL, "InvalidInputError: unknown template format: pipeline spec is invalid")
    if spec.schema_version != "2.1.0":
        raise Refused(INTERNAL, "KFP only supports schema version 2.1.0")
    return spec


@lru_cache(maxsize=1)
def _messages() -> Any:
    """KFP's messages, without the two seconds that `import kfp` takes."""
    package = importlib.util.find_spec("kfp")
    origin = Path(str(package and package.origin)).parent / "pipeline_spec" / "pipeline_spec_pb2.py"
    found = importlib.util.spec_from_file_location("kfp_messages_alone", origin)
    if found is None or found.loader is None:
        raise AssertionError(f"{origin}: not a module")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def check_parameters(spec: Any, given: _Json) -> None:
    """`validatePipelineJobInputs`, type by type."""
    kinds: dict[str, Any] = {
        "NUMBER_DOUBLE": (int, float),
        "NUMBER_INTEGER": (int, float),
        "STRING": str,
        "BOOLEAN": bool,
        "LIST": list,
        "STRUCT": dict,
    }
    wanted = spec.root.input_definitions.parameters
    for name, definition in wanted.items():
        kind = (
            definition.DESCRIPTOR.fields_by_name["parameter_type"]
            .enum_type.values_by_number[definition.parameter_type]
            .name
        )
        if name not in given:
            if not definition.is_optional and not definition.HasField("default_value"):
                raise Refused(INVALID, f"parameter {name} is not optional, yet has neither default value")
        elif not isinstance(given[name], kinds[kind]) or (
            kind != "BOOLEAN" and isinstance(given[name], bool)
        ):
            raise Refused(INVALID, f"input parameter {name} requires type {kind}")
    extra = sorted(set(given) - set(wanted))
    if extra:
        raise Refused(INVALID, f"parameter(s) provided are not required by pipeline: {', '.join(extra)}")
