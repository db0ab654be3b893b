"""What a recurrence leaves over: its distribution; and the recurrence made stable."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr, ndtri

#: Grid on which an innovation's warp is tabulated.
WARP_LIMIT = 4.0
WARP_SIZE = 129
#: Largest spectral radius of the closed loop.
MAX_RADIUS = 0.999


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


def stabilise(lags: np.ndarray, memory: np.ndarray, decay: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shrinks the coefficients until the closed loop's spectral radius is at most `MAX_RADIUS`."""
    for _ in range(200):
        if not lags.size or np.abs(np.linalg.eigvals(companion(lags, memory, decay))).max() <= MAX_RADIUS:
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


def correlation_factor(correlation: np.ndarray) -> np.ndarray:
    """Cholesky factor of the nearest correlation matrix (negative eigenvalues lifted)."""
    matrix = (correlation + correlation.T) / 2
    np.fill_diagonal(matrix, 1.0)
    values, vectors = np.linalg.eigh(matrix)
    matrix = (vectors * np.maximum(values, 1e-6)) @ vectors.T
    scale = 1 / np.sqrt(np.diag(matrix))
    return np.linalg.cholesky(matrix * scale[:, None] * scale + 1e-9 * np.eye(len(matrix)))
