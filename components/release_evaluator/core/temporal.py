"""Fidelity in time: autocorrelation, steps, daily profile. Only consecutive rows are compared."""

from __future__ import annotations

import numpy as np

from components.errors import UndefinedMetricError
from components.release_evaluator.core.divergences import KS_SLACK, ks_distance
from components.release_evaluator.core.frames import Columns

#: Longest lag of the autocorrelation; an hour at the usual cadence of a minute.
MAX_LAG = 60
#: Pairs of rows that a lag needs on both sides; the standard error of a correlation is then 0.1.
MIN_PAIRS = 100
#: Bins of the daily profile.
PROFILE_BINS = 24
#: Rows that a bin of the daily profile needs on both sides.
MIN_BIN_ROWS = 20

DAY_US = 86_400_000_000


def autocorrelation(values: np.ndarray, segments: np.ndarray, max_lag: int = MAX_LAG) -> np.ndarray:
    """Autocorrelation over contiguous segments, pooled.

    r(l) = mean over pairs (x_t - m)(x_{t+l} - m) / variance, both rows of one segment, neither missing.

    Args:
      values: One feature, NaN = missing. Shape [row], float64.
      segments: Segment of each row, not decreasing. Shape [row], int64.
      max_lag: Longest lag, in rows.

    Returns:
      r at lags 1..max_lag; NaN where fewer than `MIN_PAIRS` pairs exist, 0 where the variance is 0.
      Shape [lag], float64.
    """
    finite = np.isfinite(values)
    result = np.full(max_lag, np.nan)
    if not finite.any():
        return result
    centred = np.where(finite, values - values[finite].mean(), 0.0)
    variance = float((centred**2).sum() / finite.sum())
    for lag in range(1, min(max_lag, len(values) - 1) + 1):
        pair = (segments[lag:] == segments[:-lag]) & finite[lag:] & finite[:-lag]
        count = int(pair.sum())
        if count >= MIN_PAIRS:
            product = float((centred[lag:] * centred[:-lag])[pair].sum()) / count
            result[lag - 1] = np.clip(product / variance, -1, 1) if variance > 1e-18 else 0.0
    return result


def _curves(columns: Columns, segments: np.ndarray, names: list[str]) -> np.ndarray:
    return np.array([autocorrelation(columns.numeric[name], segments) for name in names])


def acf_error(
    real: Columns, synthetic: Columns, real_segments: np.ndarray, synthetic_segments: np.ndarray
) -> float:
    """Mean absolute difference of the autocorrelations over numeric features and common lags.

    Returns:
      Error in [0, 2], 0 is best.

    Raises:
      UndefinedMetricError: no numeric feature varies, or no lag has enough consecutive rows.
    """
    names = varying(real)
    if not names:
        raise UndefinedMetricError("no numeric feature varies in the real rows")
    error = np.abs(_curves(real, real_segments, names) - _curves(synthetic, synthetic_segments, names))
    if not np.isfinite(error).any():
        raise UndefinedMetricError(f"no lag has {MIN_PAIRS} pairs of consecutive rows on both sides")
    return float(np.nanmean(error))


def steps(values: np.ndarray, segments: np.ndarray) -> np.ndarray:
    """Changes from one row to the next inside segments, missing ones left out. Shape [step], float64."""
    change = np.diff(values)[np.diff(segments) == 0]
    return change[np.isfinite(change)]


def step_change_distance(
    real: Columns, synthetic: Columns, real_segments: np.ndarray, synthetic_segments: np.ndarray
) -> float:
    """Mean over numeric features of the KS distance between one-step changes.

    Returns:
      Distance in [0, 1], 0 is best.

    Raises:
      UndefinedMetricError: no numeric feature varies, or too few consecutive rows.
    """
    distances = []
    for name in varying(real):
        a = steps(real.numeric[name], real_segments)
        b = steps(synthetic.numeric[name], synthetic_segments)
        if min(len(a), len(b)) >= MIN_PAIRS:
            finite = real.numeric[name][np.isfinite(real.numeric[name])]
            distances.append(ks_distance(a, b, KS_SLACK * float(finite.max() - finite.min())))
    if not distances:
        raise UndefinedMetricError(f"no numeric feature that varies has {MIN_PAIRS} steps on both sides")
    return float(np.mean(distances))


def daily_profile(values: np.ndarray, time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean by time of day.

    Returns:
      Means (NaN where a bin is empty) and counts. Each [bin], `PROFILE_BINS` bins from midnight UTC.
    """
    bins = (time % DAY_US) * PROFILE_BINS // DAY_US
    finite = np.isfinite(values)
    counts = np.bincount(bins[finite], minlength=PROFILE_BINS)
    sums = np.bincount(bins[finite], weights=values[finite], minlength=PROFILE_BINS)
    return np.divide(sums, counts, out=np.full(PROFILE_BINS, np.nan), where=counts > 0), counts


def daily_profile_error(real: Columns, synthetic: Columns) -> float:
    """Mean absolute difference of the daily profiles, in real standard deviations, over features and bins.

    Returns:
      Error, >= 0, 0 is best.

    Raises:
      UndefinedMetricError: no numeric feature varies, or the rows do not cover half a day in common.
    """
    errors = []
    for name in varying(real):
        values = real.numeric[name]
        a, n = daily_profile(values, real.time)
        b, m = daily_profile(synthetic.numeric[name], synthetic.time)
        usable = (n >= MIN_BIN_ROWS) & (m >= MIN_BIN_ROWS)
        if usable.sum() >= PROFILE_BINS // 2:
            errors.append(np.abs(a - b)[usable].mean() / np.nanstd(values))
    if not errors:
        raise UndefinedMetricError("the rows do not cover half a day in common")
    return float(np.mean(errors))


def varying(columns: Columns) -> list[str]:
    """Numeric features with at least two different values."""
    names = []
    for name, values in columns.numeric.items():
        finite = values[np.isfinite(values)]
        if len(finite) > 1 and float(finite.max()) > float(finite.min()):
            names.append(name)
    return names
