"""Numbers that hardly any real row has, and extremes: a synthetic row does not repeat them digit by digit.

A synthesizer that works with quantiles may emit a value of a single real row exactly: beside an atom of the
distribution, or at the end of its range. The value is plausible, but its digits are a finding about that row,
as a rare category's name is. It is moved a little: on a continuous scale into the gap to a neighbour, on a
sensor's own steps by a step or two, at the ends of the range inwards only.

This hides digits, not the neighbourhood: that a value of this size occurs is judged by the gate's attacks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from components.dataset import DatasetConfig


@dataclass(frozen=True)
class RareNumbers:
    """Values of one column that too few real rows have.

    Attributes:
      values: Float64, increasing. Shape [value].
      below: Distance to the next smaller real value; 0 at the lower end. Shape [value].
      above: Distance to the next larger real value; 0 at the upper end. Shape [value].
      step: Of the lattice that all real values lie on; 0 where there is none.
    """

    values: np.ndarray
    below: np.ndarray
    above: np.ndarray
    step: float


def rare_numbers(table: pa.Table, dataset: DatasetConfig, min_supporters: int) -> dict[str, RareNumbers]:
    """The values to keep from being repeated, by column; columns without any are left out.

    On a lattice a value's digits say little: only those that stand alone, and the outermost ones, count.

    Args:
      table: Real training rows.
      dataset: The columns; continuous and integer features are looked at.
      min_supporters: Rows that a value needs.
    """
    # Imported here: it needs SciPy, which reading a configuration does not.
    from components.synthesizer_trainer.core.columns import lattice_step

    found = {}
    for name in dataset.feature_names("continuous", "integer"):
        column = table.column(name).drop_null().to_numpy().astype(np.float64)
        values, counts = np.unique(column[np.isfinite(column)], return_counts=True)
        if len(values) < 3:
            continue
        integer = pa.types.is_integer(table.column(name).type)
        step = 1.0 if integer else lattice_step(values)
        below, above = np.diff(values, prepend=values[0]), np.diff(values, append=values[-1])
        rare = counts < min_supporters
        if step:
            alone = (below > 2.5 * step) & (above > 2.5 * step)
            ends = (np.cumsum(counts) < min_supporters) | (np.cumsum(counts[::-1])[::-1] < min_supporters)
            rare &= alone | ends
        if rare.any():
            found[name] = RareNumbers(values[rare], below[rare], above[rare], step)
    return found


def blur(table: pa.Table, rare: Mapping[str, RareNumbers], seed: int | list[int]) -> pa.Table:
    """The rows with repeated rare numbers moved a little. The same seed, the same bytes.

    Args:
      table: Synthetic rows.
      rare: From `rare_numbers`.
      seed: Of the moves.
    """
    rng = np.random.default_rng([*np.atleast_1d(seed).tolist(), 0xE69E55])
    for name, known in rare.items():
        column = table.column(name).combine_chunks()
        if isinstance(column, pa.ChunkedArray):  # an empty one stays chunked
            continue
        missing = column.is_null().to_numpy(zero_copy_only=False)
        values = column.fill_null(0).to_numpy(zero_copy_only=False).astype(np.float64)
        place = np.minimum(np.searchsorted(known.values, values), len(known.values) - 1)
        hit = np.flatnonzero((known.values[place] == values) & ~missing)
        if not len(hit):
            continue
        place = place[hit]
        below, above = known.below[place], known.above[place]
        # Inwards at the ends, where one side has no neighbour.
        down = np.where(above == 0, True, np.where(below == 0, False, rng.random(len(hit)) < 0.5))
        if known.step:
            move = known.step * rng.integers(1, 3, len(hit))
        else:
            move = np.where(down, below, above) * rng.uniform(0.1, 0.9, len(hit))
        values[hit] += np.where(down, -move, move)
        if pa.types.is_integer(column.type):
            array = pa.array(np.rint(values).astype(np.int64), mask=missing)
        else:
            array = pa.array(values.astype(np.float32), mask=missing)
        table = table.set_column(table.schema.get_field_index(name), name, array)
    return table
