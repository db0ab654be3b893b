"""A small synthetic release, for tests that publish one."""

from __future__ import annotations

from typing import Any

from components.release.manifest import PrivacyStatement, Versions

FILES = {"Split-train/a.gz": b"one" * 1000, "Split-train/b.gz": b"two", "evaluation.json": b"{}"}


def fields(**change: Any) -> dict[str, Any]:
    """What `publish_release` is told beside the files; changed where the test says so."""
    base = {
        "locale": "eu-west",
        "span": 1,
        "kind": "synthetic",
        "rows": {"train": 4},
        "columns": {"timestamp": "int64"},
        "versions": Versions(isthmus="1", tfx="2", tensorflow="3"),
        "config_digest": "",
        "privacy": PrivacyStatement(sentences=("One.",)),
        "verdict": "BLESSED",
        "gates": {"dcr": "passed"},
    }
    return {**base, **change}
