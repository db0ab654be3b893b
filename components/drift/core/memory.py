"""What a course's memory may be, weighed by how likely each is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from components.drift.core import modulation
from components.drift.core.persistence import RATIOS, Design
from components.drift.core.profile import Floats

#: Equally likely cases that stand for all memories of a feature.
CASES = 24
#: Components of a feature that are weighed one by one.
COMPONENTS = 6
#: Likewise of a feature with more; what is left is weighed as one. With six, false alarms at 0.05 of the
#: multivariate test were 0.035 at four hours of memory.
LEADING = 3
#: Chance of no memory beyond which the course of the day is not looked at: it would cost most of the time.
CLEAR = 0.95
#: Least share of the slow variance for which a component's course of the day is looked at.
LEAST_SHARE = 0.05


@dataclass(frozen=True)
class Memory:
    """What a feature's memory may be: equally likely cases. F features.

    Attributes:
      within: `Design.within`. Shape [`CASES`, F].
      freedom: `Design.freedom`, over that of independent blocks. Shape [`CASES`, F].
      dealt: Mean of `Design.dealt`. Shape [F].
    """

    within: Floats
    freedom: Floats
    dealt: Floats


def remember(course: Floats, design: Design) -> Memory:
    """The memories of features. [T, F, D]; none where nothing varies.

    Components may remember for different times, so each is weighed for itself. The ratio of the whole is the
    mean of theirs by their share of the slow variance, which is what blocks show.
    """
    waves = np.tensordot(design.basis, course, axes=(0, 0))
    turn = _axes(waves, design)
    leading = np.einsum("kfd,fdj->kfj", waves, turn, optimize=True)
    powers, slow = [_powers(leading, design)], _squares(leading, design.slow).sum(axis=0)
    copies = np.ones(slow.shape)
    if waves.shape[2] > leading.shape[2]:
        # The rest is weighed as one, by as many dimensions as vary.
        powers.append(
            _powers(waves, design).sum(axis=2, keepdims=True) - powers[0].sum(axis=2, keepdims=True)
        )
        every = _squares(waves, design.slow).sum(axis=(0, 2))
        slow = np.concatenate([slow, np.maximum(every - slow.sum(axis=1), 0.0)[:, None]], axis=1)
        copies = np.concatenate([copies, _dimensions(waves, leading)[:, None]], axis=1)
    slow[slow.sum(axis=1) == 0, 0] = 1
    share = slow / slow.sum(axis=1, keepdims=True)
    chances = _chances(_weights(np.concatenate(powers, axis=2), copies, design), design)
    if design.course.phase is not None and waves.shape[2] <= COMPONENTS:
        chances = _modulated(chances, course, leading, turn, share, design)
    return _drawn(chances, share, design)


@dataclass(frozen=True)
class _Chances:
    """How likely each memory of each component is, and what follows from it. Shape [M, F, C] each."""

    weight: Floats
    within: Floats
    dealt: Floats


def _chances(weight: Floats, design: Design) -> _Chances:
    shape = weight.shape
    within, dealt = (
        np.broadcast_to(part[:, None, None], shape).copy() for part in (design.within, design.dealt)
    )
    return _Chances(weight, within, dealt)


def _modulated(
    plain: _Chances, course: Floats, leading: Floats, turn: Floats, share: Floats, design: Design
) -> _Chances:
    """With those of components that vary at some hours of the day only."""
    turned = np.einsum("tfd,fdj->tfj", course, turn, optimize=True)
    spread = modulation.spread_of_day(turned, design.course)
    changed = modulation.is_modulated(spread) & (share > LEAST_SHARE) & (plain.weight[0] < CLEAR)
    if not changed.any():
        return plain
    found = modulation.likelihoods(leading[:, changed], spread[:, changed], design)
    found += np.log(design.prior)[:, None]
    found = np.exp(found - found.max(axis=0))
    plain.weight[:, changed] = found / found.sum(axis=0)
    plain.within[:, changed], plain.dealt[:, changed] = modulation.ratios(spread[:, changed], design)
    return plain


def _drawn(chances: _Chances, share: Floats, design: Design) -> Memory:
    """Quantiles of each component's memories in the order of the ratio, in an order of its own."""
    features, dimensions = share.shape
    order = np.argsort(design.within)
    steps = np.cumsum(chances.weight[order], axis=0)
    level = (np.arange(CASES) + 0.5) / CASES
    rng = np.random.default_rng(0)
    shape, feature = (CASES, features), np.arange(features)
    within, freedom, dealt = np.zeros(shape), np.zeros(shape), np.zeros(features)
    for component in range(dimensions):
        own = rng.permutation(level)[:, None, None]
        place = (steps[None, :-1, :, component] < own).sum(axis=1)
        chosen = order[place]
        within += share[:, component] * chances.within[chosen, feature, component]
        freedom += share[:, component] * design.freedom[chosen] / design.freedom[0]
        dealt += share[:, component] * chances.dealt[chosen, feature, component].mean(axis=0)
    return Memory(within, freedom, dealt)


