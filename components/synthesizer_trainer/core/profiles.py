"""What happens at the same moment of every round of a clock: hourly jobs, cleaning at two, a shift's end.

Sines cannot say that a job starts on the minute, and blur its edges over many rows. So one cycle has a mean
of its own at every moment: that of the clock's periods, or of the cycles found, which predicts the other
half of the rows best. A moment whose mean could be chance is left at nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from components.synthesizer_trainer.core.calendar import phase_bin
from components.synthesizer_trainer.core.panel import MICROSECONDS

#: Periods of clocks, in seconds: a quarter of an hour to a day.
CLOCK_S = (900.0, 1200.0, 1800.0, 3600.0, 7200.0, 10_800.0, 14_400.0, 21_600.0, 28_800.0, 43_200.0, 86_400.0)
#: Moments of a round, and rows that a moment needs to have a mean.
MAX_MOMENTS = 288
MIN_MOMENTS = 6
MIN_MOMENT_ROWS = 10
#: Rounds that the rows must hold.
MIN_ROUNDS = 6
#: A mean so many standard errors away is halved by the shrinkage (less is nothing).
SIGNIFICANT = 2.0
#: Share of a feature's error, in the other half, that a profile must explain to be kept.
MIN_EXPLAINED = 0.01


@dataclass(frozen=True)
class Profile:
    """Means by the moment of one cycle.

    Attributes:
      period_s: Of the cycle, in seconds.
      means: Of the scores less their calendar part. Shape [F, moments].
    """

    period_s: float
    means: np.ndarray


def moment_means(rest: np.ndarray, moment: np.ndarray, count: int) -> np.ndarray:
    """Means by moment, shrunk by what chance explains (James-Stein, positive part).

    Args:
      rest: NaN where unknown. Shape [n, F].
      moment: Shape [n].
      count: Moments.

    Returns:
      Shape [F, count].
    """
    out = np.zeros((rest.shape[1], count))
    for feature, own in enumerate(rest.T):
        known = ~np.isnan(own)
        values, place = own[known], moment[known]
        rows = np.bincount(place, minlength=count)
        mean = np.bincount(place, weights=values, minlength=count) / np.maximum(rows, 1)
        error = values - mean[place]
        deviation = np.bincount(place, weights=error**2, minlength=count) / np.maximum(rows - 1, 1)
        chance = SIGNIFICANT**2 * deviation / np.maximum(rows, 1)
        share = np.where(rows >= MIN_MOMENT_ROWS, 1 - chance / np.maximum(mean**2, 1e-12), 0.0)
        out[feature] = mean * np.maximum(share, 0.0)
    return out


def fit_profile(
    rest: np.ndarray, time_us: np.ndarray, series: np.ndarray, interval_s: float, found_s: tuple[float, ...]
) -> Profile | None:
    """The cycle whose moments say most, or None where none explains anything in rows that it has not seen.

    Args:
      rest: Scores less their calendar part; NaN where null or anomalous. Shape [N, F].
      time_us: Shape [N].
      series: Shape [N].
      interval_s: Cadence.
      found_s: Cycles that the calendar knows.
    """
    if not rest.size:
        return None
    span_s = float(time_us.max() - time_us.min()) / MICROSECONDS
    half = np.zeros(len(rest), bool)
    for one in np.unique(series):
        rows = np.flatnonzero(series == one)
        half[rows[len(rows) // 2 :]] = True
    best, profile = 0.0, None
    for period in sorted({*CLOCK_S, *found_s}):
        count = int(min(np.rint(period / interval_s), MAX_MOMENTS))
        if count < MIN_MOMENTS or span_s < MIN_ROUNDS * period:
            continue
        moment = phase_bin(time_us, period, count, stamps=True)
        gains = np.mean([_explained(rest, moment, count, half == side) for side in (False, True)], axis=0)
        kept = gains > MIN_EXPLAINED
        gain = float(-np.log1p(-np.minimum(gains[kept], 0.999)).sum())
        # A longer round holds the shorter ones; it must say more than chance lets it seem to.
        if kept.any() and gain > 1.05 * best:
            means = moment_means(rest, moment, count)
            means[~kept] = 0
            best, profile = gain, Profile(period, means)
    return profile


def _explained(rest: np.ndarray, moment: np.ndarray, count: int, fitted: np.ndarray) -> np.ndarray:
    """Share of the squared error, in rows not fitted, that the fitted rows' means take away. Shape [F]."""
    means = moment_means(rest[fitted], moment[fitted], count)
    tried = rest[~fitted]
    total = np.nansum(tried**2, axis=0)
    left = np.nansum((tried - means[:, moment[~fitted]].T) ** 2, axis=0)
    return np.asarray((total - left) / np.maximum(total, 1e-12))
