"""The linear-recurrent core: a vector autoregression with exponential memory and discrete inputs.

y_t = sum_l A_l y_{t-l} + sum_k B_k m_{k,t-1} + D0 d_t + D1 d_{t-1} + c + e_t, where y is the deviation
of the normal scores from their calendar part, m_k is y's exponential average with time constant tau_k,
d are indicators of the discrete state, and e_t = W(L n_t): correlated Gaussian innovations whose
marginals are warped to the residuals' own.

Source: Corsi (2009), HAR; Biller and Nelson (2003), VARTA; the averages make long memory cheap.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter

from components.synthesizer_trainer.core.innovations import (
    MIN_TIMES,
    fit_innovations,
    fit_level_warps,
    largest_radius,
    stabilise,
)
from components.synthesizer_trainer.core.local_tables import MIN_CORE, choose_phase, fit_local

#: Residuals with less kurtosis than this are fitted by least squares (a normal law has 3).
HEAVY_KURTOSIS = 9.0
#: Rounds, width in robust deviations and rows at most of the robust fit.
ROBUST_ROUNDS = 5
ROBUST_WIDTH = 3.0
ROBUST_ROWS = 20_000
MIN_SURPRISE = 0.02
#: Fewer rows than this have no local structure worth a table.
MIN_LOCAL_ROWS = 400


@dataclass(frozen=True)
class Dynamics:
    """Fitted recurrence; F numeric features, D indicators, K memories, p lags.

    Attributes:
      lags: A. Shape [p, F, F] (output, input).
      memory: B. Shape [K, F, F].
      decay: 1 - 1 / tau. Shape [K].
      now: D0. Shape [F, D].
      before: D1. Shape [F, D].
      constant: c. Shape [F].
      centre: Means of the indicators, subtracted before use. Shape [D].
      factor: L, Cholesky factor of the innovations' correlation. Shape [F, F].
      warp: Innovation at every point of the warp grid, by the feature's own level before the step.
        Shape [F, level, WARP_SIZE]; one level where the shape does not depend on it.
      shift: What the linear part misses, by the feature's own level and the phase of the main cycle.
        Shape [F, level, phase].
      spread: Scale of the innovations by the same. Shape [F, level, phase], mean square 1.
    """

    lags: np.ndarray
    memory: np.ndarray
    decay: np.ndarray
    now: np.ndarray
    before: np.ndarray
    constant: np.ndarray
    centre: np.ndarray
    factor: np.ndarray
    warp: np.ndarray
    shift: np.ndarray
    spread: np.ndarray

    @property
    def matrix(self) -> np.ndarray:
        """All regressors' coefficients side by side. Shape [F, (p + K) F + 2 D + 1]."""
        parts = [*self.lags, *self.memory, self.now, self.before, self.constant[:, None]]
        return np.concatenate(parts, axis=1)


