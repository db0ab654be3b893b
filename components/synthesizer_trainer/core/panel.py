"""Rows of several series as arrays, cut into segments that hold no gap in time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from components.dataset import TIMESTAMP, DatasetConfig
from components.errors import DataError, InsufficientDataError, list_briefly

MICROSECONDS = 1_000_000
#: Two rows further apart than this many intervals are no neighbours.
GAP_INTERVALS = 1.5


@dataclass(frozen=True)
class Panel:
    """A table as arrays; N rows, F features.

    Attributes:
      time_us: Microseconds since the epoch, UTC. Shape [N], int64.
      series: Index of the row's series. Shape [N], int32.
      segment: Index of the run of neighbouring rows that the row is in. Shape [N], int32.
      values: Features in source units; binary 0/1; a categorical's index into its vocabulary; NaN is
        null. Shape [N, F], float64.
      kind: 0 for a normal row, else 1 + index into `kinds`. Shape [N], int32.
      kinds: Names of the anomaly kinds.
      vocabularies: Categorical feature name to its values, most frequent first.
      n_series: Number of series.
    """

    time_us: np.ndarray
    series: np.ndarray
    segment: np.ndarray
    values: np.ndarray
    kind: np.ndarray
    kinds: tuple[str, ...]
    vocabularies: dict[str, tuple[str, ...]]
    n_series: int

    def __len__(self) -> int:
        return len(self.time_us)


def label_kinds(table: pa.Table, dataset: DatasetConfig) -> np.ndarray:
    """The kind's name of every row, `""` where the row is normal. Shape [N], object."""
    names = np.full(table.num_rows, "", dtype=object)
    if dataset.label is None:
        return names
    label = table.column(dataset.label).to_pandas().fillna(0).to_numpy()
    names[label == 1] = "anomaly"
    if dataset.label_kind is not None:
        kind = table.column(dataset.label_kind).to_pandas().fillna("").to_numpy(dtype=object)
        chosen = (label == 1) & (kind != "")
        names[chosen] = kind[chosen]
    return names


def series_numbers(table: pa.Table, dataset: DatasetConfig) -> np.ndarray:
    """Number of each row's series, in the order of their names. Shape [N], int64."""
    if not dataset.series:
        return np.zeros(table.num_rows, np.int64)
    keys = table.select(list(dataset.series)).to_pandas().fillna("")
    return keys.groupby(list(dataset.series), sort=True).ngroup().to_numpy().astype(np.int64)


def segments(time_us: np.ndarray, series: np.ndarray, interval_s: float) -> np.ndarray:
    """Number of the run of neighbouring rows that each row is in: no other series, no gap. Shape [N], int64.

    Args:
      time_us: Microseconds UTC, ascending within a series. Shape [N].
      series: Number of each row's series, those of one side by side. Shape [N].
      interval_s: Cadence.
    """
    breaks = np.ones(len(time_us), bool)
    step = interval_s * MICROSECONDS * GAP_INTERVALS
    breaks[1:] = (np.diff(series) != 0) | (np.diff(time_us) > step)
    return np.cumsum(breaks) - 1


def check_columns(table: pa.Table, dataset: DatasetConfig, place: str) -> None:
    """Checks that the table holds the columns of the configuration.

    Raises:
      DataError: a column is missing, or a timestamp is null.
    """
    wanted = [TIMESTAMP, *dataset.series, *dataset.feature_names()]
    wanted += [name for name in (dataset.label, dataset.label_kind) if name]
    missing = [name for name in wanted if name not in table.column_names]
    if missing:
        raise DataError(f"{place}: column {list_briefly(missing)} is missing. Check dataset.features.")
    if table.column(TIMESTAMP).null_count:
        raise DataError(f"{place}: {table.column(TIMESTAMP).null_count} rows lack a timestamp. Drop them.")


def build_panel(
    table: pa.Table,
    dataset: DatasetConfig,
    vocabularies: dict[str, tuple[str, ...]],
    kinds: tuple[str, ...],
    place: str,
) -> Panel:
    """Turns a flat table (decision 1) into arrays.

    Args:
      table: Sorted or not; it is sorted here by series, then time.
      dataset: The columns.
      vocabularies: Values of every categorical feature; others become null.
      kinds: Names of the anomaly kinds; others count as `kinds[0]`.
      place: `locale=.. split=..`, for messages.

    Returns:
      The panel. Duplicate stamps of a series are left as they are (ExampleGen refuses them).

    Raises:
      DataError: a column is missing.
    """
    check_columns(table, dataset, place)
    time_us = table.column(TIMESTAMP).to_numpy().astype(np.int64)
    series = series_numbers(table, dataset).astype(np.int32)
    order = np.lexsort((time_us, series))
    time_us, series = time_us[order], series[order]
    values = np.empty((len(time_us), len(dataset.features)), np.float64)
    for index, feature in enumerate(dataset.features):
        column = table.column(feature.name)
        if feature.kind == "categorical":
            texts = column.to_pandas().to_numpy(dtype=object)
            codes = pd.Categorical(texts, categories=list(vocabularies[feature.name])).codes.astype(float)
            values[:, index] = np.where(codes < 0, np.nan, codes)[order]
        else:
            values[:, index] = column.to_pandas().to_numpy(dtype=np.float64, na_value=np.nan)[order]
    values[~np.isfinite(values)] = np.nan
    names = label_kinds(table, dataset)[order]
    kind = np.zeros(len(time_us), np.int32)
    if kinds:
        codes = pd.Categorical(names, categories=list(kinds)).codes
        kind = np.where(names == "", 0, np.maximum(codes, 0) + 1).astype(np.int32)
    return Panel(
        time_us=time_us,
        series=series,
        segment=segments(time_us, series, dataset.interval_s).astype(np.int32),
        values=values,
        kind=kind,
        kinds=kinds,
        vocabularies=vocabularies,
        n_series=int(series.max()) + 1 if len(series) else 0,
    )


def check_rows(table: pa.Table, dataset: DatasetConfig, min_train_rows: int, place: str) -> None:
    """Refuses a table without enough rows of normal operation, before any time is spent.

    Raises:
      InsufficientDataError: names the place, how many rows there are and the remedy.
    """
    _refuse_too_few(int((label_kinds(table, dataset) == "").sum()), min_train_rows, place)


def check_enough(panel: Panel, min_train_rows: int, var_order: int, place: str) -> None:
    """Refuses data too short to fit anything to.

    Raises:
      InsufficientDataError: too few normal rows, or no run of neighbouring rows long enough.
    """
    _refuse_too_few(int((panel.kind == 0).sum()), min_train_rows, place)
    longest = int(np.bincount(panel.segment[panel.kind == 0]).max())
    if longest < 4 * (var_order + 1):
        raise InsufficientDataError(
            f"{place}: the longest run of rows without a gap is {longest}, synthesizer_trainer needs at "
            f"least {4 * (var_order + 1)}. Check dataset.interval_s against the cadence of the rows."
        )


def _refuse_too_few(normal: int, min_train_rows: int, place: str) -> None:
    if normal < min_train_rows:
        raise InsufficientDataError(
            f"{place}: {normal} rows of normal operation, synthesizer_trainer needs at least "
            f"{min_train_rows} (min_train_rows). Widen the span, or share this locale's data another way."
        )
