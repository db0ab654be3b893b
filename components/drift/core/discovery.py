"""Control of the false-discovery rate over a family of tests (features x splits)."""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from components.drift.core.profile import Floats

Correction = Literal["benjamini_hochberg", "benjamini_yekutieli"]

BENJAMINI_HOCHBERG: Final = "benjamini_hochberg"


def q_values(p_values: npt.ArrayLike, correction: Correction = BENJAMINI_HOCHBERG) -> Floats:
    """The least false-discovery rate at which each test would be rejected.

    Rejecting where q <= alpha keeps the expected share of false rejections among all rejections at or below
    alpha. Where no test has an effect, that is the chance of any rejection at all: a stationary fleet stays
    quiet however many features it has. Benjamini & Hochberg hold for independent and positively dependent
    tests (weather that is shared); Benjamini & Yekutieli for any dependence, at the price of a factor of
    about ln(tests).

    Args:
      p_values: In (0, 1]; NaN for a test that was not made, which does not count. Shape [tests].
      correction: Which of the two.

    Returns:
      q-values in (0, 1]; NaN where the p-value is. Shape [tests].

    Source: Benjamini & Hochberg (1995), J. R. Statist. Soc. B 57(1); Benjamini & Yekutieli (2001), Ann.
    Statist. 29(4), theorem 1.3.
    """
    p = np.asarray(p_values, dtype=np.float64)
    found = np.full(p.shape, np.nan)
    made = np.flatnonzero(~np.isnan(p))
    if made.size == 0:
        return found
    order = made[np.argsort(p[made], kind="stable")]
    rank = np.arange(1, made.size + 1)
    factor = 1.0 if correction == BENJAMINI_HOCHBERG else float((1.0 / rank).sum())
    raw = p[order] * factor * made.size / rank
    # Monotone: a smaller p-value never has a larger q-value.
    found[order] = np.minimum(np.minimum.accumulate(raw[::-1])[::-1], 1.0)
    return found
