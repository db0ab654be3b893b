"""Folders of rows that Beam's workers on this machine share: each is locked by its owner while it lives.

The lock is the system's, on the folder itself, and goes with the process however it ends. So what a killed
process left can be told from what a running one uses, and is deleted by whoever comes next.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from components.errors import DataError

PREFIX = ".shards-"
_ATTEMPTS = 5


@contextlib.contextmanager
def own_folder(parent: Path) -> Iterator[Path]:
    """A fresh folder below `parent`, locked, and gone afterwards.

    Raises:
      DataError: it is deleted again and again before it can be locked.
    """
    folder, lock = _locked(parent)
    try:
        yield folder
    finally:
        # Where one worker failed, another may still write while the folder is deleted.
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def remove_leftovers(parents: Iterable[Path]) -> list[Path]:
    """Deletes the folders of `own_folder` directly below these that no live process owns; returns them.

    A file system without locks cannot tell, so nothing is deleted there. What cannot be deleted stays.
    """
    found = []
    for parent in parents:
        for folder in sorted(parent.glob(f"{PREFIX}*")) if parent.is_dir() else ():
            with contextlib.suppress(OSError):
                lock = _lock(folder)
                try:
                    shutil.rmtree(folder, ignore_errors=True)
                finally:
                    os.close(lock)
                found += [] if folder.exists() else [folder]
    return found


def _locked(parent: Path) -> tuple[Path, int]:
    for _ in range(_ATTEMPTS):
        folder = Path(tempfile.mkdtemp(dir=parent, prefix=PREFIX))
        try:
            lock = _lock(folder)
        except FileNotFoundError:
            continue
        except BlockingIOError:  # taken for a leftover by somebody who started at the same moment
            continue
        except OSError:  # no locks here, and so nobody who would delete it
            return folder, os.open(folder, os.O_RDONLY)
        if folder.exists():
            return folder, lock
        os.close(lock)
    raise DataError(f"{parent}: a folder for the workers' shards is deleted as soon as it is made; run again")


def _lock(folder: Path) -> int:
    """The locked folder's descriptor. A forked child keeps the lock, a program that is started does not.

    Raises:
      OSError: it is not there, or another process has it, or there are no locks.
    """
    if folder.is_symlink():
        raise OSError(f"{folder}: a link")
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
