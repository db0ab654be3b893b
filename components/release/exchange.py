"""The exchange: where regions leave releases and the centre finds them.

Layout: `<exchange>/<locale>/span-<span>/<release_id>/`. A folder without `manifest.json` is no
release, and nothing here lists it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from components.errors import DataError, ReleaseError
from components.release.keys import PrivateKey
from components.release.manifest import (
    MANIFEST_NAME,
    FileEntry,
    Manifest,
    build_manifest,
    parse_manifest,
    utc_now,
)
from components.release.storage import (
    Source,
    Store,
    file_entry,
    list_files,
    open_store,
    publish_directory,
    replace_manifest,
    storage_errors,
)

SPAN_FOLDER = re.compile(r"span-(0|[1-9][0-9]{0,17})")
RELEASE_FOLDER = re.compile(r"[0-9a-f]{12}")
#: A manifest lists file digests (about 120 bytes each) and some sentences: 1 MiB is 8,000 files.
MAX_MANIFEST_BYTES = 1 << 20
#: A manifest of ours is 3 deep.
MAX_MANIFEST_DEPTH = 8


@dataclass(frozen=True, order=True)
class ReleaseLocation:
    """Where a release is: the locale, span and id that its path claims."""

    locale: str
    span: int
    release_id: str

    @property
    def folder(self) -> str:
        """Path below the exchange."""
        return f"{self.locale}/span-{self.span}/{self.release_id}"


@dataclass(frozen=True)
class PublishedRelease:
    """What publishing came to.

    Attributes:
      manifest: The signed manifest that is in the exchange now.
      uri: Its folder.
      outcome: `published`, `already published` or `signed anew` (same content, other key).
    """

    manifest: Manifest
    uri: str
    outcome: str


def read_manifest_bytes(store: Store, folder: str, max_bytes: int = MAX_MANIFEST_BYTES) -> bytes | None:
    """The manifest's bytes, at most one more than allowed; None where there is no release.

    Raises:
      DataError: the exchange cannot be read.
    """
    path = store.path(folder, MANIFEST_NAME)
    with storage_errors("cannot read", store.address(folder)):
        try:
            with store.fs.open(path, "rb") as file:
                return bytes(file.read(max_bytes + 1))
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None


def _child_names(store: Store, path: str) -> list[str]:
    try:
        return [entry.rstrip("/").rsplit("/", 1)[-1] for entry in store.fs.ls(path, detail=False)]
    except (FileNotFoundError, NotADirectoryError):
        return []


def list_releases(store: Store, locale: str, span: int | None = None) -> list[ReleaseLocation]:
    """The releases of a locale, or of one span of it, by span and id; manifests only, unverified.

    Raises:
      DataError: the exchange cannot be read.
    """
    with storage_errors("cannot list", store.address(locale)):
        store.fs.invalidate_cache()
        spans = [span] if span is not None else []
        if span is None:
            for name in _child_names(store, store.path(locale)):
                if match := SPAN_FOLDER.fullmatch(name):
                    spans.append(int(match.group(1)))
        found = []
        for number in spans:
            for name in _child_names(store, store.path(locale, f"span-{number}")):
                if not RELEASE_FOLDER.fullmatch(name):
                    continue
                location = ReleaseLocation(locale, number, name)
                if store.fs.exists(store.path(location.folder, MANIFEST_NAME)):
                    found.append(location)
    return sorted(found)


def latest_release(store: Store, locale: str, span: int | None = None) -> ReleaseLocation | None:
    """The newest release: highest span, then latest `created_at`, then id; None if there is none.

    A manifest that does not parse sorts last within its span (it is refused when it is merged, not
    here), so that junk beside a release does not hide it.

    Raises:
      DataError: the exchange cannot be read.
    """
    locations = list_releases(store, locale, span)
    if not locations:
        return None
    newest_span = max(location.span for location in locations)

    def age(location: ReleaseLocation) -> tuple[str, str]:
        raw = read_manifest_bytes(store, location.folder) or b""
        try:
            manifest = parse_manifest(raw, location.folder, MAX_MANIFEST_BYTES, MAX_MANIFEST_DEPTH)
        except ReleaseError:
            return "", location.release_id
        return manifest.created_at, location.release_id

    return max((place for place in locations if place.span == newest_span), key=age)


def publish_release(
    store: Store, key: PrivateKey, files: Mapping[str, Source], created_at: str | None = None, **fields: Any
) -> PublishedRelease:
    """Signs a release and publishes it; the same content again changes nothing.

    Args:
      store: The exchange.
      key: The locale's signing key.
      files: Path inside the release to what goes there.
      created_at: UTC time of the manifest; now when None.
      **fields: The manifest's other fields (`locale`, `span`, `kind`, `rows`, `columns`, ...).

    Raises:
      DataError: not writable, full or unreachable; nothing half-visible is left.
      ReleaseError: something else is already there under this id.
    """
    entries: dict[str, FileEntry] = {name: file_entry(source) for name, source in files.items()}
    manifest = key.sign(build_manifest(created_at, files=entries, **fields))
    location = ReleaseLocation(manifest.locale, manifest.span, manifest.release_id)
    uri = store.address(location.folder)
    if publish_directory(store, location.folder, files, entries, manifest.to_bytes()):
        return PublishedRelease(manifest, uri, "published")
    present = _present_manifest(store, location, manifest)
    if key.public.verifies(present):
        return PublishedRelease(present, uri, "already published")
    replace_manifest(store, location.folder, manifest.to_bytes())
    return PublishedRelease(manifest, uri, "signed anew")


def _present_manifest(store: Store, location: ReleaseLocation, ours: Manifest) -> Manifest:
    """The manifest that is there, after a check that the folder holds what ours would."""
    uri = store.address(location.folder)
    raw = read_manifest_bytes(store, location.folder)
    remedy = "Something altered it. Move that folder away and run again."
    try:
        present = parse_manifest(raw or b"", uri, MAX_MANIFEST_BYTES, MAX_MANIFEST_DEPTH)
    except ReleaseError as error:
        raise ReleaseError(f"{error} {remedy}") from None
    with storage_errors("cannot read", uri):
        sizes = list_files(store, location.folder)
    sizes.pop(MANIFEST_NAME, None)
    wanted = {name: entry.size_bytes for name, entry in ours.files.items()}
    if present.content_digest != ours.content_digest or sizes != wanted:
        raise ReleaseError(f"{uri}: a release of this id is there, but with other files. {remedy}")
    return present


def is_published(push: Mapping[str, Any]) -> bool:
    """Whether the release that a `push.json` names is in its exchange now; False if none was pushed."""
    if not push.get("pushed"):
        return False
    store = open_store(str(push["uri"]))
    try:
        return read_manifest_bytes(store, "") is not None
    except DataError:
        return False


def push_fingerprint(previous: Iterable[Mapping[str, Any]]) -> str:
    """A Pusher's `fingerprint`: empty while what it pushed is still there, else never the same twice.

    A cached Pusher would not notice that someone emptied the exchange or the registry. Give this
    function the `push.json` of earlier runs; what is gone changes the result, so that it runs again.
    """
    gone = sorted(
        str(push.get("release_id") or push.get("version"))
        for push in previous
        if push.get("pushed") and not is_published(push)
    )
    # With the time: a release that goes, comes back and goes again must not meet its first return in
    # the cache.
    return "" if not gone else f"gone-{'-'.join(gone)}-{utc_now()}"
