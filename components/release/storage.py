"""Directories published whole, on file systems and object stores, through fsspec.

On a local file system a directory is staged beside its place and renamed into it. An object store
has no rename: there the files go first and the manifest, which makes them a release, goes last.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import stat
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from components.errors import ConfigError, DataError, IsthmusError, list_briefly, nearest_name
from components.release.manifest import MANIFEST_NAME, FileEntry

CHUNK_BYTES = 1 << 20
#: Files up to this size go to an object store in one request.
_WHOLE_BYTES = 8 << 20
STAGING_PREFIX = ".staging-"
#: A staging folder younger than this may belong to a publisher that has not locked it yet.
STAGING_GRACE_S = 5.0

#: What is published: a file to be copied, or bytes.
Source = Path | bytes


@dataclass(frozen=True)
class Store:
    """A place in a file system or object store.

    Attributes:
      fs: The fsspec file system.
      root: The path of the place inside it, without a trailing slash.
      uri: The address as the user wrote it, without a trailing slash.
    """

    fs: Any
    root: str
    uri: str

    @property
    def is_local(self) -> bool:
        """Whether this is a file system of this machine, with rename and fsync."""
        return isinstance(self.fs, LocalFileSystem)

    def path(self, *parts: str) -> str:
        """The path of something below the root; empty parts are left out."""
        return "/".join([self.root, *filter(None, parts)])

    def address(self, *parts: str) -> str:
        """The URI of something below the root; empty parts are left out."""
        return "/".join([self.uri, *filter(None, parts)])


def open_store(uri: str, what: str = "exchange") -> Store:
    """Opens `file://`, `memory://`, `s3://`, `gs://` or whatever else fsspec knows, or a plain path.

    Raises:
      ConfigError: the protocol is unknown, or its package is not installed.
    """
    try:
        fs, root = fsspec.core.url_to_fs(uri)
    except ImportError as error:
        raise ConfigError(f"{what} {uri}: {error}. Install that package beside Isthmus.") from None
    except ValueError:
        protocol = uri.split("://", 1)[0]
        hint = nearest_name(protocol, ("file", "memory", "s3", "gs", "az"))
        raise ConfigError(f"{what} {uri}: protocol '{protocol}' is not known{hint}.") from None
    return Store(fs, root.rstrip("/"), uri.rstrip("/"))


@contextlib.contextmanager
def storage_errors(doing: str, address: str, consequence: str = "") -> Iterator[None]:
    """Turns what a file system or object store raises into one line.

    Raises:
      DataError: `doing`, where, why, and what to do.
    """
    try:
        yield
    except IsthmusError:
        raise
    except OSError as error:
        why = (error.strerror or str(error) or type(error).__name__).splitlines()[0].lower()
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        remedy = "Free space there" if full else "Make it reachable and writable"
        raise DataError(f"{doing} {address}: {why}. {remedy}, then run again{consequence}.") from error
    except Exception as error:  # object-store clients raise their own types, not OSError
        first_line = (str(error) or "no message").splitlines()[0][:200]
        raise DataError(
            f"{doing} {address}: {type(error).__name__}: {first_line}. Mend the connection, then run again"
            f"{consequence}."
        ) from error


def file_entry(source: Source) -> FileEntry:
    """Digest and size of a file or of bytes."""
    if isinstance(source, bytes):
        return FileEntry(sha256=hashlib.sha256(source).hexdigest(), size_bytes=len(source))
    digest, size = hashlib.sha256(), 0
    with source.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
    return FileEntry(sha256=digest.hexdigest(), size_bytes=size)


def publish_directory(
    store: Store, folder: str, files: Mapping[str, Source], entries: Mapping[str, FileEntry], manifest: bytes
) -> bool:
    """Publishes files and manifest below `folder`, all or nothing.

    Args:
      store: Where to.
      folder: Path below the store's root.
      files: Path inside the folder to what goes there.
      entries: The digests that the manifest promises; checked again while copying.
      manifest: The manifest's bytes, written last.

    Returns:
      True if this call published it; False if a manifest was there already (nothing was changed).

    Raises:
      DataError: not writable, full, unreachable, or a file changed since it was digested.
    """
    with storage_errors("cannot publish to", store.address(folder), "; nothing was published"):
        if store.is_local:
            return _publish_local(Path(store.path(folder)), files, entries, manifest)
        return _publish_remote(store, store.path(folder), files, entries, manifest)


def replace_manifest(store: Store, folder: str, manifest: bytes) -> None:
    """Replaces the manifest of a published folder in one step (a new signature, same content)."""
    path = store.path(folder, MANIFEST_NAME)
    with storage_errors("cannot publish to", store.address(folder), "; the old manifest stands"):
        if not store.is_local:
            store.fs.pipe_file(path, manifest)
            return
        temporary = f"{store.path(folder)}/../{STAGING_PREFIX}manifest-{uuid.uuid4().hex}"
        try:
            _write_synced(Path(temporary), manifest, None)
            Path(temporary).replace(path)
            _sync_folder(Path(path).parent)
        finally:
            Path(temporary).unlink(missing_ok=True)


def _publish_local(
    target: Path, files: Mapping[str, Source], entries: Mapping[str, FileEntry], manifest: bytes
) -> bool:
    if (target / MANIFEST_NAME).exists():
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_stale_staging(target.parent)
    staging = target.parent / f"{STAGING_PREFIX}{target.name}-{uuid.uuid4().hex}"
    staging.mkdir()
    with _held(staging):
        try:
            for name in sorted(files):
                destination = staging / name
                destination.parent.mkdir(parents=True, exist_ok=True)
                _write_synced(destination, files[name], entries[name])
            _write_synced(staging / MANIFEST_NAME, manifest, None)
            for folder, _, _ in os.walk(staging, topdown=False):
                _sync_folder(Path(folder))
            return _rename_into_place(staging, target)
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def _rename_into_place(staging: Path, target: Path) -> bool:
    for _ in range(2):
        try:
            staging.rename(target)
            _sync_folder(target.parent)
            return True
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
        if (target / MANIFEST_NAME).exists():
            return False  # another publisher was first
        # Something without a manifest is no release; it is set aside under a name that nobody lists.
        aside = target.parent / f"{STAGING_PREFIX}aside-{uuid.uuid4().hex}"
        with contextlib.suppress(FileNotFoundError):
            target.rename(aside)
    raise OSError(errno.EEXIST, f"something that is no release keeps appearing at {target.name}")


def _publish_remote(
    store: Store, target: str, files: Mapping[str, Source], entries: Mapping[str, FileEntry], manifest: bytes
) -> bool:
    fs = store.fs
    fs.invalidate_cache()
    if fs.exists(f"{target}/{MANIFEST_NAME}"):
        return False
    expected = {f"{target}/{name}" for name in files}
    leftover = [path for path in fs.find(target) if path not in expected]
    if leftover and not fs.exists(f"{target}/{MANIFEST_NAME}"):
        fs.rm(leftover)  # a killed publisher's; without a manifest they are nobody's release
    for name in sorted(files):
        source, path = files[name], f"{target}/{name}"
        if isinstance(source, bytes):
            fs.pipe_file(path, source)
        else:
            if file_entry(source) != entries[name]:
                raise _changed(name)
            if entries[name].size_bytes <= _WHOLE_BYTES:
                # One request: whoever overwrites it with the same bytes shows no one a part of them.
                fs.pipe_file(path, Path(source).read_bytes())
            else:
                fs.put_file(str(source), path)
        size = fs.info(path)["size"]
        if size != entries[name].size_bytes:
            raise OSError(errno.EIO, f"upload of {name} ended at byte {size} of {entries[name].size_bytes}")
    fs.pipe_file(f"{target}/{MANIFEST_NAME}", manifest)
    return True


def _changed(name: str) -> DataError:
    return DataError(f"{name}: changed while it was being published; run again when nothing writes to it.")


def _write_synced(destination: Path, source: Source, entry: FileEntry | None) -> None:
    digest, size = hashlib.sha256(), 0
    with destination.open("xb") as target:
        for chunk in _chunks(source):
            digest.update(chunk)
            size += len(chunk)
            target.write(chunk)
        target.flush()
        os.fsync(target.fileno())
    if entry is not None and (digest.hexdigest(), size) != (entry.sha256, entry.size_bytes):
        raise _changed(destination.name)


def _chunks(source: Source) -> Iterator[bytes]:
    if isinstance(source, bytes):
        yield source
        return
    with source.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:  # some network file systems cannot sync a folder
        if error.errno not in (errno.EINVAL, errno.EBADF, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


@contextlib.contextmanager
def _held(staging: Path) -> Iterator[None]:
    """Holds a lock on the staging folder; the kernel drops it when the publisher dies."""
    handle = os.open(staging, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # no locks on this file system: age alone decides then
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def remove_stale_staging(parent: Path) -> None:
    """Removes staging folders that a killed publisher left; those of a living one stay."""
    for entry in list(os.scandir(parent)):
        if not entry.name.startswith(STAGING_PREFIX):
            continue
        with contextlib.suppress(OSError):
            if time.time() - entry.stat(follow_symlinks=False).st_mtime < STAGING_GRACE_S:
                continue
            if not entry.is_dir(follow_symlinks=False):
                Path(entry.path).unlink()
                continue
            handle = os.open(entry.path, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(entry.path, ignore_errors=True)
            finally:
                os.close(handle)


def list_files(store: Store, folder: str) -> dict[str, int | None]:
    """Every file below a folder: relative path to size in bytes, or None for what is no plain file.

    Symlinks are never followed; they, sockets and unexpected empty folders come back as None.
    """
    base = store.path(folder)
    if not store.is_local:
        store.fs.invalidate_cache()
        found = store.fs.find(base, detail=True)
        prefix = base.lstrip("/") + "/"
        return {path.lstrip("/")[len(prefix) :]: int(info["size"]) for path, info in found.items()}
    sizes: dict[str, int | None] = {}
    for parent, folders, names in os.walk(base):
        relative = os.path.relpath(parent, base)
        inside = "" if relative == "." else relative + "/"
        for name in names:
            status = Path(parent, name).lstat()
            sizes[inside + name] = status.st_size if stat.S_ISREG(status.st_mode) else None
        for name in folders:
            path = Path(parent, name)
            if path.is_symlink() or not any(path.iterdir()):
                sizes[inside + name] = None
    return sizes


def describe_strangers(names: list[str]) -> str:
    """Names of unexpected files for a message, made printable and short."""
    return list_briefly([ascii(name[:80])[1:-1] for name in names])
