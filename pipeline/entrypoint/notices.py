"""What a zone's last step says to the run's report: a few listed words, through the exchange.

    <exchange>/_notices/<run>/<zone>.json

No locale's name begins with `_`, so a notice is never taken for a release. A notice proves nothing and is
believed for nothing: the merge reads manifests. It tells the report who came to the end and how.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from components.errors import InternalError
from components.release.manifest import utc_now
from components.release.options import StorageOptions
from components.release.storage import child_names, open_store, read_bounded, storage_errors

#: Everything that a notice holds.
FIELDS = frozenset({"zone", "outcome", "span", "release_id", "verdict", "version", "at"})
_FOLDER = "_notices"
_MAX_BYTES = 1 << 14


def write(uri: str, options: StorageOptions, run: str, notice: Mapping[str, Any]) -> None:
    """Leaves a notice.

    Raises:
      InternalError: it holds a field that is on no list.
      DataError: the exchange cannot be written.
    """
    if odd := set(notice) - FIELDS:
        raise InternalError(f"egress: a notice holds the field '{sorted(odd)[0]}', which is on no list")
    store = open_store(uri, options=options)
    place = f"{_FOLDER}/{_folder(run)}"
    text = json.dumps({**notice, "at": utc_now()}, sort_keys=True)
    with storage_errors("cannot write to", store.address(place)):
        store.fs.makedirs(store.path(place), exist_ok=True)
        store.fs.pipe_file(store.path(place, f"{notice['zone']}.json"), text.encode())


def read(uri: str, options: StorageOptions, run: str) -> dict[str, dict[str, Any]]:
    """The notices of a run by zone; what is no notice is left out.

    Raises:
      DataError: the exchange cannot be read.
    """
    store = open_store(uri, options=options)
    place = f"{_FOLDER}/{_folder(run)}"
    found = {}
    for name in child_names(store, place):
        raw = read_bounded(store, f"{place}/{name}", _MAX_BYTES)
        try:
            notice = json.loads(raw or b"null")
        except ValueError:
            continue
        if isinstance(notice, dict) and name == f"{notice.get('zone')}.json":
            found[str(notice["zone"])] = {key: notice[key] for key in sorted(FIELDS & set(notice))}
    return found


def _folder(run: str) -> str:
    """A run's id as a folder's name; where the back end filled in none, one for all runs."""
    return run if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", run) else "unnamed"
