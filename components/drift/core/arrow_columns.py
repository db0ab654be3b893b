"""Arrow columns to the arrays that profiles are made of: numbers, codes of categories, times, series."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from components.dataset import TIMESTAMP, DatasetConfig
from components.drift.core.profile import Floats, Ints
from components.errors import DataError

_MICROSECONDS = {"s": 1_000_000, "ms": 1_000, "us": 1}


def as_tables(tables: Iterable[pa.Table | pa.RecordBatch], rows: int) -> Iterator[pa.Table]:
    """The same rows in tables of at least one and fewer than `2 rows`: small ones joined, large ones divided.

    Tables of another schema than the one before are not joined with it.
    """
    held: list[pa.Table] = []
    count = 0
    for table in tables:
        if isinstance(table, pa.RecordBatch):
            table = pa.Table.from_batches([table])
        for start in range(0, table.num_rows, rows):
            piece = table.slice(start, rows)
            if held and (count >= rows or piece.schema != held[0].schema):
                yield _joined(held)
                held, count = [], 0
            held.append(piece)
            count += piece.num_rows
    if held:
        yield _joined(held)


def join(tables: Iterable[pa.Table | pa.RecordBatch]) -> pa.Table:
    """All rows as one table; a column that some tables lack is null there.

    Raises:
      DataError: a column has two types.
    """
    parts = [pa.Table.from_batches([t]) if isinstance(t, pa.RecordBatch) else t for t in tables]
    try:
        return pa.concat_tables(parts, promote=True)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        raise DataError("profile: tables of one split have a column of two types") from error


def _joined(held: list[pa.Table]) -> pa.Table:
    return held[0] if len(held) == 1 else pa.concat_tables(held)


def times_us(table: pa.Table, dataset: DatasetConfig) -> Ints:
    """The time column, microseconds since 1970 in UTC. Shape [rows].

    Raises:
      DataError: there is none, it is of another type, or a row has no time.
    """
    name = TIMESTAMP if TIMESTAMP in table.column_names else dataset.timestamp
    if name not in table.column_names:
        raise DataError(f"profile: column '{name}': found no time column; every row needs a time")
    column = _flat(table, name)
    if column.null_count:
        raise DataError(
            f"profile: column '{name}': {column.null_count} rows have no time; every row needs one"
        )
    if pa.types.is_integer(column.type):
        return column.cast(pa.int64()).to_numpy(zero_copy_only=False)
    if pa.types.is_timestamp(column.type):
        stamps = column.cast(pa.int64()).to_numpy(zero_copy_only=False)
        if column.type.unit == "ns":
            return np.floor_divide(stamps, 1_000)
        return stamps * _MICROSECONDS[column.type.unit]
    raise DataError(
        f"profile: column '{name}': type {column.type}; a time is int64 (microseconds) or timestamp"
    )


def key_columns(table: pa.Table | pa.RecordBatch, dataset: DatasetConfig) -> pa.Table:
    """The columns that name a row's series and time, those that are there."""
    if isinstance(table, pa.RecordBatch):
        table = pa.Table.from_batches([table])
    wanted = {TIMESTAMP, dataset.timestamp, *dataset.series}
    return table.select([name for name in table.column_names if name in wanted])


def numbers(table: pa.Table, name: str) -> tuple[npt.NDArray[np.floating], int]:
    """A numeric column; NaN where there is no finite value.

    Returns:
      Floats, float32 where the column is float32, else float64 (integers beyond 2^53 lose digits). Shape
      [rows]. And how many are missing. A column that the table lacks is all missing.

    Raises:
      DataError: the column holds no numbers.
    """
    if name not in table.column_names:
        return np.full(table.num_rows, np.nan, np.float32), table.num_rows
    column = _flat(table, name)
    if pa.types.is_null(column.type):
        return np.full(len(column), np.nan, np.float32), len(column)
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise DataError(f"profile: column '{name}': type {column.type}; a numeric feature holds numbers")
    # Arrow turns nulls into NaN, integers with nulls into float64.
    values = column.to_numpy(zero_copy_only=False)
    if values.dtype != np.float32:
        values = values.astype(np.float64)
    finite = np.isfinite(values)
    missing = len(values) - int(np.count_nonzero(finite))
    return (np.where(finite, values, values.dtype.type(np.nan)) if missing else values), missing


