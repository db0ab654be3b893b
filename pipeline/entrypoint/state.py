"""What a zone keeps from run to run, where pods have no disk of their own.

    <state>/<zone>/history/span-<n>/statistics.json      span, digest and files; written last
    <state>/<zone>/history/span-<n>/statistics-<digest>/Split-<name>/FeatureStats.pb
    <state>/<zone>/history/span-<n>/profile.json
    <state>/<zone>/history/span-<n>/profile-<digest>/…
    <state>/<zone>/history/span-<n>/release.json
    <state>/<zone>/history/span-<n>/release-<digest>/Split-train/…

Statistics and profiles of earlier spans are drift's baselines (the one before, a window, a pinned one), and
the rows that the span before released are what the gate looks for links to. A local run finds all of them in
its runs' folders (`pipeline.history`); this is the same for pods.

A folder's name says what is in it, so two attempts at one span never mix their files, and a step gets
exactly what its first step found, or an error: its cache key has the digest, whatever came since.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from pathlib import Path
from typing import Any

from components.drift_monitor.baselines import Baselines
from components.errors import DataError
from components.release.options import DEFAULT_OPTIONS, StorageOptions
from components.release.storage import Store, child_names, open_store, read_bounded, storage_errors
from pipeline.entrypoint.storing import put
from pipeline.history import EarlierSpan

STATISTICS, PROFILE, RELEASE = "statistics", "profile", "release"
_SPAN = re.compile(r"span-(\d+)")
_REFERENCE = re.compile(r"(?P<place>span-\d+)/(?P<kind>statistics|profile)-(?P<digest>[0-9a-f]{64})")
_MAX_RECORD_BYTES = 1 << 16
#: What of an artifact is kept; a release's other splits are not compared.
_PARTS = {STATISTICS: "*/FeatureStats.pb", PROFILE: "*", RELEASE: "Split-train/*"}


class State:
    """A zone's memory; one without a place remembers nothing."""

    def __init__(self, place: str, zone: str, options: StorageOptions = DEFAULT_OPTIONS) -> None:
        """Args: place: path or URI, "" for none; zone: whose; options: how an object store is reached."""
        self._store: Store | None = None
        if place:
            self._store = open_store(
                f"{place.rstrip('/')}/{zone}/history", "placement.state", options=options
            )

    def remember(self, kind: str, span: int, folder: Path) -> None:
        """Keeps what a span had; what was kept of it before is replaced.

        Args:
          kind: `STATISTICS`, `PROFILE` or `RELEASE`.
          span: Its number.
          folder: The artifact.

        Raises:
          DataError: the state cannot be written, or its record cannot be read.
        """
        if self._store is None:
            return
        files = sorted(path for path in folder.glob(_PARTS[kind]) if path.is_file())
        names = [str(file.relative_to(folder)) for file in files]
        record = {"span": span, "digest": _digest(files, kind), "files": names}
        place = f"span-{span}"
        former = self._record(kind, place)
        if former == record and self._is_whole(kind, record):
            return
        with storage_errors("cannot keep", self._store.address(place)):
            fs = self._store.fs
            for file, name in zip(files, names):
                put(self._store, f"{place}/{_folder(kind, record)}/{name}", file)
            put(self._store, f"{place}/{kind}.json", json.dumps(record, sort_keys=True).encode())
            if former and former["digest"] != record["digest"]:
                old = self._store.path(place, _folder(kind, former))
                if fs.exists(old):
                    fs.rm(old, recursive=True)

    def before(self, kind: str, span: int) -> tuple[str, str]:
        """Place and digest of the nearest earlier span's; "" for none.

        Raises:
          DataError: the state cannot be read.
        """
        if self._store is None:
            return "", ""
        for found in self._spans_before(span):
            record = self._record(kind, f"span-{found}")
            if record is not None:
                return self._store.address(f"span-{found}"), str(record["digest"])
        return "", ""

    def earlier(self, span: int, profiles: int, also: int | None = None) -> list[EarlierSpan]:
        """What is kept of spans before this one, latest first, as references with digests (`fetch_named`).

        Args:
          span: The span that is judged.
          profiles: How many spans with a profile are wanted; older ones are not looked at.
          also: A span that is wanted whatever its age.

        Raises:
          DataError: the state cannot be read.
        """
        found: list[EarlierSpan] = []
        spans = self._spans_before(span)
        for number in spans:
            if number != also and sum(bool(one.profile) for one in found) >= profiles:
                continue
            statistics, profile = (self._named(kind, number) for kind in (STATISTICS, PROFILE))
            if statistics:
                found.append(EarlierSpan(number, statistics, profile))
        return found

    def _spans_before(self, span: int) -> list[int]:
        """Numbers of the spans of which something is kept, latest first."""
        if self._store is None:
            return []
        spans = [int(m.group(1)) for name in child_names(self._store, "") if (m := _SPAN.fullmatch(name))]
        return sorted((found for found in spans if found < span), reverse=True)

    def _named(self, kind: str, span: int) -> str:
        record = self._record(kind, f"span-{span}")
        return f"span-{span}/{kind}-{record['digest']}" if record else ""

    def fetch_named(self, reference: str) -> str:
        """A local folder with what a reference of `earlier` names.

        Raises:
          DataError: it is gone, replaced or altered since, or cannot be read; or it is no reference.
        """
        named = _REFERENCE.fullmatch(reference)
        if named is None:
            raise DataError(f"{reference[:80]}: names nothing that a state keeps; start a new run")
        return self.fetch(named["kind"], named["place"], named["digest"])

    def fetch(self, kind: str, place: str, digest: str) -> str:
        """A local folder with what `before` named; "" for "".

        Args:
          kind: `STATISTICS`, `PROFILE` or `RELEASE`.
          place, digest: As `before` gave them.

        Raises:
          DataError: it is gone, replaced or altered since, or cannot be read.
        """
        if self._store is None or not place:
            return ""
        name = place.rsplit("/", 1)[-1]
        record = self._record(kind, name) if _SPAN.fullmatch(name) else None
        if record is None or record["digest"] != digest:
            raise DataError(f"{place}: the {kind} kept there were replaced during this run; start a new run")
        source = _folder(kind, record)
        with storage_errors("cannot read", place):
            if self._store.is_local:
                folder = Path(self._store.path(name, source))
            else:
                folder = Path(tempfile.mkdtemp(prefix=f"isthmus-{kind}-"))
                for file in record["files"]:
                    (folder / file).parent.mkdir(parents=True, exist_ok=True)
                    self._store.fs.get_file(self._store.path(name, source, file), str(folder / file))
            found = _digest([folder / file for file in record["files"]], kind)
        if found != digest:
            raise DataError(f"{place}: the {kind} kept there were altered; run that span again")
        return str(folder)

    def _is_whole(self, kind: str, record: dict[str, Any]) -> bool:
        try:
            self.fetch(kind, f"span-{record['span']}", record["digest"])
        except DataError:
            return False
        return True

    def _record(self, kind: str, place: str) -> dict[str, Any] | None:
        assert self._store is not None
        name = f"{place}/{kind}.json"
        raw = read_bounded(self._store, name, _MAX_RECORD_BYTES)
        if raw is None:
            return None
        try:
            found = json.loads(raw)
            inside = all(".." not in file.split("/") and not file.startswith("/") for file in found["files"])
            if inside and re.fullmatch("[0-9a-f]{64}", found["digest"]):
                return dict(found)
        except (ValueError, KeyError, TypeError, AttributeError):
            pass
        raise DataError(
            f"{self._store.address(name)}: is no record of a span; remove it and run that span again"
        )


def _folder(kind: str, record: dict[str, Any]) -> str:
    return f"{kind}-{record['digest'][:16]}"


def _digest(files: list[Path], kind: str) -> str:
    """As `pipeline.history` has it: over the folder's, or the file's, name and the bytes."""
    digest = hashlib.sha256()
    for file in files:
        digest.update((file.parent.name if kind == STATISTICS else file.name).encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()


def fetched(named: str, state: State) -> str:
    """Baselines whose references (`State.earlier`) became local folders; each is fetched once.

    Args:
      named: `components.drift_monitor.baselines.Baselines` as an exec property.
      state: That gave the references.

    Raises:
      DataError: as `State.fetch_named`.
    """
    found = Baselines.from_exec_property(named)
    wanted = {place for source in found.sources for place in (*source.profiles, source.statistics)}
    folders = {place: state.fetch_named(place) for place in sorted(filter(None, {*wanted, found.plan}))}
    folders[""] = ""
    sources = tuple(
        source.model_copy(
            update={
                "profiles": tuple(folders[place] for place in source.profiles),
                "statistics": folders[source.statistics],
            }
        )
        for source in found.sources
    )
    return Baselines(sources=sources, plan=folders[found.plan]).to_exec_property()
