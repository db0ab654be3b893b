"""From noisy histograms to marginals: post-processing, no rows."""

from __future__ import annotations

import numpy as np

from components.synthesizer_trainer.core.columns import ColumnTable, build_table, limit_table
from components.synthesizer_trainer.core.dp.mechanism import Noisy

#: A half of a cell keeps its count if it is at least so many standard deviations of the noise.
SIGNAL = 2.0
#: Quantile intervals of a table.
QUANTILES = 400


def consistent_leaves(tree: np.ndarray, std: float) -> np.ndarray:
    """Counts of the finest cells, consistent with all levels of a noisy tree, none negative.

    Weighted averages upwards and differences downwards are the least-squares fit (Hay et al. 2010,
    "Boosting the accuracy of differentially private histograms through consistency", theorem 3). On the
    way down a count that is lost in the noise goes to its sibling, or where both are lost is halved.

    Args:
      tree: Noisy counts, the root first. Shape [2^(L + 1) - 1].
      std: Of the noise.

    Returns:
      Shape [2^L], float64, >= 0.
    """
    depth = int(np.log2(len(tree) + 1)) - 1
    levels = [tree[2**k - 1 : 2 ** (k + 1) - 1] for k in range(depth + 1)]
    up = [levels[depth]]
    spread = [np.full(1, std)]
    for k in range(depth - 1, -1, -1):
        height = depth - k + 1
        own = (2**height - 2 ** (height - 1)) / (2**height - 1)
        children = up[0].reshape(-1, 2).sum(1)
        up.insert(0, own * levels[k] + (1 - own) * children)
        # Variance of a subtree's estimate, by the same weights.
        below = 2 * spread[0] ** 2
        spread.insert(0, np.sqrt(own**2 * std**2 + (1 - own) ** 2 * below))
    final = np.maximum(up[0], 0.0)
    for k in range(1, depth + 1):
        pair = up[k].reshape(-1, 2)
        pair = pair + (final - pair.sum(1))[:, None] / 2
        # The difference of siblings is what was measured; half of it decides who is lost.
        limit = SIGNAL * float(spread[k][0]) / np.sqrt(2)
        lost = pair < limit
        both = lost.all(1)
        pair = np.where(lost, 0.0, np.minimum(pair, final[:, None]))
        pair[lost[:, 0] & ~both, 1] = final[lost[:, 0] & ~both]
        pair[lost[:, 1] & ~both, 0] = final[lost[:, 1] & ~both]
        pair[both] = final[both, None] / 2
        final = pair.reshape(-1)
    return final


def quantiles(leaves: np.ndarray, bounds: tuple[float, float], step: float) -> np.ndarray:
    """Quantiles at 0, 1/K .. 1 of a histogram, uniform inside a cell, on the step's lattice.

    Args:
      leaves: Counts. Shape [cells]; at least one is positive.
      bounds: Of the histogram.
      step: Resolution, or 0.

    Returns:
      Shape [QUANTILES + 1], rising.
    """
    edges = np.linspace(*bounds, len(leaves) + 1)
    filled = np.flatnonzero(leaves > 0)
    mass = leaves[filled] / leaves[filled].sum()
    # Left and right end of every filled cell: an empty stretch between two is a jump.
    share = np.repeat(np.concatenate([[0.0], np.cumsum(mass)]), 2)[1:-1]
    ends = np.stack([edges[filled], edges[filled + 1]], axis=1).ravel()
    wanted = np.linspace(0, share[-1], QUANTILES + 1)
    # Of two equal shares the left end first; a hair keeps interp's abscissa rising.
    share = share + np.arange(len(share)) * 1e-13
    found = np.interp(wanted, share, ends)
    if step:
        found = np.round(found / step) * step
    return np.clip(np.sort(found), *bounds)


def numeric_tables(
    histograms: Noisy,
    bounds: list[tuple[float, float]],
    steps: list[float],
    integers: list[bool],
    rows: float,
) -> tuple[list[ColumnTable | None], list[np.ndarray]]:
    """The transform of every numeric feature.

    Args:
      histograms: Released trees. Shape [F, nodes].
      bounds: Of each feature.
      steps: Resolution of each, or 0.
      integers: Whether each is a whole number.
      rows: Noisy number of normal rows.

    Returns:
      Tables, None where no value stands out of the noise; and quantiles.
    """
    tables: list[ColumnTable | None] = []
    found: list[np.ndarray] = []
    for tree, limits, step, integer in zip(histograms.value, bounds, steps, integers):
        leaves = consistent_leaves(tree, histograms.std)
        if leaves.sum() < SIGNAL * histograms.std:
            tables.append(None)
            found.append(np.zeros(0))
            continue
        own = quantiles(leaves, limits, 1.0 if integer else step)
        if own[0] == own[-1]:
            # A table needs two values; the second is never reached but by an anomaly.
            nudge = max(step, (limits[1] - limits[0]) / len(leaves))
            own[-1] = own[0] + nudge if own[0] + nudge <= limits[1] else own[0]
            own[0] = own[0] - nudge if own[-1] == own[0] else own[0]
        table = build_table(own, limits, max(int(rows), 2), step, integer)
        tables.append(limit_table(table, limits))
        found.append(own)
    return tables, found
