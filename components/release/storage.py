"""A place in a file system or object store, through fsspec: opened, listed, read with bounds."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from components.errors import ConfigError, DataError, IsthmusError, list_briefly, nearest_name
from components.release.manifest import FileEntry
from components.release.options import DEFAULT_OPTIONS, StorageOptions

CHUNK_BYTES = 1 << 20
#: Times that an object may be replaced while it is read.
_MAX_REPLACED = 3
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


def open_store(uri: str, what: str = "exchange", options: StorageOptions = DEFAULT_OPTIONS) -> Store:
    """Opens `file://`, `memory://`, `s3://`, `gs://`, `az://` or whatever fsspec knows, or a plain path.

    Args:
      uri: The address.
      what: Names it in messages.
      options: Endpoint, credentials and patience of an object store.

    Raises:
      ConfigError: the protocol is unknown, its package is not installed, or the options do not fit it.
    """
    arguments = options.arguments(uri, what)
    try:
        fs, root = fsspec.core.url_to_fs(uri, **arguments)
    except ImportError as error:
        raise ConfigError(f"{what} {uri}: {error}. Install that package beside Isthmus.") from None
    except ValueError as error:
        protocol = uri.split("://", 1)[0]
        if protocol in fsspec.available_protocols():  # its own text can quote the credentials
            raise ConfigError(
                f"{what} {uri}: the options of this store are not accepted ({type(error).__name__}); "
                "look at storage_options."
            ) from None
        hint = nearest_name(protocol, ("file", "memory", "s3", "gs", "az"))
        raise ConfigError(f"{what} {uri}: protocol '{protocol}' is not known{hint}.") from None
    if hasattr(fs, "retries"):
        fs.retries = 1  # botocore tries again as often as the options say; s3fs would multiply that
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


def changed_while_published(name: str) -> DataError:
    """The error for a source file that is not the one that was digested."""
    return DataError(f"{name}: changed while it was being published; run again when nothing writes to it.")


def source_chunks(source: Source) -> Iterator[bytes]:
    """The bytes of a source, in pieces of at most `CHUNK_BYTES` where it is a file."""
    if isinstance(source, bytes):
        yield source
        return
    with source.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def read_bounded(store: Store, name: str, max_bytes: int) -> bytes | None:
    """The bytes of a file, at most one more than allowed; None where there is none.

    An object that is replaced between opening and reading it is read anew.

    Args:
      store: The store.
      name: Path below the store's root.
      max_bytes: Largest size that the caller accepts.

    Raises:
      DataError: the store cannot be read.
    """
    with storage_errors("cannot read", store.address(name)):
        for _ in range(_MAX_REPLACED):
            try:
                return _read(store, name, max_bytes)
            except OSError as error:
                if error.errno != errno.EBUSY:  # s3fs: the entity tag is another one
                    raise
                store.fs.invalidate_cache()
        return _read(store, name, max_bytes)


def _read(store: Store, name: str, max_bytes: int) -> bytes | None:
    try:
        with store.fs.open(store.path(name), "rb") as file:
            return bytes(file.read(max_bytes + 1))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None


def child_names(store: Store, name: str) -> list[str]:
    """Names directly below a path, which is below the store's root; none where there is no such path.

    Raises:
      DataError: the store cannot be read.
    """
    with storage_errors("cannot list", store.address(name)):
        store.fs.invalidate_cache()
        try:
            entries = store.fs.ls(store.path(name), detail=False)
        except (FileNotFoundError, NotADirectoryError):
            return []
    return sorted({entry.rstrip("/").rsplit("/", 1)[-1] for entry in entries})


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
