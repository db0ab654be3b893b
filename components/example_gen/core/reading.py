"""Source files as blocks of raw columns, with the row numbers that a person finds again.

A row's number is 1 for the first data row; a CSV file's header and blank lines are not counted.
Memory is that of a block. CSV blocks are read with their types at once; a block in which a cell
does not parse is read again as text, so that `convert` can say which.
"""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from components import split_io, tfrecord
from components.dataset import DatasetConfig
from components.errors import DataError, list_briefly, nearest_name
from components.example_gen.config import ExampleGenConfig, SourceConfig
from components.example_gen.core.spans import SourceFile

#: Large enough to amortise a call, small enough that ten blocks are nothing.
CSV_BLOCK_BYTES = 8 << 20
BATCH_ROWS = 65_536
_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
#: A block that finds no end of row in so many bytes has an open quote, or is no CSV.
_MAX_ROW_BYTES = 8 * CSV_BLOCK_BYTES


@dataclass(frozen=True)
class RawBlock:
    """Rows as they are at the source.

    Attributes:
      columns: The data set's columns that the file has, of any type. Each: shape [row].
      rows: Row number of each row. Shape [row], int64.
      malformed: Number of fields found, by row number: rows that are not in `columns`.
      texts: The text of those rows.
      ignored: The file's other columns.
    """

    columns: dict[str, pa.Array]
    rows: np.ndarray
    malformed: dict[int, int] = field(default_factory=dict)
    texts: dict[int, str] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()


def read_blocks(
    source: SourceConfig, file: SourceFile, filesystem: Any, config: ExampleGenConfig
) -> Iterator[RawBlock]:
    """Reads one file.

    Args:
      source: How it is to be read.
      file: Which.
      filesystem: Where it is.
      config: Names the columns.

    Raises:
      DataError: not readable as what it is said to be, empty, or lacks a column.
    """
    form = source.format if source.format != "auto" else _format_of(file.name)
    try:
        if form == "csv":
            yield from _read_csv(source, file, filesystem, config)
        elif form == "parquet":
            yield from _read_parquet(source, file, filesystem, config)
        else:
            yield from _read_tfrecord(source, file, filesystem, config)
    except FileNotFoundError as error:
        raise DataError(f"{file.name}: does not exist") from error
    except OSError as error:
        raise DataError(f"{file.name}: cannot be read ({error.strerror or error})") from error


def _format_of(name: str) -> str:
    lower = name.lower()
    if lower.endswith((".parquet", ".pq")):
        return "parquet"
    if "tfrecord" in lower:
        return "tfrecord"
    return "csv"


def needed_columns(config: ExampleGenConfig) -> dict[str, str]:
    """The columns to keep, with their kind: `timestamp`, `series`, a feature's, `binary`, `kind`."""
    dataset: DatasetConfig = config.dataset
    needed = {dataset.timestamp: "timestamp"}
    needed.update(dict.fromkeys(config.series_columns(), "series"))
    needed.update({feature.name: feature.kind for feature in dataset.features})
    if dataset.label:
        needed[dataset.label] = "binary"
    if dataset.label_kind:
        needed[dataset.label_kind] = "kind"
    return needed


def _check_columns(
    names: list[str], source: SourceConfig, file: SourceFile, config: ExampleGenConfig
) -> None:
    needed = needed_columns(config)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(
            f"{file.name}: column '{twice[0]}' appears {names.count(twice[0])} times. Rename one."
        )
    missing = [name for name in needed if name not in names and name not in source.may_lack]
    if not missing:
        return
    name = missing[0]
    what = {"timestamp": "timestamp column", "series": "series column"}.get(needed[name], "column")
    if name == config.dataset.label:
        what = "label column"
    more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
    raise DataError(
        f"{file.name}: no {what} '{name}'{nearest_name(name, names)}{more}. "
        f"Columns there: {list_briefly(names)}. Mend the data set's names, or 'rename' the source's."
    )


# --- CSV -------------------------------------------------------------------------------------------


def _read_csv(
    source: SourceConfig, file: SourceFile, filesystem: Any, config: ExampleGenConfig
) -> Iterator[RawBlock]:
    needed = needed_columns(config)
    names: list[str] = []
    next_row = 1
    compression = "infer" if file.name.endswith((".gz", ".bz2", ".xz", ".zst")) else None
    with filesystem.open(file.path, "rb", compression=compression) as stream:
        for block in _csv_blocks(stream, file):
            if not names:
                block = block.lstrip(b"\r\n")
                if not block.strip():
                    continue
                header, _, block = block.partition(b"\n")
                names = _header(header, source, file, config)
            if not block.strip():
                continue
            raw = _parse_block(block, names, needed, source, file, next_row)
            next_row += len(raw.rows) + len(raw.malformed)
            yield raw
    if not names:
        raise DataError(f"{file.name}: the file is empty")
    if next_row == 1:
        raise DataError(f"{file.name}: the file has a header and no rows")


def _csv_blocks(stream: Any, file: SourceFile) -> Iterator[bytes]:
    """Whole rows: cut at a line's end that lies outside quotes."""
    rest, first = b"", True
    while data := stream.read(CSV_BLOCK_BYTES):
        if first:
            data, first = data.removeprefix(b"\xef\xbb\xbf"), False
        buffer = rest + data
        cut = buffer.rfind(b"\n") + 1
        inside = buffer.count(b'"', 0, cut) % 2
        while cut and inside:
            before = buffer.rfind(b"\n", 0, cut - 1) + 1
            inside = (inside + buffer.count(b'"', before, cut)) % 2
            cut = before
        if cut:
            yield buffer[:cut]
        rest = buffer[cut:]
        if len(rest) > _MAX_ROW_BYTES:
            raise DataError(
                f"{file.name}: no end of row in {len(rest)} bytes; a quote is open, or this is no CSV"
            )
    if rest.count(b'"') % 2:
        raise DataError(
            f"{file.name}: a quote opens and never closes; the rows after it cannot be told apart"
        )
    if rest.strip():
        yield rest + b"\n"


