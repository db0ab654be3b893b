"""What a zone keeps from run to run, where pods have no disk of their own.

    <state>/<zone>/history/span-<n>/statistics/Split-<name>/FeatureStats.pb
    <state>/<zone>/history/span-<n>/statistics.json      span and digest; written last
    <state>/<zone>/history/span-<n>/release/Split-train/…
    <state>/<zone>/history/span-<n>/release.json

The statistics of the span before are drift's baseline, and the rows that it released are what the gate looks
for links to. A local run finds both in its runs' folders (`pipeline.history`); this is the same for pods.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from pathlib import Path

from components.release.options import DEFAULT_OPTIONS, StorageOptions
from components.release.storage import Store, child_names, open_store, read_bounded, storage_errors

STATISTICS, RELEASE = "statistics", "release"
_SPAN = re.compile(r"span-(\d+)")
_MAX_RECORD_BYTES = 1 << 16
#: What of an artifact is kept; a release's other splits are not compared.
_PARTS = {STATISTICS: "Split-*/FeatureStats.pb", RELEASE: "Split-train/*"}


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
          kind: `STATISTICS` or `RELEASE`.
          span: Its number.
          folder: The artifact.

        Raises:
          DataError: the state cannot be written.
        """
        if self._store is None:
            return
        files = sorted(path for path in folder.glob(_PARTS[kind]) if path.is_file())
        digest = _digest(files, kind)
        base = self._store.path(f"span-{span}")
        with storage_errors("cannot keep", self._store.address(f"span-{span}")):
            fs = self._store.fs
            # The record goes first and comes last: what lies between counts as nothing.
            if fs.exists(f"{base}/{kind}.json"):
                fs.rm(f"{base}/{kind}.json")
            for file in files:
                target = f"{base}/{kind}/{file.relative_to(folder)}"
                fs.makedirs(target.rsplit("/", 1)[0], exist_ok=True)
                fs.put_file(str(file), target)
            record = {
                "span": span,
                "digest": digest,
                "files": [str(file.relative_to(folder)) for file in files],
            }
            fs.pipe_file(f"{base}/{kind}.json", json.dumps(record, sort_keys=True).encode())

    def before(self, kind: str, span: int) -> tuple[str, str]:
        """Place and digest of the nearest earlier span's; "" for none.

        Raises:
          DataError: the state cannot be read.
        """
        if self._store is None:
            return "", ""
        spans = [int(m.group(1)) for name in child_names(self._store, "") if (m := _SPAN.fullmatch(name))]
        for found in sorted((x for x in spans if x < span), reverse=True):
            raw = read_bounded(self._store, f"span-{found}/{kind}.json", _MAX_RECORD_BYTES)
            if raw is not None:
                return self._store.address(f"span-{found}"), str(json.loads(raw)["digest"])
        return "", ""

    def fetch(self, kind: str, place: str) -> str:
        """A local folder with what `before` named; "" for "".

        Raises:
          DataError: it is gone or cannot be read.
        """
        if self._store is None or not place:
            return ""
        name = place.rsplit("/", 1)[-1]
        with storage_errors("cannot read", place):
            if self._store.is_local:
                return f"{self._store.path(name)}/{kind}"
            raw = read_bounded(self._store, f"{name}/{kind}.json", _MAX_RECORD_BYTES) or b"{}"
            folder = Path(tempfile.mkdtemp(prefix=f"isthmus-{kind}-"))
            for file in json.loads(raw).get("files", ()):
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                self._store.fs.get_file(self._store.path(name, kind, file), str(folder / file))
            return str(folder)


def _digest(files: list[Path], kind: str) -> str:
    """As `pipeline.history` has it: over the folder's, or the file's, name and the bytes."""
    digest = hashlib.sha256()
    for file in files:
        digest.update((file.parent.name if kind == STATISTICS else file.name).encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()