def memories(y: np.ndarray, segment: np.ndarray, decay: np.ndarray) -> np.ndarray:
    """Exponential averages of y up to and including each row, restarted at each segment.

    Args:
      y: Shape [N, F], no NaN.
      segment: Shape [N].
      decay: Shape [K].

    Returns:
      Shape [N, K, F]. A segment's average starts at the mean of its first rows.
    """
    out = np.empty((len(y), len(decay), y.shape[1]))
    edges = np.flatnonzero(np.r_[True, segment[1:] != segment[:-1], True])
    for begin, end in itertools.pairwise(edges):
        part = y[begin:end]
        for k, rate in enumerate(decay):
            head = part[: max(3, int(1 / (1 - rate)) // 4)].mean(0)
            out[begin:end, k], _ = lfilter([1 - rate], [1, -rate], part, axis=0, zi=(rate * head)[None])
    return out


def regressors(
    y: np.ndarray, memory: np.ndarray, inputs: np.ndarray, rows: np.ndarray, order: int
) -> np.ndarray:
    """The regressors of the given rows, in the order of `Dynamics.matrix`. Shape [n, R]."""
    parts = [y[rows - lag] for lag in range(1, order + 1)]
    parts += [memory[rows - 1, k] for k in range(memory.shape[1])]
    parts += [inputs[rows], inputs[rows - 1], np.ones((len(rows), 1))]
    return np.concatenate(parts, axis=1)


def fit_dynamics(
    y: np.ndarray,
    known: np.ndarray,
    inputs: np.ndarray,
    segment: np.ndarray,
    normal: np.ndarray,
    order: int,
    memory_steps: tuple[float, ...],
    penalty: float,
    levels: np.ndarray,
    level_bins: int,
    phases: np.ndarray,
    phase_bins: tuple[int, ...],
    series_rows: int,
) -> tuple[Dynamics, np.ndarray]:
    """Fits the recurrence on normal rows.

    Args:
      y: Deviations, no NaN. Shape [N, F].
      known: Rows in which a feature's own equation holds (not null, not held). Shape [N, F], bool.
      inputs: Discrete indicators. Shape [N, D].
      segment: Shape [N].
      normal: Rows without an anomaly. Shape [N], bool.
      order: p.
      memory_steps: tau_k in rows.
      penalty: Ridge, per row and per variance of the regressor.
      levels: Bin of every feature's score. Shape [N, F], int.
      level_bins: Their number.
      phases: Bins of the phases that local structure may depend on. Shape [N, candidates], int; none: it
        depends on the level alone.
      phase_bins: Their numbers.
      series_rows: Normal rows of the longest series: what is slow in them is not learned
        (`innovations.largest_radius`), and a memory has to be as fast as half of that.

    Returns:
      A stable recurrence, and which of the phases each feature's tables depend on (0 where there is none).
      Shape [F].
    """
    count = y.shape[1]
    longest = int(np.bincount(segment).max())
    slowest = min(longest / 2, series_rows / (2 * MIN_TIMES))
    decay = np.array([1 - 1 / tau for tau in memory_steps if tau < slowest])
    memory = memories(y, segment, decay)
    centre = inputs[normal].mean(0) if inputs.shape[1] else np.zeros(0)
    inputs = inputs - centre
    usable = np.zeros(len(y), bool)
    usable[order:] = segment[order:] == segment[:-order]
    for lag in range(order + 1):
        usable[order:] &= normal[order - lag : len(y) - lag]
    rows = np.flatnonzero(usable)
    design = regressors(y, memory, inputs, rows, order)
    weight = design.var(0) + 1e-6
    weight[-1] = 1e-6
    matrix = np.zeros((count, design.shape[1]))
    residual = np.full((len(rows), count), np.nan)
    seen: dict[bytes, list[int]] = {}
    for feature in range(count):
        seen.setdefault(known[rows, feature].tobytes(), []).append(feature)
    for features in seen.values():
        own = known[rows, features[0]]
        if own.sum() < 3 * order:
            continue
        part = design[own]
        gram = part.T @ part + np.diag(weight * penalty * own.sum() + 1e-3 * weight)
        target = y[rows][np.ix_(own, features)]
        matrix[features] = np.linalg.solve(gram, part.T @ target).T
        for place, feature in enumerate(features):
            solved = robust(part, target[:, place], matrix[feature], weight * penalty)
            matrix[feature] = solved
            residual[own, feature] = target[:, place] - part @ solved
    k, d = len(decay), inputs.shape[1]
    lags = matrix[:, : order * count].reshape(count, order, count).transpose(1, 0, 2)
    rest = matrix[:, order * count :]
    memory_part = rest[:, : k * count].reshape(count, k, count).transpose(1, 0, 2)
    lags, memory_part = stabilise(lags, memory_part, decay, largest_radius(series_rows))
    shift = np.zeros((count, level_bins, max(phase_bins, default=1)))
    spread = np.ones_like(shift)
    chosen = np.zeros(count, np.int64)
    for feature in range(count):
        own = ~np.isnan(residual[:, feature])
        if own.sum() < MIN_LOCAL_ROWS:
            continue
        error, level = residual[own, feature], levels[rows[own] - 1, feature]
        chosen[feature] = choose_phase(error, level, phases[rows[own]], level_bins, phase_bins)
        size = phase_bins[chosen[feature]] if phase_bins else 1
        phase = phases[rows[own], chosen[feature]] if phase_bins else np.zeros(len(error), np.int64)
        local = fit_local(error, level, phase, level_bins, size)
        shift[feature, :, :size], spread[feature, :, :size] = local
        residual[own, feature] = (error - shift[feature][level, phase]) / spread[feature][level, phase]
    warp = fit_innovations(residual)[1]
    factor, warp = fit_level_warps(residual, levels[rows - 1], level_bins, warp)
    found = Dynamics(
        lags=lags,
        memory=memory_part,
        decay=decay,
        now=rest[:, k * count : k * count + d],
        before=rest[:, k * count + d : k * count + 2 * d],
        constant=rest[:, -1],
        centre=centre,
        factor=factor,
        warp=warp,
        shift=shift,
        spread=spread,
    )
    return found, chosen


def robust(design: np.ndarray, target: np.ndarray, plain: np.ndarray, penalty: np.ndarray) -> np.ndarray:
    """Coefficients that a few far jumps do not decide, where that describes the rest better.

    Least squares bends a ramp so as to meet the moments at which it falls. Where residuals have heavy
    tails, rows are weighed down by their distance (Cauchy weights, Holland and Welsch 1977); what they
    jump is left to the innovations, whose law depends on the level. Kept if it makes residuals smaller in
    the mean of their logarithms, which is how much less they surprise.

    Args:
      design: Shape [n, R].
      target: Shape [n].
      plain: Coefficients of least squares. Shape [R].
      penalty: Ridge per row. Shape [R].

    Returns:
      Shape [R].
    """
    error = target - design @ plain
    spread = error.std()
    if spread <= 0 or np.mean((error / spread) ** 4) < HEAVY_KURTOSIS:
        return plain
    some = slice(None, None, -(-len(design) // ROBUST_ROWS))
    rows, values, solved = design[some], target[some], plain
    floor = MIN_CORE * spread
    for _ in range(ROBUST_ROUNDS):
        rest = values - rows @ solved
        scale = max(1.4826 * float(np.median(np.abs(rest - np.median(rest)))), floor)
        share = 1 / (1 + (rest / (ROBUST_WIDTH * scale)) ** 2)
        weighted = rows * share[:, None]
        gram = rows.T @ weighted + np.diag(penalty * share.sum() + 1e-9)
        solved = np.linalg.solve(gram, weighted.T @ values)
    surprise = [np.log(np.abs(e) + floor).mean() for e in (error, target - design @ solved)]
    return solved if surprise[1] < surprise[0] - MIN_SURPRISE else plain
