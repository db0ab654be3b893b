"""Quick fidelity of sampled rows against real ones: what early stopping looks at.

The release is judged by ReleaseEvaluator, not here.
"""

from __future__ import annotations

import numpy as np


def ks_similarity(real: np.ndarray, synthetic: np.ndarray) -> float:
    """1 - Kolmogorov-Smirnov distance between two samples, in [0, 1]; 1 is equal."""
    real, synthetic = np.sort(real), np.sort(synthetic)
    points = np.concatenate([real, synthetic])
    first = np.searchsorted(real, points, side="right") / len(real)
    second = np.searchsorted(synthetic, points, side="right") / len(synthetic)
    return float(1 - np.abs(first - second).max())


def autocorrelation(values: np.ndarray, segment: np.ndarray, lags: int) -> np.ndarray:
    """Autocorrelation at lags 1 .. `lags` over pairs inside a segment. Shape [lags]; NaN where unknown."""
    centred = values - np.nanmean(values)
    variance = np.nanmean(centred**2)
    out = np.full(lags, np.nan)
    for lag in range(1, min(lags, len(values) - 1) + 1):
        product = np.where(segment[lag:] == segment[:-lag], centred[lag:] * centred[:-lag], np.nan)
        if variance > 0 and (~np.isnan(product)).sum() >= 20:
            out[lag - 1] = np.nanmean(product) / variance
    return out


def compare(
    real: np.ndarray,
    real_segment: np.ndarray,
    synthetic: np.ndarray,
    synthetic_segment: np.ndarray,
    numeric: list[int],
    lags: int = 60,
) -> dict[str, float]:
    """Fidelity in one dimension, in pairs and in time.

    Args:
      real: Shape [N, F]; NaN is null.
      real_segment: Runs of neighbouring rows. Shape [N].
      synthetic: Shape [M, F].
      synthetic_segment: Shape [M].
      numeric: Features whose time structure counts.
      lags: Of the autocorrelation.

    Returns:
      `marginal` and `worst` (1 - KS), `step` (1 - KS of first differences), `pair` (1 - mean absolute
      difference of correlations), `acf` (mean absolute difference, lower is better), and `score`,
      their mean. A part without any defined value is left out.
    """
    out: dict[str, float] = {}
    columns = [
        f for f in range(real.shape[1]) if not (np.isnan(real[:, f]).all() or np.isnan(synthetic[:, f]).all())
    ]
    marginal = [
        ks_similarity(real[~np.isnan(real[:, f]), f], synthetic[~np.isnan(synthetic[:, f]), f])
        for f in columns
    ]
    if marginal:
        out["marginal"], out["worst"] = float(np.mean(marginal)), float(np.min(marginal))
    steps, errors = [], []
    for f in (f for f in numeric if f in columns):
        sides = []
        for values, segment in ((real, real_segment), (synthetic, synthetic_segment)):
            step = np.diff(values[:, f])[segment[1:] == segment[:-1]]
            sides.append(step[~np.isnan(step)])
        if min(map(len, sides)) >= 20:
            steps.append(ks_similarity(*sides))
        error = np.abs(
            autocorrelation(real[:, f], real_segment, lags)
            - autocorrelation(synthetic[:, f], synthetic_segment, lags)
        )
        if (~np.isnan(error)).any():
            errors.append(np.nanmean(error))
    if steps:
        out["step"] = float(np.mean(steps))
    if errors:
        out["acf"] = float(np.mean(errors))
    moving = [f for f in columns if np.nanstd(real[:, f]) > 0]
    if len(moving) > 1:
        left, right = _correlation(real[:, moving]), _correlation(synthetic[:, moving])
        upper = np.triu_indices(len(moving), 1)
        out["pair"] = float(1 - np.abs(left - right)[upper].mean())
    parts = [out[k] for k in ("marginal", "step", "pair") if k in out] + [
        1 - out[k] for k in ("acf",) if k in out
    ]
    out["score"] = float(np.mean(parts)) if parts else 0.0
    return out


def _correlation(values: np.ndarray) -> np.ndarray:
    """Pearson correlations; nulls count as the mean, constants as uncorrelated."""
    filled = values - np.nanmean(values, axis=0)
    filled = np.nan_to_num(filled)
    spread = filled.std(0)
    spread[spread == 0] = 1
    filled = filled / spread
    return filled.T @ filled / len(filled)
