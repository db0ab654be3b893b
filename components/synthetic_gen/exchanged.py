"""What SyntheticGen and its workers leave for each other: the model, each shard's plan, each shard's rows."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

import pyarrow as pa

from components.beam.shared_folder import get
from components.errors import InternalError
from components.release.storage import Store, storage_errors

MODEL_FILE = "model.zip"


def plan_name(shard: int) -> str:
    """File name of a shard's plan."""
    return f"plan-{shard:05d}.npz"


def rows_name(shard: int) -> str:
    """File name of a shard's rows."""
    return f"shard-{shard:05d}.arrow"


def read_rows(store: Store, shard: int) -> pa.Table:
    """A shard's rows, mapped where the folder is on this machine.

    Raises:
      DataError: the file is missing or cannot be read.
    """
    if not store.is_local:
        return pa.ipc.open_file(pa.BufferReader(get(store, rows_name(shard)))).read_all()
    with (
        storage_errors("cannot read", store.address(rows_name(shard))),
        pa.memory_map(store.path(rows_name(shard))) as source,
    ):
        return pa.ipc.open_file(source).read_all()


def pack_model(folder: str | Path) -> tuple[bytes, str]:
    """A SavedModel as one uncompressed archive, and its SHA-256: equal folders, equal bytes."""
    root = Path(folder)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(path for path in root.rglob("*") if path.is_file()):
            # The archive's own epoch: times of files are no part of a model.
            archive.writestr(zipfile.ZipInfo(path.relative_to(root).as_posix()), path.read_bytes())
    data = file.getvalue()
    return data, hashlib.sha256(data).hexdigest()


def unpack_model(store: Store, digest: str, folder: str) -> None:
    """Fetches the model that `pack_model` made.

    Raises:
      InternalError: the archive is another one: somebody else writes there.
      DataError: it is missing or cannot be read.
    """
    data = get(store, MODEL_FILE)
    found = hashlib.sha256(data).hexdigest()
    if found != digest:
        raise InternalError(
            f"{store.address(MODEL_FILE)}: found SHA-256 {found[:12]}, allowed {digest[:12]}: "
            "it was changed on its way"
        )
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        archive.extractall(folder)
