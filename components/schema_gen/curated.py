"""Curated schemas: `schemas/<name>/schema.pbtxt`, written by hand and reviewed."""

from __future__ import annotations

import hashlib
import importlib.resources

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from components.errors import ConfigError, list_briefly, nearest_name

SCHEMA_FILE = "schema.pbtxt"


def curated_names() -> list[str]:
    """Names of the curated schemas, sorted."""
    root = importlib.resources.files("schemas")
    return sorted(entry.name for entry in root.iterdir() if entry.joinpath(SCHEMA_FILE).is_file())


def schema_text(name: str) -> str:
    """Text of a curated schema.

    Raises:
      ConfigError: there is none of that name.
    """
    known = curated_names()
    if name not in known:
        raise ConfigError(
            f"dataset.schema_name: no curated schema '{name}'{nearest_name(name, known)}. "
            f"There are: {list_briefly(known)}. Leave it out to infer one."
        )
    return (
        importlib.resources.files("schemas").joinpath(name).joinpath(SCHEMA_FILE).read_text(encoding="utf-8")
    )


def curated_schema(name: str) -> schema_pb2.Schema:
    """A curated schema, parsed.

    Raises:
      ConfigError: there is none of that name, or its text does not parse.
    """
    return parse_schema(schema_text(name), f"schemas/{name}/{SCHEMA_FILE}")


def parse_schema(text: str, place: str) -> schema_pb2.Schema:
    """Parses `schema.pbtxt`.

    Args:
      text: The text format of a Schema proto.
      place: File, for the message.

    Raises:
      ConfigError: it does not parse.
    """
    try:
        return text_format.Parse(text, schema_pb2.Schema())
    except text_format.ParseError as error:
        said = " ".join(str(error).split())  # the parser's words may run over lines
        raise ConfigError(
            f"{place}: {said}: this is no text form of a Schema. Mend the file, or put it back as it was."
        ) from error


def schema_fingerprint(name: str | None) -> str:
    """SHA-256 (hex) of a curated schema's text; empty where none is named.

    Raises:
      ConfigError: there is none of that name.
    """
    return hashlib.sha256(schema_text(name).encode()).hexdigest() if name else ""
