"""Checks a release against its manifest and the manifest against the locale's public key.

Needs no network beyond the release itself and no TFX, so that anyone who holds the public key can
check a copy on a machine of their own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.config_base import ComponentConfig
from components.errors import ReleaseError, list_briefly
from components.release.exchange import (
    MAX_MANIFEST_BYTES,
    MAX_MANIFEST_DEPTH,
    ReleaseLocation,
    read_manifest_bytes,
)
from components.release.keys import PublicKey
from components.release.manifest import (
    ALLOWED_FILES,
    MANIFEST_NAME,
    SCHEMA_VALIDATED,
    FileEntry,
    Manifest,
    parse_manifest,
)
from components.release.storage import (
    CHUNK_BYTES,
    Store,
    describe_strangers,
    list_files,
    open_store,
    storage_errors,
)


class ReleaseLimits(ComponentConfig):
    """What a foreign release may cost us before it is refused.

    Attributes:
      max_manifest_bytes: A manifest of ours is a few kB.
      max_manifest_depth: A manifest of ours is 3 deep.
      max_files: Shards of all splits; ExampleGen writes a handful.
      max_total_bytes: All files as they lie in the exchange.
      max_decompressed_bytes: One file after decompression.
      max_compression_ratio: Decompressed over compressed. Deflate cannot exceed 1,032; 24 constant
        columns of tf.Example measure 36 (76 at gzip level 9), 24 columns of noise 3.
    """

    max_manifest_bytes: int = MAX_MANIFEST_BYTES
    max_manifest_depth: int = MAX_MANIFEST_DEPTH
    max_files: int = 4096
    max_total_bytes: int = 64 << 30
    max_decompressed_bytes: int = 64 << 30
    max_compression_ratio: float = 250.0


DEFAULT_LIMITS = ReleaseLimits()


@dataclass(frozen=True)
class VerifiedRelease:
    """A release that passed.

    Attributes:
      manifest: Its manifest.
      uri: Where it is.
      folder: Its path below the store's root.
      manifest_sha256: Digest of the manifest's bytes: names this release exactly.
      checks: What was checked, one sentence each.
    """

    manifest: Manifest
    uri: str
    folder: str
    manifest_sha256: str
    checks: tuple[str, ...]


def verify_release(
    store: Store,
    folder: str,
    trusted_keys: Mapping[str, Collection[PublicKey]],
    limits: ReleaseLimits = DEFAULT_LIMITS,
    *,
    location: ReleaseLocation | None = None,
    contents: bool = True,
) -> VerifiedRelease:
    """Checks one release.

    Args:
      store: The exchange, or any folder that holds a copy of a release.
      folder: Path of the release below the store's root (empty: the root itself).
      trusted_keys: Public keys per locale; a locale without one is not trusted.
      limits: What a release may cost before it is refused.
      location: Where an exchange claims it is; None for a copy outside an exchange.
      contents: Whether to read every file and compare digests. The merge does that while copying.

    Raises:
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
    checks.append(_check_signature(manifest, trusted_keys, uri))
    if location is not None:
        checks.append(_check_location(manifest, location, uri))
    checks.append(_check_claims(manifest, uri))
    checks.append(_check_names(manifest, limits, uri))
    checks.append(_check_listing(store, folder, manifest, uri))
    if contents:
        for name in sorted(manifest.files):
            for _ in checked_chunks(store, folder, name, manifest.files[name]):
                pass
        checks.append(f"The SHA-256 of each of the {len(manifest.files)} files is the one in the manifest.")
    return VerifiedRelease(manifest, uri, folder, hashlib.sha256(raw).hexdigest(), tuple(checks))


def verify_copy(
    path: str, keys: Collection[PublicKey], limits: ReleaseLimits = DEFAULT_LIMITS
) -> VerifiedRelease:
    """Checks a release at any address with the given keys, whatever locale it names (`isthmus verify`).

    Raises:
      ReleaseError: it does not verify.
      ConfigError, DataError: the address cannot be read.
    """
    return verify_release(open_store(path, "release"), "", _AnyLocale(keys), limits)


