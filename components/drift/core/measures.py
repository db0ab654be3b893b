"""Distances between two distributions on agreed bins, for many features and many draws at once.

Every function takes shares `p` (the first side) and `q` (the baseline) of shape [..., bins], each summing to
1 over the last axis, and gives values of shape [...]. Features with fewer bins are padded with empty bins at
the end, which changes none of the measures. All values are free of n: where a classical statistic grows with
n, the factor between the two stands in the docstring and in `components.drift.glossary`. Nothing here judges;
`null` says what sampling noise does to a value.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numpy.polynomial import legendre

from components.drift.core.profile import Floats

#: Cochran's rule, as in `components.statistics_gen.core`: bins with fewer expected values are pooled.
MIN_EXPECTED = 5.0
_TINY = np.finfo(np.float64).tiny


def shares(counts: npt.NDArray[np.int64] | Floats) -> Floats:
    """Counts as shares of their total over the last axis; NaN where the total is 0. Shape as given."""
    values = np.asarray(counts, dtype=np.float64)
    total = values.sum(axis=-1, keepdims=True)
    return np.divide(values, total, out=np.full_like(values, np.nan), where=total > 0)


def infinity_norm(p: Floats, q: Floats) -> Floats:
    """Largest difference of a bin's share, in [0, 1]. TFDV's LInftyDistance, on the agreed bins."""
    return np.abs(p - q).max(axis=-1)


def jensen_shannon(p: Floats, q: Floats) -> Floats:
    """Jensen-Shannon divergence in bits, in [0, 1], with 0 log 0 = 0.

    Lin (1991), IEEE Trans. Inf. Theory 37(1); base and range as TFDV's, on the agreed bins.
    """
    mean = (p + q) / 2
    # The floor keeps the logarithm finite where the share is 0, and the term itself 0.
    log_mean = np.log2(np.maximum(mean, _TINY))
    terms = p * (np.log2(np.maximum(p, _TINY)) - log_mean) + q * (np.log2(np.maximum(q, _TINY)) - log_mean)
    return np.clip(terms.sum(axis=-1) / 2, 0.0, 1.0)


def total_variation(p: Floats, q: Floats) -> Floats:
    """Half the sum of the differences of shares, in [0, 1]."""
    return np.abs(p - q).sum(axis=-1) / 2


def kolmogorov_smirnov(p: Floats, q: Floats) -> Floats:
    """Largest difference of the distribution functions at the bins' edges, in [0, 1].

    Between edges the functions are unknown, so this is a lower bound of the statistic of the rows, and equal
    to it where every value is a bin's edge. Smirnov (1948), Ann. Math. Statist. 19(2).
    """
    return np.abs(np.cumsum(p - q, axis=-1)).max(axis=-1)


def anderson_darling(p: Floats, q: Floats, pooled: Floats) -> Floats:
    """Two-sample Anderson-Darling distance with bins as ties, free of n.

    Values in a bin count as equal and get their mid-rank. With k = 2 samples, Scholz & Stephens (1987),
    J. Amer. Statist. Assoc. 82(399), equation 7, is

        A2 = (N - 1) n m / N^2 * sum_j h_j D_j^2 / (H_j (1 - H_j) - h_j / 4)

    with D_j the difference of the two mid-distribution functions at bin j and h, H those of all N = n + m
    values together; this function gives the sum.

    Args:
      p: Shares. Shape [..., bins].
      q: The baseline's. Shape [..., bins].
      pooled: Shares of both sides together, each weighted by its n. Shape [..., bins] or what broadcasts.

    Returns:
      Values >= 0. Shape [...].
    """
    difference = p - q
    middle = np.cumsum(difference, axis=-1) - difference / 2
    return (anderson_darling_weight(pooled) * middle * middle).sum(axis=-1)


def anderson_darling_weight(pooled: Floats) -> Floats:
    """h / (H (1 - H) - h / 4) of pooled shares, H their mid-distribution function. Shape [..., bins]."""
    level = np.cumsum(pooled, axis=-1) - pooled / 2
    spread = level * (1 - level) - pooled / 4
    # A bin that holds everything has no spread (0 / 0); neither has an empty one at an end.
    return np.divide(pooled, spread, out=np.zeros_like(spread), where=(pooled > 0) & (spread > 1e-12))


def anderson_darling_scores(pooled: Floats, components: int = 4) -> Floats:
    """Scores of bins whose differences of means, squared, add up to most of the Anderson-Darling distance.

    With infinitely many values and bins it is the sum over j of d_j^2 / (j (j + 1)), d_j the difference of
    the means of the j-th normalised Legendre polynomial of the mid-distribution function: the first compares
    location, the second spread. Anderson & Darling (1952), Ann. Math. Statist. 23(2), section 5.

    Args:
      pooled: Shares of both sides together. Shape [..., bins].
      components: How many.

    Returns:
      Shape [..., bins, components].
    """
    level = np.cumsum(pooled, axis=-1) - pooled / 2
    found = []
    for degree in range(1, components + 1):
        polynomial = legendre.legval(2 * level - 1, np.eye(components + 1)[degree])
        found.append(polynomial * np.sqrt((2 * degree + 1) / (degree * (degree + 1))))
    return np.stack(found, axis=-1)


def wasserstein(p: Floats, q: Floats, knots: Floats) -> Floats:
    """Wasserstein-1 distance, in the feature's unit: the area between the distribution functions.

    Values lie evenly between the two ends of their bin; the two open bins end at the least and the greatest
    value seen on either side. So each function is linear between knots, and the area of a linear difference
    that changes its sign is exact too.

    Args:
      p: Shares. Shape [..., bins].
      q: The baseline's. Shape [..., bins].
      knots: Ends of the bins, ascending. Shape [..., bins + 1] or what broadcasts.

    Returns:
      Values >= 0, in the unit of `knots`. Shape [...].

    Source: Vallender (1974), Theory Probab. Appl. 18(4): W1 is the integral of |F - G|.
    """
    right = np.cumsum(p - q, axis=-1)
    left = right - (p - q)
    low, high = np.abs(left), np.abs(right)
    both = low + high
    crossing = np.divide(low * low + high * high, both, out=np.zeros_like(both), where=both > 0)
    height = np.where(left * right < 0, crossing, both) / 2
    return (height * np.diff(knots, axis=-1)).sum(axis=-1)


def population_stability_index(p: Floats, q: Floats, n: Floats, m: Floats, bins: Floats) -> Floats:
    """Population stability index, in nats: sum of (p - q) ln(p / q), Kullback-Leibler made symmetric.

    Half a value is added to each bin of each side first, since a single empty bin would make it infinite;
    so with few values it depends on n a little. Yurdakul & Naranjo (2020), J. Risk Model Validation 14(4).

    Args:
      p: Shares. Shape [..., bins].
      q: The baseline's. Shape [..., bins].
      n: Values of the first side. Shape [...] or what broadcasts.
      m: Of the baseline.
      bins: Bins of the feature without padding. Shape [...] or what broadcasts.

    Returns:
      Values >= 0. Shape [...].
    """
    n, m, bins = (np.asarray(array, dtype=np.float64)[..., None] for array in (n, m, bins))
    real = np.arange(p.shape[-1]) < bins
    a = (p * n + 0.5) / (n + 0.5 * bins)
    b = (q * m + 0.5) / (m + 0.5 * bins)
    return np.where(real, (a - b) * np.log(a / b), 0.0).sum(axis=-1)


def rare_bins(pooled_counts: npt.NDArray[np.int64] | Floats, n: Floats, m: Floats) -> npt.NDArray[np.bool_]:
    """Bins whose expected count on the smaller side is below 5: to be pooled. Shape [..., bins].

    Args:
      pooled_counts: Of both sides together. Shape [..., bins].
      n: Values of the first side. Shape [...].
      m: Of the baseline.
    """
    total = np.maximum(np.asarray(n + m, dtype=np.float64), 1.0)
    smaller = np.minimum(n, m) / total
    return np.asarray(pooled_counts) * smaller[..., None] < MIN_EXPECTED


def chi_squared(p: Floats, q: Floats, pooled: Floats, rare: npt.NDArray[np.bool_] | None = None) -> Floats:
    """Chi-squared distance, free of n: sum of (p - q)^2 / h; Pearson's statistic is n m / (n + m) times it.

    Args:
      p: Shares. Shape [..., bins].
      q: The baseline's. Shape [..., bins].
      pooled: Shares of both sides together, each weighted by its n. Shape [..., bins] or what broadcasts.
      rare: Bins that count as one. Shape as `pooled`; None for none.

    Returns:
      Values >= 0. Shape [...].
    """
    difference = p - q
    if rare is None:
        rare = np.zeros(np.shape(pooled), dtype=bool)
    kept = (pooled > 0) & ~rare
    sum_kept = np.divide(difference**2, pooled, out=np.zeros_like(difference), where=kept).sum(axis=-1)
    rest = np.where(rare, difference, 0.0).sum(axis=-1)
    rest_pooled = np.where(rare, pooled, 0.0).sum(axis=-1)
    return sum_kept + np.divide(rest**2, rest_pooled, out=np.zeros_like(rest), where=rest_pooled > 0)


def concept_shift(
    counts: Floats, positive: Floats, counts_baseline: Floats, positive_baseline: Floats
) -> Floats:
    """Mean difference of P(label 1 | bin) over bins, each weighted by its share of the two sides, in [0, 1].

    Bins that are empty on either side tell nothing and are left out. Widmer & Kubat (1996), Machine Learning
    23, name what it measures: the label's dependence on the inputs has changed, whatever the inputs did.

    Args:
      counts: Values in rows with a label. Shape [..., bins].
      positive: Of these, in rows with label 1. Shape [..., bins].
      counts_baseline: As `counts`, of the baseline.
      positive_baseline: As `positive`.

    Returns:
      Values in [0, 1]; NaN where no bin is shared. Shape [...].
    """
    shared = (counts > 0) & (counts_baseline > 0)
    rate = np.divide(positive, counts, out=np.zeros_like(counts), where=shared)
    rate_baseline = np.divide(positive_baseline, counts_baseline, out=np.zeros_like(counts), where=shared)
    weight = np.where(shared, shares(counts) + shares(counts_baseline), 0.0)
    total = weight.sum(axis=-1)
    value = (weight * np.abs(rate - rate_baseline)).sum(axis=-1)
    return np.divide(value, total, out=np.full_like(total, np.nan), where=total > 0)
