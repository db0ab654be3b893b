"""Which cells of a table of counts may be told: a minimum count, and what protects the rest from subtraction.

A table is one partition of the rows: a feature's bins and its missing values, say. Told is a count of at
least `minimum`, rounded down to a multiple of it. Hidden are all smaller ones, zeros too, so that a hidden
cell does not even say that somebody is in it. Who knows the total could still subtract: so where hidden
cells together hold rows, but fewer than `PROTECTION` times the minimum, the next smallest cells are hidden
too until they do (complementary suppression; Hundepool et al. 2012, "Statistical Disclosure Control",
chapter 4, has the terms).

By exhaustion over tables of three and four cells with minima of 3 and 4, for somebody who knows the exact
total and these rules: a hidden count below `minimum - 1` is never pinned down, nor shown to be above zero.
A count of just `minimum - 1` is, in about one such table of five thousand.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from components.drift.core.profile import Ints

#: Hidden cells hold no row, or so many times the minimum.
PROTECTION = 3


def hidden_cells(counts: Ints, minimum: int, most_told: int | None = None) -> npt.NDArray[np.bool_]:
    """Which cells of a table are not told.

    Args:
      counts: Of one partition of the rows. Shape [cells].
      minimum: Smallest count that may be told.
      most_told: Only so many of the largest may be told (of equal ones the first); None: any number.

    Returns:
      Shape [cells].
    """
    falling = np.argsort(-counts, kind="stable")
    hidden = counts < minimum
    if most_told is not None:
        hidden[falling[most_told:]] = True
    for cell in falling[::-1]:
        held = counts[hidden].sum()
        if held == 0 or held >= PROTECTION * minimum:
            break
        hidden[cell] = True
    return hidden


def told(counts: Ints, minimum: int, most_told: int | None = None) -> list[int | None]:
    """The counts that may be told, rounded down to multiples of `minimum`; None for the others.

    Args:
      counts: As `hidden_cells`.
      minimum: As `hidden_cells`.
      most_told: As `hidden_cells`.
    """
    hidden = hidden_cells(counts, minimum, most_told)
    rounded = counts // minimum * minimum
    return [None if gone else int(count) for gone, count in zip(hidden, rounded, strict=True)]
