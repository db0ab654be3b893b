"""The only place that knows `Split-<name>`, TFRecord framing and file names.

Tables go in and come out flat (decision 1); list-typed columns, as tf.Example and TFDV have them,
appear only in `listify_batch`, `flatten_batch` and `read_list_batches`. TensorFlow is not imported:
it costs six seconds, and framing is sixteen bytes a record.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder

from components import tfrecord
from components.dataset import TIMESTAMP, DatasetConfig
from components.errors import DataError, list_briefly, nearest_name
from components.tf_example import decode_uniform, encode_framed, to_example_type

#: Rows encoded at a time: large enough to amortise calls, small enough to stay in the cache.
ENCODE_ROWS = 4_096
_SPLIT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_ARROW_TYPES = {
    "continuous": pa.float32(),
    "integer": pa.int64(),
    "binary": pa.int64(),
    "categorical": pa.string(),
}


def arrow_schema(dataset: DatasetConfig) -> pa.Schema:
    """Flat Arrow schema of a data set: timestamp, series, features, label, label kind (decision 1)."""
    fields = [pa.field(TIMESTAMP, pa.int64(), nullable=False)]
    fields += [pa.field(name, pa.string()) for name in dataset.series]
    fields += [pa.field(feature.name, _ARROW_TYPES[feature.kind]) for feature in dataset.features]
    if dataset.label:
        fields.append(pa.field(dataset.label, pa.int64()))
    if dataset.label_kind:
        fields.append(pa.field(dataset.label_kind, pa.string()))
    return pa.schema(fields)


def split_path(root: str | os.PathLike[str], split: str) -> Path:
    """Folder of a split, whether it exists or not.

    Raises:
      DataError: the name cannot be a folder name.
    """
    if not _SPLIT_NAME.fullmatch(split):
        raise DataError(f"split name '{split}' is not allowed. Use letters, digits, '.', '_' and '-'.")
    return Path(root) / f"Split-{split}"


def list_splits(root: str | os.PathLike[str]) -> list[str]:
    """Names of the splits under an Examples artifact, sorted."""
    folders = Path(root).glob("Split-*")
    return sorted(folder.name[len("Split-") :] for folder in folders if folder.is_dir())


def listify_batch(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Flat columns to `list<float32 | int64 | binary>`, one value a row; null and NaN to a null list.

    Raises:
      DataError: a column has a type that tf.Example cannot hold.
    """
    return pa.RecordBatch.from_arrays(
        [_listify(name, column) for name, column in zip(batch.schema.names, batch.columns, strict=True)],
        batch.schema.names,
    )


def _listify(name: str, column: pa.Array) -> pa.Array:
    values = to_example_type(name, column)
    if not values.null_count:
        return pa.ListArray.from_arrays(np.arange(len(values) + 1, dtype=np.int32), values)
    valid = values.is_valid().to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(valid)]).astype(np.int32)
    # A null offset marks a null list; the last offset closes the array and is never null.
    masked = pa.array(offsets, mask=np.append(~valid, False))
    return pa.ListArray.from_arrays(masked, values.drop_null())


def flatten_batch(batch: pa.RecordBatch, schema: pa.Schema | None = None) -> pa.RecordBatch:
    """List-typed columns, at most one value a row, to flat ones; an empty or null list is null.

    Args:
      batch: List-typed columns, as tfx_bsl decodes them.
      schema: Flat names and types to return, in order; an absent column is all null. None keeps the
        batch's columns and infers: float32, int64, string, or null where nothing is known.

    Raises:
      DataError: a row holds several values, text is not UTF-8, or a type is not the schema's.
    """
    columns = {
        name: _flatten(name, column) for name, column in zip(batch.schema.names, batch.columns, strict=True)
    }
    if schema is None:
        schema = pa.schema([(name, _flat_type(column.type)) for name, column in columns.items()])
    return _conform(columns, batch.num_rows, schema)


