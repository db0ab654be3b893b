"""The baseline: rank-normal copula and VAR(2), innovations resampled from the residuals.

It has no neural part, and it copies: every innovation that it draws is a real residual row. It is here
because issue after issue it beat neural generators; what a release may hold is another matter.

Source: Cario and Nelson (1997), NORTA; Biller and Nelson (2003), VARTA; Efron (1979) for the bootstrap.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

ORDER = 2
BURN_IN = 200
RIDGE = 1e-6


class CopulaVar:
    """The fitted baseline.

    Args:
      values: Training rows; NaN is null and taken for the column's median. Shape [N, F].
      segment: Runs of neighbouring rows. Shape [N].
    """

    def __init__(self, values: Floats, segment: Ints) -> None:
        filled = np.where(np.isnan(values), np.nan_to_num(np.nanmedian(values, axis=0)), values)
        self.ordered = np.sort(filled, axis=0)
        ranks = np.empty_like(filled)
        for column, own in enumerate(filled.T):
            left, right = (np.searchsorted(self.ordered[:, column], own, side) for side in ("left", "right"))
            ranks[:, column] = (left + right) / 2  # ties take the middle of their interval
        scores = ndtri(np.clip(ranks / len(filled), 0.5 / len(filled), 1 - 0.5 / len(filled)))
        rows = np.arange(ORDER, len(scores))
        rows = rows[segment[rows] == segment[rows - ORDER]]
        design = np.concatenate([*(scores[rows - lag] for lag in (1, 2)), np.ones((len(rows), 1))], 1)
        gram = design.T @ design + RIDGE * len(rows) * np.eye(design.shape[1])
        self.matrix = np.linalg.solve(gram, design.T @ scores[rows])
        self.residual = scores[rows] - design @ self.matrix

    def sample(self, rows: int, rng: np.random.Generator) -> Floats:
        """A series of so many rows. Shape [rows, F]."""
        total = rows + BURN_IN
        shocks = self.residual[rng.integers(0, len(self.residual), total)]
        count = shocks.shape[1]
        first, second, constant = self.matrix[:count], self.matrix[count : 2 * count], self.matrix[-1]
        out = np.zeros((total, count))
        for t in range(ORDER, total):
            out[t] = out[t - 1] @ first + out[t - 2] @ second + constant + shocks[t]
            np.clip(out[t], -8, 8, out=out[t])
        kept = out[BURN_IN:]
        place = np.clip((ndtr(kept) * len(self.ordered)).astype(np.int64), 0, len(self.ordered) - 1)
        return np.take_along_axis(self.ordered, place, axis=0)
