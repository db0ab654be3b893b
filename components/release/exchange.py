"""The exchange: where regions leave releases and the centre finds them.

Layout: `<exchange>/<locale>/span-<span>/<sequence>-<release_id>/`, and beside such a folder its
revocations, `<sequence>-<release_id>.revoked-<key id>.json`. A folder without `manifest.json` is no
release, and nothing here lists it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from components.errors import DataError
from components.release.manifest import MANIFEST_NAME
from components.release.options import DEFAULT_OPTIONS, StorageOptions
from components.release.storage import Store, child_names, open_store, read_bounded, storage_errors

SPAN_FOLDER = re.compile(r"span-(0|[1-9][0-9]{0,11})")
RELEASE_FOLDER = re.compile(r"([1-9][0-9]{0,11})-([0-9a-f]{12})")
#: A manifest lists file digests (about 120 bytes each) and some sentences: 1 MiB is 8,000 files.
MAX_MANIFEST_BYTES = 1 << 20
#: A manifest of ours is 3 deep.
MAX_MANIFEST_DEPTH = 8


@dataclass(frozen=True, order=True)
class ReleaseLocation:
    """Where a release is: the locale, span, sequence and id that its path claims.

    Locations of one locale sort from the oldest to the newest. Two publishers at the same instant can
    take the same sequence for different contents; the id then decides, the same way for everyone.
    """

    locale: str
    span: int
    sequence: int
    release_id: str

    @property
    def name(self) -> str:
        """Name of its folder."""
        return f"{self.sequence}-{self.release_id}"

    @property
    def folder(self) -> str:
        """Path below the exchange."""
        return f"{self.locale}/span-{self.span}/{self.name}"


def read_manifest_bytes(store: Store, folder: str, max_bytes: int = MAX_MANIFEST_BYTES) -> bytes | None:
    """The manifest's bytes, at most one more than allowed; None where there is no release.

    Raises:
      DataError: the exchange cannot be read.
    """
    return read_bounded(store, f"{folder}/{MANIFEST_NAME}" if folder else MANIFEST_NAME, max_bytes)


def list_spans(store: Store, locale: str) -> list[int]:
    """Spans that have a folder, in order; whether one holds a release is not looked at.

    Raises:
      DataError: the exchange cannot be read.
    """
    found = (SPAN_FOLDER.fullmatch(name) for name in child_names(store, locale))
    return sorted(int(match.group(1)) for match in found if match)


def list_folders(store: Store, locale: str, span: int) -> list[ReleaseLocation]:
    """Folders of a span that are named as releases are, manifest or not, oldest first.

    Raises:
      DataError: the exchange cannot be read.
    """
    found = (RELEASE_FOLDER.fullmatch(name) for name in child_names(store, f"{locale}/span-{span}"))
    return sorted(ReleaseLocation(locale, span, int(x.group(1)), x.group(2)) for x in found if x)


def has_manifest(store: Store, location: ReleaseLocation) -> bool:
    """Whether the folder is a release.

    Raises:
      DataError: the exchange cannot be read.
    """
    with storage_errors("cannot list", store.address(location.folder)):
        return bool(store.fs.exists(store.path(location.folder, MANIFEST_NAME)))


def list_releases(store: Store, locale: str, span: int | None = None) -> list[ReleaseLocation]:
    """The releases of a locale, or of one span of it, oldest first; manifests only, unverified.

    Raises:
      DataError: the exchange cannot be read.
    """
    spans = list_spans(store, locale) if span is None else [span]
    folders = (location for number in spans for location in list_folders(store, locale, number))
    return [location for location in folders if has_manifest(store, location)]


def latest_release(store: Store, locale: str, span: int | None = None) -> ReleaseLocation | None:
    """The newest release: highest span, then highest sequence, then id; None if there is none.

    Names decide, not the manifests' times and not whether they verify: if a release that does not
    verify were passed over, whoever can write to the exchange could bring an older one back by
    damaging the newest.

    Raises:
      DataError: the exchange cannot be read.
    """
    spans = sorted(list_spans(store, locale), reverse=True) if span is None else [span]
    for number in spans:
        for location in reversed(list_folders(store, locale, number)):
            if has_manifest(store, location):
                return location
    return None


def is_published(push: Mapping[str, Any], options: StorageOptions = DEFAULT_OPTIONS) -> bool:
    """Whether the release that a `push.json` names is in its exchange now; False if none was pushed."""
    if not push.get("pushed"):
        return False
    store = open_store(str(push["uri"]), options=options)
    try:
        return read_manifest_bytes(store, "") is not None
    except DataError:
        return False


def is_revoked(push: Mapping[str, Any], options: StorageOptions = DEFAULT_OPTIONS) -> bool:
    """Whether a revocation lies beside the release of a `push.json`, whoever signed it."""
    parent, _, name = str(push.get("uri", "")).rpartition("/")
    if not push.get("pushed") or not RELEASE_FOLDER.fullmatch(name):
        return False
    try:
        names = child_names(open_store(parent, options=options), "")
    except DataError:
        return False
    return any(other.startswith(f"{name}.revoked-") for other in names)


def newer_release(push: Mapping[str, Any], options: StorageOptions = DEFAULT_OPTIONS) -> str:
    """Name of the newest release of the span that a `push.json` was pushed to, if it is another; else ""."""
    parent, _, name = str(push.get("uri", "")).rpartition("/")
    if not push.get("pushed") or not RELEASE_FOLDER.fullmatch(name):
        return ""
    store = open_store(parent.removesuffix(f"/{push['locale']}/span-{push['span']}"), options=options)
    try:
        newest = latest_release(store, str(push["locale"]), int(push["span"]))
    except DataError:
        return ""
    return newest.name if newest is not None and newest.name != name else ""


def why_outdated(push: Mapping[str, Any], options: StorageOptions = DEFAULT_OPTIONS) -> str:
    """Why what a Pusher answered earlier is no longer true, in words; empty while it is.

    A cached Pusher looks at nothing. Where its answer is outdated it has to run again: what is gone is
    published again, what was revoked is not, and content that comes back after other content of the
    same span becomes the newest release again (decision 9). An answer that nothing was pushed stays.

    Args:
      push: The `push.json` of the answer.
      options: How to reach what it was pushed to.
    """
    if not push.get("pushed"):
        return ""
    if is_revoked(push, options):
        return f"release {push.get('release_id')} was revoked"
    if not is_published(push, options):
        return f"{push['uri']} is gone"
    newer = newer_release(push, options)
    return f"release {push.get('release_id')} is superseded by {newer}" if newer else ""
