"""How long a series remembers, and what that adds to the noise of a difference of two sides.

Dealing blocks supposes that one block tells nothing of the next. Weather that lasts for days breaks that: the
sides as they were seen hold runs of like days, the deals mix them, so the null is too narrow. Its width is
therefore corrected by a ratio of variances. The autocovariance of a feature's course is taken apart into
first-order processes of fixed correlation times with non-negative weights; each such process has a known
variance of the difference and a known expectation of what the blocks show, so their weighted sums give the
ratio. Expectations are those of the centred series, so that the known downward bias of autocovariances of
short series (Marriott & Pope 1954, Biometrika 41) does not enter.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize

from components.drift.core.profile import Floats, Ints

#: Steps of the fine course; more cost time and tell little more.
MAX_GRAINS = 1_000
#: Price of a weight, per unit by which its process raises the ratio. Without it the noise of autocovariances,
#: which weights can only follow upwards, raises the ratio of series without memory by a tenth; with this one
#: the mean ratio of simulated series is that of their true memory within a few hundredths.
PENALTY = 0.005
#: Longest correlation time that is looked for, as a share of the shorter side.
_LONGEST = 0.45


@dataclass(frozen=True)
class Course:
    """The fine course of both sides on one time line. T grains, the first side's first; N blocks.

    Attributes:
      time: Begin of each grain after the first one's, in grains. Shape [T].
      first: Grains of the first side.
      block: Number of each grain's block, the first side's first. Shape [T].
      phase: Number of the grain in its day; None where no daily course is taken out. Shape [T].
      apart: Whether the sides cover the same times, so that they are two lines and not one.
    """

    time: Floats
    first: int
    block: Ints
    phase: Ints | None
    apart: bool


@dataclass(frozen=True)
class Design:
    """What first-order processes of several correlation times would show. J times, L lags.

    Attributes:
      basis: Orthonormal columns that centring takes out: sides, phases of the day. Shape [T, columns].
      lags: Steps between grains. Shape [L].
      autocovariance: Expected, of the centred course. Shape [L, J].
      difference: Variance of the difference of the sides' means. Shape [J].
      within: Expectation of its estimate from the blocks of the sides as they were seen. Shape [J].
      dealt: Expectation of its variance over deals. Shape [J].
      first: Grains of the first side.
    """

    basis: Floats
    lags: Ints
    autocovariance: Floats
    difference: Floats
    within: Floats
    dealt: Floats
    first: int


def make_design(course: Course) -> Design:
    """The design of a course; costs about 15 products of [T, T] matrices, once for courses of one form."""
    return _design(_Form(course))


class _Form:
    """A course as a key: equal where all its arrays are."""

    def __init__(self, course: Course) -> None:
        self.course = course
        arrays = (course.time, course.block, course.phase)
        self._key = (
            course.first,
            course.apart,
            *(None if part is None else part.tobytes() for part in arrays),
        )

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Form) and self._key == other._key


@functools.lru_cache(maxsize=4)
def _design(form: _Form) -> Design:
    course = form.course
    total, first = course.time.size, course.first
    sides = np.zeros((total, 2))
    sides[:first, 0] = sides[first:, 1] = 1
    columns = [sides]
    if course.phase is not None:
        # One phase less: all phases together are the sum of the sides.
        columns.append((course.phase[:, None] == np.arange(1, course.phase.max() + 1)).astype(np.float64))
    basis, triangle = np.linalg.qr(np.concatenate(columns, axis=1))
    basis = basis[:, np.abs(np.diag(triangle)) > 1e-9]
    shorter = min(first, total - first)
    per_block = max(total // (course.block[-1] + 1), 1)
    lags = _lags(max(min(shorter // 2, 3 * per_block), 1))
    times = [0.3]
    while len(times) < 9 and (longer := 1.5 * 2 ** (len(times) - 1)) <= max(_LONGEST * shorter, 1.5):
        times.append(longer)
    gap = np.abs(course.time[:, None] - course.time[None, :]).astype(np.float64)
    found = [_expect(course, basis, lags, np.exp(-gap / time)) for time in times]
    covariance, difference, within, dealt = (np.array(part) for part in zip(*found))
    return Design(basis, lags, covariance.T, difference, within, dealt, first)


def _lags(last: int) -> Ints:
    steps = np.unique(np.round(np.geomspace(1, last, 14)).astype(np.int64))
    return np.concatenate([[0], steps])


def _expect(
    course: Course, basis: Floats, lags: Ints, covariance: Floats
) -> tuple[Floats, float, float, float]:
    """Autocovariances after centring, and the three variances of the difference, of one process."""
    total, first = course.time.size, course.first
    if course.apart:
        covariance[:first, first:] = covariance[first:, :first] = 0
    part = basis.T @ covariance
    left = covariance - basis @ part - part.T @ basis.T + basis @ (part @ basis) @ basis.T
    blocks = int(course.block[-1]) + 1
    one = int(course.block[first - 1]) + 1
    two = blocks - one
    means = np.concatenate([np.full(first, 1 / first), np.full(total - first, -1 / (total - first))])
    by_block = np.zeros((blocks, total))
    by_block[course.block, np.arange(total)] = blocks / total
    of_blocks = by_block @ covariance @ by_block.T
    within = 0.0
    for side in (slice(0, one), slice(one, blocks)):
        own = of_blocks[side, side]
        size = own.shape[0]
        if size > 1:
            within += (np.trace(own) - own.sum() / size) / (size - 1) / size
    pooled = (np.trace(of_blocks) - of_blocks.sum() / blocks) / max(blocks - 1, 1)
    return _lagged_trace(left, first, lags), means @ covariance @ means, within, pooled * (1 / one + 1 / two)


def _lagged_trace(matrix: Floats, first: int, lags: Ints) -> Floats:
    found = []
    for lag in lags:
        own = [np.diagonal(part, lag) for part in (matrix[:first, :first], matrix[first:, first:])]
        found.append(np.concatenate(own).mean())
    return np.array(found)


def autocovariance(course: Floats, design: Design) -> Floats:
    """Of the centred course, summed over its dimensions. [T, F, D] to [L, F]."""
    total, features, dimensions = course.shape
    flat = course.reshape(total, -1)
    left = (flat - design.basis @ (design.basis.T @ flat)).reshape(total, features, dimensions)
    found = []
    for lag in design.lags:
        sums, pairs = np.zeros(features), 0
        for side in (left[: design.first], left[design.first :]):
            if side.shape[0] > lag:
                sums += np.einsum("tfd,tfd->f", side[lag:], side[: side.shape[0] - lag])
                pairs += side.shape[0] - lag
        found.append(sums / max(pairs, 1))
    return np.array(found)


@dataclass(frozen=True)
class Inflation:
    """Ratios of variances per feature. Shape [F] each.

    Attributes:
      within: Of the difference, over what the blocks within the sides show of it.
      dealt: Of the difference, over its variance over deals.
    """

    within: Floats
    dealt: Floats


def inflation(course: npt.NDArray[np.float64], design: Design) -> Inflation:
    """The ratios of a course. [T, F, D]; 1 where nothing varies."""
    seen = autocovariance(course, design)
    ratios = np.ones((2, seen.shape[1]))
    expected = design.autocovariance
    # The penalty is linear in the weights, so it only shifts the right side of the normal equations.
    root = np.linalg.cholesky(expected.T @ expected + 1e-9 * np.eye(expected.shape[1]))
    price = design.difference / design.within
    price = PENALTY * (price - price.min())
    for feature in np.flatnonzero(seen[0] > 0):
        wanted = expected.T @ (seen[:, feature] / seen[0, feature]) - price
        weights, _ = optimize.nnls(root.T, np.linalg.solve(root, wanted))
        true = weights @ design.difference
        for place, shown in enumerate((weights @ design.within, weights @ design.dealt)):
            if shown > 0:
                ratios[place, feature] = true / shown
    return Inflation(ratios[0], ratios[1])
