"""tf.Example to and from Arrow, a column at a time, and the same bytes every time.

`tfx_bsl`'s encoder writes the features of a row in the order of a C++ hash map, which changes from
run to run; release digests need equal bytes for equal rows. So rows are laid out here in protobuf's
deterministic form (map keys sorted, minimal varints), byte for byte what
`Example.SerializeToString(deterministic=True)` gives. A missing value is a feature without a kind,
as `tfx_bsl` writes it.

`decode` reads rows that share one order of features, which is what `encode_framed` writes, thirty
times faster than `tfx_bsl`; anything else it hands to `tfx_bsl`'s decoder.

Source: tensorflow/core/example/{example,feature}.proto; protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components import tfrecord
from components.errors import DataError

#: Field numbers in `Feature`, as wire tags (number << 3 | 2).
_BYTES, _FLOAT, _INT = 0x0A, 0x12, 0x1A
_ENTRY, _KEY, _VALUE = 0x0A, 0x0A, 0x12
_VARINT_BYTES = 10


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


# --- encoding --------------------------------------------------------------------------------------


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
            inner = b"\x0a" + _varint(size)
            feature = bytes([self.tag]) + _varint(len(inner) + size) + inner
        length = len(feature) + max(size, 0)
        body = (
            bytes([_KEY]) + _varint(len(self.name)) + self.name + bytes([_VALUE]) + _varint(length) + feature
        )
        return bytes([_ENTRY]) + _varint(len(body) + max(size, 0)) + body


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
    heads = {int(n): bytes([_ENTRY]) + _varint(int(n)) for n in np.unique(lengths)}
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
        return _Column(key, _FLOAT, np.where(valid, 4, -1), lambda rows, size: _rows(raw, rows))
    if pa.types.is_integer(values.type):
        numbers = values.fill_null(0).to_numpy(zero_copy_only=False).view(np.uint64)
        widths = _varint_widths(numbers)
        return _Column(
            key, _INT, np.where(valid, widths, -1), lambda rows, size: _varints(_rows(numbers, rows), size)
        )
    values = pa.concat_arrays([values.fill_null(b"")])  # a slice's offsets would be those of its parent
    offsets = np.frombuffer(values.buffers()[1], dtype=np.int32)[
        values.offset : values.offset + len(values) + 1
    ]
    data = np.frombuffer(values.buffers()[2] or b"", dtype=np.uint8)
    return _Column(
        key,
        _BYTES,
        np.where(valid, np.diff(offsets), -1),
        lambda rows, size: data[offsets[:-1][rows].astype(np.int64)[:, None] + np.arange(size)],
    )


def _rows(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return values if len(rows) == len(values) else values[rows]


def _by_size(sizes: np.ndarray, table: dict[int, int]) -> np.ndarray:
    """Maps each entry by the table; the table's keys are few."""
    keys = np.array(sorted(table))
    return np.array([table[int(key)] for key in keys])[np.searchsorted(keys, sizes)]


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _varint_widths(numbers: np.ndarray) -> np.ndarray:
    """Bytes of each number as a minimal varint, 1 to 10. Shape [row]."""
    widths = np.ones(len(numbers), dtype=np.int64)
    for byte in range(1, _VARINT_BYTES):
        widths += numbers >> np.uint64(7 * byte) != 0
    return widths


def _varints(numbers: np.ndarray, size: int) -> np.ndarray:
    """Numbers that all take `size` bytes, as varints. Shape [row, size]."""
    shifts = np.arange(size, dtype=np.uint64) * np.uint64(7)
    out = ((numbers[:, None] >> shifts) & np.uint64(0x7F)).astype(np.uint8)
    out[:, :-1] |= 0x80
    return out


# --- decoding --------------------------------------------------------------------------------------


class _NotUniform(Exception):
    """The rows do not share one order of features; tfx_bsl's decoder takes them."""


class _Rows:
    """Rows read in step: one cursor a row, or one for all while they agree."""

    def __init__(self, records: Sequence[bytes]) -> None:
        self.count = len(records)
        lengths = np.fromiter(map(len, records), dtype=np.int64, count=self.count)
        # A few spare bytes let every row look ahead without a bounds check.
        self._data = np.frombuffer(b"".join(records) + bytes(64), dtype=np.uint8)
        self._starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
        self._ends = self._starts + lengths
        self._width = int(lengths[0]) if (lengths == lengths[0]).all() else 0
        #: Cursor: an int relative to every row's start, or absolute positions. Shape [row].
        self.position: int | np.ndarray = 0 if self._width else self._starts.copy()

    def spread(self) -> np.ndarray:
        """Makes the cursors independent; returns them."""
        if isinstance(self.position, int):
            self.position = self._starts + self.position
        return self.position

    def look(self, width: int) -> np.ndarray:
        """The next bytes of each row. Shape [row, width]."""
        if isinstance(self.position, int):
            if self.position + width > self._width:
                raise _NotUniform
            table = self._data[: self.count * self._width].reshape(self.count, self._width)
            return table[:, self.position : self.position + width]
        if (self.position + width > len(self._data)).any():
            raise _NotUniform
        return self._data[self.position[:, None] + np.arange(width)]

    def expect(self, constant: bytes) -> None:
        """Steps over bytes that must be these in every row."""
        if not (self.look(len(constant)) == np.frombuffer(constant, dtype=np.uint8)).all():
            raise _NotUniform
        self.position = self.position + len(constant)

    def varint(self) -> int | np.ndarray:
        """A length of at most three bytes: one int where all rows agree, else shape [row]."""
        head = self.look(1)[:, 0]
        if head[0] < 0x80 and (head == head[0]).all():
            self.position = self.position + 1
            return int(head[0])
        self.spread()
        head = self.look(3).astype(np.int64)
        more = head >= 0x80
        if (more[:, 0] & more[:, 1] & more[:, 2]).any():
            raise _NotUniform
        second, third = more[:, 0], more[:, 0] & more[:, 1]
        self.position = self.position + 1 + second + third
        value = (head[:, 0] & 0x7F) + second * ((head[:, 1] & 0x7F) << 7) + third * (head[:, 2] << 14)
        return int(value[0]) if (value == value[0]).all() else value

    def remaining(self) -> int | np.ndarray:
        """Bytes from the cursor to the end of each row."""
        return self._width - self.position if isinstance(self.position, int) else self._ends - self.position

    def ragged(self, sizes: np.ndarray) -> pa.Array:
        """The next `sizes[row]` bytes of each row, as binary; does not move the cursor."""
        starts = self._starts + self.position if isinstance(self.position, int) else self.position
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        if (starts + sizes > len(self._data)).any():
            raise _NotUniform
        index = np.repeat(starts - offsets[:-1], sizes) + np.arange(offsets[-1])
        buffers = [None, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(self._data[index])]
        return pa.Array.from_buffers(pa.binary(), self.count, buffers)

    def subset(self, chosen: np.ndarray) -> _Rows:
        """Some of the rows, over the same bytes. `chosen`: shape [row], bool."""
        part = copy.copy(self)
        part.position = self.spread()[chosen]
        part.count, part._width = int(chosen.sum()), 0
        part._starts, part._ends = self._starts[chosen], self._ends[chosen]
        return part


