"""One run at a time below a deployment's root."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import portalocker

from components.errors import BusyError, ConfigError
from pipeline.run_state import now


@contextmanager
def hold_root(root: Path) -> Iterator[None]:
    """Holds a deployment's root for one run; released by the system even when the process is killed.

    Raises:
      BusyError: another run holds it; the message says which process and since when.
      ConfigError: the root cannot be written.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        handle = (root / ".lock").open("a+")
    except OSError as error:
        raise ConfigError(f"root {root}: cannot be written ({error.strerror})") from None
    with handle:
        try:
            portalocker.lock(handle, portalocker.LOCK_EX | portalocker.LOCK_NB)
        except portalocker.exceptions.BaseLockException:
            handle.seek(0)
            holder = handle.read().strip() or "another run"
            raise BusyError(f"root {root}: held by {holder}. Wait for it, or stop it.") from None
        handle.seek(0)
        handle.truncate()
        handle.write(f"process {os.getpid()} since {now()}")
        handle.flush()
        try:
            yield
        finally:
            handle.seek(0)
            handle.truncate()
            handle.flush()
