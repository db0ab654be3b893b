"""The recurrence from noisy second moments: post-processing, no rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from components.synthesizer_trainer.core.chains import LEVEL_BINS
from components.synthesizer_trainer.core.dp.mechanism import Noisy
from components.synthesizer_trainer.core.dp.queries import Layout
from components.synthesizer_trainer.core.dynamics import Dynamics
from components.synthesizer_trainer.core.innovations import (
    MAX_RADIUS,
    WARP_LIMIT,
    WARP_SIZE,
    correlation_factor,
    stabilise,
)

if TYPE_CHECKING:
    from components.synthesizer_trainer.core.dp.fit import CalendarFit, Marginals

#: Least variance of an innovation, as a share of the typical step's.
MIN_VARIANCE = 0.02


def fit_recurrence(
    moments: Noisy | None,
    found: Layout,
    marginals: Marginals,
    cycles: CalendarFit | None,
    var_order: int,
    kept: np.ndarray,
    indicators: list[tuple[int, int]],
) -> Dynamics:
    """A stable vector autoregression, in the form that the sampler runs.

    Args:
      moments: M = sum u u', u = [y_{t-1}, earlier step, indicators, 1, step], noisy; None without numeric
        features.
      found: The layout.
      marginals: Shares of nulls and holds, by which moments are too small.
      cycles: Step sizes.
      var_order: Lags.
      kept: Numeric features that are not lost.
      indicators: Regressors whose feature is not lost.
    """
    count = len(kept)
    lags = np.zeros((var_order, count, count))
    now = np.zeros((count, len(indicators)))
    constant = np.zeros(count)
    factor, deviation = np.eye(count), np.ones(count)
    if count and moments is not None and cycles is not None:
        scale = cycles.step_scale[kept]
        matrix = _corrected(moments.value, found, marginals, var_order)
        width = len(found.numeric)
        blocks = [kept + block * width for block in range(var_order)]
        start = var_order * width
        blocks += [np.array([start + found.indicators.index(i) for i in indicators], int)]
        blocks += [np.array([start + len(found.indicators)])]
        inputs = np.concatenate(blocks)
        targets = kept + start + len(found.indicators) + 1
        solved, covariance = regress(matrix, inputs, targets, moments.std)
        solved = solved * scale[:, None]
        step = solved[:, :count]
        lags[0] = np.eye(count) + step
        if var_order == 2:
            earlier = solved[:, count : 2 * count] / scale[None, :]
            lags[0] += earlier
            lags[1] = -earlier
        now = solved[:, var_order * count : -1]
        constant = solved[:, -1]
        deviation = np.sqrt(np.diag(covariance)) * scale
        factor = correlation_factor(covariance / np.sqrt(np.outer(np.diag(covariance), np.diag(covariance))))
    lags, memory = stabilise(lags, np.zeros((0, count, count)), np.zeros(0), MAX_RADIUS)
    return Dynamics(
        lags=lags,
        memory=memory,
        decay=np.zeros(0),
        now=now,
        before=np.zeros_like(now),
        constant=constant,
        centre=np.zeros(len(indicators)),
        factor=factor,
        # The normal law: the innovations' own quantiles are not measured.
        warp=deviation[:, None, None] * np.linspace(-WARP_LIMIT, WARP_LIMIT, WARP_SIZE),
        shift=np.zeros((count, LEVEL_BINS, 1)),
        spread=np.ones((count, LEVEL_BINS, 1)),
    )


def _corrected(matrix: np.ndarray, found: Layout, marginals: Marginals, var_order: int) -> np.ndarray:
    """Moments as they would be without nulls (which count as 0) and holds (steps of 0).

    Nulls of different features are taken as independent of one another and of the values.
    """
    known = 1 - marginals.null_share[list(found.numeric)]
    stays = np.array(
        [
            1.0 if table is None else (1 - share) * table[0, 0]
            for table, share in zip(marginals.null_tables, marginals.null_share)
        ]
    )[list(found.numeric)]
    others = np.ones(len(found.indicators) + 1)
    steps = np.maximum(stays, 0.05)
    moving = np.maximum(steps * (1 - marginals.hold_share), 0.05)
    parts = [np.maximum(known, 0.05)] + [moving] * (var_order - 1) + [others, moving]
    share = np.concatenate(parts)
    owner = np.concatenate(
        [np.arange(len(known))] * var_order + [-1 - np.arange(len(others)), np.arange(len(known))]
    )
    same = owner[:, None] == owner[None, :]
    together = np.where(same, np.minimum(share[:, None], share[None, :]), np.outer(share, share))
    return np.asarray(matrix / together)


def regress(
    matrix: np.ndarray, inputs: np.ndarray, targets: np.ndarray, std: float
) -> tuple[np.ndarray, np.ndarray]:
    """Regression and residual covariance from noisy moments.

    Args:
      matrix: Symmetric; the last input is the constant 1, so its diagonal counts the rows.
      inputs: Rows of the regressors.
      targets: Rows of the targets.
      std: Of the noise on the diagonal.

    Returns:
      Coefficients [targets, inputs] and a positive definite covariance [targets, targets].
    """
    both = np.concatenate([inputs, targets])
    values, vectors = np.linalg.eigh(matrix[np.ix_(both, both)])
    # The nearest positive semidefinite matrix; then a ridge as large as the noise's largest eigenvalue.
    psd = (vectors * np.maximum(values, 0)) @ vectors.T
    size, ridge = len(inputs), std * np.sqrt(2 * len(both))
    rows = max(float(psd[size - 1, size - 1]), ridge, 1.0)
    regularised = psd[:size, :size] + ridge * np.eye(size)
    solved = np.linalg.solve(regularised, psd[:size, size:]).T
    cross = solved @ psd[:size, size:]
    covariance = psd[size:, size:] - cross - cross.T + solved @ psd[:size, :size] @ solved.T
    values, vectors = np.linalg.eigh((covariance + covariance.T) / (2 * rows))
    covariance = (vectors * np.maximum(values, MIN_VARIANCE)) @ vectors.T
    return solved, covariance
