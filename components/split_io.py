"""The only place that knows `Split-<name>`, TFRecord framing and file names.

Tables go in and come out flat (decision 1); list-typed columns, as tf.Example and TFDV have them,
appear only in `listify_batch`, `flatten_batch` and `read_list_batches`. TensorFlow is not imported:
it costs six seconds, and framing is sixteen bytes a record.
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
import shutil
import struct
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import google_crc32c
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder, RecordBatchToExamplesEncoder

from components.dataset import TIMESTAMP, DatasetConfig
from components.errors import DataError, list_briefly, nearest_name

#: Rows encoded at a time: large enough to amortise calls, small enough to stay in the cache.
ENCODE_ROWS = 4_096
#: Level 1 halves the size at a quarter of the cost of level 6 (measured on random floats).
GZIP_LEVEL = 1
#: zlib's number for "gzip wrapper, largest window"; it writes no time stamp: same rows, same bytes.
_GZIP_WBITS = 31
_CHUNK_BYTES = 1 << 20
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


def to_example_type(name: str, column: pa.Array) -> pa.Array:
    """Casts a flat column to float32, int64 or binary, the three types of tf.Example; NaN to null.

    Raises:
      DataError: the type is none that tf.Example can hold, or an integer does not fit int64.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        return to_example_type(name, column.dictionary_decode())
    if pa.types.is_floating(kind):
        floats = column.cast(pa.float32())
        missing = pc.is_nan(floats)
        return pc.if_else(missing, pa.scalar(None, pa.float32()), floats) if pc.any(missing).as_py() else floats
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        try:
            return column.cast(pa.int64())
        except pa.ArrowInvalid as error:
            raise DataError(f"column '{name}': an integer does not fit 64 bits with sign") from error
    if any(
        check(kind)
        for check in (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    ):
        return column.cast(pa.binary())
    if pa.types.is_null(kind):
        return column.cast(pa.float32())
    raise DataError(f"column '{name}': type {kind} cannot be stored; use float, integer or string")


def flatten_batch(batch: pa.RecordBatch, schema: pa.Schema | None = None) -> pa.RecordBatch:
    """List-typed columns, at most one value a row, to flat ones; an empty or null list is null.

    Args:
      batch: List-typed columns, as tfx_bsl decodes them.
      schema: Flat names and types to return, in order; an absent column is all null. None keeps the
        batch's columns and infers: float32, int64, string, or null where nothing is known.

    Raises:
      DataError: a row holds several values, text is not UTF-8, or a type is not the schema's.
    """
    if schema is None:
        schema = pa.schema([(name, _flat_type(kind)) for name, kind in _names_types(batch.schema)])
    arrays = []
    for field in schema:
        index = batch.schema.get_field_index(field.name)
        if index < 0:
            arrays.append(pa.nulls(batch.num_rows, field.type))
        else:
            arrays.append(_flatten(field, batch.column(index)))
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema([field.with_nullable(True) for field in schema]))


def _flatten(field: pa.Field, column: pa.Array) -> pa.Array:
    if pa.types.is_null(column.type) or pa.types.is_null(field.type):
        return pa.nulls(len(column), field.type)
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    if lengths.size and lengths.max() > 1:
        raise DataError(f"column '{field.name}': {int((lengths > 1).sum())} rows hold several values, allowed: one")
    values = column.flatten()
    if len(values) != len(column):
        present = lengths == 1
        positions = np.where(present, np.cumsum(present) - 1, 0)
        values = values.take(pa.array(positions, mask=~present))
    try:
        if pa.types.is_large_binary(values.type) and pa.types.is_string(field.type):
            values = values.cast(pa.binary())
        return values.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(f"column '{field.name}': stored as {values.type}, expected {field.type}") from error


def _names_types(schema: pa.Schema) -> list[tuple[str, pa.DataType]]:
    return [(field.name, field.type) for field in schema]


