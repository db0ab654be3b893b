"""What lasts: the clock's profile, long lags, series of a locale together, the hours' levels and spreads.

Rows come as a `Span`. No measure looks at the real rows' order alone: pairs of rows are found by their times,
so rows that are wanting (a gap, a labelled event) cost the pairs that they are in and no others.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.stats import wasserstein_distance

from components.synthesizer_trainer.core.fidelity import ks_similarity

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
WEEK_US = 7 * DAY_US
#: Bins of a profile: half hours of a day, hours of a week.
DAY_BINS, WEEK_BINS = 48, 168
#: A profile needs so many whole cycles.
CYCLES = 2
#: Changes of value of a column with a profile, at least.
MOVES = 20
#: The longest lag: two days, or a third of the span.
LONGEST_US, LONGEST_SHARE = 2 * DAY_US, 1 / 3
#: Fewer pairs of rows, or stretches, say nothing.
PAIRS, STRETCHES = 20, 20
#: Rows of the stretches whose levels and spreads are compared, at least; else an hour.
STRETCH_ROWS = 12


@dataclasses.dataclass(frozen=True)
class Span:
    """Rows of one or more series, sorted by series, then time.

    Attributes:
      values: NaN is null. Shape [N, F].
      series: Number of the row's series. Shape [N].
      stamps: Microseconds since the epoch. Shape [N].
      interval_s: Cadence.
    """

    values: Floats
    series: Ints
    stamps: Ints
    interval_s: float

    @property
    def interval_us(self) -> float:
        """Cadence in microseconds."""
        return self.interval_s * 1e6

    @property
    def slot(self) -> Ints:
        """Place of each row on the grid of the cadence, from the first row's. Shape [N]."""
        first = int(self.stamps.min()) if len(self.stamps) else 0
        return np.rint((self.stamps - first) / self.interval_us).astype(np.int64)

    @property
    def length_us(self) -> float:
        """From the first row to the end of the last."""
        return float(np.ptp(self.stamps)) + self.interval_us if len(self.stamps) else 0.0

    def grid(self, column: int) -> Floats:
        """A column, a row per series; NaN where it is null or the row is wanting. Shape [S, T]."""
        place, slot = np.unique(self.series, return_inverse=True)[1], self.slot
        out = np.full((int(place.max()) + 1, int(slot.max()) + 1), np.nan)
        out[place, slot] = self.values[:, column]
        return out


def means(values: Floats, group: Ints, groups: int) -> tuple[Floats, Ints]:
    """Mean of the values that are no null in each group, NaN where there are none, and their number."""
    there = ~np.isnan(values)
    count = np.bincount(group[there], minlength=groups)
    total = np.bincount(group[there], weights=values[there], minlength=groups)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan), count


def profile(span: Span, column: int, cycle_us: int, bins: int) -> Floats:
    """Mean by the place in the day or week, in UTC. Shape [bins]; NaN where there is no value."""
    place = (span.stamps % cycle_us) // (cycle_us // bins)
    return means(span.values[:, column], place, bins)[0]


def has_profile(span: Span, column: int, cycle_us: int, bins: int) -> bool:
    """Whether the profile of every other cycle says more of the cycles between than their mean does.

    Else what looks like a profile is chance, and a release without any would be the nearest to it; so it
    is of a column with fewer than `MOVES` changes of value.
    """
    steps = np.diff(span.values[:, column])[np.diff(span.series) == 0]
    if (np.abs(steps) > 0).sum() < MOVES:
        return False
    odd = span.stamps // cycle_us % 2 == 1
    halves = [
        profile(dataclasses.replace(span, values=np.where(own[:, None], span.values, np.nan)), column,
                cycle_us, bins)
        for own in (odd, ~odd)
    ]  # fmt: skip
    both = ~np.isnan(halves[0]) & ~np.isnan(halves[1])
    if not both.any():
        return False
    first, second = (half[both] - half[both].mean() for half in halves)
    missed = ((first - second) ** 2).sum()
    return bool(missed < min((first**2).sum(), (second**2).sum()))


def profile_error(
    real: Span, made: Span, columns: Sequence[int], cycle_us: int = DAY_US, bins: int = DAY_BINS
) -> float | None:
    """Root mean square difference of the profiles over the real column's deviation, averaged over columns.

    A normalised RMSE, as load profiles are compared; 0 is equal, and a release without any profile scores the
    profile's own share of the deviation.

    Args:
      real: Real rows.
      made: Those to judge.
      columns: Which ones.
      cycle_us: A day or a week.
      bins: Of the cycle.

    Returns:
      None where the real rows last less than two cycles, or no column has a profile (`has_profile`).
    """
    errors = []
    for column in columns if real.length_us >= CYCLES * cycle_us else ():
        if has_profile(real, column, cycle_us, bins):
            own = profile(real, column, cycle_us, bins)
            # Where nothing was made there is no profile: as if it were the mean all the time.
            mean = np.nanmean(real.values[:, column])
            other = np.nan_to_num(profile(made, column, cycle_us, bins), nan=float(mean))
            errors.append(np.sqrt(np.nanmean((own - other) ** 2)) / np.nanstd(real.values[:, column]))
    return float(np.mean(errors)) if errors else None


