"""Source files as blocks of raw columns, with the row numbers that a person finds again.

A row's number is 1 for the first data row; a CSV file's header and blank lines are not counted.
Memory is that of a block. CSV blocks are read with their types at once; a block in which a cell
does not parse is read again as text, so that `convert` can say which.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from components import split_io, tfrecord
from components.errors import DataError
from components.example_gen.config import ExampleGenConfig, SourceConfig
from components.example_gen.core.blocks import RawBlock, check_columns, needed_columns
from components.example_gen.core.csv_blocks import (
    read_csv,
)
from components.example_gen.core.spans import SourceFile

BATCH_ROWS = 65_536


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
            yield from read_csv(source, file, filesystem, config)
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
            check_columns(names, source, file, config)
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
                check_columns(list(columns), source, file, config)
            ignored = tuple(name for name in columns if name not in needed)
            rows = np.arange(next_row, next_row + len(records), dtype=np.int64)
            next_row += len(records)
            yield RawBlock({name: columns[name] for name in columns if name in needed}, rows, ignored=ignored)
    if next_row == 1:
        raise DataError(f"{file.name}: the file is empty")
