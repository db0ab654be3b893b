"""What a locale keeps and for how long: finds what is past its time, and what is needed all the same.

Needed is what the current lineage stands on: the artifacts of the locale's latest run, the statistics
that the next span is compared with, the newest release, and releases that the latest merge accepted.
"""

from __future__ import annotations

import dataclasses
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from components.executor_base import read_json
from components.release.exchange import latest_release, list_releases
from components.release.manifest import MANIFEST_NAME
from components.release.storage import Store, open_store, storage_errors
from pipeline.config.model import Deployment
from pipeline.history import previous_statistics, sections

Kind = Literal["examples", "models", "releases", "logs"]
#: Components whose outputs hold real rows, or describe them exactly.
EXAMPLES_FROM = ("ExampleGen", "StatisticsGen", "SchemaGen", "ExampleValidator", "ReleaseEvaluator")
MODELS_FROM = ("SynthesizerTrainer",)
_DELETED = ".deleted-"
_DAY_S = 86_400.0


@dataclasses.dataclass(frozen=True)
class Item:
    """Something past its time.

    Attributes:
      kind: Which policy it falls under.
      uri: What it is.
      age_days: Since it last changed.
      needed_by: Why it stays; empty where it may go.
    """

    kind: Kind
    uri: str
    age_days: float
    needed_by: str = ""


def overdue(deployment: Deployment, locale: str, now_s: float) -> list[Item]:
    """What is older than the locale's policy allows, kept or not.

    Args:
      deployment: The deployment.
      locale: The locale's name.
      now_s: The time, in seconds since 1970.

    Raises:
      DataError: the exchange cannot be read.
    """
    limits = deployment.locale(locale).retention
    root = Path(deployment.root) / locale
    needed = _needed_artifacts(deployment, locale)
    found: list[Item] = []
    for kind, days, components in (
        ("examples", limits.examples_days, EXAMPLES_FROM),
        ("models", limits.models_days, MODELS_FROM),
    ):
        if days is None:
            continue
        for folder in artifact_folders(root, components):
            age = (now_s - _changed_s(folder)) / _DAY_S
            if age > days:
                why = "the current lineage" if str(folder) in needed else ""
                found.append(Item(kind, str(folder), age, why))  # type: ignore[arg-type]
    if limits.logs_days is not None:
        latest = {section["log"] for section in sections(Path(deployment.root), locale)[:1]}
        for file in sorted((root / "logs").glob("*.log")):
            age = (now_s - file.stat().st_mtime) / _DAY_S
            if age > limits.logs_days:
                why = "the latest run" if str(file) in latest else ""
                found.append(Item("logs", str(file), age, why))
    if limits.releases_days is not None:
        found += _overdue_releases(deployment, locale, now_s, limits.releases_days)
    return found


def remove(deployment: Deployment, item: Item) -> None:
    """Deletes one item for good.

    A folder gets another name first: a kill in the middle then leaves nothing that a cache takes for
    whole. A release loses its manifest first, and is none from then on.
    """
    if item.kind == "releases":
        store = _exchange(deployment)
        path = item.uri.removeprefix(store.uri).strip("/")
        with storage_errors("cannot delete", item.uri):
            store.fs.rm_file(store.path(path, MANIFEST_NAME))
            store.fs.rm(store.path(path), recursive=True)
        return
    path_ = Path(item.uri)
    if path_.is_dir():
        delete_folder(path_)
    else:
        path_.unlink(missing_ok=True)


def delete_folder(folder: Path) -> None:
    """Deletes an artifact's folder, whole or not at all as far as anyone sees."""
    aside = folder.with_name(f"{_DELETED}{folder.name}-{uuid.uuid4().hex[:8]}")
    folder.rename(aside)
    shutil.rmtree(aside)


def sweep(root: Path) -> int:
    """Deletes what a killed `delete_folder` left below a locale's artifacts; returns how many."""
    left = sorted(root.glob(f"artifacts/*/*/{_DELETED}*"))
    for folder in left:
        shutil.rmtree(folder)
    return len(left)


def artifact_folders(root: Path, components: tuple[str, ...] | None = None) -> Iterator[Path]:
    """Folders of artifacts on disk, `<root>/artifacts/<component>/<channel>/<execution>`, in order."""
    for folder in sorted(root.glob("artifacts/*/*/*")):
        numbered = folder.is_dir() and folder.name.isdigit()
        if numbered and (components is None or folder.parts[-3] in components):
            yield folder


def _needed_artifacts(deployment: Deployment, locale: str) -> set[str]:
    """Artifacts of the latest run that got as far as examples, and of the latest that pushed."""
    needed: set[str] = set()
    runs = sections(Path(deployment.root), locale)
    for wanted in ("ExampleGen", "Pusher"):
        for section in runs:
            if any(component["id"] == wanted for component in section["components"]):
                for component in section["components"]:
                    needed.update(component.get("outputs", {}).values())
                break
    ingests = [Path(uri) / "ingest.json" for uri in needed if Path(uri).parent.name == "quarantine"]
    for ingest in filter(Path.exists, ingests):
        span = int(read_json(ingest)["span"])
        needed.add(previous_statistics(Path(deployment.root), locale, span)[0])
    return needed


def _overdue_releases(deployment: Deployment, locale: str, now_s: float, days: float) -> list[Item]:
    store = _exchange(deployment)
    newest, merged = latest_release(store, locale), _merged(deployment)
    found = []
    for location in list_releases(store, locale):
        with storage_errors("cannot read", store.address(location.folder)):
            written = store.fs.modified(store.path(location.folder, MANIFEST_NAME)).timestamp()
        age = (now_s - written) / _DAY_S
        if age <= days:
            continue
        why = "the newest release of the locale" if location == newest else ""
        why = why or ("the latest merge" if location.release_id in merged else "")
        found.append(Item("releases", store.address(location.folder), age, why))
    return found


def _merged(deployment: Deployment) -> set[str]:
    """Ids of the releases that the latest merge accepted."""
    for section in sections(Path(deployment.root), "central"):
        for component in section["components"]:
            uri = component.get("outputs", {}).get("merge_report")
            if uri and (Path(uri) / "merge.json").exists():
                accepted: list[dict[str, Any]] = read_json(Path(uri) / "merge.json").get("accepted", [])
                return {str(release["release_id"]) for release in accepted}
    return set()


def _exchange(deployment: Deployment) -> Store:
    return open_store(deployment.exchange.uri, options=deployment.exchange.storage_options)


def _changed_s(folder: Path) -> float:
    return max(path.stat().st_mtime for path in (folder, *folder.rglob("*")))
