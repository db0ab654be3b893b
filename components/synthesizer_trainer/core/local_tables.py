"""Tables of what a linear recurrence misses: mean and scale of its error, by level and phase."""

from __future__ import annotations

import numpy as np

#: Weight of the margins in the tables of local mean and scale, in rows.
LOCAL_PRIOR_ROWS = 20.0
#: Errors count up to so many robust deviations in the table of local means; the rest is a jump.
MAX_ERROR = 6.0
#: Least robust scale, as a share of the deviation.
MIN_CORE = 0.01


def smooth_table(
    values: np.ndarray, level: np.ndarray, phase: np.ndarray, levels: int, phases: int, prior: float
) -> np.ndarray:
    """Means of a quantity by level and phase, each cell shrunk to its margins' additive fit.

    Args:
      values: Shape [n].
      level: Shape [n].
      phase: Shape [n].
      levels: Bins of the level.
      phases: Bins of the phase.
      prior: Weight of the margins, in rows.

    Returns:
      Shape [levels, phases].
    """
    mean = float(values.mean())

    def margin(index: np.ndarray, size: int) -> np.ndarray:
        total = np.bincount(index, weights=values - mean, minlength=size)
        return total / (np.bincount(index, minlength=size) + prior)

    by_level = margin(level, levels)
    rest = values - mean - by_level[level]
    by_phase = np.bincount(phase, weights=rest, minlength=phases)
    by_phase = by_phase / (np.bincount(phase, minlength=phases) + prior)
    base = mean + by_level[:, None] + by_phase
    flat = level * phases + phase
    count = np.bincount(flat, minlength=levels * phases)
    total = np.bincount(flat, weights=values - base.ravel()[flat], minlength=levels * phases)
    return base + (total / (count + prior)).reshape(levels, phases)


def choose_phase(
    error: np.ndarray, level: np.ndarray, phases: np.ndarray, levels: int, sizes: tuple[int, ...]
) -> int:
    """Which phase says most about the size of errors in rows that it was not fitted to.

    Args:
      error: Shape [n].
      level: Shape [n].
      phases: Shape [n, candidates].
      levels: Bins of the level.
      sizes: Bins of each phase.

    Returns:
      The candidate; 0 where there is no choice.
    """
    if len(sizes) < 2:
        return 0
    fold = (np.arange(len(error)) * 10 // max(len(error), 1)) % 2
    surprise = np.zeros(len(sizes))
    for index, size in enumerate(sizes):
        phase = phases[:, index]
        for side in (0, 1):
            fit, test = fold == side, fold != side
            shift, spread = fit_local(error[fit], level[fit], phase[fit], levels, size)
            cells = level[test], phase[test]
            scale = np.maximum(spread[cells], 1e-9)
            # Of a Laplace law: its tails are nearer to those of real errors than a normal one's.
            surprise[index] += float((np.log(scale) + np.abs(error[test] - shift[cells]) / scale).sum())
    return int(surprise.argmin())


def fit_local(
    error: np.ndarray, level: np.ndarray, phase: np.ndarray, levels: int, phases: int
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and scale of the linear part's error, by level and phase.

    A full battery takes no charge and a pump at night makes no noise: no linear recurrence says so.

    Returns:
      Shift and spread, each [levels, phases].
    """
    centre = float(np.median(error))
    limit = MAX_ERROR * 1.4826 * float(np.median(np.abs(error - centre)))
    near = np.clip(error, centre - limit, centre + limit) if limit > MIN_CORE * error.std() else error
    shift = smooth_table(near, level, phase, levels, phases, LOCAL_PRIOR_ROWS)
    rest = error - shift[level, phase]
    # Logarithms are robust against the heavy tails that the warp is there for.
    floor = 1e-3 * (np.std(rest) + 1e-12)
    logarithm = np.log(np.abs(rest) + floor)
    spread = np.exp(smooth_table(logarithm, level, phase, levels, phases, LOCAL_PRIOR_ROWS))
    spread /= np.sqrt(np.mean(spread[level, phase] ** 2))
    return shift, np.clip(spread, 0.05, 5.0)
