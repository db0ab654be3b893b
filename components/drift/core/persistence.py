"""How long a series remembers, and what that adds to the noise of a difference of two sides.

Dealing blocks supposes that one block tells nothing of the next. Weather that lasts for days breaks that: the
sides as they were seen hold runs of like days, the deals mix them, so the null is too narrow. By how much is
known where the memory is known. It is not, and a short series tells little of it, so that no single estimate
will do: with one, false alarms at 0.05 ran from 0.04 to 0.1. Instead a list of memories is weighed by how
likely each makes the course, and the p-value is the mean over them (Müller 2014, Journal of Business &
Economic Statistics 32(3), on strongly autocorrelated series; the weights are his in kind, not in detail).

Each memory is a first-order process of one correlation time, alone or on top of white noise. `memory` weighs
them by the likelihood of the course's slow cosines on each side, at right angles to the sides' means and to
the phases of the day (so it is a restricted one, which centring does not bias), with the scale taken out.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from components.drift.core.profile import Floats, Ints

#: Steps of the fine course; more cost time and tell little more.
MAX_GRAINS = 1_000
#: Longest correlation time that is looked for, as a share of the shorter side.
_LONGEST = 0.9
#: Shortest one, as a share of a block: it adds a twentieth to the variance of the difference.
_SHORTEST = 1 / 8
#: Shortest period of a cosine, as a share of a block. Quicker ones do not tell what days remember.
_PERIOD = 1 / 2
#: Variance at frequency 0 of the process that remembers, over that of the white noise beneath it.
RATIOS = (0.5, 2.0, 8.0, 32.0, 128.0, np.inf)
#: Weights of the white noise and of the process that each ratio stands for.
MIXES = tuple((0.0, 1.0) if np.isinf(ratio) else (1.0, ratio) for ratio in RATIOS)
#: Weight of no memory at all before the course is seen; the rest is shared equally. Set on simulated Gaussian
#: series: with a half, false alarms at 0.05 of those without memory were 0.037.
_NO_MEMORY = 0.9


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


@dataclass(frozen=True, eq=False)
class Design:
    """What processes of several memories show on a course. M memories, the first without any; K cosines.

    Attributes:
      course: What it was made for.
      basis: The cosines, orthonormal. Shape [T, K].
      slow: Orthonormal combinations of the cosines that no quicker one takes part in. Shape [K, slow ones].
      turns: For each correlation time the axes on which the cosines are uncorrelated. Shape [K, K] each.
      spread: Variance on these axes, M - 1 rows in the order of the times. Shape [M, K]; of white noise 1.
      within: Variance of the difference of the sides' means, over what the blocks within the sides show of
        it. Shape [M].
      dealt: The same over its variance over deals. Shape [M].
      freedom: Degrees of freedom of what the blocks show. Shape [M].
      prior: Weights before the course is seen. Shape [M].
    """

    course: Course
    basis: Floats
    slow: Floats
    turns: tuple[Floats, ...]
    spread: Floats
    within: Floats
    dealt: Floats
    freedom: Floats
    prior: Floats


def make_design(course: Course) -> Design:
    """The design of a course; costs a few products of [T, T] matrices, once for courses of one form."""
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
    per_block = max(course.time.size // (int(course.block[-1]) + 1), 1)
    basis = _cosines(course, max(per_block * _PERIOD, 2.0))
    # Of periods of two blocks or more.
    slow = np.linalg.qr(basis.T @ _cosines(course, 2.0 * per_block))[0]
    sums = Sums.of(course)
    white = _Shown.of(sums, np.eye(course.time.size))
    spread, shown, turns = [np.ones(basis.shape[1])], [white], []
    for covariance in correlations(course):
        own = _Shown.of(sums, covariance)
        variance, turn = np.linalg.eigh(basis.T @ covariance @ basis)
        turns.append(turn)
        for floor, weight in MIXES:
            spread.append(np.maximum(floor + weight * variance, 1e-9))
            shown.append(white.plus(own, floor, weight))
    within, dealt, freedom = (np.array(part) for part in zip(*(one.ratios() for one in shown)))
    prior = np.full(within.size, (1 - _NO_MEMORY) / (within.size - 1))
    prior[0] = _NO_MEMORY
    return Design(course, basis, slow, tuple(turns), np.array(spread), within, dealt, freedom, prior)


def correlations(course: Course) -> Iterator[Floats]:
    """Covariances of first-order processes, one per correlation time, over the variance at frequency 0.

    Shape [T, T] each.
    """
    per_block = max(course.time.size // (int(course.block[-1]) + 1), 1)
    gap = np.abs(course.time[:, None] - course.time[None, :])
    times = [max(per_block * _SHORTEST, 0.5)]
    while times[-1] * 2 <= _LONGEST * min(course.first, course.time.size - course.first):
        times.append(times[-1] * 2)
    for time in times:
        covariance = np.exp(-gap / time)
        if course.apart:
            covariance[: course.first, course.first :] = covariance[course.first :, : course.first] = 0
        covariance *= np.tanh(1 / (2 * time))
        yield covariance


def _cosines(course: Course, period: float) -> Floats:
    """Orthonormal cosines of each side of at least that period, without sides and phases. Shape [T, K]."""
    total, first = course.time.size, course.first
    sides = np.zeros((total, 2))
    sides[:first, 0] = sides[first:, 1] = 1
    out = [sides]
    if course.phase is not None:
        # One phase less: all phases together are the sum of the sides.
        out.append((course.phase[:, None] == np.arange(1, course.phase.max() + 1)).astype(np.float64))
    waves = []
    for side in (slice(0, first), slice(first, total)):
        time = course.time[side] - course.time[side][0] + 0.5
        extent = time[-1] + 0.5
        number = np.arange(1, max(min(int(2 * extent / period), time.size - 1), 1) + 1)
        own = np.zeros((total, number.size))
        own[side] = np.cos(np.pi * time[:, None] * number / extent)
        waves.append(own)
    fixed = sum(part.shape[1] for part in out)
    basis, triangle = np.linalg.qr(np.concatenate([*out, *waves], axis=1))
    return basis[:, fixed:][:, np.abs(np.diag(triangle))[fixed:] > 1e-6]


@dataclass(frozen=True)
class Sums:
    """What is taken of a course of T grains in N blocks: weights, and forms of the blocks' means.

    Attributes:
      difference: Weights of the difference of the sides' means. Shape [T].
      by_block: Weights of the blocks' means, in units of a mean block. Shape [N, T].
      shown: Form of the difference's variance, as the blocks within the sides show it. Shape [N, N].
      dealt: Likewise over deals. Shape [N, N].
    """

    difference: Floats
    by_block: Floats
    shown: Floats
    dealt: Floats

    @classmethod
    def of(cls, course: Course) -> Sums:
        """Of a course."""
        total, first = course.time.size, course.first
        count, own = int(course.block[-1]) + 1, int(course.block[first - 1]) + 1
        by_block = np.zeros((count, total))
        by_block[course.block, np.arange(total)] = count / total
        shown = np.zeros((count, count))
        for side in (slice(0, own), slice(own, count)):
            size = side.stop - side.start
            shown[side, side] = (np.eye(size) - 1 / size) / (size - 1) / size
        dealt = (np.eye(count) - 1 / count) / (count - 1) * (1 / own + 1 / (count - own))
        sides = np.arange(total) < first
        return cls(np.where(sides, 1 / first, -1 / (total - first)), by_block, shown, dealt)


@dataclass(frozen=True)
class _Shown:
    """What one process shows: variance of the difference, covariance of the blocks' means.

    The first is a number, the second of shape [N, N].
    """

    difference: float
    blocks: Floats
    sums: Sums

    @classmethod
    def of(cls, sums: Sums, covariance: Floats) -> _Shown:
        """Of a process with that covariance. Shape [T, T]."""
        means, by_block = sums.difference, sums.by_block
        return cls(float(means @ covariance @ means), by_block @ covariance @ by_block.T, sums)

    def plus(self, other: _Shown, own: float, weight: float) -> _Shown:
        """Weighted sum of two independent processes."""
        return _Shown(
            own * self.difference + weight * other.difference,
            own * self.blocks + weight * other.blocks,
            self.sums,
        )

    def ratios(self) -> tuple[float, float, float]:
        """`within`, `dealt` and `freedom` of `Design`."""
        product = self.sums.shown @ self.blocks
        shown, dealt = np.trace(product), (self.sums.dealt * self.blocks).sum()
        # Satterthwaite's, of a quadratic form.
        freedom = shown**2 / (product * product.T).sum()
        return self.difference / shown, self.difference / dealt, freedom
