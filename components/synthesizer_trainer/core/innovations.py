"""What a recurrence leaves over: its distribution; and the recurrence made stable."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr, ndtri

#: Grid on which an innovation's warp is tabulated.
WARP_LIMIT = 4.0
WARP_SIZE = 129
#: Fewer residuals than this have no shape by level; and what the law over all levels counts, in rows.
MIN_LEVEL_ROWS = 1000
LEVEL_PRIOR_ROWS = 20.0
#: What a row counts in its own level and in those beside it.
NEIGHBOUR_WEIGHTS = np.array([1.0, 0.25])
#: Largest spectral radius of the closed loop, and how many time constants the longest series has to last.
MAX_RADIUS = 0.999
MIN_TIMES = 7.0


def companion(lags: np.ndarray, memory: np.ndarray, decay: np.ndarray) -> np.ndarray:
    """The closed loop as one first-order recurrence of [y_t .. y_{t-p+1}, m_1 .. m_K]."""
    order, count, _ = lags.shape
    k = len(decay)
    out = np.zeros(((order + k) * count,) * 2)
    out[:count] = np.concatenate([*lags, *memory], axis=1)
    out[count : order * count, : (order - 1) * count] = np.eye((order - 1) * count)
    for index, rate in enumerate(decay):
        block = slice((order + index) * count, (order + index + 1) * count)
        out[block] = (1 - rate) * out[:count]
        out[block, block] += rate * np.eye(count)
    return out


def largest_radius(rows: int) -> float:
    """Largest spectral radius that one series of so many rows can tell.

    A root r is estimated with a deviation of sqrt(2 (1 - r) / n) (Mann and Wald, Econometrica 11, 1943): if
    the time constant is n / 7, that is half of its distance from 1. A mode that is fitted slower than this
    swings, in a free run, several times as far as it ever did in the rows.
    """
    return min(MAX_RADIUS, 1 - MIN_TIMES / max(rows, 10 * MIN_TIMES))


def stabilise(
    lags: np.ndarray, memory: np.ndarray, decay: np.ndarray, radius: float
) -> tuple[np.ndarray, np.ndarray]:
    """Shrinks the coefficients until the closed loop's spectral radius is at most `radius`."""
    for _ in range(200):
        if not lags.size or np.abs(np.linalg.eigvals(companion(lags, memory, decay))).max() <= radius:
            break
        lags, memory = lags * 0.997, memory * 0.997
    return lags, memory


