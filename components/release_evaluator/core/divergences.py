"""Distances between two samples of one column."""

from __future__ import annotations

import numpy as np

from components.errors import UndefinedMetricError

#: Values nearer than this share of the real range count as equal in the KS distance: a synthesizer
#: that writes 0.999 where a saturated sensor writes 1 is not wrong about the distribution.
KS_SLACK = 0.005


def ks_distance(real: np.ndarray, synthetic: np.ndarray, slack: float = 0.0) -> float:
    """Kolmogorov-Smirnov distance with a tolerance on the axis of values.

    sup over x of max(F(x) - G(x + slack), G(x) - F(x + slack), 0), F and G the distribution functions;
    with slack = 0 the two-sample KS statistic.

    Args:
      real: Sample without missing values. Shape [row], float64.
      synthetic: As `real`.
      slack: Tolerance in the unit of the values, >= 0.

    Returns:
      Distance in [0, 1].

    Raises:
      UndefinedMetricError: a sample is empty.
    """
    if not len(real) or not len(synthetic):
        raise UndefinedMetricError("no values that are not missing")
    first, second = np.sort(real), np.sort(synthetic)

    def excess(a: np.ndarray, b: np.ndarray) -> float:
        # F jumps at the values of a, and G(. + slack) only grows: the supremum is at a value of a
        upper = np.searchsorted(a, a, side="right") / len(a)
        return float(np.max(upper - np.searchsorted(b, a + slack, side="right") / len(b)))

    return max(0.0, excess(first, second), excess(second, first))


def total_variation(real: np.ndarray, synthetic: np.ndarray, size: int) -> float:
    """Total variation distance of two samples of codes in [0, size), in [0, 1].

    Raises:
      UndefinedMetricError: a sample is empty.
    """
    if not len(real) or not len(synthetic):
        raise UndefinedMetricError("no values that are not missing")
    p = np.bincount(real, minlength=size) / len(real)
    q = np.bincount(synthetic, minlength=size) / len(synthetic)
    return float(np.abs(p - q).sum() / 2)
