"""Chooses, among several draws of each session, the set that together is most like the model's own law.

A few long autocorrelated sessions hold few independent rows: a mode that lasts hours may take 5 % of one
draw and 20 % of the next, although both come from the same chain. Where a release is that small, more
sessions are drawn than are wanted and the set is kept whose shares come nearest to the model's
stationary ones, which were fitted on the training rows (sampling/importance resampling with the distance
to known margins as weight; compare Deville and Sarndal, "Calibration estimators in survey sampling",
JASA 87, 1992). Only the pooled rows are matched, so that sessions still differ from one another. Nothing
is read but the model, so what a release reveals does not change.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri

#: Sets of draws that are compared.
TRIALS = 512
#: Fewer rows than this are not matched: a short release need not look like the long run.
MIN_ROWS = 1000
#: A choice among fewer draws than this is not worth their price.
MIN_DRAWS = 4
#: Draws of a batch whose numbers are conformed anyhow.
CONFORMED_DRAWS = 4
#: A chain of more states does not take part in the correlations.
MAX_STATES = 16
#: Cells of a normal score's margin, equally likely.
CELLS = 16

EDGES = ndtri(np.arange(1, CELLS) / CELLS)


def margins(scores: np.ndarray) -> np.ndarray:
    """Share of rows in each cell of every score's margin.

    Args:
      scores: Shape [N, F].

    Returns:
      Shape [F, CELLS], float64.
    """
    cells = np.searchsorted(EDGES, scores)
    counts = [np.bincount(own, minlength=CELLS) for own in cells.T]
    return np.array(counts, float).reshape(-1, CELLS) / max(len(scores), 1)


def correlations(scores: np.ndarray, states: np.ndarray, sizes: list[int]) -> np.ndarray:
    """Correlation of scores and chains' states.

    Args:
      scores: Shape [N, F].
      states: Shape [N, G].
      sizes: States of each chain.

    Returns:
      Shape [D, D], float64, D the columns of `_indicators`; 0 where a column is constant.
    """
    rows = _indicators(scores.astype(np.float64), states, sizes)
    return _correlation(len(rows), rows.sum(0), rows.T @ rows)


def draws(sessions: int, rows: int, lanes: int, conformed: bool = False) -> int:
    """How many draws of each session to make.

    Args:
      sessions: In the batch.
      rows: That the batch emits.
      lanes: Sessions that run side by side at most.
      conformed: The batch's numbers are conformed, and most of it is numbers: there is little left to choose.

    Returns:
      At least 1; 1 means that there is nothing to choose from.
    """
    number = min(lanes // max(sessions, 1), CONFORMED_DRAWS if conformed else lanes)
    return number if rows >= MIN_ROWS and number >= MIN_DRAWS else 1


def choose(
    scores: np.ndarray,
    states: np.ndarray,
    counted: np.ndarray,
    margin: np.ndarray,
    shares: list[np.ndarray],
    correlation: np.ndarray,
    generator: np.random.Generator,
) -> np.ndarray:
    """Which draw of each session to keep.

    Args:
      scores: Calibrated normal scores. Shape [draw, session, row, F].
      states: Chains' states. Shape [draw, session, row, G].
      counted: Rows that are emitted and normal. Shape [session, row], bool.
      margin: Wanted share of the rows in each cell of a score's margin. Shape [F, CELLS].
      shares: Stationary share of each chain's states. G of them, each shape [states].
      correlation: Wanted correlation (`correlations`). Shape [D, D].
      generator: Draws the sets that are compared.

    Returns:
      Draw of each session. Shape [session], int64. Of sets that are equally good, the first.
    """
    number, sessions = scores.shape[:2]
    tables, targets = [], []
    for feature in range(scores.shape[3]):
        cell = _cell(scores[..., feature])
        tables.append(_counts(cell, counted, CELLS))
        targets.append(margin[feature])
    for chain, share in enumerate(shares):
        tables.append(_counts(states[..., chain], counted, len(share)))
        targets.append(share)
    trials = generator.integers(0, number, (TRIALS, sessions))
    rows = max(int(counted.sum()), 1)
    distance = np.zeros(TRIALS)
    for index, (table, target) in enumerate(zip(tables, targets)):
        pooled = table[trials, np.arange(sessions)].sum(1) / rows
        if index < scores.shape[3]:
            # Kolmogorov-Smirnov on the cells' edges; total variation for states.
            distance += np.abs(np.cumsum(pooled - target, axis=1)).max(1)
        else:
            distance += np.abs(pooled - target).sum(1) / 2
    sums, products = _moments(scores, states, counted, [len(share) for share in shares])
    lanes = np.arange(sessions)
    found = _correlation(rows, sums[trials, lanes].sum(1), products[trials, lanes].sum(1))
    # As if each score had one margin more: its mean error of correlation.
    if correlation.size:
        distance += np.abs(found - correlation).mean((1, 2)) * max(scores.shape[3], 1)
    best: np.ndarray = trials[int(distance.argmin())]
    return best


def _indicators(scores: np.ndarray, states: np.ndarray, sizes: list[int]) -> np.ndarray:
    """Scores, then one column per state but the first of each chain. Shape [..., D], dtype of scores.

    Chains of more states than `MAX_STATES` are left out: their shares are matched, not their dependence.
    """
    columns = [scores]
    for chain, size in enumerate(sizes):
        if size <= MAX_STATES:
            columns.append((states[..., chain, None] == np.arange(1, size)).astype(scores.dtype))
    return np.concatenate(columns, axis=-1)


def _moments(
    scores: np.ndarray, states: np.ndarray, counted: np.ndarray, sizes: list[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Sums [draw, session, D] and products [draw, session, D, D] of the indicators over counted rows."""
    sums, products = [], []
    for session, rows in enumerate(counted):
        own = _indicators(scores[:, session, rows], states[:, session, rows], sizes)
        sums.append(own.sum(1))
        products.append(own.transpose(0, 2, 1) @ own)
    return np.stack(sums, 1), np.stack(products, 1)


def _correlation(rows: int, sums: np.ndarray, products: np.ndarray) -> np.ndarray:
    """Correlation from sums and products; 0 where a column is constant. Shape of `products`."""
    mean = sums / max(rows, 1)
    covariance = products / max(rows, 1) - mean[..., :, None] * mean[..., None, :]
    deviation = np.sqrt(np.maximum(np.diagonal(covariance, axis1=-2, axis2=-1), 0))
    scale = np.where(deviation > 1e-6, 1 / np.maximum(deviation, 1e-6), 0.0)
    out: np.ndarray = covariance * scale[..., :, None] * scale[..., None, :]
    return out


def _cell(scores: np.ndarray) -> np.ndarray:
    """Cell of each score, as `np.searchsorted` has it; for few edges comparing is much faster."""
    column = np.ascontiguousarray(scores)
    out = np.zeros(column.shape, np.uint8)
    for edge in EDGES.astype(column.dtype):
        out += column > edge
    return out


def _counts(codes: np.ndarray, counted: np.ndarray, size: int) -> np.ndarray:
    """Rows per code. Shape [draw, session, size]."""
    number, sessions = codes.shape[:2]
    lane = np.arange(number * sessions).reshape(number, sessions, 1)
    flat = (lane * size + codes)[np.broadcast_to(counted, codes.shape)]
    return np.bincount(flat, minlength=number * sessions * size).reshape(number, sessions, size)
