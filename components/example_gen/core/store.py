"""Clean rows between reading and writing: in memory while they fit, else in a file."""

from __future__ import annotations

import mmap
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa

#: Rows of a stored batch. A sorted chunk of a source that interleaves its series touches every
#: batch, so there should be few of them.
STORED_ROWS = 262_144


class RowStore:
    """Record batches of one schema, read back by row number.

    Above the budget they go to an Arrow file in `folder`, which is then mapped into memory: the
    operating system keeps what is used. The file vanishes with the store.
    """

    def __init__(self, schema: pa.Schema, folder: Path, budget_bytes: int) -> None:
        self.schema = schema
        self._folder, self._budget = folder, budget_bytes
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = 0
        self._batches: list[pa.RecordBatch] = []
        self._bytes = 0
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        self._writer: pa.ipc.RecordBatchFileWriter | None = None
        self._map: mmap.mmap | None = None
        self._starts = np.zeros(1, dtype=np.int64)

    def __enter__(self) -> RowStore:
        return self

    def __exit__(self, *_: object) -> None:
        self._batches, self._map = [], None
        if self._writer is not None:
            self._writer.close()
        if self._directory is not None:
            self._directory.cleanup()

    @property
    def spilled(self) -> bool:
        """Whether rows are in a file."""
        return self._directory is not None

    def add(self, batch: pa.RecordBatch) -> None:
        """Appends rows."""
        self._waiting.append(batch)
        self._waiting_rows += batch.num_rows
        if self._waiting_rows >= STORED_ROWS:
            self._store_waiting()

    def _store_waiting(self) -> None:
        table = pa.Table.from_batches(self._waiting, self.schema).combine_chunks()
        self._waiting, self._waiting_rows = [], 0
        self._batches += [batch for batch in table.to_batches() if batch.num_rows]
        self._bytes += table.nbytes
        if self._bytes > self._budget:
            self._spill()

    def _spill(self) -> None:
        if self._directory is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._directory = tempfile.TemporaryDirectory(dir=self._folder, prefix=".rows.")
            self._writer = pa.ipc.new_file(self._path(), self.schema)
        assert self._writer is not None
        for batch in self._batches:
            self._writer.write_batch(batch)
        self._batches = []

    def _path(self) -> str:
        assert self._directory is not None
        return str(Path(self._directory.name) / "rows.arrow")

    def finish(self) -> int:
        """Ends the writing; returns the number of rows."""
        self._store_waiting()
        if self.spilled and self._writer is not None:
            self._spill()
            self._writer.close()
            self._writer = None
            with Path(self._path()).open("rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            reader = pa.ipc.open_file(pa.BufferReader(pa.py_buffer(self._map)))
            self._batches = [reader.get_batch(index) for index in range(reader.num_record_batches)]
        self._starts = np.concatenate([[0], np.cumsum([batch.num_rows for batch in self._batches])]).astype(
            np.int64
        )
        return int(self._starts[-1])

    def take(self, rows: np.ndarray) -> pa.Table:
        """Rows by number, in the order asked for. `rows`: shape [row], int64."""
        if not len(rows):
            return self.schema.empty_table()
        if self._map is not None:
            # Pages of earlier chunks leave this process; the system's cache still has them.
            self._map.madvise(mmap.MADV_DONTNEED)
        home = np.searchsorted(self._starts, rows, side="right") - 1
        parts, places = [], []
        for batch in np.unique(home):
            chosen = np.flatnonzero(home == batch)
            parts.append(_take(self._batches[batch], rows[chosen] - self._starts[batch]))
            places.append(chosen)
        table = pa.Table.from_batches(parts, self.schema)
        if len(parts) == 1:
            return table
        table = table.combine_chunks()
        order = np.concatenate(places)
        return table if (np.diff(order) > 0).all() else table.take(np.argsort(order))


def _take(batch: pa.RecordBatch, rows: np.ndarray) -> pa.RecordBatch:
    if rows[-1] - rows[0] == len(rows) - 1 and (np.diff(rows) == 1).all():
        return batch.slice(int(rows[0]), len(rows))
    index = pa.array(rows)
    return pa.RecordBatch.from_arrays([column.take(index) for column in batch.columns], schema=batch.schema)
