"""The null of sampling noise: blocks of consecutive time are dealt anew to the two sides.

All series and features of a block stay together, since they share the weather. What is dealt is studentised:
a squared distance over its own variance as the blocks within each side show it (Chung & Romano 2013, Ann.
Statist. 41(2)), so a real difference does not widen its own null, and sides of unequal variance do no harm.
Persistence beyond a block widens it by a ratio that depends on the memory: the p-value is the mean over the
memories that `memory` finds likely. Blocks that are alike leave fewer degrees of freedom than blocks: under
each memory a p-value is read as the quantile of Fisher's F with those of independent blocks (Box 1954, Ann.
Math. Statist. 25(2)), and told for the F with those that are left. An F is also the tail beyond the last few
draws, so that a family of hundreds of tests does not need a hundred thousand of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from components.drift.core import memory as memories
from components.drift.core import persistence
from components.drift.core.blocks import Blocks
from components.drift.core.profile import Floats

#: Blocks on the smaller side over the variance ratio: with fewer independent pieces than this, no alert is
#: no evidence of stability.
MIN_EFFECTIVE = 2.0
#: Steps to a limit from a bracket that is a factor of a few wide.
STEPS = 3
#: Draws beyond a value below which the F tail takes over: as few as can be, since the tail of counts of rare
#: events is heavier. From ten of 499 draws on, false alarms at 0.01 were half too many; from three, not.
TAIL_DRAWS = 3
#: Most degrees of freedom of a numerator: where all deals give the same, there is no end to them.
MOST_FREEDOM = 1_000.0
#: Fewest draws for a tail.
TAIL_LEAST = 99
#: Least p-value that is told: no tail is known further out.
LEAST_P = 1e-12


@dataclass(frozen=True)
class Noise:
    """What noise does to a squared distance. Shape [F] each.

    Attributes:
      p_value: In (0, 1].
      mean: Of the null, relative to the value seen; NaN where the value is 0.
      limit: Its quantile at 1 - alpha, likewise; NaN too where neither side varies and none can be had.
      dealt: Ratio by which squared distances of deals are too small.
      draws: Deals behind it.
      short: Whether persistence leaves fewer than `MIN_EFFECTIVE` independent pieces on a side.
    """

    p_value: Floats
    mean: Floats
    limit: Floats
    dealt: Floats
    draws: int
    short: npt.NDArray[np.bool_]


def residuals(sums: Floats, n: Floats, expected: Floats | None = None) -> Floats:
    """Deviation of each block from the pooled mean, in units of a mean block. [N, F, D], [N, F] to [N, F, D].

    Means of these over a side's blocks are the side's deviation, to first order where blocks differ in size.

    Args:
      sums: Of what is averaged.
      n: What it is divided by.
      expected: In place of the pooled mean times n: the blocks' expectation from their hours of the day.
    """
    if expected is None:
        total = n.sum(axis=0)
        mean = np.divide(
            sums.sum(axis=0), total[:, None], out=np.zeros(sums.shape[1:]), where=total[:, None] > 0
        )
        expected = n[:, :, None] * mean
    size = n.mean(axis=0)
    return np.divide(sums - expected, size[:, None], out=np.zeros(sums.shape), where=size[:, None] > 0)


def deals(first: int, second: int, draws: int, seed: int) -> Floats:
    """Random deals of `first + second` blocks to the first side. Shape [draws, blocks], 1 where dealt."""
    rng = np.random.default_rng(seed)
    order = rng.permuted(np.tile(np.arange(first + second), (draws, 1)), axis=1)
    return (order < first).astype(np.float64)


def p_values(observed: Floats, drawn: Floats) -> Floats:
    """Share of draws at least as large as what was seen, with it counted as one draw. [F], [draws, F] to [F].

    Phipson & Smyth (2010), Stat. Appl. Genet. Mol. Biol. 9(1): without the 1, p-values of 0 arise.
    """
    # Equal up to rounding is equal: the draw that deals the blocks as they were seen must count.
    as_large = drawn >= observed * (1 - 1e-9) - 1e-15
    found = (1.0 + as_large.sum(axis=0)) / (1.0 + drawn.shape[0])
    return np.where(np.isnan(observed), np.nan, found)


def sorted_p_values(observed: Floats, drawn: Floats) -> Floats:
    """`p_values` of several values against the same draws, ascending. [M], [draws] to [M]."""
    below = np.searchsorted(drawn, observed * (1 - 1e-9) - 1e-15, side="left")
    return (1.0 + drawn.size - below) / (1.0 + drawn.size)


def squared_distances(dealt: Floats, deviations: Floats, first: int) -> tuple[Floats, Floats]:
    """Squared distance of the sides' means under deals, and its variance from within the sides.

    Args:
      dealt: Deals. Shape [draws, N].
      deviations: `residuals`. Shape [N, F, D].
      first: Blocks dealt to the first side.

    Returns:
      Two of shape [draws, F]: |mean - mean|^2, and the sum over D of the variance of the difference.
    """
    blocks = deviations.shape[0]
    one, two = first, blocks - first
    contrast = dealt / one - (1 - dealt) / two
    gram = np.einsum("nfd,mfd->fnm", deviations, deviations, optimize=True)
    squared = np.stack([((contrast @ own) * contrast).sum(axis=1) for own in gram], axis=1)
    squared = np.maximum(squared, 0.0)
    own = np.diagonal(gram, axis1=1, axis2=2).T
    power_one = dealt @ own
    power_two = own.sum(axis=0) - power_one
    # The deviations sum to 0, so a side's mean is the other's share of the difference.
    variance = (power_one / one - (two / blocks) ** 2 * squared) / (one - 1)
    variance = variance + (power_two / two - (one / blocks) ** 2 * squared) / (two - 1)
    return squared, np.maximum(variance, 0.0)


def noise(
    deviations: Floats,
    course: Floats,
    blocks: Blocks,
    design: persistence.Design,
    dealt: Floats,
    alpha: float,
) -> Noise:
    """Tests squared distances of features against the null.

    Args:
      deviations: `residuals` of the blocks. Shape [N, F, D].
      course: Of the grains, in any unit. Shape [T, F, D'].
      blocks: Blocks of both sides.
      design: Of the course.
      dealt: Deals. Shape [draws, N].
      alpha: Level of the limit.
    """
    first, second = blocks.counts
    seen = (np.arange(first + second) < first).astype(np.float64)[None, :]
    squared, variance = (part[0] for part in squared_distances(seen, deviations, first))
    drawn, drawn_variance = squared_distances(dealt, deviations, first)
    memory = memories.remember(course, design)
    ratio = memory.within.mean(axis=0)
    tiny = 1e-12 * np.maximum(drawn_variance.mean(axis=0), np.finfo(np.float64).tiny)
    drawn_statistic = drawn / np.maximum(drawn_variance, tiny)
    law = _Law.of(drawn_statistic, _freedom(drawn), first + second - 2.0, memory)
    p_value = law.p_value(squared / np.maximum(variance, tiny))
    scale = np.divide(variance, squared, out=np.full_like(squared, np.nan), where=squared > 0)
    # No spread within the sides and too few pieces for any limit: 0 times infinity is unknown, NaN.
    with np.errstate(invalid="ignore"):
        mean, limit = drawn_statistic.mean(axis=0) * ratio * scale, law.limit(alpha) * scale
    return Noise(
        p_value, mean, limit, memory.dealt, dealt.shape[0], min(first, second) / ratio < MIN_EFFECTIVE
    )


def _freedom(squared: Floats) -> Floats:
    """Degrees of freedom of the scaled chi-squared with the draws' mean and variance. [draws, F] to [F]."""
    spread = squared.var(axis=0)
    found = np.divide(2 * squared.mean(axis=0) ** 2, spread, out=np.ones_like(spread), where=spread > 0)
    return np.minimum(found, MOST_FREEDOM)


@dataclass(frozen=True)
class _Law:
    """The null law of a studentised statistic: its draws, the F tail beyond them, several memories.

    Attributes:
      drawn: Ascending. Shape [draws, F].
      numerator: Degrees of freedom of the numerator. Shape [F].
      blocks: Of the denominator, in the tail of the draws.
      memory: Equally likely cases.
    """

    drawn: Floats
    numerator: Floats
    blocks: float
    memory: memories.Memory

    @classmethod
    def of(cls, drawn: Floats, numerator: Floats, blocks: float, memory: memories.Memory) -> _Law:
        """Of draws in any order."""
        return cls(np.sort(drawn, axis=0), numerator, blocks, memory)

    @property
    def _left(self) -> Floats:
        """Degrees of freedom of the denominator in each case; that of several dimensions has more."""
        return self.blocks * self.numerator * self.memory.freedom

    @property
    def _anchor(self) -> tuple[Floats, float]:
        """Where the F tail begins, and the p-value there; infinity where there are too few draws."""
        draws = self.drawn.shape[0]
        if draws < TAIL_LEAST:
            return np.full(self.drawn.shape[1], np.inf), 0.0
        return self.drawn[draws - TAIL_DRAWS], TAIL_DRAWS / (1 + draws)

    def p_value(self, statistic: Floats) -> Floats:
        """Of a statistic. [F] to [F]."""
        return np.clip(self._each(statistic / self.memory.within).mean(axis=0), LEAST_P, 1.0)

    def _each(self, statistic: Floats) -> Floats:
        """In each case, with the ratio taken out. [M, F] to [M, F]."""
        found = np.stack(
            [sorted_p_values(own, drawn) for own, drawn in zip(statistic.T, self.drawn.T)], axis=1
        )
        anchor, level = self._anchor
        out = (statistic > anchor) & (anchor > 0)
        beyond = stats.f.sf(statistic, self.numerator, self.blocks)
        beyond = level * np.divide(
            beyond, stats.f.sf(anchor, self.numerator, self.blocks), out=np.zeros_like(beyond), where=out
        )
        found = np.where(out, np.maximum(beyond, LEAST_P), found)
        quantile = stats.f.isf(found, self.numerator, self.blocks * self.numerator)
        return stats.f.sf(quantile, self.numerator, self._left)

    def limit(self, alpha: float) -> Floats:
        """The statistic whose p-value is alpha. Shape [F]."""
        quantile = stats.f.isf(alpha, self.numerator, self._left)
        wanted = stats.f.sf(quantile, self.numerator, self.blocks * self.numerator)
        inside = np.stack(
            [np.quantile(own, np.clip(1 - at, 0, 1)) for own, at in zip(self.drawn.T, wanted.T)], axis=1
        )
        anchor, level = self._anchor
        out = (wanted < level) & (anchor > 0)
        at_anchor = stats.f.sf(np.where(out, anchor, 0.0), self.numerator, self.blocks)
        beyond = stats.f.isf(wanted / max(level, LEAST_P) * at_anchor, self.numerator, self.blocks)
        each = np.where(out, beyond, inside) * self.memory.within
        low, high = each.min(axis=0), each.max(axis=0)
        # Between the least and the greatest limit of a case lies that of all: the rule of false position.
        ends = np.log(self.p_value(low)), np.log(self.p_value(high))
        for _ in range(STEPS):
            gap = ends[0] - ends[1]
            share = np.divide(ends[0] - np.log(alpha), gap, out=np.full_like(gap, 0.5), where=gap > 0)
            share = np.clip(share, 0.1, 0.9)
            middle = low * (1 - share) + high * share
            found = np.log(self.p_value(middle))
            above = found > np.log(alpha)
            low, high = np.where(above, middle, low), np.where(above, high, middle)
            ends = np.where(above, found, ends[0]), np.where(above, ends[1], found)
        return high
