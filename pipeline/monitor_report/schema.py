"""The published JSON Schema of `monitor.json`: `python -m pipeline.monitor_report.schema` writes it anew."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

from components.drift.findings import SCHEMA_VERSION, MonitorRun
from components.executor_base import write_atomically


def schema_path() -> Path:
    """Where it stands."""
    return Path(str(resources.files("schemas"))) / "monitor" / "monitor.schema.json"


def schema_text() -> str:
    """JSON Schema (draft 2020-12) of a `MonitorRun` of this version."""
    found = MonitorRun.model_json_schema(mode="serialization")
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"isthmus/monitor/{SCHEMA_VERSION}",
    }
    return json.dumps({**head, **found}, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    write_atomically(schema_path(), schema_text())