def category_codes(table: pa.Table, name: str, categories: Sequence[str]) -> npt.NDArray[np.int32]:
    """Position of each value in `categories`, `len(categories)` for another, -1 for none. Shape [rows].

    Numbers stand for their shortest text: 1, 1.0 and true are `1`. An empty text is a category.
    """
    if name not in table.column_names:
        return np.full(table.num_rows, -1, np.int32)
    column = texts(_flat(table, name))
    if pa.types.is_null(column.type):
        return np.full(len(column), -1, np.int32)
    if pa.types.is_int64(column.type):
        known: dict[int, int] = {}
        for position, category in enumerate(categories):
            if _is_integer(category):
                known[int(category)] = position
        positions, values = list(known.values()), pa.array(list(known), pa.int64())
    else:
        positions, values = list(range(len(categories))), pa.array(list(categories), pa.string())
    found = pc.index_in(column, value_set=values).fill_null(len(positions)).to_numpy(zero_copy_only=False)
    codes = np.array([*positions, len(categories)], np.int32)[found]
    if column.null_count:
        codes[column.is_null().to_numpy(zero_copy_only=False)] = -1
    return codes


def texts(column: pa.Array) -> pa.Array:
    """A column of categories as string or int64 (or null); whole floats are integers, NaN is null.

    Raises:
      DataError: it is of a type that names no category.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        return texts(column.dictionary_decode())
    if pa.types.is_floating(kind):
        values = column.to_numpy(zero_copy_only=False).astype(np.float64)
        gone = ~np.isfinite(values)
        whole = np.trunc(values) == values
        if (whole | gone).all() and (np.abs(values[~gone]) < 2**53).all():
            return pa.array(np.where(gone, 0, values).astype(np.int64), mask=gone)
        return pa.array(values, mask=gone).cast(pa.string())
    if pa.types.is_boolean(kind):
        return column.cast(pa.int8()).cast(pa.int64())
    if pa.types.is_integer(kind):
        return column.cast(pa.int64())
    if pa.types.is_null(kind) or pa.types.is_string(kind):
        return column
    if pa.types.is_large_string(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        try:
            return column.cast(pa.string())
        except pa.ArrowInvalid as error:
            raise DataError("profile: a column of categories holds text that is not UTF-8") from error
    raise DataError(
        f"profile: a column of type {kind} names no categories; allowed: text, integer, true/false"
    )


def labels(table: pa.Table, dataset: DatasetConfig) -> npt.NDArray[np.int8] | None:
    """1 for a row with label 1, 0 for another label, -1 for none. Shape [rows]. None without the column."""
    if not dataset.label or dataset.label not in table.column_names:
        return None
    values, missing = numbers(table, dataset.label)
    label = (values == 1).astype(np.int8)
    if missing:
        label[np.isnan(values)] = -1
    return label


class SeriesCodes:
    """Numbers series as they are met, across tables. A null is a name like another."""

    def __init__(self, names: Sequence[str]) -> None:
        """Args: names: the columns that together name a series; none: all rows are one series."""
        self._names = names
        self._known: dict[tuple[object, ...], int] = {}

    def __len__(self) -> int:
        return len(self._known)

    @property
    def keys(self) -> list[tuple[object, ...]]:
        """What names each series, by its number: values of the last column first."""
        return list(self._known)

    def of(self, table: pa.Table) -> npt.NDArray[np.int64]:
        """The number of each row's series. Shape [rows]."""
        combined = np.zeros(table.num_rows, np.int64)
        parts: list[list[object]] = []
        for name in self._names:
            if name not in table.column_names:
                raise DataError(f"profile: column '{name}': absent; it names the series of a row")
            column = _flat(table, name)
            if not pa.types.is_dictionary(column.type):
                column = column.dictionary_encode()
            parts.append([*column.dictionary.to_pylist(), None])
            code = column.indices.fill_null(len(column.dictionary)).to_numpy(zero_copy_only=False)
            combined = combined * len(parts[-1]) + code
        if not self._names:
            return np.full(table.num_rows, self._known.setdefault((), 0), np.int64)
        present, row_of = np.unique(combined, return_inverse=True)
        numbered = np.empty(len(present), np.int64)
        for position, code in enumerate(present.tolist()):
            key: list[object] = []
            for part in reversed(parts):
                code, index = divmod(code, len(part))
                key.append(part[index])
            numbered[position] = self._known.setdefault(tuple(key), len(self._known))
        return numbered[row_of]


def scaled(values: npt.NDArray[np.floating], center: float, scale: float, clip: float) -> Floats:
    """`(values - center) / scale`, held within `clip` on both sides; NaN stays NaN."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.clip((values.astype(np.float64) - center) / scale, -clip, clip)


def _flat(table: pa.Table, name: str) -> pa.Array:
    column = table.column(name)
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _is_integer(text: str) -> bool:
    try:
        return str(int(text)) == text and abs(int(text)) < 2**63
    except ValueError:
        return False
