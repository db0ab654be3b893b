"""What a generator may get wrong, done to rows: one column each, the others untouched."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Floats = npt.NDArray[np.float64]


def _replaced(table: pa.Table, column: str, change: Callable[[Floats], Floats]) -> pa.Table:
    """The table with the values of a column changed; missing ones stay missing."""
    values = table[column].to_numpy().astype(np.float64)
    known = np.isfinite(values)
    values = values.copy()
    values[known] = change(values[known])
    place = table.column_names.index(column)
    return table.set_column(place, column, pa.array(values, from_pandas=True))


def shifted_mean(table: pa.Table, column: str, size: float) -> pa.Table:
    """The mean moved by `size` standard deviations."""
    return _replaced(table, column, lambda x: x + size * x.std())


def wrong_variance(table: pa.Table, column: str, size: float) -> pa.Table:
    """Deviations from the mean multiplied by `size`."""
    return _replaced(table, column, lambda x: x.mean() + size * (x - x.mean()))


def wrong_marginal(table: pa.Table, column: str, size: float) -> pa.Table:
    """Mean, variance and order kept, but the marginal bent by the power `1 + size` of its ranks."""

    def bend(values: Floats) -> Floats:
        ranks = (np.argsort(np.argsort(values)) + 0.5) / len(values)
        bent = ranks ** (1 + size)
        return values.mean() + values.std() * (bent - bent.mean()) / bent.std()

    return _replaced(table, column, bend)


def lost_mode(table: pa.Table, column: str, size: float) -> pa.Table:
    """The upper `size` of the values is never made: the rest stands in for it."""

    def lose(values: Floats) -> Floats:
        limit = np.quantile(values, 1 - size)
        kept = values[values <= limit]
        return np.where(values > limit, np.resize(kept, len(values)), values)

    return _replaced(table, column, lose)


def mixed_up_columns(table: pa.Table, column: str, other: str) -> pa.Table:
    """Two columns exchanged."""
    first, second = table[column], table[other]
    swapped = table.set_column(table.column_names.index(column), column, second)
    return swapped.set_column(table.column_names.index(other), other, first)
