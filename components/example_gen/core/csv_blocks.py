"""CSV files as blocks of raw columns: typed at once, or as text where a cell does not parse."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from components.errors import DataError
from components.example_gen.config import ExampleGenConfig, SourceConfig
from components.example_gen.core.blocks import RawBlock, check_columns, needed_columns
from components.example_gen.core.spans import SourceFile

#: Large enough to amortise a call, small enough that ten blocks are nothing.
CSV_BLOCK_BYTES = 8 << 20


_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}


#: A block that finds no end of row in so many bytes has an open quote, or is no CSV.
_MAX_ROW_BYTES = 8 * CSV_BLOCK_BYTES


def read_csv(
    source: SourceConfig, file: SourceFile, filesystem: Any, config: ExampleGenConfig
) -> Iterator[RawBlock]:
    """Yields a CSV file's rows in blocks of `CSV_BLOCK_BYTES`.

    Raises:
      DataError: the file is empty or no CSV of that delimiter; names the row.
    """
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
    check_columns(names, source, file, config)
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
