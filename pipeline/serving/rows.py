"""Columns of a request to the table that detectors read, by the rules that ExampleGen has for files.

What is wrong is named by column, rule and row number, never by value.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from components.dataset import TIMESTAMP, DatasetConfig
from components.errors import DataError, list_briefly, nearest_name
from components.example_gen.core import convert
from components.example_gen.core.cadence import Cadence
from components.example_gen.core.timestamps import detect_format
from components.release.canonical import printable

#: As `isthmus predict` reads files: a stamp that names no zone is UTC.
_TIMEZONE = "UTC"


def to_table(columns: Mapping[str, pa.Array], dataset: DatasetConfig) -> pa.Table:
    """The rows of a request, in their order.

    Args:
      columns: By the names that the data set has at the source; all of one length, at least one row.
      dataset: Names the columns and their kinds.

    Returns:
      `timestamp` (int64 microseconds UTC), the series and the features in the data set's types.

    Raises:
      DataError: a column is missing, unknown or of another type; a cell does not convert; the times of a
        series do not rise, or do not come at the data set's interval.
    """
    _check_names(columns, dataset)
    table = {TIMESTAMP: _timestamps(columns[dataset.timestamp], dataset.timestamp)}
    for name in dataset.series:
        _require(name, columns[name], text=True)
        table[name] = _good(name, convert.convert_series(columns[name]))
    for feature in dataset.features:
        _require(feature.name, columns[feature.name], text=feature.kind == "categorical")
        table[feature.name] = _good(
            feature.name, convert.convert_feature(columns[feature.name], feature.kind)
        )
    _check_order(table, dataset)
    return pa.table(table)


def _check_names(columns: Mapping[str, pa.Array], dataset: DatasetConfig) -> None:
    needed = [dataset.timestamp, *dataset.series, *dataset.feature_names()]
    missing = [name for name in needed if name not in columns]
    if missing:
        raise DataError(f"column {list_briefly(missing)} is missing; needed: {', '.join(needed)}")
    for name in columns:
        if name not in needed:
            hint = nearest_name(name, needed)
            raise DataError(
                f"column '{printable(name)[:40]}' is not of this model{hint}; allowed: {', '.join(needed)}"
            )


def _require(name: str, values: pa.Array, text: bool) -> None:
    """JSON has types: a number in quotes is a mistake of the sender, unlike one in a CSV file."""
    if pa.types.is_null(values.type) or convert.is_text(values.type) == text:
        return
    found = "text" if convert.is_text(values.type) else str(values.type)
    raise DataError(f"column '{name}': found {found}; allowed: {'text' if text else 'numbers'}")


def _timestamps(values: pa.Array, name: str) -> pa.Array:
    if not (convert.is_text(values.type) or pa.types.is_integer(values.type)):
        raise DataError(f"column '{name}': found {values.type}; allowed: ISO 8601 text, or whole numbers")
    return _good(name, convert.convert_timestamp(values, detect_format(values), _TIMEZONE))


def _good(name: str, converted: convert.Converted) -> pa.Array:
    for reason, rows in converted.bad.items():
        first = int(np.flatnonzero(rows)[0])
        raise DataError(f"column '{name}': {reason} in {int(rows.sum())} rows, the first is row {first}")
    return converted.values


def _check_order(table: Mapping[str, pa.Array], dataset: DatasetConfig) -> None:
    stamps = table[TIMESTAMP].to_numpy()
    code = np.zeros(len(stamps), np.int64)
    for name in dataset.series:
        encoded = table[name].dictionary_encode()
        pairs = code * len(encoded.dictionary) + encoded.indices.to_numpy()
        code = np.unique(pairs, return_inverse=True)[1]
    order = np.argsort(code, kind="stable")
    same = np.diff(code[order]) == 0
    back = np.flatnonzero(same & (np.diff(stamps[order]) <= 0))
    if len(back):
        row = int(order[back + 1].min())
        raise DataError(
            f"column '{dataset.timestamp}': row {row} is not later than the row of its series before it; "
            f"allowed: times that rise within a series ({len(back)} rows do not)"
        )
    cadence = Cadence(dataset.interval_s)
    cadence.add(code[order], stamps[order])
    try:
        cadence.require("")
    except DataError:  # its advice is for who writes a deployment file
        found = float(np.median(cadence.disagree_s))
        raise DataError(
            f"column '{dataset.timestamp}': the rows come every {found:g} s; allowed: every "
            f"{dataset.interval_s:g} s, with gaps"
        ) from None
