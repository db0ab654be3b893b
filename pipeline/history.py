"""What earlier runs left behind that a new run's graph depends on.

TFX's cache sees inputs and exec properties. What else matters, statistics and release of the span
before, is looked up here and becomes an exec property.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from components.executor_base import read_json


def sections(root: Path, name: str) -> list[dict[str, Any]]:
    """The pipeline's sections of all recorded runs, latest first."""
    found = []
    for file in sorted((root / "runs").glob("*/run.json"), reverse=True):
        state = read_json(file)
        section = state["central"] if name == "central" else state["locales"].get(name)
        if section:
            found.append(section)
    return found


def previous_statistics(root: Path, locale: str, span: int) -> tuple[str, str]:
    """URI and digest of the statistics of the nearest earlier span that was not refused; "" for none."""
    best: tuple[int, str] | None = None
    for section in sections(root, locale):
        states = {component["id"]: component.get("state") for component in section["components"]}
        if states.get("ExampleValidator") not in ("executed", "cached"):
            continue
        components = {component["id"]: component.get("outputs", {}) for component in section["components"]}
        uri = components.get("StatisticsGen", {}).get("statistics")
        ingest = Path(components.get("ExampleGen", {}).get("quarantine", "")) / "ingest.json"
        if not uri or not ingest.exists() or not Path(uri).exists():
            continue
        found = int(read_json(ingest)["span"])
        if found < span and (best is None or found > best[0]):
            best = (found, uri)
    if best is None:
        return "", ""
    digest = hashlib.sha256()
    for file in sorted(Path(best[1]).glob("*/FeatureStats.pb")):
        digest.update(file.parent.name.encode() + file.read_bytes())
    return best[1], digest.hexdigest()


def previous_release(root: Path, locale: str, span: int) -> tuple[str, str]:
    """URI and digest of the synthetic rows that the nearest earlier span released; "" for none.

    Only what was pushed counts, and only what is still there: the gate looks for links between releases.
    """
    best: tuple[int, str] | None = None
    for section in sections(root, locale):
        components = {component["id"]: component.get("outputs", {}) for component in section["components"]}
        uri = components.get("SyntheticGen", {}).get("synthetic")
        push = Path(components.get("Pusher", {}).get("pushed", "")) / "push.json"
        if not uri or not push.exists() or not Path(uri).exists():
            continue
        found = read_json(push)
        if found["pushed"] and int(found["span"]) < span and (best is None or int(found["span"]) > best[0]):
            best = (int(found["span"]), uri)
    if best is None:
        return "", ""
    digest = hashlib.sha256()
    for file in sorted(Path(best[1]).glob("Split-train/*")):
        digest.update(file.name.encode() + file.read_bytes())
    return best[1], digest.hexdigest()