class _AnyLocale(dict[str, Collection[PublicKey]]):
    """The same keys for every locale: the person who verifies chose them by hand."""

    def __init__(self, keys: Collection[PublicKey]) -> None:
        super().__init__()
        self._keys = tuple(keys)

    def get(self, key: str, default: Any = None) -> Any:
        return self._keys


def _check_signature(manifest: Manifest, trusted: Mapping[str, Collection[PublicKey]], uri: str) -> str:
    if manifest.signature is None:
        raise ReleaseError(f"{uri}: not signed. Have locale {manifest.locale} release again with its key.")
    key_id = manifest.signature.key_id
    keys = trusted.get(manifest.locale) or ()
    matching = [key for key in keys if key.key_id == key_id]
    if not matching:
        owners = [name for name, others in trusted.items() if any(key.key_id == key_id for key in others)]
        whose = f"the key of locale {owners[0]}" if owners else "an unknown key"
        known = list_briefly(key.key_id for key in keys) or "none"
        raise ReleaseError(
            f"{uri}: signed with {whose} ({key_id}); trusted for locale {manifest.locale}: {known}. "
            "If the locale changed its key, put the new public key into the configuration."
        )
    if not matching[0].verifies(manifest):
        raise ReleaseError(f"{uri}: the signature by key {key_id} does not fit the manifest; it was altered.")
    return f"The manifest is signed (Ed25519) by key {key_id}, which is trusted for locale {manifest.locale}."


def _check_location(manifest: Manifest, location: ReleaseLocation, uri: str) -> str:
    claimed = ReleaseLocation(manifest.locale, manifest.span, manifest.release_id)
    if claimed != location:
        raise ReleaseError(
            f"{uri}: the manifest is that of {claimed.folder}; a release was moved, copied or replayed."
        )
    return f"It lies where it says: locale {location.locale}, span {location.span}, id {location.release_id}."


def _check_claims(manifest: Manifest, uri: str) -> str:
    wanted = "BLESSED" if manifest.kind == "synthetic" else SCHEMA_VALIDATED
    if manifest.verdict != wanted:
        raise ReleaseError(f"{uri}: {manifest.kind} rows with verdict {manifest.verdict}, allowed: {wanted}.")
    failed = sorted(name for name, verdict in manifest.gates.items() if verdict == "failed")
    if failed:
        raise ReleaseError(f"{uri}: released in spite of failed gates: {list_briefly(failed)}.")
    rows = f"{manifest.total_rows} {manifest.kind} rows"
    return f"It claims {rows}, verdict {manifest.verdict}; of {len(manifest.gates)} gates none failed."


def _check_names(manifest: Manifest, limits: ReleaseLimits, uri: str) -> str:
    names = list(manifest.files)
    if len(names) > limits.max_files:
        raise ReleaseError(f"{uri}: lists {len(names)} files, allowed {limits.max_files}.")
    strangers = [name for name in names if not ALLOWED_FILES.fullmatch(name)]
    if strangers:
        raise ReleaseError(f"{uri}: lists files that no release may hold: {describe_strangers(strangers)}.")
    if len({name.casefold() for name in names}) != len(names):
        raise ReleaseError(f"{uri}: lists files whose names differ only in case.")
    if manifest.total_bytes > limits.max_total_bytes:
        raise ReleaseError(f"{uri}: holds {manifest.total_bytes} bytes, allowed {limits.max_total_bytes}.")
    splits = {match.group("split") for match in map(ALLOWED_FILES.fullmatch, names) if match}
    if splits - {None} != set(manifest.rows):
        raise ReleaseError(f"{uri}: the splits of its files are not those of its row counts.")
    return f"All {len(names)} file names are of kinds that a release may hold; none climbs out of its folder."


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
