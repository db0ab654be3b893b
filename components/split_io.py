"""The way to and from splits: `Split-<name>` folders of GZIP TFRecords, flat Arrow tables on this side.

Tables go in and come out flat (decision 1); list-typed columns, as tf.Example and TFDV have them,
appear only in `listify_batch`, `flatten_batch` and `read_list_batches`. TensorFlow is not imported:
it costs six seconds, and framing is sixteen bytes a record. Reading is here; names are in
`split_layout`, writing in `split_writer`, list-typed columns in `flat_batches`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder

from components import tfrecord
from components.dataset import DatasetConfig
from components.errors import DataError, list_briefly, nearest_name
from components.flat_batches import (
    arrow_schema,
    conform,
    flat_type,
    flatten_batch,
    flatten_column,
    listify_batch,
    nullable,
)
from components.split_layout import list_splits, split_path
from components.split_writer import ENCODE_ROWS, SplitWriter, write_split
from components.tf_example_decode import decode_uniform

__all__ = [
    "ENCODE_ROWS",
    "SplitWriter",
    "arrow_schema",
    "decode_records",
    "flatten_batch",
    "list_splits",
    "listify_batch",
    "read_batches",
    "read_list_batches",
    "read_records",
    "read_table",
    "shard_paths",
    "split_digest",
    "split_path",
    "stored_schema",
    "write_split",
]


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
        name: flatten_column(name, column)
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
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
            known, found = types.get(name, pa.null()), flat_type(column.type)
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
        yield conform(stored, rows, schema)


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
    return pa.Table.from_batches(batches, nullable(schema)).combine_chunks()


def split_digest(root: str | os.PathLike[str], split: str) -> str:
    """SHA-256 (hex) of a split's records in order, whatever the shards and the compression are.

    Raises:
      DataError: as `read_records`.
    """
    digest = hashlib.sha256()
    for records in read_records(root, split):
        digest.update(tfrecord.frame_records(records))
    return digest.hexdigest()
