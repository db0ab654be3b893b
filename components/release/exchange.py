"""The exchange: where regions leave releases and the centre finds them.

Layout: `<exchange>/<locale>/span-<span>/<sequence>-<release_id>/`, and beside such a folder its
revocations, `<sequence>-<release_id>.revoked-<key id>.json`. A folder without `manifest.json` is no
release, and nothing here lists it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from components.errors import DataError
from components.release.manifest import MANIFEST_NAME, utc_now
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


def push_fingerprint(previous: Iterable[Mapping[str, Any]], options: StorageOptions = DEFAULT_OPTIONS) -> str:
    """A Pusher's `fingerprint`: empty while what it pushed is still there and not revoked.

    A cached Pusher would not notice that someone emptied the exchange or the registry. Give this
    function the `push.json` of earlier runs; what is gone or revoked changes the result, so that it
    runs again.

    Args:
      previous: The `push.json` of earlier runs.
      options: How to reach what they were pushed to.
    """
    pushes = list(previous)
    revoked = sorted(
        str(push.get("release_id"))
        for push in pushes
        if push.get("outcome") == "revoked" or is_revoked(push, options)
    )
    if revoked:
        # The same every time: the Pusher's answer, that this content was revoked, may be cached.
        return f"revoked-{'-'.join(revoked)}"
    gone = sorted(
        str(push.get("release_id") or push.get("version"))
        for push in pushes
        if push.get("pushed") and not is_published(push, options)
    )
    # With the time: a release that goes, comes back and goes again must not meet its first return in
    # the cache.
    return "" if not gone else f"gone-{'-'.join(gone)}-{utc_now()}"
