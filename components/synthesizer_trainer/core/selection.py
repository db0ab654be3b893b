"""Chooses, among several draws of each session, the set that together is most like the training rows.

A few long autocorrelated sessions hold few independent rows: a mode that lasts hours may take 5 % of one
draw and 20 % of the next, although both come from the same chain. Where a release is that small, more
sessions are drawn than are wanted and the set is kept whose shares, correlations and autocorrelations come
nearest to the model's, which were measured on the training rows (sampling/importance resampling with the
distance to known margins as weight; compare Deville and Sarndal, "Calibration estimators in survey
sampling", JASA 87, 1992). Only the pooled rows are matched, so that sessions still differ from one another.
Nothing is read but the model, so what a release reveals does not change.
"""

from __future__ import annotations

from collections.abc import Sequence

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
#: A variable of more codes does not take part in the correlations.
MAX_CODES = 16
#: Lags of the autocorrelations, in rows, and pairs of rows that make one.
LAGS = (1, 5, 10, 20, 30, 40, 50, 60)
MIN_PAIRS = 20
#: Of a column that is not constant.
MIN_VARIANCE = 1e-12
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


def shown(codes: np.ndarray, scales: Sequence[np.ndarray | None] | None = None) -> np.ndarray:
    """What each state of a chain adds to the correlations.

    A number adds itself, another variable a column per code but the first. One of more codes than `MAX_CODES`
    is left out: its shares are matched, not its dependence.

    Args:
      codes: Code of each variable in each state. Shape [states, variables].
      scales: Value of each code of a number in [0, 1], None for any other variable; no scales: no numbers.

    Returns:
      Shape [states, columns], float32.
    """
    columns: list[np.ndarray] = []
    for own, scale in zip(codes.T, scales or [None] * codes.shape[1]):
        if scale is not None:
            columns += [scale[own].astype(np.float32)] if own.min(initial=0) < own.max(initial=0) else []
        elif own.max(initial=0) < MAX_CODES:
            columns += [(own == code).astype(np.float32) for code in range(1, int(own.max(initial=0)) + 1)]
    return np.stack(columns, axis=1) if columns else np.zeros((len(codes), 0), np.float32)


def scaled(levels: np.ndarray, number: bool) -> np.ndarray | None:
    """A number's values on [0, 1], shape of `levels`; None for any other variable, as `shown` has it."""
    if not number:
        return None
    low, high = float(np.min(levels)), float(np.max(levels))
    return np.asarray((levels - low) / (high - low or 1.0))


def correlations(scores: np.ndarray, states: np.ndarray, columns: list[np.ndarray]) -> np.ndarray:
    """Correlation of scores and of what chains' states show.

    Args:
      scores: Shape [N, F].
      states: Shape [N, G].
      columns: Of each chain (`shown`).

    Returns:
      Shape [D, D], float64, D = F and all columns; 0 where a column is constant.
    """
    rows = _beside(scores.astype(np.float64), states, columns)
    return _correlation(len(rows), rows.sum(0), rows.T @ rows)


def autocorrelations(
    scores: np.ndarray,
    states: np.ndarray,
    columns: list[np.ndarray],
    counted: np.ndarray,
    segment: np.ndarray,
) -> np.ndarray:
    """Autocorrelation of scores and of what chains' states show, over pairs of counted rows of a segment.

    Args:
      scores: Shape [N, F].
      states: Shape [N, G].
      columns: Of each chain (`shown`).
      counted: Shape [N], bool.
      segment: Runs of neighbouring rows. Shape [N].

    Returns:
      Shape [LAGS, D], float64, D as of `correlations`; 0 where a column is constant or pairs are few.
    """
    rows = _beside(scores.astype(np.float64), states, columns)[None]
    pairs = _pairs(counted, segment)
    own = rows[:, counted]
    count = own.shape[1]
    return _autocorrelation(count, own.sum(1), (own**2).sum(1), _pair_counts(pairs), *_lagged(rows, pairs))[0]


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
    columns: list[np.ndarray],
    correlation: np.ndarray,
    autocorrelation: np.ndarray | None,
    generator: np.random.Generator,
) -> np.ndarray:
    """Which draw of each session to keep.

    Args:
      scores: Calibrated normal scores. Shape [draw, session, row, F].
      states: Chains' states. Shape [draw, session, row, G].
      counted: Rows that are emitted and normal. Shape [session, row], bool.
      margin: Wanted share of the rows in each cell of a score's margin. Shape [F, CELLS].
      shares: Stationary share of each chain's states. G of them, each shape [states].
      columns: What each chain's states show in the correlations (`shown`).
      correlation: Wanted correlation (`correlations`). Shape [D, D].
      autocorrelation: Wanted autocorrelation (`autocorrelations`), shape [LAGS, D]; None for a batch that is
        numbers for the most part, and conformed: their correlations are moved anyhow, so they count less, and
        time not at all.
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
    if correlation.size:
        across, in_time = _dependence(scores, states, counted, columns, trials, correlation, autocorrelation)
        # As if each column (of numbers alone where they are moved) had one margin more for its mean error.
        margins_more = scores.shape[3] if autocorrelation is None else len(correlation)
        distance += (across + in_time) * margins_more
    best: np.ndarray = trials[int(distance.argmin())]
    return best


def _beside(scores: np.ndarray, states: np.ndarray, columns: list[np.ndarray]) -> np.ndarray:
    """Scores, then what each chain's states show. Shape [..., D], dtype of scores."""
    parts = [scores, *(own.astype(scores.dtype)[states[..., chain]] for chain, own in enumerate(columns))]
    return np.concatenate(parts, axis=-1)


