"""Writes into a folder or an object store, for what pods keep."""

from __future__ import annotations

from pathlib import Path

from components.executor_base import write_atomically
from components.release.storage import Source, Store


def put(store: Store, name: str, source: Source) -> None:
    """Writes one file; bytes appear whole or not at all.

    No folder is made in an object store: there are none, and fsspec would make a bucket that was only
    mistyped, wherever the store likes.

    Args:
      store: Where.
      name: Path below the store's root.
      source: A file, or bytes.

    Raises:
      OSError: it cannot be written; object stores raise errors of their own.
    """
    target = store.path(name)
    if isinstance(source, bytes):
        if store.is_local:
            write_atomically(target, source)
        else:
            store.fs.pipe_file(target, source)
        return
    if store.is_local:
        Path(target).parent.mkdir(parents=True, exist_ok=True)
    store.fs.put_file(str(source), target)
