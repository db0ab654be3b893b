"""Directories and files published whole or not at all.

On a local file system a directory is staged beside its place and renamed into it. An object store
has no rename: there the files go first and the manifest, which makes them a release, goes last, by a
conditional write where the store has those.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

from components.release.manifest import MANIFEST_NAME, FileEntry
from components.release.storage import (
    Source,
    Store,
    changed_while_published,
    file_entry,
    source_chunks,
    storage_errors,
)

#: Files up to this size go to an object store in one request.
_WHOLE_BYTES = 8 << 20
STAGING_PREFIX = ".staging-"
#: A staging folder younger than this may belong to a publisher that has not locked it yet.
STAGING_GRACE_S = 5.0
#: How long to wait while another conditional write to the same key is under way (S3 answers 409 then).
_CONFLICT_PAUSES_S = (0.1, 0.3, 1.0)


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
    # Where another publisher's first file appears meanwhile, s3fs gives the folder itself: not a file.
    leftover = [path for path in fs.find(target) if path not in expected and path.startswith(f"{target}/")]
    if leftover and not fs.exists(f"{target}/{MANIFEST_NAME}"):
        fs.rm(leftover)  # a killed publisher's; without a manifest they are nobody's release
    for name in sorted(files):
        source, path = files[name], f"{target}/{name}"
        if isinstance(source, bytes):
            fs.pipe_file(path, source)
        else:
            if file_entry(source) != entries[name]:
                raise changed_while_published(name)
            if entries[name].size_bytes <= _WHOLE_BYTES:
                # One request: whoever overwrites it with the same bytes shows no one a part of them.
                fs.pipe_file(path, Path(source).read_bytes())
            else:
                fs.put_file(str(source), path)
        size = fs.info(path)["size"]
        if size != entries[name].size_bytes:
            raise OSError(errno.EIO, f"upload of {name} ended at byte {size} of {entries[name].size_bytes}")
    return _create_remote(store, f"{target}/{MANIFEST_NAME}", manifest)


def create_file(store: Store, name: str, data: bytes) -> bool:
    """Writes a file that is not there yet, whole, in one step; False if one is there.

    Of several that do this at once one gets True, on a file system and on an object store that has
    conditional writes (`If-None-Match: *` on S3, `ifGenerationMatch=0` on gs, `overwrite=False` on az).
    On a store that answers that it has none, the file is looked for and then written: two at the same
    instant can both get True, and the later bytes stay.

    Args:
      store: Where to.
      name: Path below the store's root.
      data: The content.

    Raises:
      DataError: not writable, full or unreachable.
    """
    path = store.path(name)
    with storage_errors("cannot write", store.address(name)):
        if not store.is_local:
            store.fs.invalidate_cache()
            return _create_remote(store, path, data)
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.parent / f"{STAGING_PREFIX}file-{uuid.uuid4().hex}"
        try:
            _write_synced(temporary, data, None)
            os.link(temporary, target)
        except FileExistsError:
            return False
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(target.parent)
        return True


def replace_file(store: Store, name: str, data: bytes) -> None:
    """Writes a file whole, in one step, over one that may be there.

    Raises:
      DataError: not writable, full or unreachable; what was there stays.
    """
    path = store.path(name)
    with storage_errors("cannot write", store.address(name)):
        if not store.is_local:
            store.fs.pipe_file(path, data)
            store.fs.invalidate_cache()
            return
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.parent / f"{STAGING_PREFIX}file-{uuid.uuid4().hex}"
        try:
            _write_synced(temporary, data, None)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(target.parent)


def _create_remote(store: Store, path: str, data: bytes) -> bool:
    for pause_s in _CONFLICT_PAUSES_S:
        try:
            store.fs.pipe_file(path, data, mode="create")
            return True
        except Exception as error:
            answer = _refusal_of_create(error)
            if answer == "exists":
                return False
            if answer == "unsupported":
                return _create_by_convention(store, path, data)
            if answer != "conflict":
                raise
        time.sleep(pause_s)  # another conditional write to this key is under way
    raise OSError(errno.EBUSY, "other writers hold this key")


def _create_by_convention(store: Store, path: str, data: bytes) -> bool:
    if store.fs.exists(path):
        return False
    store.fs.pipe_file(path, data)
    return True


def _refusal_of_create(error: BaseException) -> str:
    """What a store meant by not creating: `exists`, `conflict`, `unsupported`, or "" for anything else."""
    if isinstance(error, FileExistsError):
        return "exists"
    found: BaseException | None = error
    while found is not None:
        response = getattr(found, "response", None)
        named = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
        code = str(named or getattr(found, "code", ""))
        if code in ("PreconditionFailed", "412"):
            return "exists"
        if code in ("ConditionalRequestConflict", "409"):
            return "conflict"
        if code in ("NotImplemented", "501"):
            return "unsupported"
        found = found.__cause__
    return ""


def _write_synced(destination: Path, source: Source, entry: FileEntry | None) -> None:
    digest, size = hashlib.sha256(), 0
    with destination.open("xb") as target:
        for chunk in source_chunks(source):
            digest.update(chunk)
            size += len(chunk)
            target.write(chunk)
        target.flush()
        os.fsync(target.fileno())
    if entry is not None and (digest.hexdigest(), size) != (entry.sha256, entry.size_bytes):
        raise changed_while_published(destination.name)


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
