"""Tables as aligned NumPy columns, cut into contiguous segments, chunks and windows."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd
import pyarrow as pa

from components.dataset import TIMESTAMP, DatasetConfig
from components.errors import DataError, list_briefly

#: Two rows are consecutive when they are at most this many intervals apart: sensor clocks jitter.
GAP_INTERVALS = 1.5
#: A time block of a split goes on over gaps of at most this many intervals: lost samples do not make
#: a new block, a block of another split does.
BLOCK_GAP_INTERVALS = 20.0
#: Categories beyond the most frequent ones share one code, to bound the width of the encoding.
MAX_CATEGORIES = 32


@dataclasses.dataclass(frozen=True)
class Columns:
    """A table's columns, sorted by series, then time.

    Attributes:
      numeric: Continuous and integer features; NaN = missing. Each [row], float64.
      codes: Binary and categorical features as codes of a shared vocabulary; -1 = missing. Each [row], int64.
      sizes: Vocabulary size of each column of `codes`.
      time: Microseconds since the epoch, UTC. Shape [row], int64.
      series: Codes of the series within this table. Shape [row], int64.
      label: Whether a row is anomalous; None where the data set has no label. Shape [row], bool.
      categories: Categorical features as codes of the whole vocabulary; -1 = missing, -2 =
        public knowledge. Each [row], int64.
    """

    numeric: dict[str, np.ndarray]
    codes: dict[str, np.ndarray]
    sizes: dict[str, int]
    time: np.ndarray
    series: np.ndarray
    label: np.ndarray | None
    categories: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.time)

    def take(self, index: np.ndarray) -> Columns:
        """The rows at the given positions (int) or under the given mask (bool), order kept."""
        return Columns(
            {name: values[index] for name, values in self.numeric.items()},
            {name: values[index] for name, values in self.codes.items()},
            self.sizes,
            self.time[index],
            self.series[index],
            None if self.label is None else self.label[index],
            {name: values[index] for name, values in self.categories.items()},
        )

    def normal(self) -> Columns:
        """The rows that are not labelled anomalous; all of them where there is no label."""
        return self if self.label is None else self.take(~self.label)


def read_columns(
    tables: dict[str, pa.Table], dataset: DatasetConfig, public: Mapping[str, Collection[str]] | None = None
) -> dict[str, Columns]:
    """Reads tables onto shared vocabularies.

    Args:
      tables: Flat tables (decision 1) by name (`train`, `holdout`, `synthetic`).
      dataset: Their columns.
      public: Categories that are public knowledge, by feature.

    Raises:
      DataError: a table lacks a column that the data set names, or has no rows.
    """
    for name, table in tables.items():
        wanted = [TIMESTAMP, *dataset.series, *dataset.feature_names()]
        wanted += [dataset.label] if dataset.label else []
        missing = [column for column in wanted if column not in table.column_names]
        if missing:
            raise DataError(
                f"table={name}: columns missing: {list_briefly(missing)}; regenerate the examples"
            )
        if table.num_rows == 0:
            raise DataError(f"table={name}: no rows; widen the span or lower the bounds of the split")
    frames = {name: _sorted_frame(table, dataset) for name, table in tables.items()}
    codes: dict[str, dict[str, np.ndarray]] = {name: {} for name in frames}
    sizes: dict[str, int] = {}
    categories: dict[str, dict[str, np.ndarray]] = {name: {} for name in frames}
    for feature in dataset.feature_names("binary", "categorical"):
        pooled = pd.concat([frame[feature] for frame in frames.values()], ignore_index=True)
        counts = pooled.value_counts()
        # ties by name, so that the same rows give the same codes in any order
        order = sorted(counts.index, key=lambda value: (-counts[value], str(value)))[:MAX_CATEGORIES]
        lookup = {value: code for code, value in enumerate(order)}
        sizes[feature] = max(len(order) + (len(counts) > MAX_CATEGORIES), 1)
        for name, frame in frames.items():
            mapped = frame[feature].map(lookup).to_numpy(dtype=float, na_value=np.nan)
            if feature in dataset.feature_names("categorical"):
                whole = pd.Categorical(frame[feature], categories=counts.index)
                known = whole.categories.isin(list((public or {}).get(feature, ())))
                held = whole.codes.astype(np.int64)
                categories[name][feature] = np.where(np.append(known, False)[held], -2, held)
            other = np.where(frame[feature].isna().to_numpy(), -1, len(order))
            codes[name][feature] = np.where(np.isnan(mapped), other, np.nan_to_num(mapped)).astype(np.int64)
    result = {}
    for name, frame in frames.items():
        numeric = {
            feature: frame[feature].to_numpy(dtype=np.float64, na_value=np.nan)
            for feature in dataset.feature_names("continuous", "integer")
        }
        label = None
        if dataset.label:
            label = frame[dataset.label].fillna(0).to_numpy(dtype=np.int64) == 1
        series = frame["__series"].to_numpy(dtype=np.int64)
        time = frame[TIMESTAMP].to_numpy(dtype=np.int64)
        result[name] = Columns(numeric, codes[name], sizes, time, series, label, categories[name])
    return result


def _sorted_frame(table: pa.Table, dataset: DatasetConfig) -> pd.DataFrame:
    names = [TIMESTAMP, *dataset.series, *dataset.feature_names()]
    names += [dataset.label] if dataset.label else []
    frame = table.select(names).to_pandas()
    if dataset.series:
        frame["__series"] = frame.groupby(list(dataset.series), sort=True, dropna=False).ngroup()
    else:
        frame["__series"] = 0
    return frame.sort_values(["__series", TIMESTAMP], kind="stable", ignore_index=True)


def segment_ids(columns: Columns, interval_s: float, gap_intervals: float = GAP_INTERVALS) -> np.ndarray:
    """Numbers the runs of consecutive rows.

    Args:
      columns: Sorted columns.
      interval_s: The cadence, in seconds.
      gap_intervals: The longest step inside a run, in intervals.

    Returns:
      Run of each row, counted from 0. Shape [row], int64.
    """
    step = np.diff(columns.time)
    longest = gap_intervals * interval_s * 1e6
    cut = (np.diff(columns.series) != 0) | (step > longest) | (step <= 0)
    return np.concatenate([[0], np.cumsum(cut)]).astype(np.int64) if columns.rows else np.zeros(0, np.int64)


def chunk_ids(blocks: np.ndarray, length: int) -> np.ndarray:
    """Cuts runs into chunks of about equal length: the unit of resampling and of exclusion.

    Holdout blocks lie alone, train blocks often touch; without this a train row would be compared
    with fewer neighbours in time than a holdout row, which looks like a leak.

    Args:
      blocks: Run of each row, not decreasing. Shape [row], int64.
      length: Wanted rows per chunk, >= 1.

    Returns:
      Chunk of each row, counted from 0, not decreasing. Shape [row], int64.
    """
    if not len(blocks):
        return blocks
    _, start, count = np.unique(blocks, return_index=True, return_counts=True)
    pieces = np.maximum(1, np.round(count / length)).astype(np.int64)
    run = np.searchsorted(start, np.arange(len(blocks)), side="right") - 1
    within = (np.arange(len(blocks)) - start[run]) * pieces[run] // count[run]
    return np.concatenate([[0], np.cumsum(pieces)[:-1]])[run] + within


def window_starts(segments: np.ndarray, length: int) -> np.ndarray:
    """Rows at which a window of consecutive rows of one segment can begin. Shape [window], int64."""
    if len(segments) < length:
        return np.zeros(0, np.int64)
    return np.flatnonzero(segments[: len(segments) - length + 1] == segments[length - 1 :])


@dataclasses.dataclass(frozen=True)
class Encoder:
    """Rows as points: features scaled by their range, categories one-hot, missing values marked.

    Attributes:
      centre: Median of each numeric feature; missing values go there.
      scale: Range of each numeric feature; constant ones are left out.
      marked: Numeric features that get a 0/1 dimension for missingness.
    """

    centre: dict[str, float]
    scale: dict[str, float]
    marked: tuple[str, ...]

    @classmethod
    def fit(cls, real: list[Columns]) -> Encoder:
        """Fits on train and holdout alike: a scale from train alone would favour its rows.

        The range is that between the 1st and the 99th percentile where that is not empty: a single
        spike must not squeeze all other rows into one point.
        """
        centre, scale, marked = {}, {}, []
        for name in real[0].numeric:
            values = np.concatenate([columns.numeric[name] for columns in real])
            finite = values[np.isfinite(values)]
            if len(finite) < len(values):
                marked.append(name)
            if not len(finite):
                continue
            low, middle, high = np.percentile(finite, [1, 50, 99])
            width = high - low if high > low else finite.max() - finite.min()
            if width > 1e-9 * max(1.0, abs(middle)):
                centre[name], scale[name] = float(middle), float(width)
        return cls(centre, scale, tuple(marked))

    def dimensions(self, columns: Columns) -> dict[str, list[int]]:
        """Positions of each feature's numbers in a point; features that do not vary are left out."""
        found: dict[str, list[int]] = {}
        names = [*self.scale, *self.marked]
        for name, codes_size in columns.sizes.items():
            names += [name] * (1 if codes_size == 2 else codes_size if codes_size > 1 else 0)
        for position, name in enumerate(names):
            found.setdefault(name, []).append(position)
        return found

    def encode(self, columns: Columns) -> np.ndarray:
        """Points of the rows; different categories are at distance 1. Shape [row, dimension], float64."""
        parts = []
        for name, width in self.scale.items():
            values = (columns.numeric[name] - self.centre[name]) / width
            parts.append(np.where(np.isfinite(values), values, 0.0)[:, None])
        parts += [(~np.isfinite(columns.numeric[name])).astype(np.float64)[:, None] for name in self.marked]
        for name, codes in columns.codes.items():
            if columns.sizes[name] == 2:
                parts.append(np.where(codes < 0, 0.5, codes)[:, None])
            elif columns.sizes[name] > 1:
                one_hot = codes[:, None] == np.arange(columns.sizes[name])[None, :]
                parts.append(one_hot.astype(np.float64) / np.sqrt(2))
        return np.hstack(parts) if parts else np.zeros((columns.rows, 0))
