"""TFX artifacts to what KFP's store keeps of them, and back.

The store knows `system.Dataset` and the like; TFX's type, properties and custom properties travel as one
JSON text in the metadata, which nothing on the way takes apart. An artifact without it is refused: its
splits, span and locale are in it, and steps that go on without them would read nothing, and say nothing.
"""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from ml_metadata.proto import metadata_store_pb2

from components.errors import DataError
from components.tfx_shim import Artifact

#: Key of the JSON text.
KEY = "tfx"
#: What people look for in KFP's pages, as scalars beside it.
_SHOWN = ("locale", "span", "rows_quarantined", "release_id", "pushed", "blessed")


def load(path: str) -> Any:
    """A class by its import path, of our packages or TFX's types.

    Raises:
      DataError: another module is named: a spec must not choose what is imported.
    """
    module, _, name = path.rpartition(".")
    if not module.startswith(("components.", "tfx.types.")):
        raise DataError(f"entrypoint: '{path}' is no component and no TFX type; compile the deployment again")
    return getattr(importlib.import_module(module), name)


def new(type_path: str, folder: Path) -> Artifact:
    """An empty artifact of a type."""
    artifact = load(type_path)()
    artifact.uri = str(folder)
    return artifact


def restored(type_path: str, folder: Path, metadata: dict[str, Any]) -> Artifact:
    """An artifact as the step that made it left it.

    Raises:
      DataError: its metadata is gone, or of another type.
    """
    artifact = new(type_path, folder)
    text = metadata.get(KEY)
    if not text:
        raise DataError(
            f"entrypoint: an artifact of type {type_path} came without what its maker said of it; the back "
            f"end lost its metadata ('{KEY}')"
        )
    kept = json.loads(text)
    if kept["type"] != type_path:
        raise DataError(f"entrypoint: an artifact of type {kept['type']} came where {type_path} is declared")
    message = metadata_store_pb2.Artifact()
    json_format.ParseDict(kept["artifact"], message)
    artifact.set_mlmd_artifact(message)
    artifact.uri = str(folder)
    return artifact


def described(type_path: str, artifact: Artifact) -> dict[str, Any]:
    """Metadata for KFP's store."""
    message = metadata_store_pb2.Artifact()
    for name in ("properties", "custom_properties"):
        for key, value in getattr(artifact.mlmd_artifact, name).items():
            getattr(message, name)[key].CopyFrom(value)
    kept = {
        "type": type_path,
        "artifact": json_format.MessageToDict(message, preserving_proto_field_name=True),
    }
    shown = {}
    for key in _SHOWN:
        for properties in (message.custom_properties, message.properties):
            if key in properties:
                value = properties[key]
                shown[key] = getattr(value, value.WhichOneof("value") or "string_value")
    return {**shown, KEY: json.dumps(kept, sort_keys=True)}
