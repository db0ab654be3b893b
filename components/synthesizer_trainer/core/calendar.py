"""The part of a series that time alone explains: daily, weekly and found cycles, and a slow trend."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from components.synthesizer_trainer.core.panel import MICROSECONDS, Panel

DAY_S = 86_400.0
WEEK_S = 7 * DAY_S
#: Bins into which a cycle's phase is cut where a chain depends on it.
PHASE_BINS = 48
#: Parts of a day that have margins of their own.
DAY_PARTS = 8
#: A cycle is taken for real when one frequency explains this share of a feature's variance.
MIN_EXPLAINED = 0.04
#: And, fitted to one half of the time, explains this share in the other half.
MIN_PREDICTED = 0.03


@dataclass(frozen=True)
class Calendar:
    """Which functions of time there are.

    Attributes:
      periods_s: Periods of the cycles, in seconds; the first is the day where there is one.
      harmonics: Sine-cosine pairs of each cycle.
      start_s: First moment of the training rows, seconds since the epoch.
      trend_s: Knots of the piecewise linear trend, seconds after `start_s`; may be empty.
      moments: Moments of one more cycle, the last of `periods_s`, that has no harmonics but a mean of its own
        at each of them (`profiles.Profile`); 0: there is none.
    """

    periods_s: tuple[float, ...]
    harmonics: tuple[int, ...]
    start_s: float
    trend_s: tuple[float, ...]
    moments: int = 0

    @property
    def bins(self) -> tuple[int, ...]:
        """Bins into which each cycle's phase is cut."""
        count = len(self.periods_s)
        return (PHASE_BINS,) * (count - 1) + (self.moments,) if self.moments else (PHASE_BINS,) * count

    @property
    def width(self) -> int:
        """Columns of the design."""
        return 1 + 2 * sum(self.harmonics) + max(len(self.trend_s) - 1, 0)

    @property
    def parts(self) -> int:
        """Parts of a day: `DAY_PARTS`, 1 where the day is no cycle."""
        return DAY_PARTS if self.periods_s[:1] == (DAY_S,) else 1

    def part_of_day(self, time_us: np.ndarray) -> np.ndarray:
        """Which of the `parts` a moment is in. Shape of `time_us`, int32."""
        return phase_bin(time_us, DAY_S, self.parts)

    def design(self, time_us: np.ndarray) -> np.ndarray:
        """Intercept, cycles and trend. Shape time_us.shape + [width], float32.

        Beyond the trend's knots its last value holds.
        """
        second = time_us.astype(np.float64) / MICROSECONDS
        out = np.empty((*time_us.shape, self.width), np.float32)
        out[..., 0] = 1
        column = 1
        for period, count in zip(self.periods_s, self.harmonics):
            angle = (second % period) * (2 * np.pi / period)
            turn = np.cos(angle) + 1j * np.sin(angle)
            power = np.ones_like(turn)
            for _ in range(count):
                power = power * turn
                out[..., column], out[..., column + 1] = power.real, power.imag
                column += 2
        if len(self.trend_s) > 1:
            elapsed = np.clip(second - self.start_s, self.trend_s[0], self.trend_s[-1])
            spacing = self.trend_s[1] - self.trend_s[0]
            for knot in self.trend_s[1:]:
                out[..., column] = np.clip((elapsed - knot) / spacing + 1, 0, 1)
                column += 1
        return out

    def phase_bins(self, time_us: np.ndarray) -> np.ndarray:
        """Phase of every cycle in its `bins`. Shape time_us.shape + [cycles], int32."""
        found = [
            phase_bin(time_us, period, count, self.moments > 0 and place == len(self.periods_s) - 1)
            for place, (period, count) in enumerate(zip(self.periods_s, self.bins))
        ]
        return np.stack(found, axis=-1) if found else np.zeros((*time_us.shape, 0), np.int32)


def phase_bin(time_us: np.ndarray, period_s: float, count: int, stamps: bool = False) -> np.ndarray:
    """Phase of a cycle in `count` bins. Shape of `time_us`, int32.

    Args:
      time_us: Microseconds since the epoch.
      period_s: Of the cycle.
      count: Bins.
      stamps: A stamp half a second before the edge of two bins belongs to the later one.
    """
    second = time_us.astype(np.float64) / MICROSECONDS + (0.5 if stamps else 0.0)
    return np.minimum(np.floor(second % period_s * (count / period_s)), count - 1).astype(np.int32)


