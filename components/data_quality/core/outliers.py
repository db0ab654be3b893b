"""Outliers, counted: robust z-scores within a series, and an isolation forest over whole rows."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd

#: Makes the median absolute deviation of a normal distribution 1: norm.ppf(3 / 4).
_MAD_OF_NORMAL = 0.6744897501960817
#: The mean absolute deviation of a normal distribution: sqrt(2 / pi).
_MEAN_AD_OF_NORMAL = 0.7978845608028654
#: Fewer known values of a series than this have no spread worth the name.
MIN_VALUES = 10


@dataclasses.dataclass(frozen=True)
class RobustScores:
    """Modified z-scores.

    Attributes:
      z: Score of each value; 0 where the series is constant and the value is its constant, infinite for an
        infinite value, NaN where there is no value or no score. Shape [row], float64.
      constant: Series in which all known values are equal.
      short: Series with fewer known values than `MIN_VALUES`; their scores are NaN.
    """

    z: np.ndarray
    constant: int
    short: int


def robust_z(values: np.ndarray, series: np.ndarray, min_values: int = MIN_VALUES) -> RobustScores:
    """Modified z-score of each value within its series: 0.6745 (x - median) / MAD.

    Where more than half of the values are equal, MAD is 0 and the mean absolute deviation takes its place:
    (x - median) / (1.2533 MeanAD).

    Args:
      values: NaN is missing. Shape [row].
      series: Number of each row's series. Shape [row], integer.
      min_values: Known values that a series needs.

    Source: Iglewicz and Hoaglin (1993), "How to detect and handle outliers", section 3.3.
    """
    numbers = np.asarray(values, np.float64)
    finite = pd.Series(np.where(np.isfinite(numbers), numbers, np.nan))
    groups = finite.groupby(np.asarray(series))
    centre = groups.transform("median").to_numpy()
    away = pd.Series(np.abs(finite.to_numpy() - centre)).groupby(np.asarray(series))
    mad = away.transform("median").to_numpy() / _MAD_OF_NORMAL
    mean_ad = away.transform("mean").to_numpy() / _MEAN_AD_OF_NORMAL
    known = groups.transform("count").to_numpy()
    spread = np.where(mad > 0, mad, mean_ad)
    with np.errstate(invalid="ignore"):
        off = np.where(np.isinf(numbers), numbers, finite.to_numpy() - centre)
        z = np.where(spread > 0, off / np.where(spread > 0, spread, 1), off)
    z[np.asarray(known) < min_values] = np.nan
    sizes, spans = groups.count(), away.max()
    return RobustScores(z, int(((sizes >= min_values) & (spans == 0)).sum()), int((sizes < min_values).sum()))


def forest_scores(matrix: np.ndarray, *, trees: int = 100, tree_rows: int = 256, seed: int = 0) -> np.ndarray:
    """Anomaly score of each row by an isolation forest, in (0, 1); about 0.5 is average.

    Args:
      matrix: Rows in comparable units; NaN counts as 0 and infinities as the largest finite size.
        Shape [row, feature].
      trees: Number of trees.
      tree_rows: Rows that each is grown on, without replacement.
      seed: Same rows and same seed: same scores.

    Returns:
      Shape [row], float64; all NaN where there are fewer than two rows or no column varies.

    Source: Liu, Ting and Zhou (2008), "Isolation forest", equation 2; scikit-learn's `score_samples` is its
      negative.
    """
    if len(matrix) < 2:
        return np.full(len(matrix), np.nan)
    finite = matrix[np.isfinite(matrix)]
    most = float(np.abs(finite).max(initial=1.0))
    clean = np.nan_to_num(matrix, nan=0.0, posinf=most, neginf=-most)
    if not matrix.shape[1] or not (clean != clean[:1]).any():
        return np.full(len(matrix), np.nan)
    from sklearn.ensemble import IsolationForest

    forest = IsolationForest(
        n_estimators=trees, max_samples=min(tree_rows, len(clean)), random_state=seed, n_jobs=1
    )
    forest.fit(clean)
    return -forest.score_samples(clean)
