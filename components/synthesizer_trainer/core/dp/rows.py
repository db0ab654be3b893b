"""The rows as plain arrays, by public vocabularies and bounds alone, and which rows follow one another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from components.dataset import TIMESTAMP, DatasetConfig
from components.synthesizer_trainer.config import DpConfig
from components.synthesizer_trainer.core.dp.domains import Domains
from components.synthesizer_trainer.core.panel import MICROSECONDS, check_columns, label_kinds

#: Two rows are neighbours if their distance is the interval to within this share of it. Below a third, a
#: run cannot bridge the hole of a removed row (`mechanism.touched`).
TOLERANCE = 0.25


@dataclass(frozen=True)
class Rows:
    """N rows, sorted by series, then time.

    Attributes:
      time_us: Microseconds UTC. Shape [N], int64.
      series: Which rows belong together. Shape [N], int.
      values: Features inside their public domain: numeric within bounds, binary 0/1, categorical codes;
        NaN is null, or a value that no vocabulary has. Shape [N, features], float64.
      kind: 0 normal, k the k-th public kind, -1 any other. Shape [N], int.
    """

    time_us: np.ndarray
    series: np.ndarray
    values: np.ndarray
    kind: np.ndarray

    def runs(self, order: int, interval_s: float) -> np.ndarray:
        """Last rows t of the runs t - order .. t: one series, each row one interval after the last."""
        gap = np.diff(self.time_us) / (interval_s * MICROSECONDS)
        follows = (np.diff(self.series) == 0) & (np.abs(gap - 1) <= TOLERANCE)
        last = np.ones(max(len(self.time_us) - order, 0), bool)
        for step in range(order):
            last &= follows[step : len(follows) - (order - 1 - step)]
        return np.flatnonzero(last) + order


def read_rows(table: pa.Table, dataset: DatasetConfig, domains: Domains, dp: DpConfig, place: str) -> Rows:
    """Reads a table. What becomes of a row depends on that row alone, and on the configuration.

    The one exception, for the unit `series`: of each series only the first `max_rows_per_series` rows in
    time are kept, which depends on that series alone.

    Args:
      table: Flat columns (decision 1).
      dataset: The columns.
      domains: Bounds and vocabularies.
      dp: Period and unit.
      place: For messages.

    Raises:
      DataError: a column is missing.
    """
    check_columns(table, dataset, place)
    time_us = table.column(TIMESTAMP).to_numpy().astype(np.int64)
    series = np.zeros(len(time_us), np.int64)
    if dataset.series and len(time_us):
        keys = table.select(list(dataset.series)).to_pandas().fillna("")
        series = keys.groupby(list(dataset.series), sort=True).ngroup().to_numpy().astype(np.int64)
    values = np.empty((len(time_us), len(dataset.features)), np.float64)
    for index, feature in enumerate(dataset.features):
        column = table.column(feature.name).to_pandas()
        if feature.kind == "categorical":
            texts = column.to_numpy(dtype=object)
            codes = pd.Categorical(texts, categories=list(domains.vocabularies[feature.name])).codes
            values[:, index] = np.where(codes < 0, np.nan, codes)
            continue
        own = column.to_numpy(dtype=np.float64, na_value=np.nan)
        own = np.where(np.isfinite(own), own, np.nan)
        if feature.kind == "binary":
            values[:, index] = np.where((own == 0) | (own == 1), own, np.nan)
        else:
            values[:, index] = np.clip(own, *domains.bounds[feature.name])
    names = label_kinds(table, dataset)
    codes = pd.Categorical(names, categories=list(domains.kinds)).codes
    kind = np.where(names == "", 0, np.where(codes < 0, -1, codes.astype(np.int64) + 1))
    order = np.lexsort((time_us, series))
    keep = np.ones(len(order), bool)
    if dp.period is not None:
        start_us, end_us = dp.period.bounds_us()
        keep &= (time_us[order] >= start_us) & (time_us[order] < end_us)
    order = order[keep]
    if dp.max_rows_per_series is not None and len(order):
        own = series[order]
        first = np.maximum.accumulate(np.where(np.diff(own, prepend=-1) != 0, np.arange(len(own)), 0))
        order = order[np.arange(len(own)) - first < dp.max_rows_per_series]
    return Rows(time_us[order], series[order], values[order], kind[order])