def _squares(waves: Floats, axes: Floats) -> Floats:
    """Squares of the waves on other axes. [K, F, D], [K, axes] to [axes, F, D]."""
    turned = axes.T @ waves.reshape(waves.shape[0], -1)
    squares: Floats = np.square(turned).reshape(-1, *waves.shape[1:])
    return squares


def _powers(waves: Floats, design: Design) -> Floats:
    """Sum of squares in units of the variance that each memory expects. [K, F, D] to [M, F, D]."""
    found = [(waves * waves).sum(axis=0)[None]]
    per_time = len(RATIOS)
    for number, turn in enumerate(design.turns):
        spread = design.spread[1 + number * per_time : 1 + (number + 1) * per_time]
        found.append(np.tensordot(1 / spread, _squares(waves, turn), axes=(1, 0)))
    return np.concatenate(found)


def _weights(powers: Floats, copies: Floats, design: Design) -> Floats:
    """How likely each memory is. [M, F, C], [F, C] to [M, F, C]; no memory where nothing varies."""
    varies = powers[0] > 1e-12 * powers[0].sum(axis=1, keepdims=True)
    count = design.spread.shape[1]
    fit = count * np.log(np.where(varies, powers, 1.0))
    fit += np.log(design.spread).sum(axis=1)[:, None, None]
    weights = np.log(design.prior)[:, None, None] - 0.5 * copies * fit
    weights = np.exp(weights - weights.max(axis=0))
    weights /= weights.sum(axis=0)
    none = (np.arange(weights.shape[0]) == 0)[:, None, None]
    return np.where(varies, weights, none)


def _dimensions(waves: Floats, leading: Floats) -> Floats:
    """Dimensions of equal variance that vary as much as what is not in the leading components.

    [K, F, D], [K, F, D'] to [F]; at least 1. Box (1954), Ann. Math. Statist. 25(2).
    """

    def traces(part: Floats) -> tuple[Floats, Floats]:
        gram = np.einsum("kfd,kfe->fde", part, part, optimize=True)
        return np.einsum("fdd->f", gram), (gram * gram).sum(axis=(1, 2))

    (trace, squared), (less, less_squared) = traces(waves), traces(leading)
    trace, squared = trace - less, squared - less_squared
    known = (trace > 0) & (squared > 0)
    return np.maximum(np.divide(trace**2, squared, out=np.ones_like(trace), where=known), 1.0)


def _axes(waves: Floats, design: Design) -> Floats:
    """Few axes of each feature. [K, F, D] to [F, D, D'].

    Few dimensions are turned to the principal components of the slow waves, since what is slowest need not be
    what varies most. Many keep the axes on which all waves vary most: turned to slow ones, the first would
    find memory in mere noise.
    """
    if waves.shape[2] == 1:
        return np.ones((waves.shape[1], 1, 1))
    few = waves.shape[2] <= COMPONENTS
    found = np.tensordot(design.slow.T, waves, axes=(1, 0)) if few else waves
    gram = np.einsum("kfd,kfe->fde", found, found, optimize=True)
    axes: Floats = np.linalg.eigh(gram)[1][:, :, ::-1][:, :, : COMPONENTS if few else LEADING]
    return axes
