"""Arrow to tf.Example, a column at a time, and the same bytes every time.

`tfx_bsl`'s encoder writes the features of a row in the order of a C++ hash map, which changes from
run to run; release digests need equal bytes for equal rows. So rows are laid out here in protobuf's
deterministic form (map keys sorted, minimal varints), byte for byte what
`Example.SerializeToString(deterministic=True)` gives. A missing value is a feature without a kind,
as `tfx_bsl` writes it.

The way back is `tf_example_decode`.

Source: tensorflow/core/example/{example,feature}.proto; protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components import tfrecord
from components.errors import DataError
from components.tf_example_wire import BYTES, ENTRY, FLOAT, INT, KEY, VALUE, varint, varint_widths


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
        if pc.any(missing).as_py():
            floats = pc.if_else(missing, pa.scalar(None, pa.float32()), floats)
        return floats
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        try:
            return column.cast(pa.int64())
        except pa.ArrowInvalid as error:
            raise DataError(f"column '{name}': an integer does not fit 64 bits with sign") from error
    if _is_text(kind):
        return column.cast(pa.binary())
    if pa.types.is_null(kind):
        return pa.nulls(len(column), pa.float32())
    raise DataError(f"column '{name}': type {kind} cannot be stored; use float, integer or string")


def _is_text(kind: pa.DataType) -> bool:
    text = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    return any(check(kind) for check in text)


@dataclass(frozen=True)
class _Column:
    """One column ready to be laid out.

    Attributes:
      name: Key in UTF-8.
      tag: Wire tag of its list in `Feature`.
      sizes: Bytes of each row's value, -1 where missing. Shape [row].
      value_bytes: Given row numbers that share a size, their bytes. Shape [row, size].
    """

    name: bytes
    tag: int
    sizes: np.ndarray
    value_bytes: Callable[[np.ndarray, int], np.ndarray]

    def prefix(self, size: int) -> bytes:
        """The bytes before a value of this size: map entry, key, feature, list."""
        if size < 0:
            feature = b""
        else:
            inner = b"\x0a" + varint(size)
            feature = bytes([self.tag]) + varint(len(inner) + size) + inner
        length = len(feature) + max(size, 0)
        body = bytes([KEY]) + varint(len(self.name)) + self.name + bytes([VALUE]) + varint(length) + feature
        return bytes([ENTRY]) + varint(len(body) + max(size, 0)) + body


def encode_framed(batch: pa.RecordBatch) -> bytes:
    """Rows as framed TFRecords of tf.Example, one after another.

    Args:
      batch: Flat columns; null and NaN are missing.

    Raises:
      DataError: a column's type cannot be stored.
    """
    rows = batch.num_rows
    if not rows:
        return b""
    names = batch.schema.names
    columns = [_column(name, batch.column(names.index(name))) for name in sorted(names, key=str.encode)]
    lengths = np.zeros(rows, dtype=np.int64)
    layouts = []
    for column in columns:
        variants = [(int(size), column.prefix(int(size))) for size in np.unique(column.sizes)]
        widths = _by_size(column.sizes, {size: len(prefix) + max(size, 0) for size, prefix in variants})
        layouts.append((column, variants, widths))
        lengths += widths
    return _lay_out(lengths, layouts)


def _lay_out(
    lengths: np.ndarray, layouts: list[tuple[_Column, list[tuple[int, bytes]], np.ndarray]]
) -> bytes:
    heads = {int(n): bytes([ENTRY]) + varint(int(n)) for n in np.unique(lengths)}
    totals = lengths + _by_size(lengths, {n: len(head) for n, head in heads.items()})
    starts = np.concatenate([[0], np.cumsum(totals + tfrecord.HEADER_BYTES + tfrecord.FOOTER_BYTES)])
    out = np.empty(starts[-1], dtype=np.uint8)
    dense = len(heads) == 1 and all(len(variants) == 1 for _, variants, _ in layouts)

    def place(rows: np.ndarray, position: np.ndarray, block: np.ndarray) -> None:
        """Writes a block (shape [row, width] or [width]) at each row's position."""
        width = block.shape[-1]
        if dense:
            out.reshape(len(lengths), -1)[:, position[0] : position[0] + width] = block
        else:
            out[position[rows][:, None] + np.arange(width)] = block

    position = starts[:-1].copy()
    for length, head in heads.items():
        rows = np.flatnonzero(lengths == length)
        start = tfrecord.record_header(length + len(head)) + head
        place(rows, position, np.frombuffer(start, dtype=np.uint8))
        position[rows] += len(start)
    for column, variants, widths in layouts:
        for size, prefix in variants:
            rows = np.flatnonzero(column.sizes == size)
            place(rows, position, np.frombuffer(prefix, dtype=np.uint8))
            if size > 0:
                place(rows, position + len(prefix), column.value_bytes(rows, size))
        position += widths
    whole = out.tobytes()
    begins, ends = (starts[:-1] + tfrecord.HEADER_BYTES).tolist(), position.tolist()
    sums = tfrecord.record_sums([whole[begin:end] for begin, end in zip(begins, ends, strict=True)])
    out[position[:, None] + np.arange(4)] = sums.view(np.uint8).reshape(-1, 4)
    return out.tobytes()


def _column(name: str, array: pa.Array) -> _Column:
    values = to_example_type(name, array)
    valid = np.ones(len(values), dtype=bool)
    if values.null_count:
        valid = values.is_valid().to_numpy(zero_copy_only=False)
    key = name.encode()
    if pa.types.is_floating(values.type):
        raw = values.fill_null(0.0).to_numpy(zero_copy_only=False).astype("<f4").view(np.uint8).reshape(-1, 4)
        return _Column(key, FLOAT, np.where(valid, 4, -1), lambda rows, size: _rows(raw, rows))
    if pa.types.is_integer(values.type):
        numbers = values.fill_null(0).to_numpy(zero_copy_only=False).view(np.uint64)
        widths = varint_widths(numbers)
        return _Column(
            key, INT, np.where(valid, widths, -1), lambda rows, size: _varints(_rows(numbers, rows), size)
        )
    values = pa.concat_arrays([values.fill_null(b"")])  # a slice's offsets would be those of its parent
    offsets = np.frombuffer(values.buffers()[1], dtype=np.int32)[
        values.offset : values.offset + len(values) + 1
    ]
    data = np.frombuffer(values.buffers()[2] or b"", dtype=np.uint8)
    return _Column(
        key,
        BYTES,
        np.where(valid, np.diff(offsets), -1),
        lambda rows, size: data[offsets[:-1][rows].astype(np.int64)[:, None] + np.arange(size)],
    )


def _rows(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return values if len(rows) == len(values) else values[rows]


def _by_size(sizes: np.ndarray, table: dict[int, int]) -> np.ndarray:
    """Maps each entry by the table; the table's keys are few."""
    keys = np.array(sorted(table))
    return np.array([table[int(key)] for key in keys])[np.searchsorted(keys, sizes)]


def _varints(numbers: np.ndarray, size: int) -> np.ndarray:
    """Numbers that all take `size` bytes, as varints. Shape [row, size]."""
    shifts = np.arange(size, dtype=np.uint64) * np.uint64(7)
    out = ((numbers[:, None] >> shifts) & np.uint64(0x7F)).astype(np.uint8)
    out[:, :-1] |= 0x80
    return out
