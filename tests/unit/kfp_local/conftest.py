"""The hand-written spec, to be changed and written anew by a test."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

Change = Callable[[dict[str, Any], dict[str, Any]], None]


def write_spec(path: Path, change: Change | None = None) -> Path:
    """Writes the two regions' spec, its documents (pipeline, platform) changed by `change`."""
    text = (Path(__file__).parent / "two_regions.yaml").read_text()
    # By way of JSON, so that what YAML's anchors share is separate before it is changed.
    documents = json.loads(json.dumps(list(yaml.safe_load_all(text))))
    if change is not None:
        change(*documents)
    path.write_text(yaml.safe_dump_all(documents))
    return path


@pytest.fixture
def spec(tmp_path: Path) -> Callable[..., Path]:
    """Returns `write_spec` for the test's own folder."""
    return lambda change=None: write_spec(tmp_path / "pipeline.yaml", change)