def _flat_type(kind: pa.DataType) -> pa.DataType:
    inner = kind if pa.types.is_null(kind) else kind.value_type
    return pa.string() if pa.types.is_binary(inner) or pa.types.is_large_binary(inner) else inner


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
        self._file: _GzipFile | None = None
        self._digest = hashlib.sha256()
        self._encoder = RecordBatchToExamplesEncoder()
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
            self._file = _GzipFile(self._temporary / f"{self._shards:05d}")
            self._shards += 1
        payload = frame_records(self._encoder.encode(listify_batch(batch)))
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
                self._file = _GzipFile(self._temporary / "00000")
                self._shards = 1
            self._end_shard()
            for shard in range(self._shards):
                name = f"data_tfrecord-{shard:05d}-of-{self._shards:05d}.gz"
                os.rename(self._temporary / f"{shard:05d}", self._temporary / name)
            os.chmod(self._temporary, 0o755)
            if self._target.exists():
                shutil.rmtree(self._target)
            os.replace(self._temporary, self._target)
        except BaseException:
            self.abort()
            raise

    def abort(self) -> None:
        """Removes what was written."""
        self._end_shard()
        shutil.rmtree(self._temporary, ignore_errors=True)


class _GzipFile:
    """A gzip stream without a time stamp or name in its header."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._compressor = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, _GZIP_WBITS)

    def write(self, data: bytes) -> None:
        self._file.write(self._compressor.compress(data))

    def close(self) -> None:
        self._file.write(self._compressor.flush())
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()


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


def frame_records(records: Sequence[bytes]) -> bytes:
    """TFRecord framing: length, masked CRC-32C of the length, record, masked CRC-32C of the record.

    Source: tensorflow/core/lib/io/record_writer.h.
    """
    headers = {length: _header(length) for length in set(map(len, records))}
    sums = np.fromiter(map(google_crc32c.value, records), dtype=np.uint32, count=len(records))
    footers = _mask(sums).astype("<u4").tobytes()
    pieces: list[bytes] = [b""] * (3 * len(records))
    pieces[0::3] = [headers[len(record)] for record in records]
    pieces[1::3] = records
    pieces[2::3] = [footers[start : start + 4] for start in range(0, len(footers), 4)]
    return b"".join(pieces)


def _mask(crc: np.ndarray) -> np.ndarray:
    """CRCs of data that hold CRCs are weak, so TFRecord rotates and shifts them (record_writer.h)."""
    crc = crc.astype(np.uint32)
    return ((crc >> np.uint32(15)) | (crc << np.uint32(17))) + np.uint32(0xA282EAD8)


def _header(length: int) -> bytes:
    packed = struct.pack("<Q", length)
    return packed + _mask(np.array([google_crc32c.value(packed)])).astype("<u4").tobytes()


# --- reading ---------------------------------------------------------------------------------------


def shard_paths(root: str | os.PathLike[str], split: str) -> list[Path]:
    """The files of a split, sorted.

    Raises:
      DataError: the split does not exist or holds no file.
    """
    folder = split_path(root, split)
    paths = sorted(Path(path) for path in glob.glob(f"{glob.escape(str(folder))}/*.gz"))
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
        yield from _read_file(path)


def _read_file(path: Path) -> Iterator[list[bytes]]:
    headers: dict[bytes, int] = {}
    rest = b""
    for chunk in _gunzip(path):
        buffer = rest + chunk
        records, footers, position = [], [], 0
        while True:
            head = buffer[position : position + 12]
            if len(head) < 12:
                break
            length = headers.get(head)
            if length is None:
                length = int(struct.unpack("<Q", head[:8])[0])
                if head != _header(length):
                    raise DataError(f"{path}: corrupt TFRecord (checksum of a length). Make the file again.")
                headers[head] = length
            end = position + 12 + length
            if end + 4 > len(buffer):
                break
            records.append(buffer[position + 12 : end])
            footers.append(buffer[end : end + 4])
            position = end + 4
        rest = buffer[position:]
        if records:
            sums = np.fromiter(map(google_crc32c.value, records), dtype=np.uint32, count=len(records))
            if not np.array_equal(_mask(sums), np.frombuffer(b"".join(footers), dtype="<u4")):
                raise DataError(f"{path}: corrupt TFRecord (checksum of a record). Make the file again.")
            yield records
    if rest:
        raise DataError(f"{path}: truncated TFRecord ({len(rest)} bytes left over). Make the file again.")


def _gunzip(path: Path) -> Iterator[bytes]:
    """Decompressed chunks; a file may hold several gzip members, as TensorFlow's may."""
    stream = zlib.decompressobj(_GZIP_WBITS)
    try:
        with path.open("rb") as file:
            while data := file.read(_CHUNK_BYTES):
                while data:
                    if stream.eof:
                        stream = zlib.decompressobj(_GZIP_WBITS)
                    if chunk := stream.decompress(data):
                        yield chunk
                    data = stream.unused_data
    except zlib.error as error:
        raise DataError(f"{path}: not a gzip file, or corrupt ({error}). Make the file again.") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    if not stream.eof:
        raise DataError(f"{path}: truncated gzip file. Make the file again.")


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
    decoder = ExamplesToRecordBatchDecoder()
    types: dict[str, pa.DataType] = {}
    for records in _record_groups(root, split, 20_000):
        for name, kind in _names_types(decoder.DecodeBatch(records).schema):
            known, found = types.get(name, pa.null()), _flat_type(kind)
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
    if dataset and (columns is None or set(columns) <= set(known.names)):
        names = known.names if columns is None else list(columns)
    else:
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


