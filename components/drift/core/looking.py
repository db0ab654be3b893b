"""What planning keeps of rows, and how the bins of one feature come out of it."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from components.dataset import DatasetConfig, FeatureConfig
from components.drift.core import arrow_columns
from components.drift.core.profile import FeaturePlan

#: Categories of a feature that have a bin of their own; all others share the last one.
MAX_CATEGORIES = 64
#: Rows that quantiles are taken from. The error of a share is about 0.5 / sqrt(rows): 0.002.
SAMPLE_ROWS = 65_536
#: A vocabulary longer than this is cut to its most frequent while counting: no exact count is claimed then.
_MOST_COUNTED = 100_000
#: Interquartile range of the normal distribution of variance one.
_NORMAL_IQR = 1.3489795003921634


def is_numeric(feature: FeatureConfig) -> bool:
    """Whether a feature is binned by edges."""
    return feature.kind in ("continuous", "integer")


class Look:
    """What planning keeps of the rows: a uniform sample of numbers, counts of categories, the span."""

    def __init__(self, dataset: DatasetConfig, seed: int) -> None:
        """Args: dataset: names the columns; seed: of the sample."""
        self._rng = np.random.default_rng(seed)
        numeric = [feature.name for feature in dataset.features if is_numeric(feature)]
        self._sample: dict[str, list[npt.NDArray[np.floating]]] = {name: [] for name in numeric}
        self._keys: list[npt.NDArray[np.float64]] = []
        self._below = 1.0
        self._counts: dict[str, Counter[str]] = {
            feature.name: Counter() for feature in dataset.features if not is_numeric(feature)
        }
        self._first_us, self._last_us = math.inf, -math.inf

    @property
    def span_s(self) -> float:
        """From the first row to the last, in seconds; 0 without rows."""
        return max(0.0, (self._last_us - self._first_us) / 1e6)

    def add(self, table: pa.Table, dataset: DatasetConfig) -> None:
        """Takes in the rows of a table."""
        stamps = arrow_columns.times_us(table, dataset)
        self._first_us = min(self._first_us, float(stamps.min()))
        self._last_us = max(self._last_us, float(stamps.max()))
        # The rows with the least random keys are a uniform sample of all rows, however many come.
        keys = self._rng.random(table.num_rows)
        taken = np.flatnonzero(keys < self._below)
        whole = len(taken) == len(keys)
        self._keys.append(keys if whole else keys[taken])
        for name, parts in self._sample.items():
            values, _ = arrow_columns.numbers(table, name)
            parts.append(values.copy() if whole else values[taken])
        for name, counter in self._counts.items():
            if name in table.column_names:
                _count(counter, table.column(name).combine_chunks())
        if sum(map(len, self._keys)) > 2 * SAMPLE_ROWS:
            self._thin()

    def _thin(self) -> None:
        keys = np.concatenate(self._keys) if self._keys else np.zeros(0)
        if len(keys) > SAMPLE_ROWS:
            self._below = float(np.partition(keys, SAMPLE_ROWS)[SAMPLE_ROWS])
            kept = np.flatnonzero(keys < self._below)
            self._keys = [keys[kept]]
            for name, parts in self._sample.items():
                self._sample[name] = [np.concatenate(parts)[kept]]

    def numeric(self, feature: FeatureConfig, bins: int) -> FeaturePlan:
        """The plan of a numeric feature."""
        self._thin()
        parts = self._sample[feature.name]
        values = np.concatenate(parts) if parts else np.zeros(0)
        return numeric_plan(feature.name, values[np.isfinite(values)], bins, feature.kind == "integer")

    def categorical(self, feature: FeatureConfig) -> FeaturePlan:
        """The plan of a feature with categories."""
        ranked = sorted(self._counts[feature.name].items(), key=lambda item: (-item[1], item[0]))
        names = [name for name, _ in ranked[:MAX_CATEGORIES]]
        if feature.kind == "binary":
            names = sorted(
                {*names[: MAX_CATEGORIES - 2], "0", "1"}, key=lambda name: (name not in "01", name)
            )
        return FeaturePlan(feature.name, "categorical", categories=tuple(names))


def numeric_plan(name: str, values: npt.NDArray[np.floating], bins: int, integer: bool) -> FeaturePlan:
    """Edges, center and scale of a numeric feature.

    Args:
      name: Feature name.
      values: Finite. Shape [values].
      bins: See `plan_profile`.
      integer: Whether edges stand between whole numbers.
    """
    if not len(values):
        return FeaturePlan(name, "numeric")
    values = np.sort(values).astype(np.float64)
    distinct = values[np.append(True, values[1:] != values[:-1])]
    if len(distinct) <= bins:
        # Half of each: their sum may overflow.
        between = distinct[:-1] / 2 + distinct[1:] / 2
        # Of neighbours among the floats, the mean may round to the upper one.
        between = np.where(between < distinct[1:], np.maximum(between, distinct[:-1]), distinct[:-1])
        with np.errstate(over="ignore"):
            below = np.nextafter(distinct[0], -np.inf)
        edges = np.concatenate([[below], between, distinct[-1:]])
        edges = edges[np.isfinite(edges)]
    else:
        at = np.ceil(np.arange(1, bins) / bins * len(values)).astype(np.int64) - 1
        edges = values[at]
        if integer:
            edges = np.floor(edges) + 0.5
    edges = np.unique(edges)
    low, center, high = (float(values[int(q * (len(values) - 1))]) for q in (0.25, 0.5, 0.75))
    return FeaturePlan(name, "numeric", tuple(edges.tolist()), (), center, _scale(values, low, center, high))


def _scale(values: npt.NDArray[np.float64], low: float, center: float, high: float) -> float:
    """Spread of a normal distribution with these quartiles; where they agree, the next best; > 0."""
    with np.errstate(over="ignore", invalid="ignore"):
        deviation = float(np.std(values))
    for spread in ((high - low) / _NORMAL_IQR, deviation, abs(center)):
        if np.isfinite(spread) and spread > np.finfo(np.float64).tiny:
            return spread
    return 1.0


def _count(counter: Counter[str], column: pa.Array) -> None:
    counted = pc.value_counts(arrow_columns.texts(column).drop_null())
    if len(counted):
        values, counts = counted.field("values").cast(pa.string()), counted.field("counts")
        counter.update(dict(zip(values.to_pylist(), counts.to_pylist(), strict=True)))
    if len(counter) > _MOST_COUNTED:
        kept = counter.most_common(_MOST_COUNTED // 2)
        counter.clear()
        counter.update(dict(kept))
