"""Where state and outbox are: a folder, or an object store through fsspec; locked.

A folder is locked by the system, which lets go when a process is killed. An object store has no such lock:
there it is an object that is created only where none is, and that counts as gone when its time is over.
Two that find such a remainder in the same instant can both take it; then a message may be sent twice.
"""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import portalocker

from components.errors import BusyError, DataError
from components.release.atomic import create_file, replace_file
from components.release.storage import Store, child_names, open_store, read_bounded, storage_errors
from pipeline.alerts.clock import Clock
from pipeline.config.alerts import STATE_FOLDER
from pipeline.config.model import Deployment

#: A state of ten thousand findings has some megabytes.
_MAX_BYTES = 64 << 20
#: Between two looks at a lock that another process holds.
_LOOK_S = 0.2


@dataclass(frozen=True)
class Place:
    """A folder or URI.

    Attributes:
      store: What it is in.
    """

    store: Store

    def read(self, name: str) -> Any:
        """A JSON file; None where there is none.

        Raises:
          DataError: it cannot be read, or is no JSON.
        """
        data = read_bounded(self.store, name, _MAX_BYTES)
        if data is None:
            return None
        try:
            return json.loads(data)
        except ValueError:
            raise DataError(f"{self.store.address(name)}: no JSON. Move it away, then run again.") from None

    def write(self, name: str, value: Any) -> None:
        """Writes a JSON file, whole.

        Raises:
          DataError: it cannot be written.
        """
        replace_file(self.store, name, json.dumps(value, indent=1, sort_keys=True).encode() + b"\n")

    def names(self, folder: str) -> list[str]:
        """JSON files directly in a folder, sorted."""
        return [name for name in child_names(self.store, folder) if name.endswith(".json")]

    def delete(self, name: str) -> None:
        """Removes a file, if it is there.

        Raises:
          DataError: it cannot be removed.
        """
        with (
            storage_errors("cannot remove", self.store.address(name)),
            contextlib.suppress(FileNotFoundError),
        ):
            self.store.fs.rm_file(self.store.path(name))
            self.store.fs.invalidate_cache()

    @contextlib.contextmanager
    def locked(self, name: str, clock: Clock, *, wait_s: float, lease_s: float) -> Iterator[None]:
        """Holds a lock.

        Args:
          name: Of the lock.
          clock: For waiting, and for the lease of an object store.
          wait_s: How long to wait for it.
          lease_s: How long it counts as held on an object store, whatever became of its holder.

        Raises:
          BusyError: another process holds it.
          DataError: the place cannot be written.
        """
        take = self._hold_folder(name) if self.store.is_local else self._hold_object(name, clock, lease_s)
        waited = 0.0
        while not take.held():
            if waited >= wait_s:
                raise BusyError(f"{self.store.address(name)}: held by another process. Wait for it.")
            clock.sleep(_LOOK_S)
            waited += _LOOK_S
        try:
            yield
        finally:
            take.release()

    def _hold_folder(self, name: str) -> _FolderLock:
        return _FolderLock(Path(self.store.path(f".{name}.lock")))

    def _hold_object(self, name: str, clock: Clock, lease_s: float) -> _ObjectLock:
        return _ObjectLock(self, f"{name}.lock", clock, lease_s)


class _FolderLock:
    def __init__(self, path: Path) -> None:
        with storage_errors("cannot write", str(path)):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._handle = path.open("a")

    def held(self) -> bool:
        try:
            portalocker.lock(self._handle, portalocker.LOCK_EX | portalocker.LOCK_NB)
        except portalocker.exceptions.BaseLockException:
            return False
        return True

    def release(self) -> None:
        self._handle.close()


class _ObjectLock:
    def __init__(self, place: Place, name: str, clock: Clock, lease_s: float) -> None:
        self._place, self._name, self._clock = place, name, clock
        self._lease, self._owner = timedelta(seconds=lease_s), uuid.uuid4().hex

    def held(self) -> bool:
        mine = {"owner": self._owner, "until": (self._clock.now() + self._lease).isoformat()}
        content = json.dumps(mine).encode()
        if not create_file(self._place.store, self._name, content):
            found = self._place.read(self._name)
            if found is not None and datetime.fromisoformat(found["until"]) > self._clock.now():
                return False
            self._place.delete(self._name)
            if not create_file(self._place.store, self._name, content):
                return False
        found = self._place.read(self._name)
        return found is not None and found["owner"] == self._owner

    def release(self) -> None:
        found = self._place.read(self._name)
        if found is not None and found["owner"] == self._owner:
            self._place.delete(self._name)


def open_place(deployment: Deployment) -> Place:
    """The place of a deployment's alerts.

    Raises:
      ConfigError: the URI or its options do not fit.
    """
    alerts = deployment.alerts
    uri = alerts.state or f"{deployment.root.rstrip('/')}/{STATE_FOLDER}"
    return Place(open_store(uri, "alerts.state", alerts.state_storage_options))
