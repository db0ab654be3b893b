"""The files of one version of the registry, copied out and checked against its manifest."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.errors import ReleaseError
from components.release.storage import Store, file_entry, read_bounded

#: A detector is some megabytes; more than this is not one of ours.
MAX_FILE_BYTES = 1 << 30


def fetch_model(store: Store, folder: str, manifest: Mapping[str, Any], target: Path) -> None:
    """Copies the model's files, each checked against the manifest's digest.

    What is loaded afterwards is the copy: nobody can exchange a file between the check and the use.

    Args:
      store: The registry, or the version's own folder.
      folder: Of the version, below the store's root; empty where the store is that folder.
      manifest: Of the version; who signed it is the caller's to check.
      target: Folder to fill.

    Raises:
      ReleaseError: a file is missing or altered, or its name leads out of the model.
      DataError: the store cannot be read.
    """
    place = store.address(folder)
    for name, entry in manifest.get("files", {}).items():
        parts = Path(name).parts
        if parts[:1] != ("model",):
            continue
        if ".." in parts or len(parts) < 2:
            raise ReleaseError(f"{place}: a file's name leads out of the model. Do not use it.")
        path = f"{folder}/{name}" if folder else name
        data = read_bounded(store, path, min(int(entry["size_bytes"]), MAX_FILE_BYTES))
        if data is None or file_entry(data).sha256 != entry["sha256"]:
            raise ReleaseError(f"{place}: a file is missing or altered (SHA-256). Do not use it.")
        copy = target.joinpath(*parts[1:])
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(data)