def fit_innovations(residual: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Correlation of the residuals' normal scores, and each residual's quantile function.

    Args:
      residual: NaN where unknown. Shape [n, F].

    Returns:
      Cholesky factor [F, F] and warp table [F, WARP_SIZE] (zero mean).
    """
    count = residual.shape[1]
    grid = np.linspace(-WARP_LIMIT, WARP_LIMIT, WARP_SIZE)
    warp = np.zeros((count, WARP_SIZE))
    scores = np.zeros_like(residual)
    weights = np.exp(-0.5 * grid**2)
    weights /= weights.sum()
    for feature in range(count):
        own = np.flatnonzero(~np.isnan(residual[:, feature]))
        if len(own) < 3:
            continue
        values = residual[own, feature]
        # Order statistics are averaged with their neighbours: no single row's residual is emitted.
        ordered = np.sort(values)
        width = min(5, len(ordered))
        smooth = np.convolve(ordered, np.ones(width) / width, mode="valid")
        position = (np.arange(len(smooth)) + (width + 1) / 2 - 0.5) / len(ordered)
        warp[feature] = np.interp(ndtr(grid), position, smooth)
        # Averaging trims the variance a little; the linear fit's shrinkage does the same.
        warp[feature] -= weights @ warp[feature]
        spread = np.sqrt(weights @ warp[feature] ** 2)
        if spread > 0:
            warp[feature] *= np.std(values) / spread
        ranks = np.argsort(np.argsort(values, kind="stable"), kind="stable")
        scores[own, feature] = ndtri((ranks + 0.5) / len(own))
    together = ~np.isnan(residual)
    overlap = together.T.astype(float) @ together.astype(float)
    correlation = scores.T @ scores / np.maximum(overlap, 1)
    correlation[overlap < 10] = 0
    return correlation_factor(correlation), warp


def fit_level_warps(
    residual: np.ndarray, levels: np.ndarray, count: int, warp: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Quantile functions of the innovations by the feature's own level, and their correlation.

    A heap that is collected when it is full falls far, and only from the top; a queue jumps from empty. The
    shape of what comes next, not its scale alone, depends on where a series is.

    Args:
      residual: Standardised, NaN where unknown. Shape [n, F].
      levels: Bin of each feature before the step. Shape [n, F], int.
      count: Bins.
      warp: The innovations' quantile functions over all levels. Shape [F, WARP_SIZE].

    Returns:
      Cholesky factor [F, F] of the correlation of the normal scores given the level, and tables
      [F, count, WARP_SIZE]. A level counts its neighbours' rows in part, and the law over all levels as
      `LEVEL_PRIOR_ROWS`.
    """
    grid = np.linspace(-WARP_LIMIT, WARP_LIMIT, WARP_SIZE)
    prior = np.exp(-0.5 * grid**2)
    prior *= LEVEL_PRIOR_ROWS / prior.sum()
    out = np.repeat(warp[:, None], count, axis=1)
    scores = np.full_like(residual, np.nan)
    for feature in range(residual.shape[1]):
        own = np.flatnonzero(~np.isnan(residual[:, feature]))
        if len(own) < MIN_LEVEL_ROWS:
            scores[own, feature] = np.interp(residual[own, feature], *_rising(warp[feature], grid))
            continue
        values, level = residual[own, feature], levels[own, feature]
        for place in range(count):
            distance = np.abs(level - place)
            near = distance < len(NEIGHBOUR_WEIGHTS)
            weight = np.concatenate([NEIGHBOUR_WEIGHTS[distance[near]], prior])
            pool = np.concatenate([values[near], warp[feature]])
            order = np.argsort(pool, kind="stable")
            pool, weight = pool[order], weight[order]
            # Averages of five neighbours, as over all levels: no single row's residual is emitted.
            smooth = np.convolve(pool * weight, np.ones(5), mode="valid")
            mass = np.convolve(weight, np.ones(5), mode="valid")
            middle = np.cumsum(weight)[2:-2] - weight[2:-2] / 2
            out[feature, place] = np.interp(ndtr(grid), middle / weight.sum(), smooth / mass)
            mine = own[level == place]
            scores[mine, feature] = np.interp(residual[mine, feature], *_rising(out[feature, place], grid))
    known = ~np.isnan(scores)
    filled = np.nan_to_num(scores)
    overlap = known.T.astype(float) @ known.astype(float)
    correlation = filled.T @ filled / np.maximum(overlap, 1)
    deviation = np.sqrt(np.maximum(np.diag(correlation), 1e-6))
    correlation = correlation / np.outer(deviation, deviation)
    correlation[overlap < 10] = 0
    return correlation_factor(correlation), out


def _rising(values: np.ndarray, grid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A quantile function as one can be inverted: strictly rising values, and their scores."""
    values = np.maximum.accumulate(values)
    keep = np.concatenate([[True], np.diff(values) > 1e-12])
    return values[keep], grid[keep]


def correlation_factor(correlation: np.ndarray) -> np.ndarray:
    """Cholesky factor of the nearest correlation matrix (negative eigenvalues lifted)."""
    matrix = (correlation + correlation.T) / 2
    np.fill_diagonal(matrix, 1.0)
    values, vectors = np.linalg.eigh(matrix)
    matrix = (vectors * np.maximum(values, 1e-6)) @ vectors.T
    scale = 1 / np.sqrt(np.diag(matrix))
    return np.linalg.cholesky(matrix * scale[:, None] * scale + 1e-9 * np.eye(len(matrix)))
