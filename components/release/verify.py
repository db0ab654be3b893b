"""Checks a release against its manifest and the manifest against the locale's public key.

Needs no network beyond the release itself and no TFX, so that anyone who holds the public key can
check a copy on a machine of their own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from components.errors import ReleaseError
from components.release.checks import (
    DEFAULT_LIMITS,
    ReleaseLimits,
    check_claims,
    check_location,
    check_names,
    check_signature,
    clock_warning,
)
from components.release.exchange import (
    ReleaseLocation,
    read_manifest_bytes,
)
from components.release.keys import PublicKey
from components.release.manifest import (
    MANIFEST_NAME,
    FileEntry,
    Manifest,
    parse_manifest,
)
from components.release.options import DEFAULT_OPTIONS, StorageOptions
from components.release.revocation import Revocation, Revocations, read_revocations, revocation_names
from components.release.storage import (
    CHUNK_BYTES,
    Store,
    child_names,
    describe_strangers,
    list_files,
    open_store,
    storage_errors,
)

UNSIGNED = (
    "NOT checked: who signed it, and whether its locale revoked it. Anyone can make a release that passes "
    "the rest; give the locale's public key."
)


class RevokedReleaseError(ReleaseError):
    """The release verifies, but its locale took it back.

    Attributes:
      release: What verified.
      revocation: The signed note.
    """

    def __init__(self, release: VerifiedRelease, revocation: Revocation) -> None:
        super().__init__(
            f"{release.uri}: revoked at {revocation.revoked_at} by key {revocation.key_id} of locale "
            f"{revocation.locale}: {revocation.reason}"
        )
        self.release, self.revocation = release, revocation


@dataclass(frozen=True)
class VerifiedRelease:
    """A release that passed.

    Attributes:
      manifest: Its manifest.
      uri: Where it is.
      folder: Its path below the store's root.
      manifest_sha256: Digest of the manifest's bytes: names this release exactly.
      checks: What was checked, one sentence each.
      warnings: What is odd, but decides nothing: a clock that is ahead, revocations that are forged.
    """

    manifest: Manifest
    uri: str
    folder: str
    manifest_sha256: str
    checks: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def verify_release(
    store: Store,
    folder: str,
    trusted_keys: Mapping[str, Collection[PublicKey]] | None,
    limits: ReleaseLimits = DEFAULT_LIMITS,
    *,
    location: ReleaseLocation | None = None,
    contents: bool = True,
    now: datetime | None = None,
) -> VerifiedRelease:
    """Checks one release.

    Args:
      store: The exchange, or any folder that holds a copy of a release.
      folder: Path of the release below the store's root (empty: the root itself).
      trusted_keys: Public keys per locale; a locale without one is not trusted. None leaves out who
        signed, and says so; that is for a person who looks, never for a merge.
      limits: What a release may cost before it is refused.
      location: Where an exchange claims it is; None for a copy outside an exchange.
      contents: Whether to read every file and compare digests. The merge does that while copying.
      now: This machine's time, UTC; decides whether a key with an end is still believed.

    Raises:
      RevokedReleaseError: it verifies, but a revocation that verifies too lies beside it.
      ReleaseError: it does not verify; one line that says which check failed.
      DataError: the store cannot be read.
    """
    uri = store.address(folder)
    raw = read_manifest_bytes(store, folder, limits.max_manifest_bytes)
    if raw is None:
        raise ReleaseError(f"{uri}: no {MANIFEST_NAME}, so this is no release (or one that never finished).")
    manifest = parse_manifest(raw, uri, limits.max_manifest_bytes, limits.max_manifest_depth)
    checks = [
        f"The manifest is {len(raw)} bytes of canonical JSON of format version {manifest.format_version} "
        f"and fits its own content digest {manifest.content_digest[:12]}…."
    ]
    now = now or datetime.now(timezone.utc)
    if trusted_keys is None:
        checks.append(UNSIGNED)
    else:
        checks.append(check_signature(manifest, trusted_keys, uri, now))
    if location is not None:
        checks.append(check_location(manifest, location, uri))
    checks.append(check_claims(manifest, uri))
    checks.append(check_names(manifest, limits, uri))
    checks.append(_check_listing(store, folder, manifest, uri))
    if contents:
        for name in sorted(manifest.files):
            for _ in checked_chunks(store, folder, name, manifest.files[name]):
                pass
        checks.append(f"The SHA-256 of each of the {len(manifest.files)} files is the one in the manifest.")
    keys = trusted_keys.get(manifest.locale) or () if trusted_keys is not None else ()
    notes = _revocations(store, folder, manifest, keys)
    warnings = (*clock_warning(manifest, uri, now), *notes.ignored)
    digest = hashlib.sha256(raw).hexdigest()
    found = VerifiedRelease(manifest, uri, folder, digest, tuple(checks), warnings)
    for note in notes.valid:
        if note.content_digest == manifest.content_digest:
            raise RevokedReleaseError(found, note)
    if trusted_keys is None:
        return found
    sentence = "No revocation by a trusted key lies beside it; a later one elsewhere would not be seen here."
    return replace(found, checks=(*found.checks, sentence))


def verify_copy(
    path: str,
    keys: Collection[PublicKey],
    limits: ReleaseLimits = DEFAULT_LIMITS,
    options: StorageOptions = DEFAULT_OPTIONS,
) -> VerifiedRelease:
    """Checks a release at any address with the given keys, whatever locale it names (`isthmus verify`).

    Without a key, everything but the signer is checked, and the checks say so.

    Raises:
      RevokedReleaseError: it verifies, but was revoked.
      ReleaseError: it does not verify.
      ConfigError, DataError: the address cannot be read.
    """
    trusted = _AnyLocale(keys) if keys else None
    return verify_release(open_store(path, "release", options), "", trusted, limits)


def _revocations(store: Store, folder: str, manifest: Manifest, keys: Collection[PublicKey]) -> Revocations:
    """The notes beside the folder, wherever it is: a copy may have been renamed."""
    place = Store(
        store.fs, *(text.rpartition("/")[0] for text in (store.path(folder), store.address(folder)))
    )
    names = revocation_names(child_names(place, ""), manifest.release_id)
    about = (manifest.locale, manifest.span, manifest.release_id)
    return read_revocations(place, "", names, keys, f"locale {manifest.locale}", about)


class _AnyLocale(dict[str, Collection[PublicKey]]):
    """The same keys for every locale: the person who verifies chose them by hand."""

    def __init__(self, keys: Collection[PublicKey]) -> None:
        super().__init__()
        self._keys = tuple(keys)

    def get(self, key: str, default: Any = None) -> Any:
        return self._keys


def _check_listing(store: Store, folder: str, manifest: Manifest, uri: str) -> str:
    with storage_errors("cannot list", uri):
        _refuse_linked_folders(store, folder, uri)
        sizes = list_files(store, folder)
    if MANIFEST_NAME not in sizes or sizes.pop(MANIFEST_NAME) is None:
        raise ReleaseError(f"{uri}: {MANIFEST_NAME} is no plain file.")
    odd = sorted(name for name, size in sizes.items() if size is None)
    if odd:
        raise ReleaseError(f"{uri}: symlink, empty folder or special file: {describe_strangers(odd)}.")
    extra = sorted(set(sizes) - set(manifest.files))
    if extra:
        raise ReleaseError(f"{uri}: holds files that are not in its manifest: {describe_strangers(extra)}.")
    lost = sorted(set(manifest.files) - set(sizes))
    if lost:
        raise ReleaseError(f"{uri}: lacks files that its manifest lists: {describe_strangers(lost)}.")
    for name, entry in sorted(manifest.files.items()):
        if sizes[name] != entry.size_bytes:
            raise ReleaseError(f"{uri}/{name}: {sizes[name]} bytes, the manifest says {entry.size_bytes}.")
    return "Every listed file is there with the listed size, and no other; none is a symlink."


def _refuse_linked_folders(store: Store, folder: str, uri: str) -> None:
    """A symlinked locale, span or release folder could be swapped after it was checked."""
    if not store.is_local:
        return
    parts = folder.split("/") if folder else []
    for depth in range(len(parts)):
        if Path(store.path(*parts[: depth + 1])).is_symlink():
            raise ReleaseError(f"{uri}: {parts[depth]} is a symlink; releases are plain folders.")


def checked_chunks(store: Store, folder: str, name: str, entry: FileEntry) -> Iterator[bytes]:
    """A file's bytes in chunks, size-checked as they come and digest-checked at the end.

    Whoever consumes this must not use what it wrote unless the iteration ends without an error.

    Raises:
      ReleaseError: the file is not the one in the manifest, or is gone.
      DataError: the store cannot be read.
    """
    address = store.address(folder, name)
    digest, size = hashlib.sha256(), 0
    with storage_errors("cannot read", address):
        try:
            with store.fs.open(store.path(folder, name), "rb") as file:
                while chunk := file.read(CHUNK_BYTES):
                    size += len(chunk)
                    if size > entry.size_bytes:
                        break
                    digest.update(chunk)
                    yield chunk
        except FileNotFoundError:
            raise ReleaseError(f"{address}: vanished while it was read.") from None
    if size != entry.size_bytes or digest.hexdigest() != entry.sha256:
        raise ReleaseError(f"{address}: its SHA-256 is not the one in the manifest; the file was altered.")