def _dependence(
    scores: np.ndarray,
    states: np.ndarray,
    counted: np.ndarray,
    columns: list[np.ndarray],
    trials: np.ndarray,
    correlation: np.ndarray,
    autocorrelation: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Mean absolute error of the correlations and of the autocorrelations, of each trial. Shapes [TRIALS]."""
    totals: list[np.ndarray] = []
    pairs_of_lags = np.zeros(0 if autocorrelation is None else len(LAGS))
    for session, rows in enumerate(counted):
        own = _beside(scores[:, session], states[:, session], columns)
        pairs = [] if autocorrelation is None else _pairs(rows, np.zeros(len(rows), np.int8))
        pairs_of_lags += _pair_counts(pairs)
        used = own[:, rows]
        moments = used.sum(1), used.transpose(0, 2, 1) @ used, *(_lagged(own, pairs) if pairs else ())
        added = [part[trials[:, session]] for part in moments]
        totals = [total + part for total, part in zip(totals, added)] if totals else added
    sums, products, *lagged = totals
    count = int(counted.sum())
    across = np.abs(_correlation(count, sums, products) - correlation).mean((1, 2))
    if autocorrelation is None:
        return across, np.zeros(len(trials))
    squares = np.diagonal(products, axis1=-2, axis2=-1)
    found = _autocorrelation(count, sums, squares, pairs_of_lags, *lagged)
    return across, np.abs(found - autocorrelation).mean((1, 2))


def _pairs(counted: np.ndarray, segment: np.ndarray) -> list[np.ndarray]:
    """Which rows t make a pair with t + lag, at each lag: both count, and are of one segment.

    Args:
      counted: Shape [N], bool.
      segment: Shape [N].

    Returns:
      One for each of `LAGS`, each shape [N - lag], bool.
    """
    return [
        counted[lag:] & counted[:-lag] & (segment[lag:] == segment[:-lag])
        if lag < len(counted)
        else counted[:0]
        for lag in LAGS
    ]


def _pair_counts(pairs: list[np.ndarray]) -> np.ndarray:
    """Shape [LAGS], float64."""
    return np.array([own.sum() for own in pairs], float)


def _lagged(rows: np.ndarray, pairs: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Sums over pairs of rows at each lag: of their products, and of both.

    Args:
      rows: Shape [draw, T, D].
      pairs: Which rows t are paired with t + lag. One for each lag, each shape [T - lag], bool.

    Returns:
      Shapes [draw, LAGS, D].
    """
    products, ends = [], []
    for lag, own in zip(LAGS, pairs):
        first, second = rows[:, : len(own)][:, own], rows[:, lag : lag + len(own)][:, own]
        products.append(np.einsum("ntd,ntd->nd", first, second))
        ends.append(first.sum(1) + second.sum(1))
    return np.stack(products, 1), np.stack(ends, 1)


def _autocorrelation(
    count: int,
    sums: np.ndarray,
    squares: np.ndarray,
    pairs: np.ndarray,
    products: np.ndarray,
    ends: np.ndarray,
) -> np.ndarray:
    """Autocorrelation about the mean of all rows; 0 where a column is constant or pairs are few.

    Args:
      count: Rows.
      sums: Of the rows. Shape [..., D].
      squares: Of the rows. Shape [..., D].
      pairs: How many, at each lag. Shape [LAGS].
      products: Of pairs (`_lagged`). Shape [..., LAGS, D].
      ends: Of pairs (`_lagged`). Shape [..., LAGS, D].

    Returns:
      Shape [..., LAGS, D].
    """
    mean = sums / max(count, 1)
    variance = squares / max(count, 1) - mean**2
    number = np.maximum(pairs, 1)[:, None]
    covariance = products / number - mean[..., None, :] * (ends / number - mean[..., None, :])
    scale = np.where(variance > MIN_VARIANCE, 1 / np.maximum(variance, MIN_VARIANCE), 0.0)
    out: np.ndarray = covariance * scale[..., None, :] * (pairs >= MIN_PAIRS)[:, None]
    return out


def _correlation(rows: int, sums: np.ndarray, products: np.ndarray) -> np.ndarray:
    """Correlation from sums and products; 0 where a column is constant. Shape of `products`."""
    mean = sums / max(rows, 1)
    covariance = products / max(rows, 1) - mean[..., :, None] * mean[..., None, :]
    variance = np.diagonal(covariance, axis1=-2, axis2=-1)
    scale = np.where(variance > MIN_VARIANCE, 1 / np.sqrt(np.maximum(variance, MIN_VARIANCE)), 0.0)
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
