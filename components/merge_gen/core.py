"""Takes the releases that verify and lays them side by side, one split per locale.

A release is untrusted until the last check: it is copied into a staging folder, checked while it is
copied and read back, and only then moved to its place. One that fails is named and left out.
"""

from __future__ import annotations

import os
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from components.drift.core.outward_form import OutwardSketch
from components.drift.findings import MonitorReport
from components.egress.monitoring import MAX_BYTES, RELEASE_FILE, accepted_monitor, to_json
from components.egress.sketch import RELEASE_FILE as SKETCH_FILE
from components.egress.sketch import accepted_sketch
from components.egress.sketch import to_bytes as sketch_bytes
from components.errors import DataError, ReleaseError
from components.executor_base import write_atomically, write_json
from components.merge_gen.config import MergeGenConfig, MergeLocale
from components.merge_gen.resolution import Resolution, ResolvedRelease, open_memory
from components.merge_gen.result import Accepted, MergeResult
from components.release.checks import ReleaseLimits
from components.release.keys import PublicKey
from components.release.manifest import Manifest
from components.release.memory import ExchangeMemory, SeenRevocation, load_memory, save_memory
from components.release.storage import Store, open_store
from components.release.trust import load_keys
from components.release.verify import (
    RevokedReleaseError,
    VerifiedRelease,
    checked_chunks,
    verify_release,
)
from components.split_io import arrow_schema, read_records, split_path, stored_schema

STAGING = ".merging"
#: zlib's number for "gzip wrapper, largest window".
_GZIP_WBITS = 31
_DECOMPRESS_BYTES = 1 << 20
#: A short file of constant rows compresses better than any limit on the ratio allows for.
_FREE_BYTES = 1 << 20


def merge_releases(
    config: MergeGenConfig,
    resolution: Resolution,
    output: Path,
    monitors: Path | None = None,
    sketches: Path | None = None,
) -> MergeResult:
    """Verifies and copies the resolved releases below `output`.

    Args:
      config: What to accept.
      resolution: Which releases to take.
      output: Folder of the Examples artifact; `Split-<locale>` folders appear in it.
      monitors: Folder for what the regions' monitoring released, `<locale>.json`; None keeps none of it.
      sketches: Likewise for the sketches of their real rows.

    Returns:
      The result; nothing is raised when the quorum is not met, see `MergeResult.require_quorum`.

    Raises:
      DataError: the exchange cannot be read, or `output` cannot be written.
    """
    try:
        return _merge(config, resolution, output, monitors, sketches)
    except OSError as error:  # of this machine's disk: the exchange's own have a message already
        why = (error.strerror or str(error)).lower()
        raise DataError(f"merge: {why}. Free space or mend the disk, then run again.") from error


def _merge(
    config: MergeGenConfig,
    resolution: Resolution,
    output: Path,
    monitors: Path | None,
    sketches: Path | None,
) -> MergeResult:
    store = open_store(config.exchange_uri, options=config.storage)
    memory_store = open_memory(config)
    memory = load_memory(memory_store)
    locales = {locale.name: locale for locale in config.locales}
    loaded = {locale.name: load_keys(locale.trusted_key) for locale in config.locales}
    trusted = {name: keys for name, (keys, _) in loaded.items()}
    warnings = [*resolution.warnings, *(problem for _, problems in loaded.values() for problem in problems)]
    accepted = []
    refused = [item.model_dump() for item in resolution.refused]
    staging = output / STAGING
    for name in locales:  # what an earlier merge took may be refused now
        shutil.rmtree(split_path(output, name), ignore_errors=True)
    for found in resolution.releases:
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        try:
            keys, problems = loaded[found.locale]
            if not keys:
                raise ReleaseError(f"{found.uri}: cannot be verified: {problems[0]}")
            release, monitor, sketch = _take(config, locales[found.locale], found, store, trusted, staging)
        except DataError as error:  # a release that cannot be read is left out like one that is altered
            refused.append({"locale": found.locale, "uri": found.uri, "reason": str(error)})
            if isinstance(error, RevokedReleaseError):
                memory = _with_revocation(memory, error)
            continue
        split_path(staging, found.locale).replace(split_path(output, found.locale))
        if monitors is not None and monitor is not None:
            write_json(monitors / f"{found.locale}.json", to_json(monitor))
        if sketches is not None and sketch is not None:
            write_atomically(sketches / f"{found.locale}.json", sketch_bytes(sketch))
        accepted.append(_accepted(locales[found.locale], found, release))
        warnings += release.warnings
        memory = memory.with_release(found.location, release.manifest.created_at)
    shutil.rmtree(staging, ignore_errors=True)
    save_memory(memory_store, memory)
    verdict = "merged" if len(accepted) >= config.quorum_count else "quorum not met"
    return MergeResult(
        tuple(accepted),
        tuple(refused),
        resolution.missing,
        config.quorum_count,
        verdict,
        tuple(dict.fromkeys(warnings)),
    )


def _with_revocation(memory: ExchangeMemory, error: RevokedReleaseError) -> ExchangeMemory:
    note = error.revocation
    seen = SeenRevocation(
        release_id=note.release_id, key_id=note.key_id, revoked_at=note.revoked_at, reason=note.reason
    )
    return memory.with_revocation(note.locale, note.content_digest, seen)


def _accepted(locale: MergeLocale, found: ResolvedRelease, release: VerifiedRelease) -> Accepted:
    manifest = release.manifest
    return Accepted(
        locale=locale.name,
        sharing=locale.sharing,
        kind=manifest.kind,
        span=manifest.span,
        sequence=manifest.sequence,
        release_id=manifest.release_id,
        uri=found.uri,
        manifest_sha256=release.manifest_sha256,
        key_id=manifest.signature.key_id if manifest.signature else "",
        digest=manifest.content_digest,
        rows=manifest.total_rows,
        bytes=manifest.total_bytes,
        created_at=manifest.created_at,
        checks=release.checks,
    )


