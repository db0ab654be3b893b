"""The published form of the webhook's JSON, `schemas/alerts/alert-1.schema.json`, from the models.

`python -m pipeline.alerts.schema FILE` writes it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from components.executor_base import write_json
from pipeline.alerts.message import FORMAT_VERSION, Message


def published() -> dict[str, Any]:
    """The JSON Schema. Fields may be added within a version, so it forbids none that it does not know."""
    found = _open(Message.model_json_schema(mode="serialization"))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:isthmus:alert:{FORMAT_VERSION}",
        **found,
        "title": "Alert of Isthmus",
    }


def _open(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _open(item) for key, item in value.items() if key != "additionalProperties" or item}
    return [_open(item) for item in value] if isinstance(value, list) else value


if __name__ == "__main__":
    write_json(Path(sys.argv[1]), published())
