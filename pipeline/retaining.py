"""What a locale keeps and for how long: finds what is past its time, and what is needed all the same.

Needed is what the current lineage stands on: the artifacts of the locale's latest run, the statistics,
profiles and synthetic rows that the next span is compared with, the newest release, and releases that the
latest merge accepted.

Whatever a locale's root holds falls under a policy, but for what `KEPT` names.
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
from pipeline.config.sections import monitoring_of
from pipeline.entrypoint.state import PROFILE, RELEASE, STATISTICS
from pipeline.history import baselines, previous_release, previous_statistics, sections

Kind = Literal["examples", "models", "releases", "logs"]
MODELS_FROM = ("SynthesizerTrainer",)
#: Components whose outputs neither hold real rows nor describe them: the record of a push, and statistics
#: of synthetic rows. Those of any other hold rows or exact counts (SyntheticGen's `categories.json` too).
HARMLESS_FROM = ("Pusher", "SyntheticStatisticsGen")
#: What stays for ever below a locale's root, as patterns: records without rows, and what proves them.
KEPT = ("metadata.sqlite*", "governance/**", *(f"artifacts/{name}/**" for name in HARMLESS_FROM))
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
    # A run's log and its report go by its id.
    latest = {Path(section["log"]).stem for section in sections(Path(deployment.root), locale)[:1]}
    kinds: tuple[tuple[Kind, float | None, Iterator[Path]], ...] = (
        ("examples", limits.examples_days, _examples(root)),
        ("models", limits.models_days, _models(root)),
        ("logs", limits.logs_days, iter(sorted((root / "logs").glob("*")))),
    )
    for kind, days, paths in kinds:
        for path in paths if days is not None else ():
            age = (now_s - _changed_s(path)) / _DAY_S
            if age <= (days or 0):
                continue
            why = "the current lineage" if str(path) in needed else ""
            if path.parent.parent == root and path.stem in latest:
                why = "the latest run"
            found.append(Item(kind, str(path), age, why))
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
    left = sorted(
        path
        for place in ("artifacts/*/*", "work/*", "history", "reports")
        for path in root.glob(f"{place}/{_DELETED}*")
    )
    for folder in left:
        shutil.rmtree(folder)
    return len(left)


def artifact_folders(root: Path, components: tuple[str, ...] | None = None) -> Iterator[Path]:
    """Folders of artifacts on disk, `<root>/artifacts/<component>/<channel>/<execution>`, in order."""
    for folder in sorted(root.glob("artifacts/*/*/*")):
        numbered = folder.is_dir() and folder.name.isdigit()
        if numbered and (components is None or folder.parts[-3] in components):
            yield folder


def _examples(root: Path) -> Iterator[Path]:
    """What holds rows or describes them: artifacts, reports with curves of them, what refused runs left."""
    others = {folder.name for folder in root.glob("artifacts/*")} - {*MODELS_FROM, *HARMLESS_FROM}
    yield from artifact_folders(root, tuple(others))
    yield from sorted(root.glob("reports/*"))
    yield from sorted(root.glob("work/*/*"))
    yield from sorted(root.glob("history/span-*"))  # of pods: statistics and released rows of a span
    # TFX's own folders for executors hold files only after a kill.
    for folder in sorted(root.glob("artifacts/*/.system/*/*")):
        if any(path.is_file() for path in folder.rglob("*")):
            yield folder


def _models(root: Path) -> Iterator[Path]:
    """Models, and checkpoints of trainings that did not end."""
    yield from artifact_folders(root, MODELS_FROM)
    for name in MODELS_FROM:
        for folder in sorted(root.glob(f"artifacts/{name}/*/*")):
            ours = folder.parent.name != ".system" and not folder.name.startswith(_DELETED)
            if ours and not folder.name.isdigit():
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
        chosen = monitoring_of(deployment, locale).baselines
        earlier, _ = baselines(Path(deployment.root), locale, span, chosen)
        needed.update(
            uri for source in earlier.sources for uri in (*source.profiles, source.statistics, earlier.plan)
        )
        needed.add(previous_release(Path(deployment.root), locale, span)[0])
    return needed | _needed_of_pods(deployment, locale)


def _needed_of_pods(deployment: Deployment, locale: str) -> set[str]:
    """Folders of the spans that the next one is compared with, where pods keep them."""
    wanted = monitoring_of(deployment, locale).baselines
    needed: set[str] = set()
    for kind in (STATISTICS, PROFILE, RELEASE):
        records = Path(deployment.root, locale).glob(f"history/span-*/{kind}.json")
        latest_first = sorted(records, key=_span, reverse=True)
        count = 1 if kind == RELEASE else max(1, wanted.window)
        pinned = [] if kind == RELEASE else [one for one in latest_first if _span(one) == wanted.reference]
        needed.update(str(record.parent) for record in (*latest_first[:count], *pinned))
    return needed


def _span(record: Path) -> int:
    return int(record.parent.name.removeprefix("span-"))


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