def fit_calendar(panel: Panel, latent: np.ndarray, interval_s: float, max_periods: int) -> Calendar:
    """Chooses the cycles and the trend's knots.

    A day needs two days of data, a week two weeks; other cycles are found in the periodogram of the
    latent series after the day is taken out.

    Args:
      panel: The training rows.
      latent: Normal scores, NaN where null or anomalous. Shape [N, F].
      interval_s: Cadence.
      max_periods: Cycles to look for beside day and week.
    """
    start_s, stop_s = panel.time_us.min() / MICROSECONDS, panel.time_us.max() / MICROSECONDS
    span_s = stop_s - start_s
    periods: list[float] = []
    harmonics: list[int] = []
    if span_s >= 1.9 * DAY_S and interval_s <= DAY_S / 4:
        periods.append(DAY_S)
        harmonics.append(int(min(6, DAY_S / interval_s / 2 - 1)))
    if span_s >= 2 * WEEK_S and interval_s <= DAY_S:
        periods.append(WEEK_S)
        harmonics.append(3)
    # One knot per two days and at most six: a trend must not become the series.
    knots = int(min(6, span_s // (2 * DAY_S)))
    trend = tuple(np.linspace(0.0, span_s, knots + 1)) if knots >= 1 else ()
    base = Calendar(tuple(periods), tuple(harmonics), start_s, trend)
    found = find_periods(panel, latent, base, interval_s, max_periods)
    for period in found:
        periods.append(period)
        harmonics.append(int(np.clip(period / interval_s / 2 - 1, 1, 6)))
    return Calendar(tuple(periods), tuple(harmonics), start_s, trend)


def ridge(design: np.ndarray, target: np.ndarray, penalty: float) -> np.ndarray:
    """Ridge regression, column by column over the rows that are known.

    Args:
      design: Shape [N, C].
      target: NaN where unknown. Shape [N, F].
      penalty: Per row.

    Returns:
      Coefficients. Shape [F, C], float64.
    """
    known = ~np.isnan(target)
    design = design.astype(np.float64)
    eye = np.eye(design.shape[1])
    out = np.zeros((target.shape[1], design.shape[1]))
    patterns: dict[bytes, list[int]] = {}
    for feature in range(target.shape[1]):
        patterns.setdefault(known[:, feature].tobytes(), []).append(feature)
    for features in patterns.values():
        rows = known[:, features[0]]
        if not rows.any():
            continue
        part = design[rows]
        gram = part.T @ part + penalty * rows.sum() * eye
        out[features] = np.linalg.solve(gram, part.T @ target[np.ix_(rows, features)]).T
    return out


def find_periods(
    panel: Panel, latent: np.ndarray, base: Calendar, interval_s: float, limit: int
) -> list[float]:
    """Cycles that stand out of the periodogram.

    Args:
      panel: The rows.
      latent: Shape [N, F]; NaN is unknown.
      base: Cycles that are known already.
      interval_s: Cadence.
      limit: How many to return at most.

    Returns:
      Periods in seconds, the strongest first; harmonics of an earlier one are left out.

    Source: Lomb (1976), Scargle (1982): gaps count as the mean.
    """
    periods: list[float] = []
    residual = np.nan_to_num(latent)
    design = base.design(panel.time_us)
    for series in range(panel.n_series):
        rows = panel.series == series
        if rows.sum() > 2 * base.width:
            fitted = design[rows] @ ridge(design[rows], latent[rows], 1e-3).T
            residual[rows] = np.nan_to_num(latent[rows] - fitted)
        else:
            residual[rows] = 0
    variance = residual.var(0)
    active = np.flatnonzero(variance > 1e-6)
    if limit == 0 or not len(active):
        return periods
    index = np.rint((panel.time_us - panel.time_us.min()) / (interval_s * MICROSECONDS)).astype(np.int64)
    length = int(min(index.max() + 1, 2**20))
    power = np.zeros((length // 2 + 1, len(active)))
    total = np.zeros(len(active))
    for series in range(panel.n_series):
        rows = (panel.series == series) & (index < length)
        if not rows.any():
            continue
        grid = np.zeros((length, len(active)))
        grid[index[rows]] = residual[np.ix_(rows, active)]
        count = max(int(rows.sum()), 1)
        power += np.abs(np.fft.rfft(grid, axis=0)) ** 2 * (2.0 / count)
        total += (grid**2).sum(0)
    # Share of a feature's variance that one frequency explains.
    share = power / np.maximum(total, 1e-9)
    frequency = np.arange(length // 2 + 1) / length
    with np.errstate(divide="ignore"):
        steps = 1 / frequency
    usable = (steps >= 6) & (steps <= length / 6)
    share[~usable] = 0
    strength = share.max(1)
    for peak in np.argsort(-strength)[:200]:
        if len(periods) >= limit or strength[peak] < MIN_EXPLAINED:
            break
        period = _refine(peak, strength, length) * interval_s
        known = [*base.periods_s, *periods]
        ratios = [q / period for q in known] + [period / q for q in known]
        if any(abs(r - round(r)) < 0.02 * max(round(r), 1) and 1 <= round(r) <= 6 for r in ratios):
            continue
        if _predicts(panel, residual[:, active], period):
            periods.append(period)
    return periods


def _predicts(panel: Panel, residual: np.ndarray, period_s: float) -> bool:
    """Whether a cycle fitted to one half of each series explains the other half.

    The periodogram alone takes the blocks that the splits cut out for cycles.
    """
    second = panel.time_us / MICROSECONDS
    angle = second % period_s * (2 * np.pi / period_s)
    design = np.stack([np.cos(k * angle) for k in (1, 2)] + [np.sin(k * angle) for k in (1, 2)], axis=1)
    errors, totals = np.zeros(residual.shape[1]), np.zeros(residual.shape[1])
    for series in range(panel.n_series):
        rows = np.flatnonzero(panel.series == series)
        halves = np.array_split(rows, 2)
        for fit, test in (halves, halves[::-1]):
            coefficients = ridge(design[fit], residual[fit], 1e-3)
            errors += ((residual[test] - design[test] @ coefficients.T) ** 2).sum(0)
            totals += (residual[test] ** 2).sum(0)
    return bool((1 - errors / np.maximum(totals, 1e-9)).max() > MIN_PREDICTED)


def _refine(peak: int, strength: np.ndarray, length: int) -> float:
    """A peak's period in steps, between the grid's frequencies (parabola through three points)."""
    left, middle, right = (
        strength[max(peak - 1, 0)],
        strength[peak],
        strength[min(peak + 1, len(strength) - 1)],
    )
    bend = left - 2 * middle + right
    shift = 0.5 * (left - right) / bend if bend < 0 else 0.0
    return length / (peak + float(np.clip(shift, -0.5, 0.5)))
