"""Blocks of raw columns, and which columns of a source the data set wants."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from components.dataset import DatasetConfig
from components.errors import ColumnError, list_briefly, nearest_name
from components.example_gen.config import ExampleGenConfig, SourceConfig
from components.example_gen.core.spans import SourceFile


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


def check_columns(names: list[str], source: SourceConfig, file: SourceFile, config: ExampleGenConfig) -> None:
    """Refuses a source that lacks a column of the data set.

    Raises:
      ColumnError: names the columns that are missing, and those that are there.
    """
    needed = needed_columns(config)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ColumnError(
            f"{file.name}: column '{twice[0]}' appears {names.count(twice[0])} times. Rename one.", twice[0]
        )
    missing = [name for name in needed if name not in names and name not in source.may_lack]
    if not missing:
        return
    name = missing[0]
    what = {"timestamp": "timestamp column", "series": "series column"}.get(needed[name], "column")
    if name == config.dataset.label:
        what = "label column"
    more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
    raise ColumnError(
        f"{file.name}: no {what} '{name}'{nearest_name(name, names)}{more}. "
        f"Columns there: {list_briefly(names)}. Mend the data set's names, or 'rename' the source's.",
        name,
    )
