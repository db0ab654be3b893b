"""Random Fourier features: sums whose means tell two multivariate distributions apart.

The kernel is Gaussian, k(x, y) = exp(-|x - y|^2 / (2 h^2)), on standardised values held within +-`CLIP`. With
D / 2 frequencies w drawn from N(0, h^-2), the D features sqrt(2 / D) (cos w.x, sin w.x) have k(x, y) as the
expected inner product (Rahimi and Recht 2007, "Random features for large-scale kernel machines", theorem 1;
the paired form of its section 3 has the smaller variance, Sutherland and Schneider 2015). The squared
distance of two means of them estimates the squared maximum mean discrepancy (Gretton et al. 2012).

The bandwidth h is the square root of the number of features that take part: the median heuristic for
independent features of variance one, since their expected squared distance is twice that number. It
depends on nothing but the plan, so that profiles of one plan can be compared.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from components.drift.core.arrow_columns import scaled
from components.drift.core.chains import RowOrder
from components.drift.core.planning import is_random
from components.drift.core.profile import FeaturePlan, Floats, ProfilePlan

#: Standardised values count as this much at most: an outlier is far away, however far.
CLIP = 8.0
_BLOCK_ROWS = 8_192


def bandwidth(plan: ProfilePlan) -> float:
    """h, in standard deviations; 1 where no feature takes part."""
    return math.sqrt(max(1, sum(map(is_random, plan.features))))


def frequencies(plan: ProfilePlan) -> Floats:
    """The frequencies of a plan. Shape [features that take part, D / 2]."""
    taking_part = sum(map(is_random, plan.features))
    normal = np.random.default_rng(plan.seed).standard_normal((taking_part, plan.random_features // 2))
    return normal / bandwidth(plan)


def random_sums(
    weights: Floats,
    columns: list[tuple[FeaturePlan, npt.NDArray[np.floating]]],
    complete: npt.NDArray[np.bool_],
    order: RowOrder,
) -> Floats:
    """Sums of the features over complete rows, bucket by bucket: first the cosines, then the sines.

    Args:
      weights: `frequencies`. Shape [features that take part, D / 2].
      columns: Those features with their values, NaN where missing. Each of shape [rows].
      complete: Rows without a missing one. Shape [rows].
      order: The buckets of the rows.

    Returns:
      Shape [buckets, D].
    """
    half = weights.shape[1]
    sums = np.zeros((len(order.buckets), 2 * half))
    factor = 1 / math.sqrt(half)
    for start in range(0, len(complete), _BLOCK_ROWS):
        stop = min(start + _BLOCK_ROWS, len(complete))
        block = np.empty((len(columns), stop - start))
        for position, (feature, values) in enumerate(columns):
            block[position] = scaled(values[start:stop], feature.center, feature.scale, CLIP)
        gone = ~complete[start:stop]
        block[:, gone] = 0.0
        phases = weights.T @ block
        waves = np.concatenate([np.cos(phases), np.sin(phases)])
        waves[:, gone] = 0.0
        inside = order.segments[(order.segments > start) & (order.segments < stop)] - start
        parts = np.add.reduceat(waves, np.append(0, inside), axis=1)
        np.add.at(sums, order.bucket[np.append(start, inside + start)], parts.T * factor)
    return sums
