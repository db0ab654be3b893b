"""Writes splits: as a stream, in shards, visible only when whole. Used through `components.split_io`."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa

from components import tfrecord
from components.split_layout import shard_name, split_path
from components.tf_example import encode_framed

#: Rows encoded at a time: large enough to amortise calls, small enough to stay in the cache.
ENCODE_ROWS = 4_096


class SplitWriter:
    """Writes one split as a stream: memory is that of one batch, whatever the split's size.

    Nothing is visible under the split's name until `close`; leaving the context with an exception
    removes what was written.

    Attributes:
      rows: Rows written so far.
    """

    def __init__(self, root: str | os.PathLike[str], split: str, *, rows_per_shard: int = 1_000_000) -> None:
        if rows_per_shard < 1:
            raise ValueError(f"rows_per_shard is {rows_per_shard}, allowed: 1 or more")
        self.rows = 0
        self._target = split_path(root, split)
        self._rows_per_shard = rows_per_shard
        self._rows_in_shard = 0
        self._shards = 0
        self._file: tfrecord.GzipFile | None = None
        self._digest = hashlib.sha256()
        self._target.parent.mkdir(parents=True, exist_ok=True)
        self._temporary = Path(tempfile.mkdtemp(dir=self._target.parent, prefix=f".{self._target.name}."))

    def __enter__(self) -> SplitWriter:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def write(self, table: pa.Table | pa.RecordBatch) -> None:
        """Appends rows; the columns must be those of the first call."""
        batches = table.to_batches(ENCODE_ROWS) if isinstance(table, pa.Table) else [table]
        for batch in batches:
            start = 0
            while start < batch.num_rows:
                room = self._rows_per_shard - self._rows_in_shard
                part = batch.slice(start, min(ENCODE_ROWS, room))
                self._write_part(part)
                start += part.num_rows

    def _write_part(self, batch: pa.RecordBatch) -> None:
        if self._file is None:
            self._file = tfrecord.GzipFile(self._temporary / f"{self._shards:05d}")
            self._shards += 1
        payload = encode_framed(batch)
        self._digest.update(payload)
        self._file.write(payload)
        self.rows += batch.num_rows
        self._rows_in_shard += batch.num_rows
        if self._rows_in_shard >= self._rows_per_shard:
            self._end_shard()

    def _end_shard(self) -> None:
        file, self._file = self._file, None
        self._rows_in_shard = 0
        if file is not None:
            file.close()

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the framed records written so far; what `split_digest` reads back."""
        return self._digest.hexdigest()

    def close(self) -> None:
        """Ends the last shard and moves the split into place, replacing an older one."""
        try:
            if not self._shards:
                self._file = tfrecord.GzipFile(self._temporary / "00000")
                self._shards = 1
            self._end_shard()
            for shard in range(self._shards):
                name = shard_name(shard, self._shards)
                (self._temporary / f"{shard:05d}").rename(self._temporary / name)
            self._temporary.chmod(0o755)
            if self._target.exists():
                shutil.rmtree(self._target)
            self._temporary.replace(self._target)
        except BaseException:
            self.abort()
            raise

    def abort(self) -> None:
        """Removes what was written."""
        with contextlib.suppress(OSError):  # a full disk: what cannot be written is not wanted any more
            self._end_shard()
        shutil.rmtree(self._temporary, ignore_errors=True)


def write_split(
    root: str | os.PathLike[str],
    split: str,
    tables: pa.Table | Iterable[pa.Table | pa.RecordBatch],
    *,
    rows_per_shard: int = 1_000_000,
) -> int:
    """Writes a split, atomically and as a stream.

    Args:
      root: Folder of the Examples artifact.
      split: Name of the split.
      tables: One table, or tables or record batches one after another, all of the same columns.
      rows_per_shard: A new file begins after so many rows.

    Returns:
      Rows written.

    Raises:
      DataError: a column's type cannot be stored.
    """
    with SplitWriter(root, split, rows_per_shard=rows_per_shard) as writer:
        for table in [tables] if isinstance(tables, (pa.Table, pa.RecordBatch)) else tables:
            writer.write(table)
    return writer.rows