def _take(
    config: MergeGenConfig,
    locale: MergeLocale,
    found: ResolvedRelease,
    store: Store,
    trusted: dict[str, tuple[PublicKey, ...]],
    staging: Path,
) -> tuple[VerifiedRelease, MonitorReport | None, OutwardSketch | None]:
    """Verifies one release and copies its examples to `staging/Split-<locale>`; its monitoring and sketch."""
    folder = found.location.folder
    release = verify_release(store, folder, trusted, config.limits, location=found.location, contents=False)
    manifest = release.manifest
    if release.manifest_sha256 != found.manifest_sha256:
        raise ReleaseError(f"{found.uri}: its manifest changed since the run began; run again.")
    if locale.sharing == "restricted" and manifest.kind != "synthetic":
        raise ReleaseError(
            f"{found.uri}: locale {locale.name} is restricted, but this release says that it holds real rows."
        )
    _check_columns(config, dict(manifest.columns), found.uri)
    shards = sorted(name for name in manifest.files if name.startswith("Split-"))
    target = split_path(staging, locale.name)
    target.mkdir()
    monitor, sketch = None, None
    for name in sorted(set(manifest.files) - set(shards)):
        chunks = checked_chunks(store, folder, name, manifest.files[name])
        if name not in (RELEASE_FILE, SKETCH_FILE):
            for _ in chunks:
                pass
            continue
        if manifest.files[name].size_bytes > MAX_BYTES:
            raise ReleaseError(f"{found.uri}/{name}: larger than {MAX_BYTES} bytes; refused unread.")
        content = b"".join(chunks)
        if name == RELEASE_FILE:
            monitor = accepted_monitor(content, config.dataset, locale.name, manifest.span, found.uri)
        elif manifest.kind != "synthetic":
            raise ReleaseError(f"{found.uri}/{name}: a sketch beside real rows, which need none.")
        else:
            sketch = accepted_sketch(content, config.dataset, found.uri)
    for number, name in enumerate(shards):
        copy = target / f"data_tfrecord-{number:05d}-of-{len(shards):05d}.gz"
        _copy_shard(
            checked_chunks(store, folder, name, manifest.files[name]), copy, config.limits, found.uri, name
        )
    _check_rows(config, manifest, staging, locale.name, found.uri)
    return release, monitor, sketch


def _copy_shard(chunks: Iterator[bytes], target: Path, limits: ReleaseLimits, uri: str, name: str) -> None:
    """Copies a gzip file and decompresses it in bounded pieces as it passes, to weigh it."""
    stream = zlib.decompressobj(_GZIP_WBITS)
    taken = made = 0
    with target.open("xb") as file:
        for chunk in chunks:
            file.write(chunk)
            taken += len(chunk)
            data = chunk
            while data:
                if stream.eof:
                    stream = zlib.decompressobj(_GZIP_WBITS)
                try:
                    made += len(stream.decompress(data, _DECOMPRESS_BYTES))
                except zlib.error:
                    for _ in chunks:  # an altered file is called that: the digest speaks at the end
                        pass
                    raise ReleaseError(f"{uri}/{name}: is no gzip file, or a corrupt one.") from None
                data = stream.unused_data or stream.unconsumed_tail
                allowed = min(
                    limits.max_decompressed_bytes, taken * limits.max_compression_ratio + _FREE_BYTES
                )
                if made > allowed:
                    raise ReleaseError(
                        f"{uri}/{name}: {taken} bytes unpack to more than {int(allowed)} "
                        "(merge limits); refused as a decompression bomb."
                    )
        file.flush()
        os.fsync(file.fileno())


def _check_columns(config: MergeGenConfig, columns: dict[str, str], uri: str) -> None:
    """The columns must be the data set's; labels may be absent, an all-missing column fits any type."""
    dataset = config.dataset
    wanted = {field.name: _type_name(field.type) for field in arrow_schema(dataset)}
    optional = {name for name in (dataset.label, dataset.label_kind) if name}
    lacking = sorted(set(wanted) - set(columns) - optional)
    extra = sorted(set(columns) - set(wanted))
    other = sorted(
        f"{name} is {columns[name]} instead of {kind}"
        for name, kind in wanted.items()
        if columns.get(name, kind) not in (kind, "null")
    )
    problems = [f"lacks {', '.join(lacking[:5])}"] if lacking else []
    problems += (
        [f"has {', '.join(ascii(name[:60])[1:-1] for name in extra[:5])} in addition"] if extra else []
    )
    problems += other[:5]
    if problems:
        raise ReleaseError(f"{uri}: of another schema than this data set: {'; '.join(problems)}.")


def _type_name(kind: pa.DataType) -> str:
    if pa.types.is_null(kind):
        return "null"
    if pa.types.is_integer(kind):
        return "int64"
    return "float32" if pa.types.is_floating(kind) else "string"


def _check_rows(config: MergeGenConfig, manifest: Manifest, staging: Path, split: str, uri: str) -> None:
    """Reads the copy back: framing, checksums, row count and the columns that are really there."""
    try:
        rows = sum(len(records) for records in read_records(staging, split))
        stored = {field.name: _type_name(field.type) for field in stored_schema(staging, split)}
    except DataError as error:
        detail = str(error).replace(str(staging), uri)
        raise ReleaseError(f"{uri}: its examples cannot be read: {detail}") from None
    if rows != manifest.total_rows:
        raise ReleaseError(f"{uri}: holds {rows} rows, the manifest says {manifest.total_rows}.")
    _check_columns(config, stored, uri)