def _flatten(name: str, column: pa.Array) -> pa.Array:
    if pa.types.is_null(column.type):
        return column
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    if lengths.size and lengths.max() > 1:
        raise DataError(f"column '{name}': {int((lengths > 1).sum())} rows hold several values, allowed: one")
    values = column.flatten()
    if len(values) == len(column):
        return values
    present = lengths == 1
    return values.take(pa.array(np.cumsum(present) - 1, mask=~present))


def _flat_type(kind: pa.DataType) -> pa.DataType:
    return pa.string() if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) else kind


def _conform(columns: dict[str, pa.Array], rows: int, schema: pa.Schema) -> pa.RecordBatch:
    """The schema's columns, cast; those that are absent or of null type are all null."""
    arrays = []
    for field in schema:
        values = columns.get(field.name)
        if values is None or pa.types.is_null(values.type):
            arrays.append(pa.nulls(rows, field.type))
            continue
        try:
            if pa.types.is_integer(values.type) and not pa.types.is_integer(field.type):
                raise pa.ArrowInvalid("an integer column is not read as another type")
            if pa.types.is_large_binary(values.type):
                values = values.cast(pa.binary())
            arrays.append(values.cast(field.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise DataError(
                f"column '{field.name}': stored as {values.type}, expected {field.type}"
            ) from error
    return pa.RecordBatch.from_arrays(arrays, schema=_nullable(schema))


def _nullable(schema: pa.Schema) -> pa.Schema:
    return pa.schema([field.with_nullable(True) for field in schema])


# --- writing ---------------------------------------------------------------------------------------


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
        if self._file is not None:
            self._file.close()
        self._file = None
        self._rows_in_shard = 0

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
                name = f"data_tfrecord-{shard:05d}-of-{self._shards:05d}.gz"
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


# --- reading ---------------------------------------------------------------------------------------


def shard_paths(root: str | os.PathLike[str], split: str) -> list[Path]:
    """The files of a split, sorted.

    Raises:
      DataError: the split does not exist or holds no file.
    """
    folder = split_path(root, split)
    paths = sorted(folder.glob("*.gz"))
    if not paths:
        known = list_splits(root)
        raise DataError(
            f"split={split}: no examples under {root}{nearest_name(split, known)}. "
            f"Splits there: {list_briefly(known) or 'none'}."
        )
    return paths


def read_records(root: str | os.PathLike[str], split: str) -> Iterator[list[bytes]]:
    """Serialised tf.Examples of a split, shard after shard, in lists of about a megabyte.

    Raises:
      DataError: a file is truncated, is no GZIP TFRecord, or a checksum is wrong.
    """
    for path in shard_paths(root, split):
        yield from tfrecord.read_file(path)


def decode_records(records: Sequence[bytes], place: str) -> dict[str, pa.Array]:
    """Flat columns as stored (float32, int64, binary, or null type) of serialised tf.Examples.

    Args:
      records: At least one.
      place: Where they are from, for messages.

    Raises:
      DataError: a record is no tf.Example, or a row holds several values of a feature.
    """
    columns = decode_uniform(records)
    if columns is not None:
        return columns
    try:
        batch = ExamplesToRecordBatchDecoder().DecodeBatch(list(records))
    except (RuntimeError, ValueError) as error:
        raise DataError(f"{place}: no tf.Example ({str(error).splitlines()[0]})") from error
    return {
        name: _flatten(name, column) for name, column in zip(batch.schema.names, batch.columns, strict=True)
    }


def _read_columns(
    root: str | os.PathLike[str], split: str, rows: int
) -> Iterator[tuple[int, dict[str, pa.Array]]]:
    for records in _record_groups(root, split, rows):
        yield len(records), decode_records(records, f"split={split} under {root}")


def _record_groups(root: str | os.PathLike[str], split: str, rows: int) -> Iterator[list[bytes]]:
    waiting: list[bytes] = []
    for records in read_records(root, split):
        waiting += records
        while len(waiting) >= rows:
            yield waiting[:rows]
            waiting = waiting[rows:]
    if waiting:
        yield waiting


def stored_schema(root: str | os.PathLike[str], split: str) -> pa.Schema:
    """Flat names and types found in a split, sorted by name; type null where every value is missing.

    Reads the whole split.

    Raises:
      DataError: as `read_records`; or a column changes its type.
    """
    types: dict[str, pa.DataType] = {}
    for _, columns in _read_columns(root, split, 20_000):
        for name, column in columns.items():
            known, found = types.get(name, pa.null()), _flat_type(column.type)
            if known == found or pa.types.is_null(found):
                types.setdefault(name, found)
            elif pa.types.is_null(known):
                types[name] = found
            else:
                raise DataError(f"split={split}: column '{name}' is {known} in some rows, {found} in others")
    return pa.schema(sorted(types.items()))


def _wanted_schema(
    root: str | os.PathLike[str], split: str, columns: Sequence[str] | None, dataset: DatasetConfig | None
) -> pa.Schema:
    known = arrow_schema(dataset) if dataset else pa.schema([])
    if dataset is None or not set(columns or ()) <= set(known.names):
        stored = stored_schema(root, split)
        known = pa.schema([*known, *(field for field in stored if field.name not in known.names)])
    names = known.names if columns is None else list(columns)
    for name in names:
        if name not in known.names:
            raise DataError(
                f"split={split}: no column '{name}'{nearest_name(name, known.names)}. "
                f"Columns: {list_briefly(known.names)}."
            )
    return pa.schema([known.field(name) for name in names])


def read_list_batches(
    root: str | os.PathLike[str],
    split: str,
    *,
    columns: Sequence[str] | None = None,
    dataset: DatasetConfig | None = None,
    batch_rows: int = 20_000,
) -> Iterator[pa.RecordBatch]:
    """As `read_batches`, but with columns `list<float32 | int64 | binary>`, as TFDV takes them."""
    for batch in read_batches(root, split, columns=columns, dataset=dataset, batch_rows=batch_rows):
        yield listify_batch(batch)


def read_batches(
    root: str | os.PathLike[str],
    split: str,
    *,
    columns: Sequence[str] | None = None,
    dataset: DatasetConfig | None = None,
    batch_rows: int = 20_000,
) -> Iterator[pa.RecordBatch]:
    """Rows of a split as flat record batches, in the order in which they were written.

    Args:
      root: Folder of the Examples artifact.
      split: Name of the split.
      columns: Columns to return, in order. None: the data set's; without one, all that are stored.
      dataset: Gives the types; its columns that are not stored come back all null. Without it, or
        for a column that it does not name, the types are found by reading the split once before.
      batch_rows: Rows a batch, at most.

    Raises:
      DataError: no such split or column; a file is corrupt or truncated; a type differs.
    """
    return _read_flat(root, split, _wanted_schema(root, split, columns, dataset), batch_rows)


def _read_flat(
    root: str | os.PathLike[str], split: str, schema: pa.Schema, batch_rows: int
) -> Iterator[pa.RecordBatch]:
    for rows, stored in _read_columns(root, split, batch_rows):
        yield _conform(stored, rows, schema)


def read_table(
    root: str | os.PathLike[str],
    split: str,
    *,
    columns: Sequence[str] | None = None,
    dataset: DatasetConfig | None = None,
) -> pa.Table:
    """A whole split as one flat table; arguments and errors as in `read_batches`."""
    schema = _wanted_schema(root, split, columns, dataset)
    batches = list(_read_flat(root, split, schema, 20_000))
    return pa.Table.from_batches(batches, _nullable(schema)).combine_chunks()


def split_digest(root: str | os.PathLike[str], split: str) -> str:
    """SHA-256 (hex) of a split's records in order, whatever the shards and the compression are.

    Raises:
      DataError: as `read_records`.
    """
    digest = hashlib.sha256()
    for records in read_records(root, split):
        digest.update(tfrecord.frame_records(records))
    return digest.hexdigest()