def autocorrelations(grid: Floats, lags: Ints) -> Floats:
    """Autocorrelation at some lags over all pairs of rows that are there. Shape [len(lags)].

    NaN where there are fewer than `PAIRS` pairs; 0 where the column is constant, as if it were noise.
    """
    if np.isnan(grid).all() or np.nanmax(grid) == np.nanmin(grid):
        return np.zeros(len(lags))
    centred = grid - np.nanmean(grid)
    variance, out = np.nanmean(centred**2), np.full(len(lags), np.nan)
    for place, lag in enumerate(lags):
        product = centred[:, lag:] * centred[:, :-lag]
        if (~np.isnan(product)).sum() >= PAIRS:
            out[place] = np.nanmean(product) / variance
    return out


def long_lags(span: Span) -> Ints:
    """Every hour up to two days or a third of the span, in rows; of a slower cadence every row."""
    limit = min(LONGEST_US, LONGEST_SHARE * span.length_us)
    step = max(HOUR_US, span.interval_us)
    lags = np.rint(np.arange(step, limit + 1, step) / span.interval_us).astype(np.int64)
    return np.unique(lags)


def long_acf_error(real: Span, made: Span, columns: Sequence[int]) -> float | None:
    """Mean absolute difference of the autocorrelations at long lags, averaged over columns; 0 is equal.

    Source: Lin et al. (2020), "Using GANs for Sharing Networked Time Series Data", which looks at the
    autocorrelation over whole cycles; the mean over lags is the ACD of Ang et al. (2023), TSGBench.

    Returns:
      None where no lag of an hour or more is short enough, or there is no column.
    """
    lags, errors = long_lags(real), []
    for column in columns if len(lags) else ():
        sides = [autocorrelations(span.grid(column), lags) for span in (real, made)]
        difference = np.abs(sides[0] - sides[1])
        if (~np.isnan(difference)).any():
            errors.append(np.nanmean(difference))
    return float(np.mean(errors)) if errors else None


def pair_correlations(grid: Floats) -> Floats:
    """Pearson correlation of every two series at equal times, NaN where unknown. Shape [S (S - 1) / 2]."""
    there = ~np.isnan(grid)
    mask = there.astype(float)
    centred = np.where(there, grid - means(grid.ravel(), np.zeros(grid.size, np.int64), 1)[0], 0.0)
    count = mask @ mask.T
    product, first, square = centred @ centred.T, centred @ mask.T, (centred**2) @ mask.T
    with np.errstate(invalid="ignore", divide="ignore"):
        covariance = product / count - first * first.T / count**2
        variance = np.maximum(square / count - (first / count) ** 2, 0.0)
        out = covariance / np.sqrt(variance * variance.T)
    # A variance that is rounding alone is none.
    flat = variance <= 1e-12 * np.nanmax(variance, initial=0.0)
    out[flat | flat.T | (count < PAIRS)] = np.nan
    return np.clip(out[np.triu_indices(len(grid), 1)], -1, 1)


def between_series_error(real: Span, made: Span, columns: Sequence[int]) -> float | None:
    """How far the correlations of one column between two series are from the real ones; 0 is equal.

    Of every column the pairs' correlations as a set: Wasserstein's distance, with as many pairs on both sides
    the mean absolute difference of the sorted ones, since a release's series are nobody's in particular.
    Averaged over columns. A pair with a constant series counts 0 in `made`.

    Returns:
      None where there are fewer than two series or no pair of them is long enough.
    """
    if min(len(np.unique(span.series)) for span in (real, made)) < 2:
        return None
    errors = []
    for column in columns:
        own = pair_correlations(real.grid(column))
        own = own[~np.isnan(own)]
        if len(own):
            other = np.nan_to_num(pair_correlations(made.grid(column)))
            errors.append(wasserstein_distance(own, other))
    return float(np.mean(errors)) if errors else None


def stretches(span: Span, column: int) -> tuple[Floats, Floats]:
    """Mean and deviation of every hour of which half the rows are there. Shapes [n], [n].

    Of a cadence slower than five minutes, twelve rows are a stretch.
    """
    length = max(HOUR_US, round(STRETCH_ROWS * span.interval_us))
    number = span.stamps // length
    number = number - number.min() + span.series * (np.ptp(number) + 1)
    group = np.unique(number, return_inverse=True)[1]
    groups = int(group.max()) + 1
    mean, count = means(span.values[:, column], group, groups)
    spread = np.sqrt(means((span.values[:, column] - mean[group]) ** 2, group, groups)[0])
    used = count >= length / span.interval_us / 2
    return mean[used], spread[used]


def hourly_fidelity(real: Span, made: Span, columns: Sequence[int]) -> tuple[float | None, float | None]:
    """1 - KS of the hours' means and of the hours' deviations, each averaged over columns; 1 is equal.

    Levels and volatility that come and go: of a process without regimes all hours are alike. Source: the MSAS
    of SDMetrics (`StatisticMSAS`, mean and std), hours in place of sequences.

    Returns:
      None, None where there are fewer than `STRETCHES` hours, or no column.
    """
    levels, spreads = [], []
    for column in columns:
        own, other = stretches(real, column), stretches(made, column)
        if len(own[0]) >= STRETCHES:
            levels.append(ks_similarity(own[0], other[0]) if len(other[0]) else 0.0)
            spreads.append(ks_similarity(own[1], other[1]) if len(other[1]) else 0.0)
    return (float(np.mean(levels)), float(np.mean(spreads))) if levels else (None, None)
