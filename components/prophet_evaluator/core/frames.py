"""Tables as pandas frames in one known shape: sorted, segmented, with float features."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pyarrow as pa

from components.dataset import TIMESTAMP, DatasetConfig
from components.errors import DataError, list_briefly

#: Columns that `prepare` adds.
LOCALE, SERIES, SEGMENT, LABEL, KIND, ROW = "_locale", "_series", "_segment", "_label", "_kind", "_row"

#: Rows further apart than this many intervals start a new segment: no window spans the gap.
MAX_GAP_INTERVALS = 10


def prepare(
    table: pa.Table, dataset: DatasetConfig, locale: str | None, locale_column: str = ""
) -> pd.DataFrame:
    """One table in the shape that detectors read.

    Args:
      table: Flat table with `timestamp`, series, features and optionally label columns.
      dataset: Names the columns.
      locale: The locale of all rows, or None: `locale_column` names it.
      locale_column: String column with each row's locale.

    Returns:
      Rows sorted by locale, series and time, with `timestamp` (int64 microseconds), the features
      (float64, categorical ones as strings), `_locale`, `_series` (series columns joined by `/`),
      `_segment` (number of the run of rows without a gap), `_label` (float, NaN unknown), `_kind` and
      `_row` (position in `table`).

    Raises:
      DataError: a column is missing.
    """
    needed = [TIMESTAMP, *dataset.feature_names(), *([locale_column] if locale is None else [])]
    missing = [name for name in needed if name not in table.column_names]
    if missing:
        place = f"locale={locale}" if locale is not None else "test_examples split=test"
        raise DataError(
            f"{place}: column {list_briefly(missing)} is missing (prophet_evaluator needs timestamp, every "
            "feature and the test set's locale column). Name the columns as in the configuration's data set."
        )
    n = table.num_rows
    data: dict[str, np.ndarray | pd.Series] = {TIMESTAMP: table[TIMESTAMP].to_numpy().astype(np.int64)}
    for feature in dataset.features:
        column = table[feature.name]
        if feature.kind == "categorical":
            data[feature.name] = column.cast(pa.string()).to_pandas().astype(object)
        else:
            data[feature.name] = column.cast(pa.float64()).to_pandas().to_numpy(np.float64)
    data[LOCALE] = (
        pd.Series([locale] * n, dtype=object) if locale is not None else _strings(table, locale_column)
    )
    parts = [_strings(table, name) for name in dataset.series if name in table.column_names]
    series = pd.Series([""] * n, dtype=object)
    for i, part in enumerate(parts):
        series = part if i == 0 else series + "/" + part
    data[SERIES] = series
    label = dataset.label if dataset.label in table.column_names else None
    data[LABEL] = (
        table[label].cast(pa.float64()).to_pandas().to_numpy(np.float64) if label else np.full(n, np.nan)
    )
    kind = dataset.label_kind if dataset.label_kind in table.column_names else None
    data[KIND] = _strings(table, kind) if kind else pd.Series([""] * n, dtype=object)
    data[ROW] = np.arange(n)
    frame = pd.DataFrame(data)
    frame = frame.sort_values([LOCALE, SERIES, TIMESTAMP], kind="stable", ignore_index=True)
    return number_segments(frame, dataset.interval_s)


def number_segments(frame: pd.DataFrame, interval_s: float) -> pd.DataFrame:
    """Sets `_segment`: a new number where the series changes or rows are missing for long."""
    if not len(frame):
        return frame.assign(**{SEGMENT: np.zeros(0, np.int64)})
    gap = np.diff(frame[TIMESTAMP].to_numpy()) > MAX_GAP_INTERVALS * interval_s * 1e6
    breaks = np.r_[True, gap] | (series_codes(frame, diff=True) != 0)
    return frame.assign(**{SEGMENT: np.cumsum(breaks) - 1})


def series_codes(frame: pd.DataFrame, diff: bool = False) -> np.ndarray:
    """Number of each row's (locale, series), rising along the sorted frame; or its step."""
    changed = np.zeros(len(frame), np.int64)
    if len(frame):
        for name in (LOCALE, SERIES):
            codes = pd.factorize(frame[name])[0]
            changed[1:] |= codes[1:] != codes[:-1]
    return changed if diff else np.cumsum(changed)


def pool(frames: Mapping[str, pd.DataFrame], interval_s: float) -> pd.DataFrame:
    """The frames of all locales, one below the other, with segments numbered through."""
    ordered = [frames[locale] for locale in sorted(frames)]
    return number_segments(pd.concat(ordered, ignore_index=True), interval_s)


def _strings(table: pa.Table, name: str) -> pd.Series:
    return table[name].cast(pa.string()).fill_null("").to_pandas().astype(object)


def spread_rows(n: int, keep: int) -> np.ndarray:
    """At most `keep` positions spread evenly over `n` rows, first and last among them."""
    if n <= keep:
        return np.arange(n)
    return np.unique(np.linspace(0, n - 1, keep).round().astype(np.int64))


def robust_scale(values: np.ndarray) -> tuple[float, float]:
    """Median and spread: interquartile range / 1.349, else standard deviation, else 1.

    Where half the rows share one value, the interquartile range says nothing of the others; the
    standard deviation takes its place.
    """
    known = values[np.isfinite(values)]
    if not len(known):
        return 0.0, 1.0
    low, middle, high = np.quantile(known, [0.25, 0.5, 0.75])
    deviation = float(known.std())
    spread = (high - low) / 1.349
    if spread < 0.1 * deviation:
        spread = deviation
    return float(middle), float(spread) if spread > 1e-9 * max(1.0, abs(middle)) else 1.0
