"""Intervals for the range and the ratio of several rates, from bootstrap replicates of the rates.

The largest difference of k estimates is never negative and grows with their noise: the percentiles of its
replicates lie above the truth, often above the estimate itself. So the interval is made from differences of
fixed pairs, which have no such bias: all pairs get intervals that hold at once (a studentised maximum), and
the range lies between the largest lower and the largest upper one. It holds the estimate always, and 0
wherever no pair of slices differs beyond noise.

Source: Hothorn, Bretz and Westfall (2008), "Simultaneous inference in general parametric models", Biometrical
  Journal 50(3); the maximum's distribution is taken from the replicates instead of a normal one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Bounds = tuple[float, float]

#: A slice must have its rate in at least this share of the replicates.
_MIN_DEFINED = 0.5


def enough_replicates(drawn: np.ndarray) -> bool:
    """Whether every rate is defined in at least half of the replicates. `drawn`: [replicate, slice]."""
    return bool(len(drawn) and (np.isfinite(drawn).mean(axis=0) >= _MIN_DEFINED).all())


def range_bounds(rates: Sequence[tuple[np.ndarray, np.ndarray]], confidence: float) -> Bounds | None:
    """An interval for the largest difference between two slices, over one or several kinds of rates.

    Args:
      rates: Of each kind the rates, shape [slice], and their replicates, shape [replicate, slice]; NaN where
        a replicate has none. The replicates of all kinds are the same ones.
      confidence: Coverage; at least that, because the interval holds for all pairs at once.

    Returns:
      Bounds in [0, 1]; None where a rate has too few replicates.
    """
    if not all(enough_replicates(drawn) for _, drawn in rates):
        return None
    largest = np.zeros(len(rates[0][1]))
    pairs: list[tuple[np.ndarray, np.ndarray]] = []
    for values, drawn in rates:
        for first in range(len(values) - 1):
            # One slice against all later ones: memory of [replicate, slice] and not of all pairs.
            difference = values[first] - values[first + 1 :]
            away, error = _studentised(drawn[:, [first]] - drawn[:, first + 1 :], difference)
            largest = np.maximum(largest, away)
            pairs.append((np.abs(difference), error))
    factor = float(np.quantile(largest, confidence))
    sizes, errors = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
    low, high = (sizes - factor * errors).max(), (sizes + factor * errors).max()
    return float(np.clip(low, 0, 1)), float(np.clip(high, 0, 1))


def ratio_bounds(values: np.ndarray, drawn: np.ndarray, confidence: float) -> Bounds | None:
    """An interval for the smallest rate over the largest.

    Args:
      values: The rates. Shape [slice], two at least.
      drawn: Their replicates. Shape [replicate, slice].
      confidence: Coverage, at least.

    Returns:
      Bounds in [0, 1]; None where a rate has too few replicates.
    """
    if not enough_replicates(drawn):
        return None
    away, error = _studentised(drawn, values)
    factor = float(np.quantile(away, confidence))
    low, high = np.clip(values - factor * error, 0, 1), np.clip(values + factor * error, 0, 1)
    smallest = largest = 1.0
    for index in range(len(values)):
        others = np.arange(len(values)) != index
        most, least = high[others].max(), low[others].max()
        smallest = min(smallest, low[index] / most if most > low[index] else 1.0)
        largest = min(largest, high[index] / least if least > high[index] else 1.0)
    return float(smallest), float(largest)


def _studentised(drawn: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Largest distance of each replicate from the estimates in standard errors, and the standard errors.

    Shapes [replicate] and [estimate]. An estimate that no replicate moves has a standard error of 0.
    """
    defined = np.isfinite(drawn)
    counts = np.maximum(defined.sum(axis=0), 1)
    mean = np.where(defined, drawn, 0).sum(axis=0) / counts
    error = np.sqrt(np.where(defined, (drawn - mean) ** 2, 0).sum(axis=0) / counts)
    away = np.where(defined & (error > 1e-12), np.abs(drawn - values) / np.maximum(error, 1e-12), 0)
    return away.max(axis=1, initial=0), error
