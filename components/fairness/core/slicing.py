"""Cuts rows into slices: by the values of a column, or by agreed bins."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd

from components.errors import DataError

#: Name of the slice of rows without a value.
MISSING = "(missing)"


@dataclasses.dataclass(frozen=True)
class Slices:
    """Rows cut by one column.

    Attributes:
      names: Of the slices, in order.
      codes: Slice of each row, 0 .. len(names) - 1; every row is in exactly one. Shape [row], int64.
    """

    names: tuple[str, ...]
    codes: np.ndarray


def by_value(values: np.ndarray) -> Slices:
    """One slice per distinct value, sorted by name; a missing value has a slice of its own.

    Args:
      values: Texts or numbers; None, NaN and "" are missing. Shape [row].
    """
    column = pd.Series(values, dtype=object)
    if pd.api.types.is_number(column.dropna().iloc[0]) if column.notna().any() else False:
        column = column.map(lambda value: f"{value:.12g}", na_action="ignore")
    texts = column.where(column.notna() & (column != ""), MISSING).astype(str)
    names, codes = np.unique(texts.to_numpy(dtype=str), return_inverse=True)
    return Slices(tuple(names.tolist()), codes.reshape(-1).astype(np.int64))


def by_bins(values: np.ndarray, edges: Sequence[float]) -> Slices:
    """One slice per bin; a value equal to an edge is in the upper bin, NaN in a slice of its own.

    Args:
      values: Numbers; infinities lie in the outer bins. Shape [row].
      edges: Rising. With k of them there are k + 1 bins, empty ones too; k >= 1.

    Raises:
      DataError: there is no edge.
    """
    if not len(edges):
        raise DataError("bins need at least one edge, found none")
    numbers = np.asarray(values, np.float64)
    texts = [f"{edge:.12g}" for edge in edges]
    names = [f"< {texts[0]}", *(f"{a} to < {b}" for a, b in itertools.pairwise(texts)), f">= {texts[-1]}"]
    codes = np.searchsorted(np.asarray(edges, np.float64), numbers, side="right").astype(np.int64)
    unknown = np.isnan(numbers)
    if unknown.any():
        names.append(MISSING)
        codes[unknown] = len(names) - 1
    return Slices(tuple(names), codes)
