"""The folder that an executor and Beam's workers both see: what workers read, and what they leave.

Without `temp_location` it lies in the output artifact, which workers on this machine see, or in memory where
the workers are threads of the executor's process. With one it is a folder of its own below it, reached
through fsspec: `s3://` and `gs://` with the credentials of whoever reads (environment, instance role), so
that none travel with the pipeline. It is deleted at the end in each case; what
a killed process left beside the output artifact goes when the next one starts (`components.beam.leftovers`).
"""

from __future__ import annotations

import contextlib
import logging
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

from components import beam_engine
from components.beam.leftovers import own_folder, remove_leftovers
from components.errors import ConfigError
from components.executor_base import write_atomically
from components.release.storage import Store, open_store, storage_errors

_LOG = logging.getLogger(__name__)


@contextlib.contextmanager
def shared_folder(
    args: Sequence[str], output: Path, place: str, *, prefer_memory: bool = False
) -> Iterator[Store]:
    """A fresh folder for one run, gone afterwards.

    Args:
      args: Beam's pipeline options.
      output: Folder of the output artifact.
      place: For messages.
      prefer_memory: Write nothing to a disk where the workers share the executor's memory and no
        `--temp_location` is given: for real rows, which a killed run would leave behind.

    Raises:
      ConfigError: the workers are elsewhere, and no `--temp_location` says where both sides can meet.
      DataError: the place cannot be written.
    """
    location = beam_engine.option(args, "temp_location")
    if not location and prefer_memory and beam_engine.workers_in_process(args):
        location = "memory://isthmus"
    if not location:
        if beam_engine.workers_elsewhere(args):
            raise ConfigError(
                f"{place}: beam: the runner's workers do not see this machine's files, and temp_location is "
                "missing; allowed: a folder or bucket that both see, such as s3://bucket/tmp"
            )
        output.mkdir(parents=True, exist_ok=True)
        # TFX gives every execution a folder of its own, beside those of earlier ones.
        remove_leftovers([output, *output.parent.iterdir()])
        with own_folder(output) as folder:
            yield open_store(str(folder), "beam.temp_location")
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
