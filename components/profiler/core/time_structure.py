"""A column's course: seasons, drift of its level, and how long it remembers. All over series, pooled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from components.profiler.core.cadence import Floats, Ints, bounds, on_grid
from components.synthesizer_trainer.core.panel import MICROSECONDS

DAY_S = 86_400
#: Below it, odd and even days (weeks) are too few to agree on a course.
MIN_DAYS = 4
MIN_WEEKS = 3
#: Bins of a day, at most; fewer than four are no course.
DAY_BINS = 24
MIN_BINS = 4
#: Values of a half, at least; its cosines; and the level of the test over all series.
MIN_HALF = 40
COSINES = 4
DRIFT_ALPHA = 0.01


@dataclass(frozen=True)
class Course:
    """How a column runs.

    Attributes:
      daily: Share of the variance that the hour of the day explains, in [0, 1]; None where rows span fewer
        than four days or days have fewer than four rows.
      weekly: The same of the day of the week, beyond the daily course; None below three weeks.
      drift: Mean over series of the distance between the levels of the first and second half, in standard
        deviations of the series; None where none is long enough.
      drifting: Series in which it is more than noise, by a t-test whose variance comes from the four slowest
        cosines of each half, at 0.01 over all series.
      tested: Series that were long enough.
      correlation_s: Lag at which the autocorrelation, less the daily course, falls to 1/e; half of the
        longest series where it does not. None where nothing varies.
    """

    daily: float | None
    weekly: float | None
    drift: float | None
    drifting: int
    tested: int
    correlation_s: float | None


def describe(values: Floats, time_us: Ints, series: Ints, interval_s: float) -> Course:
    """Looks at a column of numbers.

    Args:
      values: NaN where there is none. Shape [row].
      time_us: Microseconds UTC, ascending within a series. Shape [row].
      series: Number of each row's series, ascending. Shape [row].
      interval_s: Cadence.
    """
    rest = values.astype(np.float64)
    for begin, end in bounds(series):
        own = rest[begin:end]
        known = ~np.isnan(own)
        own -= own[known].mean() if known.any() else 0.0
    centred = rest
    daily = weekly = None
    seconds = time_us // MICROSECONDS
    phases = int(min(DAY_BINS, DAY_S // interval_s))
    if phases >= MIN_BINS:
        phase = seconds % DAY_S * phases // DAY_S
        daily, rest = _season(rest, centred, series, seconds // DAY_S, phase, phases, MIN_DAYS)
    # 1970-01-01 was a Thursday; weeks begin on Mondays.
    day = seconds // DAY_S + 3
    if interval_s <= DAY_S:
        weekly, rest = _season(rest, centred, series, day // 7, day % 7, 7, MIN_WEEKS)
    drift, drifting, tested = _drift(rest, time_us, series, interval_s)
    return Course(daily, weekly, drift, drifting, tested, _memory(rest, time_us, series, interval_s))


def _season(
    values: Floats, centred: Floats, series: Ints, turn: Ints, phase: Ints, phases: int, least: int
) -> tuple[float | None, Floats]:
    """Share of the centred variance that a course repeating by turn has, and the values less that course.

    Odd and even turns each have a course; its variance is their covariance over the phases, which noise,
    however autocorrelated within a turn, does not raise.
    """
    left, agreed, total = values.copy(), 0.0, 0.0
    found = False
    for begin, end in bounds(series):
        known = np.flatnonzero(~np.isnan(values[begin:end])) + begin
        if len(np.unique(turn[known])) < least:
            continue
        found = True
        total += float(np.square(centred[known]).sum())
        cell = (turn[known] % 2) * phases + phase[known]
        count = np.bincount(cell, minlength=2 * phases).reshape(2, phases)
        sums = np.bincount(cell, values[known], 2 * phases).reshape(2, phases)
        both = (count > 0).all(0)
        if both.sum() < 2:
            continue
        weight = count[:, both].sum(0)
        courses = sums[:, both] / count[:, both]
        courses -= (courses @ weight / weight.sum())[:, None]
        agreed += float((courses[0] * courses[1] * weight).sum())
        whole = sums.sum(0) / np.maximum(count.sum(0), 1)
        left[known] -= whole[phase[known]]
    if not found:
        return None, values
    share = float(np.clip(agreed / total, 0.0, 1.0)) if total > 0 else 0.0
    # A course that days do not agree on is noise, and taking it out would leave other noise.
    return share, left if share > 0 else values


def _drift(values: Floats, time_us: Ints, series: Ints, interval_s: float) -> tuple[float | None, int, int]:
    """Mean distance of the halves' levels, series in which it is more than noise, series that were tested.

    Of each half `COSINES` slow cosines, which are at right angles to its mean, tell the variance of that mean
    however the rows are correlated, as long as they forget within a part of the half.

    Source: Lazarus, Lewis, Stock and Watson (2018), HAR Inference, J. Bus. Econ. Stat. 36(4).
    """
    distances, verdicts = [], []
    for begin, end in bounds(series):
        grid = on_grid(values[begin:end], time_us[begin:end], interval_s)
        middle = len(grid) // 2
        parts = [part[~np.isnan(part)] for part in (grid[:middle], grid[middle:])]
        if min(len(part) for part in parts) < MIN_HALF:
            continue
        spread = float(np.concatenate(parts).std())
        if not spread > 1e-9 * max(1.0, float(np.abs(np.concatenate(parts)).max())):
            continue
        powers, variance = [], 0.0
        for half, part in zip((grid[:middle], grid[middle:]), parts):
            left = np.where(np.isnan(half), 0.0, half - part.mean())
            turn = np.pi * (np.arange(len(half)) + 0.5) / len(half)
            waves = np.cos(np.outer(np.arange(1, COSINES + 1), turn)) @ left
            powers += list(2 / len(half) * waves**2)
            variance += len(half) / len(part) ** 2
        distance = abs(float(parts[1].mean() - parts[0].mean()))
        error = float(np.sqrt(variance * np.mean(powers)))
        distances.append(distance / spread)
        ratio = distance / error if error > 0 else np.inf
        verdicts.append(2 * float(stats.t.sf(ratio, len(powers))) if distance > 0 else 1.0)
    if not distances:
        return None, 0, 0
    drifting = sum(p < DRIFT_ALPHA / len(verdicts) for p in verdicts)
    return float(np.mean(distances)), int(drifting), len(verdicts)


def _memory(values: Floats, time_us: Ints, series: Ints, interval_s: float) -> float | None:
    """Lag at which the pooled autocorrelation falls to 1/e, in seconds."""
    grids = []
    for begin, end in bounds(series):
        grid = on_grid(values[begin:end], time_us[begin:end], interval_s)
        known = ~np.isnan(grid)
        if known.sum() >= 4:
            grids.append((np.where(known, grid - grid[known].mean(), 0.0), known.astype(np.float64)))
    lags = max((len(grid) for grid, _ in grids), default=0) // 2
    products, pairs = np.zeros(lags + 1), np.zeros(lags + 1)
    for grid, present in grids:
        size = 2 ** int(np.ceil(np.log2(2 * len(grid))))
        for target, course in ((products, grid), (pairs, present)):
            found = np.fft.irfft(np.abs(np.fft.rfft(course, size)) ** 2, size)[: len(grid)]
            target[: len(found)] += found[: lags + 1]
    if lags < 1 or not products[0] > 1e-12 * pairs[0]:
        return None
    usable = pairs > 0.5
    correlation = np.where(usable, products / np.maximum(pairs, 1.0), 0.0) / (products[0] / pairs[0])
    below = np.flatnonzero(usable & (correlation < np.exp(-1)))
    if not len(below):
        return float(lags * interval_s)
    after = int(below[0])
    high, low = correlation[after - 1], correlation[after]
    part = (high - np.exp(-1)) / (high - low) if usable[after - 1] and high > low else 1.0
    return float((after - 1 + part) * interval_s)
