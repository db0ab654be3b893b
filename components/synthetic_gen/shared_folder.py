"""The folder that the executor and Beam's workers both see: the model, each shard's plan, each shard's rows.

Without `temp_location` it lies in the output artifact, which workers on this machine see. With one it is a
folder of its own below it, reached through fsspec: `s3://` and `gs://` with the credentials of whoever reads
(environment, instance role), so that none travel with the pipeline. It is deleted at the end either way.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import tempfile
import uuid
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from components import beam_engine
from components.errors import ConfigError, InternalError
from components.executor_base import write_atomically
from components.release.storage import Store, open_store, storage_errors

MODEL_FILE = "model.zip"
_LOG = logging.getLogger(__name__)


def plan_name(shard: int) -> str:
    """File name of a shard's plan."""
    return f"plan-{shard:05d}.npz"


def rows_name(shard: int) -> str:
    """File name of a shard's rows."""
    return f"shard-{shard:05d}.arrow"


@contextlib.contextmanager
def shared_folder(args: Sequence[str], output: Path, place: str) -> Iterator[Store]:
    """A fresh folder for one run, gone afterwards.

    Args:
      args: Beam's pipeline options.
      output: Folder of the output artifact.
      place: For messages.

    Raises:
      ConfigError: the workers are elsewhere, and no `--temp_location` says where both sides can meet.
      DataError: the place cannot be written.
    """
    location = beam_engine.option(args, "temp_location")
    if not location:
        if beam_engine.workers_elsewhere(args):
            raise ConfigError(
                f"{place}: beam: the runner's workers do not see this machine's files, and temp_location is "
                "missing; allowed: a folder or bucket that both see, such as s3://bucket/tmp"
            )
        # Where one worker failed, another may still write while the folder is deleted.
        with tempfile.TemporaryDirectory(dir=output, prefix=".shards-", ignore_cleanup_errors=True) as folder:
            yield open_store(folder, "beam.temp_location")
        return
    store = open_store(f"{location.rstrip('/')}/isthmus-{uuid.uuid4().hex}", "beam.temp_location")
    if store.is_local:  # a bucket has no folders, and one that is not there is not to be made here
        with storage_errors("cannot write", store.uri):
            store.fs.makedirs(store.root)
    try:
        yield store
    finally:
        try:
            store.fs.rm(store.root, recursive=True)
        except Exception as error:  # the rows are safe; what is left behind is named, and no reason to fail
            _LOG.warning("%s: %s was not deleted (%s); delete it", place, store.uri, type(error).__name__)


def put(store: Store, name: str, data: bytes) -> None:
    """Writes a file whole or not at all: a runner may try a shard again, and two may write the same one.

    Raises:
      DataError: the place cannot be written.
    """
    with storage_errors("cannot write", store.address(name)):
        if store.is_local:
            write_atomically(store.path(name), data)
        else:
            store.fs.pipe_file(store.path(name), data)


def get(store: Store, name: str) -> bytes:
    """A file's content.

    Raises:
      DataError: it is missing or cannot be read.
    """
    with storage_errors("cannot read", store.address(name)):
        found: bytes = store.fs.cat_file(store.path(name))
        return found


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
