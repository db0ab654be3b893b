"""A small synthetic release, for tests that publish one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.release.keys import PrivateKey
from components.release.manifest import PrivacyStatement, Versions
from components.release.publish import PublishedRelease, draft_release, publish_draft
from components.release.storage import Source, Store

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


def publish_release(
    store: Store, key: PrivateKey, files: Mapping[str, Source], created_at: str | None = None, **fields: Any
) -> PublishedRelease:
    """Drafts and publishes a release, with nobody asked in between."""
    return publish_draft(store, key, draft_release(files, **fields), created_at=created_at)
