"""Normal-score (copula) transform of numeric columns and its inverse, as tables on a uniform grid.

A value v becomes z = Phi^-1(F(v)) with F from quantiles; tied values take the middle of their
interval. The inverse reads a table over z, so that decoding is one gather per value: linear between
neighbouring quantiles, stepwise beside an atom, hence an atom (a constant, a zero-inflation, a
quantised sensor) comes back exactly.

Source: Nelsen (2006), An Introduction to Copulas, ch. 2; NORTA, Cario and Nelson (1997).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtr, ndtri

#: The latent grid: 0.005 wide cells, so an atom's probability is right to 0.2 % at worst.
GRID_LIMIT = 5.0
GRID_SIZE = 2001
#: Cells of the grid per unit of a score.
CELLS_PER_UNIT = (GRID_SIZE - 1) / (2 * GRID_LIMIT)
#: Emitted values may leave the range of the training rows by this share of it.
RANGE_MARGIN = 0.02
#: Light-tailed: a normal distribution has 3, an exponential one 9.
MAX_KURTOSIS = 6.0
#: Fewer distinct quantiles than this are atoms.
MIN_LEVELS = 50


@dataclass(frozen=True)
class ColumnTable:
    """One numeric column's transform.

    Attributes:
      knots: Increasing distinct values. Shape [k], float64.
      scores: Normal score of each knot. Shape [k], float64, increasing.
      table: Value at every latent grid point. Shape [GRID_SIZE], float64.
      step: Lattice on which all values lie, or 0.
      origin: A point of that lattice.
      low: Least value that may be emitted.
      high: Largest value that may be emitted.
      scale: Robust spread of normal rows, in source units, > 0.
    """

    knots: np.ndarray
    scores: np.ndarray
    table: np.ndarray
    step: float
    origin: float
    low: float
    high: float
    scale: float

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Normal scores; linear beyond the range; NaN stays. Any shape."""
        scores = np.interp(values, self.knots, self.scores)
        if len(self.knots) > 1:
            span = max(self.knots[-1] - self.knots[0], 1e-12)
            slope = (self.scores[-1] - self.scores[0]) / span
            scores = scores + slope * (np.maximum(values - self.knots[-1], 0))
            scores = scores + slope * (np.minimum(values - self.knots[0], 0))
        return np.where(np.isnan(values), np.nan, scores)


def lattice_step(values: np.ndarray) -> float:
    """The step of the lattice that all values lie on (a quantised sensor), or 0.

    Args:
      values: Finite values. Shape [n].

    Returns:
      The step in source units; 0 where there is none or it is finer than 1/20,000 of the range.
    """
    unique = np.unique(values)
    if len(unique) < 3:
        return 0.0
    gaps = np.diff(unique)
    # float32 storage blurs a lattice by a few units in the last place.
    blur = 4e-7 * max(abs(unique[0]), abs(unique[-1]), 1e-30)
    gaps = gaps[gaps > 4 * blur]
    if not len(gaps):
        return 0.0
    step = float(gaps.min())
    if (unique[-1] - unique[0]) / step > 20_000:
        return 0.0
    # The least gap is itself blurred: refine it over the whole range.
    for _ in range(3):
        turns = np.rint((unique - unique[0]) / step)
        step = float((unique - unique[0]) @ turns / max(turns @ turns, 1.0))
    off = np.abs(unique - unique[0] - turns * step)
    return step if off.max() <= max(4 * blur, 0.01 * step) else 0.0


def on_lattice(values: np.ndarray, origin: float, step: float) -> np.ndarray:
    """The lattice's points next to the values, in the decimals that a source writes them with.

    The sampler's float32 misses a point by a unit in the last place, which no reader of the real rows ever
    sees: to a two-sample test a sensor that rests at 1.0 would be another one at 0.99999994.
    """
    exact = origin + np.rint((values - origin) / step) * step
    return np.round(exact, int(np.clip(np.ceil(-np.log10(step)) + 2, 0, 15)))


def is_light_tailed(quantiles: np.ndarray) -> bool:
    """Whether a column is modelled on its own scale, standardised, rather than as normal scores.

    Physics is close to linear in source units, and a rank transform blows the noise of a saturated
    sensor up to the size of its swing. Heavy tails need the ranks. The core's own marginals are
    calibrated afterwards in either case.
    """
    spread = quantiles.std()
    # A coarse sensor has no shape to be linear in.
    if spread <= 0 or len(np.unique(quantiles)) < MIN_LEVELS:
        return False
    standard = (quantiles - quantiles.mean()) / spread
    return bool((standard**4).mean() < MAX_KURTOSIS and np.abs(standard).max() < 0.95 * GRID_LIMIT)


def ends_on_grid(scores: np.ndarray, lowest: bool, highest: bool) -> np.ndarray:
    """Moves scores by half a cell of the latent grid at most, so that saturated ends stand on its points.

    On its own scale a saturated end has no width. Between two points of the grid a full battery would come
    back as the step of its sensor below, where that point is nearer.

    Args:
      scores: Rising. Shape [n].
      lowest: The least one is a saturated end.
      highest: The greatest one is.
    """
    if not (lowest or highest):
        return scores
    ends = scores[[0, -1]]
    low, high = np.rint(ends * CELLS_PER_UNIT) / CELLS_PER_UNIT - ends
    # A single one moves all scores alike.
    shift = (low if lowest else high, high if highest else low)
    return np.asarray(scores + np.interp(scores, ends, shift))