def _header(line: bytes, source: SourceConfig, file: SourceFile, config: ExampleGenConfig) -> list[str]:
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        raise DataError(f"{file.name}: the header is not UTF-8 text; is this a CSV file?") from error
    needed = needed_columns(config)

    def split(delimiter: str) -> list[str]:
        fields = next(csv.reader([text.strip("\r")], delimiter=delimiter), [])
        return [source.rename.get(name.strip(), name.strip()) for name in fields]

    names = split(source.delimiter)
    known = len(set(names) & set(needed))
    better = {
        other: len(set(split(other)) & set(needed)) for other in _DELIMITERS if other != source.delimiter
    }
    best = max(better, key=lambda other: better[other])
    if len(names) == 1 and len(needed) > 1 and better[best] > known:
        raise DataError(
            f"{file.name}: with delimiter '{source.delimiter}' the header has one column, the data set needs "
            f"{len(needed)}. The delimiter seems to be a {_DELIMITERS[best]}: set delimiter: {best!r}."
        )
    _check_columns(names, source, file, config)
    return names


def _parse_block(
    block: bytes, names: list[str], needed: dict[str, str], source: SourceConfig, file: SourceFile, first: int
) -> RawBlock:
    kept = [name for name in names if name in needed]
    ignored = tuple(name for name in names if name not in needed)
    typed = {"continuous": pa.float32(), "integer": pa.int64(), "binary": pa.int64()}
    types = {name: typed.get(needed[name], pa.string()) for name in kept}
    malformed: dict[int, int] = {}
    texts: dict[int, str] = {}

    def set_aside(row: Any) -> str:
        malformed[first + row.number - 1] = row.actual_columns
        texts[first + row.number - 1] = row.text
        return "skip"

    def parse(columns: dict[str, pa.DataType], **strict: Any) -> pa.Table:
        return pa.csv.read_csv(
            io.BytesIO(block),
            # One block: otherwise a row's number is not known, and rows could come out of order.
            read_options=pa.csv.ReadOptions(
                column_names=names, use_threads=not strict, block_size=min(len(block) + 1, 2**31 - 1)
            ),
            parse_options=pa.csv.ParseOptions(
                delimiter=source.delimiter, newlines_in_values=b'"' in block, **strict
            ),
            convert_options=pa.csv.ConvertOptions(
                column_types=columns,
                include_columns=kept,
                null_values=["", *source.null_values],
                strings_can_be_null=False,
                check_utf8=not strict,
            ),
        )

    try:
        table = parse(types)
    except pa.ArrowInvalid:
        try:
            table = parse({name: pa.binary() for name in kept}, invalid_row_handler=set_aside)
        except pa.ArrowInvalid as error:
            raise DataError(
                f"{file.name}: from row {first} on no CSV ({str(error).splitlines()[0][:200]})"
            ) from error
    rows = np.arange(first, first + table.num_rows + len(malformed), dtype=np.int64)
    if malformed:
        rows = rows[~np.isin(rows, np.fromiter(malformed, dtype=np.int64))]
    table = table.combine_chunks()
    columns = {name: _one_chunk(table[name]) for name in kept}
    return RawBlock(columns, rows, malformed, texts, ignored)


def _one_chunk(column: pa.ChunkedArray) -> pa.Array:
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


# --- Parquet and TFRecord --------------------------------------------------------------------------


def _read_parquet(
    source: SourceConfig, file: SourceFile, filesystem: Any, config: ExampleGenConfig
) -> Iterator[RawBlock]:
    with filesystem.open(file.path, "rb") as stream:
        try:
            reader = pa.parquet.ParquetFile(stream)
            stored = reader.schema_arrow.names
            if not reader.metadata.num_rows:
                raise DataError(f"{file.name}: the file has no rows")
            names = [source.rename.get(name, name) for name in stored]
            _check_columns(names, source, file, config)
            needed = needed_columns(config)
            kept = {name: old for name, old in zip(names, stored, strict=True) if name in needed}
            ignored = tuple(name for name in names if name not in needed)
            next_row = 1
            for batch in reader.iter_batches(BATCH_ROWS, columns=list(kept.values())):
                rows = np.arange(next_row, next_row + batch.num_rows, dtype=np.int64)
                next_row += batch.num_rows
                columns = {
                    name: batch.column(batch.schema.get_field_index(old)) for name, old in kept.items()
                }
                yield RawBlock(columns, rows, ignored=ignored)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise DataError(
                f"{file.name}: not a Parquet file ({str(error).splitlines()[0][:200]})"
            ) from error


def _read_tfrecord(
    source: SourceConfig, file: SourceFile, filesystem: Any, config: ExampleGenConfig
) -> Iterator[RawBlock]:
    needed = needed_columns(config)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(file.path)
        if not path.exists():
            path = Path(folder) / Path(file.name).name
            filesystem.get_file(file.path, str(path))
        next_row = 1
        for records in tfrecord.read_file(path):
            stored = split_io.decode_records(records, file.name)
            columns = {source.rename.get(name, name): values for name, values in stored.items()}
            if next_row == 1:
                _check_columns(list(columns), source, file, config)
            ignored = tuple(name for name in columns if name not in needed)
            rows = np.arange(next_row, next_row + len(records), dtype=np.int64)
            next_row += len(records)
            yield RawBlock({name: columns[name] for name in columns if name in needed}, rows, ignored=ignored)
    if next_row == 1:
        raise DataError(f"{file.name}: the file is empty")
