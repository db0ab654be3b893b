"""Numbers that hardly any real row has, and extremes: a synthetic row does not repeat them digit by digit.

A synthesizer that works with quantiles may emit a value of a single real row exactly: beside an atom of the
distribution, or at the end of its range. The value is plausible, but its digits are a finding about that row,
as a rare category's name is. What comes out in its place is, in this order:

1. On integers and a sensor's own steps: the nearest value that enough real rows have, if fewer rows than
   that lie between (top and bottom coding at the ends, where it lies inwards).
2. A value that no real row has, drawn from a gap between two real neighbours; at the ends inwards.
3. The nearest value that enough real rows have, at any distance.
4. Nothing: a missing value.

So it is never a value that too few real rows have, and lies strictly between the least and the greatest real
value, or is one that enough rows have. On a continuous scale every rare value is moved. On steps a value's
digits say little: those that stand alone are moved, and those at which and beyond which too few rows lie. A
rare step among its neighbours stays; to empty each of them would show where the real rows are.

This hides digits, not the neighbourhood: that a value of this size occurs is judged by the gate's attacks.

Source: top and bottom coding, local suppression: Hundepool et al. (2012), Statistical Disclosure Control,
ch. 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from components.dataset import DatasetConfig

#: A value that stands this many steps from its neighbours stands alone.
_ALONE_STEPS = 2.5
#: A gap is wide enough if this share of it, which a draw keeps from either end, is one float32 step.
_MARGIN = 0.1


@dataclass(frozen=True)
class RareNumbers:
    """Values of one column that too few real rows have.

    Attributes:
      values: Float64, increasing. Shape [value].
      gaps: Two intervals, one of which is drawn: its ends are real values, and what comes out lies between.
        Equal ends: that very value, which enough rows have. NaN: a missing value. Shape [value, 2, 2].
      step: Of the lattice that all real values lie on; 0 where there is none.
    """

    values: np.ndarray
    gaps: np.ndarray
    step: float


def rare_numbers(table: pa.Table, dataset: DatasetConfig, min_supporters: int) -> dict[str, RareNumbers]:
    """The values to keep from being repeated, by column; columns without any are left out.

    Args:
      table: Real training rows.
      dataset: The columns; continuous and integer features are looked at.
      min_supporters: Rows that a value needs.
    """
    found = {}
    for name in dataset.feature_names("continuous", "integer"):
        column = table.column(name).drop_null().to_numpy().astype(np.float64)
        values, counts = np.unique(column[np.isfinite(column)], return_counts=True)
        if (counts < min_supporters).any():
            step = _step(values, pa.types.is_integer(table.column(name).type))
            rare, inwards = _which(values, counts, step, min_supporters)
            if len(rare):
                gaps = _ways_out(values, counts, step, min_supporters, rare, inwards)
                found[name] = RareNumbers(values[rare], gaps, step)
    return found


def _step(values: np.ndarray, integer: bool) -> float:
    # Imported here: it needs SciPy, which reading a configuration does not.
    from components.synthesizer_trainer.core.columns import lattice_step

    if len(values) == 2 and not integer:
        return float(values[1] - values[0])
    step = lattice_step(values)
    return max(1.0, float(np.rint(step))) if integer else step


def _which(
    values: np.ndarray, counts: np.ndarray, step: float, min_supporters: int
) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the values to move, and the side on which each must come out: 1 above, -1 below, 0 any."""
    from_below, from_above = np.cumsum(counts), np.cumsum(counts[::-1])[::-1]
    if step:
        ends = np.minimum(from_below, from_above) < min_supporters
        gaps = np.diff(values) > _ALONE_STEPS * step
        alone = np.append(True, gaps) & np.append(gaps, True)
        rare = np.flatnonzero((counts < min_supporters) & (alone | ends))
        inwards = np.where(ends, np.where(from_below <= from_above, 1, -1), 0)
    else:
        rare = np.flatnonzero(counts < min_supporters)
        inwards = np.zeros(len(values), np.int64)
        inwards[-1], inwards[0] = -1, 1
    return rare, inwards[rare]