def build_table(
    quantiles: np.ndarray,
    value_range: tuple[float, float],
    rows: int,
    step: float = 0.0,
    integer: bool = False,
) -> ColumnTable:
    """Builds a column's transform from its quantiles.

    Args:
      quantiles: At probabilities 0, 1/K ... 1, ties repeated. Shape [K + 1].
      value_range: Least and largest value over all rows.
      rows: Number of values behind the quantiles; places the extremes.
      step: Lattice step, or 0.
      integer: Values are whole numbers.

    Returns:
      The transform.
    """
    count = len(quantiles) - 1
    end = float(ndtri(0.5 / max(rows, 2)))
    probability = np.arange(count + 1) / count
    score = ndtri(np.clip(probability, 1e-12, 1 - 1e-12))
    # The extremes sit where a sample of this size has them.
    score[0], score[-1] = min(end, score[1] - 0.05), max(-end, score[-2] + 0.05)
    linear = is_light_tailed(quantiles)
    tied = np.zeros(count + 1, bool)
    tied[1:] |= quantiles[1:] == quantiles[:-1]
    tied[:-1] |= quantiles[1:] == quantiles[:-1]
    if linear:
        score = ends_on_grid((quantiles - quantiles.mean()) / quantiles.std(), bool(tied[0]), bool(tied[-1]))
    grid = np.linspace(-GRID_LIMIT, GRID_LIMIT, GRID_SIZE)
    cell = np.clip(np.searchsorted(score, grid, side="right") - 1, 0, count - 1)
    share = (grid - score[cell]) / np.maximum(score[cell + 1] - score[cell], 1e-9)
    left, right = quantiles[cell], quantiles[cell + 1]
    stepped = (tied[cell] | tied[cell + 1]) & (grid >= score[0]) & (grid <= score[-1])
    stepped |= left == right
    # Beyond the extremes the outer half's slope goes on, not that of the last two values.
    reach = (quantiles[-1] - quantiles[0]) / max(score[-1] - score[0], 1e-9)
    table = np.where(stepped, np.where(share > 0.5, right, left), left + share * (right - left))
    table = np.where(grid > score[-1], quantiles[-1] + reach * (grid - score[-1]), table)
    table = np.where(grid < score[0], quantiles[0] + reach * (grid - score[0]), table)
    margin = RANGE_MARGIN * (value_range[1] - value_range[0])
    low, high = value_range[0] - margin, value_range[1] + margin
    if integer:
        step = 1.0
        low, high = value_range
    origin = float(quantiles[0]) if step else 0.0
    table = np.clip(table, low, high)
    if step:
        table = origin + np.rint((table - origin) / step) * step
        low, high = origin + np.floor((value_range[0] - origin) / step + 0.5) * step, value_range[1]
    knots, inverse = np.unique(quantiles, return_inverse=True)
    # Middle of a tie's interval in probability, not in score.
    count_of = np.bincount(inverse)
    middle = np.bincount(inverse, weights=score if linear else ndtr(score)) / count_of
    quarter = quantiles[[int(0.25 * count), int(np.ceil(0.75 * count))]]
    scale = (quarter[1] - quarter[0]) / 1.349
    if scale <= 0:
        scale = float(np.std(quantiles)) or max(value_range[1] - value_range[0], 1.0) / 4
    return ColumnTable(
        knots=knots,
        scores=middle if linear else ndtri(np.clip(middle, 1e-9, 1 - 1e-9)),
        table=table,
        step=step,
        origin=origin,
        low=float(low),
        high=float(high),
        scale=float(scale),
    )


def limit_table(column: ColumnTable, bounds: tuple[float, float]) -> ColumnTable:
    """The same transform, emitting nothing outside `bounds` (low, high), which may be infinite."""
    low, high = max(column.low, bounds[0]), min(column.high, bounds[1])
    return replace(column, low=low, high=high, table=np.clip(column.table, low, high))


def snap_cells(table: np.ndarray) -> np.ndarray:
    """Cells of the latent grid where the nearer end is taken instead of a line: those beside an atom.

    Args:
      table: Shape [GRID_SIZE] or [feature, GRID_SIZE].

    Returns:
      Whether an end of the cell repeats in its neighbour. Shape [..., GRID_SIZE - 1], bool.
    """
    flat = table[..., 1:] == table[..., :-1]
    beside = np.zeros_like(flat)
    beside[..., 1:] |= flat[..., :-1]
    beside[..., :-1] |= flat[..., 1:]
    return beside & ~flat


def grid_position(scores: np.ndarray) -> np.ndarray:
    """Place of scores on the latent grid, in cells from its first point. Shape and dtype of `scores`."""
    out: np.ndarray = (np.clip(scores, -GRID_LIMIT, GRID_LIMIT) + GRID_LIMIT) * CELLS_PER_UNIT
    return out


def decode(table: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The inverse transform in NumPy: what the SavedModel does in TensorFlow.

    Args:
      table: Shape [feature, GRID_SIZE].
      scores: Shape [..., feature].

    Returns:
      Values in source units. Shape [..., feature].
    """
    position = grid_position(scores)
    cell = np.minimum(position.astype(np.int64), GRID_SIZE - 2)
    share = position - cell
    columns = np.arange(table.shape[0])
    share = np.where(snap_cells(table)[columns, cell], share > 0.5, share)
    left, right = table[columns, cell], table[columns, cell + 1]
    return left + share * (right - left)