def decode_uniform(records: Sequence[bytes]) -> dict[str, pa.Array] | None:
    """Decodes rows whose features all come in the first row's order, at most one value each.

    Args:
      records: Serialised tf.Examples, at least one.

    Returns:
      Flat columns (float32, int64, binary; null type where every row is missing), or None where the
      rows are of another form, valid or not: a general decoder must look at them.
    """
    names = _feature_names(records[0])
    if not names:
        return None
    rows = _Rows(records)
    columns = {}
    try:
        rows.expect(bytes([_ENTRY]))
        _require(rows.varint() == rows.remaining())
        for name in names:
            columns[name.decode()] = _decode_feature(rows, name)
        _require(rows.remaining() == 0)
    except (_NotUniform, UnicodeDecodeError):
        return None
    return columns


def _require(condition: bool | np.ndarray) -> None:
    if not np.all(condition):
        raise _NotUniform


def _decode_feature(rows: _Rows, name: bytes) -> pa.Array:
    rows.expect(bytes([_ENTRY]))
    entry = rows.varint()
    before = bytes([_KEY]) + _varint(len(name)) + name + bytes([_VALUE])
    rows.expect(before)
    length = rows.varint()
    _require(entry == len(before) + _widths(length) + length)
    if isinstance(length, int):
        return pa.nulls(rows.count) if length == 0 else _decode_value(rows, length)
    present = length > 0
    if present.all():
        return _decode_value(rows, length)
    part = rows.subset(present)
    values = _decode_value(part, length[present])
    rows.spread()[present] = part.spread()
    return values.take(pa.array(np.cumsum(present) - 1, mask=~present))


def _decode_value(rows: _Rows, length: int | np.ndarray) -> pa.Array:
    """The value of each row, at the cursor: the `Feature` of so many bytes that holds it."""
    tags = rows.look(1)[:, 0]
    tag = int(tags[0])
    _require(tag in (_BYTES, _FLOAT, _INT))
    rows.expect(bytes([tag]))
    outer = rows.varint()
    _require(length == 1 + _widths(outer) + outer)
    rows.expect(b"\x0a")
    size = rows.varint()
    _require(outer == 1 + _widths(size) + size)
    sizes = np.full(rows.count, size)
    if tag == _FLOAT:
        _require(size == 4)
        array = pa.array(np.ascontiguousarray(rows.look(4)).view("<f4")[:, 0])
    elif tag == _INT:
        _require((sizes > 0) & (sizes <= _VARINT_BYTES))
        array = pa.array(_decode_varints(rows.look(int(sizes.max())), sizes))
    else:
        array = rows.ragged(sizes)
    rows.position = rows.position + size
    return array


def _decode_varints(raw: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """One varint a row, of `sizes[row]` bytes. Shape [row], int64."""
    value = np.zeros(len(raw), dtype=np.uint64)
    for byte in range(raw.shape[1]):
        inside = byte < sizes
        more = raw[:, byte] >= 0x80
        _require(~inside | (more == (byte < sizes - 1)))  # else several numbers, or one cut short
        part = (raw[:, byte] & 0x7F).astype(np.uint64) << np.uint64(7 * byte)
        value |= np.where(inside, part, np.uint64(0))
    return value.view(np.int64)


def _widths(length: int | np.ndarray) -> int | np.ndarray:
    """Bytes of a length as a varint."""
    return len(_varint(length)) if isinstance(length, int) else _varint_widths(length.astype(np.uint64))


def _feature_names(record: bytes) -> list[bytes] | None:
    """Keys of one tf.Example in their order, or None where its form is another."""
    try:
        tag, end, position = record[0], *_read_varint(record, 1)
        if tag != _ENTRY or position + end != len(record):
            return None
        names = []
        while position < len(record):
            if record[position] != _ENTRY:
                return None
            length, start = _read_varint(record, position + 1)
            if record[start] != _KEY:
                return None
            key, begin = _read_varint(record, start + 1)
            names.append(record[begin : begin + key])
            position = start + length
        return names if len(set(names)) == len(names) and position == len(record) else None
    except IndexError:
        return None


def _read_varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