def _tfmd_schema(schema: pa.Schema) -> bytes:
    message = schema_pb2.Schema()
    for field in schema:
        if pa.types.is_floating(field.type) or pa.types.is_null(field.type):
            kind = schema_pb2.FLOAT
        else:
            kind = schema_pb2.INT if pa.types.is_integer(field.type) else schema_pb2.BYTES
        message.feature.add(name=field.name, type=kind)
    return message.SerializeToString()


def read_list_batches(
    root: str | os.PathLike[str],
    split: str,
    *,
    columns: Sequence[str] | None = None,
    dataset: DatasetConfig | None = None,
    batch_rows: int = 20_000,
) -> Iterator[pa.RecordBatch]:
    """As `read_batches`, but columns are `large_list<...>`, as TFDV takes them (missing: null list)."""
    schema = _wanted_schema(root, split, columns, dataset)
    decoder = ExamplesToRecordBatchDecoder(_tfmd_schema(schema))
    for records in _record_groups(root, split, batch_rows):
        try:
            yield decoder.DecodeBatch(records)
        except (RuntimeError, ValueError) as error:
            raise DataError(f"split={split} under {root}: {str(error).splitlines()[0]}") from error


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
    schema = _wanted_schema(root, split, columns, dataset)
    for batch in read_list_batches(root, split, columns=schema.names, dataset=dataset, batch_rows=batch_rows):
        yield flatten_batch(batch, schema)


def read_table(
    root: str | os.PathLike[str],
    split: str,
    *,
    columns: Sequence[str] | None = None,
    dataset: DatasetConfig | None = None,
) -> pa.Table:
    """A whole split as one flat table; arguments and errors as in `read_batches`."""
    schema = _wanted_schema(root, split, columns, dataset)
    batches = read_batches(root, split, columns=schema.names, dataset=dataset)
    nullable = pa.schema([field.with_nullable(True) for field in schema])
    return pa.Table.from_batches(batches, nullable).combine_chunks()


def split_digest(root: str | os.PathLike[str], split: str) -> str:
    """SHA-256 (hex) of a split's records in order, whatever the shards and the compression are.

    Raises:
      DataError: as `read_records`.
    """
    digest = hashlib.sha256()
    for records in read_records(root, split):
        digest.update(frame_records(records))
    return digest.hexdigest()