def _ways_out(
    values: np.ndarray,
    counts: np.ndarray,
    step: float,
    min_supporters: int,
    rare: np.ndarray,
    inwards: np.ndarray,
) -> np.ndarray:
    """What may come out for each rare value, by the order of the module's text. Shape [rare, 2, 2]."""
    # Two columns: the side below, the side above. No value that enough rows have lies outwards of an end.
    frequent = _neighbours(np.flatnonzero(counts >= min_supporters), rare)
    rows = np.append(0, np.cumsum(counts))
    between = np.stack([rows[rare] - rows[frequent[:, 0] + 1], rows[frequent[:, 1]] - rows[rare + 1]], axis=1)
    away = np.where(frequent < 0, np.inf, np.abs(values[frequent] - values[rare][:, None]))
    near = np.where((between < min_supporters) & (step > 0), away, np.inf)

    # A gap is named by the position of its lower end.
    wide = np.diff(values) > 1.5 * step if step else _MARGIN * np.diff(values) >= _spacing(values)
    gaps = _neighbours(np.flatnonzero(wide), rare)
    upper = np.minimum(gaps + 1, len(values) - 1)
    far = np.stack([values[rare] - values[upper[:, 0]], values[gaps[:, 1]] - values[rare]], axis=1)
    far[(gaps < 0) | np.stack([inwards > 0, inwards < 0], axis=1)] = np.inf

    found = np.full((len(rare), 2, 2), np.nan)
    _choose(found, away, np.stack([values[frequent]] * 2, axis=2))
    _choose(found, far, np.stack([values[gaps], values[upper]], axis=2))
    _choose(found, near, np.stack([values[frequent]] * 2, axis=2))
    return found


def _neighbours(positions: np.ndarray, of: np.ndarray) -> np.ndarray:
    """The last of the positions before each of `of`, and the first from it on; -1: none. Shape [of, 2]."""
    padded = np.concatenate([[-1], positions, [-1]])
    place = np.searchsorted(positions, of)
    return np.stack([padded[place], padded[place + 1]], axis=1)


def _choose(found: np.ndarray, distance: np.ndarray, sides: np.ndarray) -> None:
    """Sets both intervals to those of the nearer side, or to one of each side where they are equally near.

    Args:
      found: Changed where a distance is finite. Shape [rare, 2, 2].
      distance: To either side; infinite where it is out of the question. Shape [rare, 2].
      sides: The interval at either side. Shape [rare, 2, 2].
    """
    chosen = (distance == distance.min(axis=1, keepdims=True)) & np.isfinite(distance)
    some = chosen.any(axis=1)
    found[some] = np.where(chosen[:, :, None], sides, sides[:, ::-1])[some]


def _spacing(values: np.ndarray) -> np.ndarray:
    largest = np.maximum(np.abs(values[:-1]), np.abs(values[1:]))
    return np.spacing(largest.astype(np.float32)).astype(np.float64)


def blur(table: pa.Table, rare: Mapping[str, RareNumbers], seed: int | list[int]) -> pa.Table:
    """The rows with repeated rare numbers replaced, as the module's text says. The same seed, the same bytes.

    Args:
      table: Synthetic rows.
      rare: From `rare_numbers`.
      seed: Of the draws.
    """
    rng = np.random.default_rng([*np.atleast_1d(seed).tolist(), 0xE69E55])
    for name, known in rare.items():
        column = table.column(name).combine_chunks()
        if isinstance(column, pa.ChunkedArray):  # an empty one stays chunked
            continue
        missing = column.is_null().to_numpy(zero_copy_only=False).copy()
        values = column.fill_null(0).to_numpy(zero_copy_only=False).copy()
        hit, place = _repeated(values.astype(np.float64), missing, known)
        if not len(hit):
            continue
        low, high = known.gaps[place, rng.integers(0, 2, len(hit))].T
        share = rng.uniform(_MARGIN, 1 - _MARGIN, len(hit))
        if known.step:
            steps = np.rint((high - low) / known.step)
            inner = np.clip(np.rint(share * steps), np.minimum(steps, 1), np.maximum(steps - 1, 0))
            moved = low + (high - low) * inner / np.maximum(steps, 1)
        else:
            moved = low + (high - low) * share
        gone = np.isnan(moved)
        missing[hit[gone]] = True
        values[hit[~gone]] = np.rint(moved[~gone]) if pa.types.is_integer(column.type) else moved[~gone]
        array = pa.array(values, type=column.type, mask=missing)
        table = table.set_column(table.schema.get_field_index(name), name, array)
    return table


def _repeated(values: np.ndarray, missing: np.ndarray, known: RareNumbers) -> tuple[np.ndarray, np.ndarray]:
    """Positions of rows that repeat a rare value, and which one each repeats."""
    place = np.clip(np.searchsorted(known.values, values), 1, len(known.values)) - 1
    after = np.minimum(place + 1, len(known.values) - 1)
    nearer = np.abs(known.values[after] - values) < np.abs(known.values[place] - values)
    place = np.where(nearer, after, place)
    # Synthetic rows on a lattice may differ from the real ones in the last place of a float32.
    hit = np.flatnonzero((np.abs(known.values[place] - values) <= known.step / 4) & ~missing)
    return hit, place[hit]
