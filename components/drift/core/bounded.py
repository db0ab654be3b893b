"""Least and greatest distance of two tables of counts of which only bounds are known.

The least is a proof of a difference whatever the hidden counts are, the greatest one of likeness. Shares are
bounded set by set: of a set S of bins, c(S) / (c(S) + c(rest)) is least with the least counts in S and the
greatest outside. Merging bins never makes a Jensen-Shannon divergence larger (Csiszar's inequality for
f-divergences), so that of S against the rest bounds it from below for every S.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from components.drift.core.profile import Floats

_TINY = np.finfo(np.float64).tiny


@dataclass(frozen=True)
class Bounds:
    """A distance lies between the two. Dimensionless, in [0, 1]."""

    low: float
    high: float


@dataclass(frozen=True)
class Counts:
    """Least and greatest counts of bins.

    Attributes:
      low, high: Of each bin. Shape [bins].
      most: Of all bins together; infinite where only `high` bounds them.
    """

    low: Floats
    high: Floats
    most: float = math.inf


def share_of(counts: Counts, sets: np.ndarray) -> tuple[Floats, Floats]:
    """Least and greatest share of sets of bins among all values.

    Args:
      counts: Of the bins.
      sets: 1 for the bins in a set. Shape [sets, bins].

    Returns:
      Shape [sets] each, in [0, 1].
    """
    inside, outside = sets.astype(bool), ~sets.astype(bool)
    low_in, low_out = inside @ counts.low, outside @ counts.low
    high_in = np.minimum(inside @ counts.high, np.maximum(counts.most - low_out, low_in))
    high_out = np.minimum(outside @ counts.high, np.maximum(counts.most - low_in, low_out))
    return _ratio(low_in, high_out, 0.0), _ratio(high_in, low_out, 1.0)


def _ratio(part: Floats, rest: Floats, empty: float) -> Floats:
    """part / (part + rest), in [0, 1]; `empty` where both are 0."""
    total = part + rest
    return np.divide(part, total, out=np.full(part.shape, empty), where=total > 0)


def _apart(one: tuple[Floats, Floats], other: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
    """Least and greatest difference of two shares of which bounds are known."""
    least = np.maximum(np.maximum(one[0] - other[1], other[0] - one[1]), 0.0)
    return least, np.maximum(one[1] - other[0], other[1] - one[0])


def _bounded(one: Counts, other: Counts, sets: np.ndarray) -> Bounds:
    least, most = _apart(share_of(one, sets), share_of(other, sets))
    return Bounds(float(least.max()), float(min(most.max(), 1.0)))


def infinity_norm(one: Counts, other: Counts) -> Bounds:
    """Bounds of the largest difference of a bin's share."""
    return _bounded(one, other, np.eye(len(one.low), dtype=bool))


def kolmogorov_smirnov(one: Counts, other: Counts) -> Bounds:
    """Bounds of the largest difference of the distribution functions at the bins' edges."""
    return _bounded(one, other, prefixes(len(one.low)))


def prefixes(bins: int) -> np.ndarray:
    """The first 1, 2, ... bins. Shape [bins, bins]."""
    return np.tri(bins, dtype=bool)


def missing_rate(one: Counts, other: Counts) -> Bounds:
    """Bounds of the difference of the last cell's share (the missing values, among all rows)."""
    last = np.zeros((1, len(one.low)), bool)
    last[0, -1] = True
    return _bounded(one, other, last)


def jensen_shannon(one: Counts, other: Counts, extra: Sequence[np.ndarray] = ()) -> Bounds:
    """Bounds of the Jensen-Shannon divergence, in bits.

    Args:
      one, other: Counts of the bins.
      extra: Further sets of bins to merge, shape [bins] each; single bins and first bins are tried anyway.
    """
    bins = len(one.low)
    single = np.eye(bins, dtype=bool)
    sets = np.concatenate([single, prefixes(bins), *(mask[None] for mask in extra)])
    p, q = share_of(one, sets), share_of(other, sets)
    # Of two shares that may be equal the least divergence is 0, else that of the two nearest ones.
    below = np.where(p[1] < q[0], 1, np.where(q[1] < p[0], 2, 0))
    near_p: Floats = np.where(below == 1, p[1], p[0])
    near_q: Floats = np.where(below == 1, q[0], q[1])
    merged = (_term(near_p, near_q) + _term(1.0 - near_p, 1.0 - near_q)) / 2
    low = float(np.where(below > 0, merged, 0.0).max())
    # A term is convex in both shares, so greatest at a corner, and never more than their sum: bins that one
    # side tells nothing of are bounded together by it.
    both = (one.low > 0) & (other.low > 0)
    corners = np.max([_term(a[:bins], b[:bins]) for a in p for b in q], axis=0)
    rest = sum(float(share_of(side, ~both[None])[1][0]) for side in (one, other)) if not both.all() else 0.0
    high = (float(corners[both].sum()) + rest) / 2
    return Bounds(min(low, 1.0), min(high, 1.0))


def _term(p: Floats, q: Floats) -> Floats:
    """p log2(2 p / (p + q)) + q log2(2 q / (p + q)), with 0 log 0 = 0."""
    mean = np.log2(np.maximum((p + q) / 2, _TINY))
    return np.asarray(p * (np.log2(np.maximum(p, _TINY)) - mean) + q * (np.log2(np.maximum(q, _TINY)) - mean))
