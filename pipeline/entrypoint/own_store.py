"""Artifacts of a zone that has a bucket of its own: KFP's pipeline root gets references only.

KFP keeps all artifacts of a run below one root, in one bucket, whatever region made them. A locale with
`placement.store` writes its artifacts into its own bucket with its own credentials, and what the launcher
uploads is one small file that says where they are and what they must be.
"""

from __future__ import annotations

import json
import re
import tempfile
import uuid
from pathlib import Path
from typing import Any

from components.errors import DataError
from components.executor_base import write_json
from components.release.storage import file_entry, open_store, storage_errors
from pipeline.config.placement import RegionStore
from pipeline.entrypoint.storing import put

REFERENCE = "reference.json"
_CONTENT = ".artifact.json"


class OwnStore:
    """A zone's bucket."""

    def __init__(self, config: RegionStore) -> None:
        """Opens it; credentials come from the environment or a file."""
        self._store = open_store(config.uri, "placement.store", options=config.storage_options)

    def keep(self, task: str, name: str, folder: Path, reference: Path, metadata: dict[str, Any]) -> None:
        """Uploads an artifact and writes the reference to it, last.

        Args:
          task, name: Of the artifact, for its address.
          folder: Its content.
          reference: Folder that the launcher uploads.
          metadata: What the artifact's reader needs; it stays in the bucket's side of the border too.

        Raises:
          DataError: the bucket cannot be written.
        """
        # Another attempt writes elsewhere: two pods of one task never share files.
        place = f"artifacts/{task}/{uuid.uuid4().hex}/{name}"
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        entries = {str(file.relative_to(folder)): file_entry(file).sha256 for file in files}
        with storage_errors("cannot write to", self._store.address(place)):
            for file in files:
                put(self._store, f"{place}/{file.relative_to(folder)}", file)
            content = json.dumps({"files": entries, "metadata": metadata}, sort_keys=True).encode()
            put(self._store, f"{place}/{_CONTENT}", content)
        # Whoever can write in the bucket alone cannot pass another artifact off as this one.
        write_json(reference / REFERENCE, {"artifact": place, "sha256": file_entry(content).sha256})

    def keep_log(self, task: str, log: Path) -> str:
        """Uploads a log that would go with its pod; returns its address. How long it stays is the bucket's
        lifecycle policy to say.

        Raises:
          DataError: the bucket cannot be written.
        """
        place = f"logs/{task}/{uuid.uuid4().hex}.log"
        with storage_errors("cannot write to", self._store.address(place)):
            put(self._store, place, log)
        return self._store.address(place)

    def fetch(self, reference: Path, name: str) -> tuple[Path, dict[str, Any]]:
        """Downloads what a reference names; gives its folder and metadata.

        Raises:
          DataError: there is no reference, or what it names is gone or altered.
        """
        file = reference / REFERENCE
        if not file.exists():
            raise DataError(
                f"artifact {name}: no {REFERENCE} came; its maker has no bucket of its own (placement.store)"
            )
        named = json.loads(file.read_text())
        place = str(named["artifact"])
        if not re.fullmatch(r"artifacts/[a-z0-9-]+/[0-9a-f]{32}/[a-z0-9-]+", place) or (
            place.rsplit("/", 1)[-1] != name
        ):
            raise DataError(f"artifact {name}: its reference names '{place}', which is no place of it")
        folder = Path(tempfile.mkdtemp(prefix="isthmus-artifact-"))
        with storage_errors("cannot read", self._store.address(place)):
            raw = self._store.fs.cat_file(self._store.path(place, _CONTENT))
            if file_entry(raw).sha256 != named.get("sha256"):
                raise DataError(f"{self._store.address(place, _CONTENT)}: is not what was written there")
            content = json.loads(raw)
            for relative, digest in content["files"].items():
                target = folder / relative
                target.parent.mkdir(parents=True, exist_ok=True)
                self._store.fs.get_file(self._store.path(place, relative), str(target))
                if file_entry(target).sha256 != digest:
                    raise DataError(f"{self._store.address(place, relative)}: is not what was written there")
        return folder, dict(content["metadata"])
