"""One run at a time below a deployment's root, one search in its folder, and whether one is there now."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import portalocker

from components.errors import BusyError, ConfigError
from pipeline.run_state import now


def hold_root(root: Path) -> AbstractContextManager[None]:
    """Holds a deployment's root for one run; see `hold_folder`."""
    return hold_folder(root, f"root {root}")


@contextmanager
def hold_folder(folder: Path, place: str) -> Iterator[None]:
    """Holds a folder for one process; released by the system even when the process is killed.

    Args:
      folder: Made where it is not there.
      place: Names it in messages.

    Raises:
      BusyError: another process holds it; the message says which and since when.
      ConfigError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = (folder / ".lock").open("a+")
    except OSError as error:
        raise ConfigError(f"{place}: cannot be written ({error.strerror})") from None
    with handle:
        try:
            portalocker.lock(handle, portalocker.LOCK_EX | portalocker.LOCK_NB)
        except portalocker.exceptions.BaseLockException:
            handle.seek(0)
            holder = handle.read().strip() or "another process"
            raise BusyError(f"{place}: held by {holder}. Wait for it, or stop it.") from None
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


def is_held(folder: Path) -> bool:
    """Whether a process holds a folder (`hold_folder`) at this moment; writes nothing.

    Args:
      folder: A deployment's root, or a search's folder; need not be there.

    Raises:
      ConfigError: the folder's lock is there and cannot be read.
    """
    try:
        handle = (folder / ".lock").open()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise ConfigError(f"{folder / '.lock'}: cannot be read ({error.strerror})") from None
    with handle:
        try:
            portalocker.lock(handle, portalocker.LOCK_SH | portalocker.LOCK_NB)  # let go on closing
        except portalocker.exceptions.BaseLockException:
            return True
    return False
