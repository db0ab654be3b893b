"""What a zone's last step says to the run's report: a few listed words, through the exchange.

    <exchange>/_notices/<run>/<zone>.json

No locale's name begins with `_`, so a notice is never taken for a release. A notice proves nothing and is
believed for nothing: the merge reads manifests. It tells the report who came to the end and how.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pydantic

from components.config_base import ComponentConfig
from components.errors import InternalError
from components.release.manifest import utc_now
from components.release.options import StorageOptions
from components.release.storage import child_names, open_store, read_bounded, storage_errors
from pipeline.entrypoint.storing import put

FOLDER = "_notices"
_UNNAMED = "unnamed"
_MAX_BYTES = 1 << 14


class Notice(ComponentConfig):
    """Everything that a notice holds; no field has room for a text.

    Attributes:
      zone: The locale's name, `central`, or `_report` (`pipeline.entrypoint.outcome`).
      outcome: How its push ended, in words of the Pusher.
      span, release_id: Of a region's release.
      verdict, version: Of the centre's detector.
      at: UTC time.
    """

    zone: str = pydantic.Field(pattern=r"^(_report|[A-Za-z0-9][A-Za-z0-9_-]{0,63})$")
    outcome: str = pydantic.Field(pattern=r"^[a-z][a-z ]{0,39}$")
    span: int = 0
    release_id: str = pydantic.Field(default="", pattern=r"^[0-9a-f]{0,64}$")
    verdict: str = pydantic.Field(default="", pattern=r"^[A-Z_]{0,20}$")
    version: int = 0
    at: str = pydantic.Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z$")


def write(uri: str, options: StorageOptions, run: str, notice: Mapping[str, Any]) -> None:
    """Leaves a notice.

    Raises:
      InternalError: it holds a field that is on no list, or something else than its field is for.
      DataError: the exchange cannot be written.
    """
    try:
        checked = Notice.model_validate({**notice, "at": utc_now()}, strict=True)
    except pydantic.ValidationError as error:
        # Without the value: this may be the text of a restricted locale.
        field = ".".join(map(str, error.errors()[0]["loc"]))
        raise InternalError(
            f"egress: a notice holds the field '{field}', which is on no list, or no value for it"
        ) from None
    store = open_store(uri, options=options)
    place = f"{FOLDER}/{folder_of(run)}"
    with storage_errors("cannot write to", store.address(place)):
        put(store, f"{place}/{checked.zone}.json", checked.model_dump_json(exclude_unset=True).encode())


def read(uri: str, options: StorageOptions, run: str) -> dict[str, dict[str, Any]]:
    """The notices of a run by zone; what is no notice is left out.

    Raises:
      DataError: the exchange cannot be read.
    """
    store = open_store(uri, options=options)
    place = f"{FOLDER}/{folder_of(run)}"
    found = {}
    for name in child_names(store, place):
        raw = read_bounded(store, f"{place}/{name}", _MAX_BYTES)
        if raw is None or len(raw) > _MAX_BYTES:
            continue
        try:
            notice = Notice.model_validate_json(raw)
        except pydantic.ValidationError:
            continue
        if name == f"{notice.zone}.json":
            found[notice.zone] = notice.model_dump(exclude_unset=True)
    return found


def is_named(run: str) -> bool:
    """Whether the back end gave the run an id; else the notices are those of all such runs."""
    return folder_of(run) != _UNNAMED


def folder_of(run: str) -> str:
    """A run's id as a folder's name; where the back end filled in none, one for all runs."""
    return run if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", run) else _UNNAMED
