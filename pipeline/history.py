"""What earlier runs left behind that a new run's graph depends on.

TFX's cache sees inputs and exec properties. What else matters, statistics, profiles and release of
spans before, is looked up here and becomes an exec property.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from components.drift_monitor.baselines import BaselineKind, Baselines, BaselineSource
from components.executor_base import read_json
from components.monitoring import BaselinesConfig


def sections(root: Path, name: str) -> list[dict[str, Any]]:
    """The pipeline's sections of all recorded runs, latest first."""
    found = []
    for file in sorted((root / "runs").glob("*/run.json"), reverse=True):
        state = read_json(file)
        section = state["central"] if name == "central" else state["locales"].get(name)
        if section:
            found.append(section)
    return found


@dataclasses.dataclass(frozen=True)
class EarlierSpan:
    """A span of a locale that was not refused, as its latest run left it.

    Attributes:
      span: Its number.
      statistics: Where its ExampleStatistics are: a URI, or a reference of a pod's state.
      profile: Where its SpanProfile is, the same way; empty where an earlier version made none.
    """

    span: int
    statistics: str
    profile: str = ""


def earlier_spans(root: Path, locale: str, span: int) -> list[EarlierSpan]:
    """The spans before this one that were not refused and are still there, latest first."""
    found: dict[int, EarlierSpan] = {}
    for section in sections(root, locale):
        states = {component["id"]: component.get("state") for component in section["components"]}
        if states.get("ExampleValidator") not in ("executed", "cached"):
            continue
        components = {component["id"]: component.get("outputs", {}) for component in section["components"]}
        uri = components.get("StatisticsGen", {}).get("statistics")
        ingest = Path(components.get("ExampleGen", {}).get("quarantine", "")) / "ingest.json"
        if not uri or not ingest.exists() or not Path(uri).exists():
            continue
        number = int(read_json(ingest)["span"])
        profile = components.get("DriftMonitor", {}).get("profile", "")
        if number < span and number not in found:
            there = profile if profile and Path(profile).is_dir() else ""
            found[number] = EarlierSpan(number, uri, there)
    return [found[number] for number in sorted(found, reverse=True)]


def previous_statistics(root: Path, locale: str, span: int) -> tuple[str, str]:
    """URI and digest of the statistics of the nearest earlier span that was not refused; "" for none."""
    earlier = earlier_spans(root, locale, span)
    if not earlier:
        return "", ""
    digest = hashlib.sha256()
    for file in sorted(Path(earlier[0].statistics).glob("*/FeatureStats.pb")):
        digest.update(file.parent.name.encode() + file.read_bytes())
    return earlier[0].statistics, digest.hexdigest()


def baselines(root: Path, locale: str, span: int, wanted: BaselinesConfig) -> tuple[Baselines, str]:
    """Where the baselines of a span's drift are, missing ones with the reason; and the digest of them all.

    Args:
      root: The deployment's.
      locale: The locale's name.
      span: The span that is judged.
      wanted: Which baselines it is compared with.
    """
    found = chosen(earlier_spans(root, locale, span), span, wanted)
    return found, _digest_of(found)


def chosen(earlier: Sequence[EarlierSpan], span: int, wanted: BaselinesConfig) -> Baselines:
    """The baselines of a span, missing ones with the reason; the same for runs here and in pods.

    Args:
      earlier: The spans before it that were not refused, latest first.
      span: The span that is judged.
      wanted: Which baselines it is compared with.
    """
    profiled = [found for found in earlier if found.profile]
    none = "there is no earlier span" if not earlier else "no earlier span has a profile"
    sources = []
    if wanted.previous:
        # The nearest span, whether it has a profile or not: an older one would not be the previous.
        nearest = [found for found in earlier[:1] if found.profile]
        why = f"the previous span, {earlier[0].span}, has no profile" if earlier else none
        sources.append(_source("previous", nearest, why))
    if wanted.window:
        sources.append(_source("window", profiled[: wanted.window], none))
    if wanted.reference is not None:
        pinned = [found for found in profiled if found.span == wanted.reference]
        why = f"there is no profile of the reference span {wanted.reference}"
        if wanted.reference >= span:
            why = f"the reference span {wanted.reference} is not before this one"
        sources.append(_source("reference", pinned, why))
    plan = profiled[0].profile if profiled else ""
    return Baselines(sources=tuple(sources), plan=plan)


def _source(kind: BaselineKind, spans: list[EarlierSpan], why: str) -> BaselineSource:
    return BaselineSource(
        kind=kind,
        profiles=tuple(found.profile for found in reversed(spans)),
        statistics=spans[0].statistics if len(spans) == 1 else "",
        absent="" if spans else why,
    )


def _digest_of(found: Baselines) -> str:
    """SHA-256 (hex) over the files that baselines name; "" for none."""
    folders = dict.fromkeys(
        uri for source in found.sources for uri in (*source.profiles, source.statistics) if uri
    )
    if found.plan:
        folders.setdefault(found.plan)
    if not folders:
        return ""
    digest = hashlib.sha256()
    for folder in folders:
        for file in sorted(path for path in Path(folder).rglob("*") if path.is_file()):
            digest.update(str(file.relative_to(folder)).encode() + file.read_bytes())
    return digest.hexdigest()


def previous_monitor(root: Path, span: int) -> tuple[str, str]:
    """URI and digest of the centre's MonitorReport of the nearest earlier span; "" for none."""
    best: tuple[int, str] | None = None
    for section in sections(root, "central"):
        components = {component["id"]: component.get("outputs", {}) for component in section["components"]}
        uri = components.get("SkewMonitor", {}).get("monitor")
        file = Path(uri or "") / "monitor.json"
        if not uri or not file.exists():
            continue
        found = int(read_json(file)["span"])
        if found < span and (best is None or found > best[0]):
            best = (found, uri)
    if best is None:
        return "", ""
    return best[1], hashlib.sha256((Path(best[1]) / "monitor.json").read_bytes()).hexdigest()


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
