"""Blocks of consecutive time: how long, where they begin, and sums over them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.drift.core.pairing import DAY_S, Hours, phase
from components.drift.core.persistence import MAX_GRAINS, Course
from components.drift.core.profile import Floats, Ints, Profile

#: Fewest blocks on a side. With four on each, the deal that was seen is one of 70.
MIN_BLOCKS = 4


@dataclass(frozen=True)
class Blocks:
    """How the buckets of both sides fall into blocks, and these into grains.

    Attributes:
      starts: Position of each block's first bucket, of the first side and of the baseline.
      grains: Position of each grain's first bucket, likewise.
      block_s: Length of a block, in seconds.
      course: The grains on their time line; None where the noise rule is undefined.
      reason: Why the noise rule is undefined on them; else empty.
    """

    starts: tuple[Ints, Ints]
    grains: tuple[Ints, Ints]
    block_s: float
    course: Course | None = None
    reason: str = ""

    @property
    def counts(self) -> tuple[int, int]:
        """Blocks on each side."""
        return self.starts[0].size, self.starts[1].size

    def sums(
        self, current: npt.NDArray, baseline: npt.NDArray, hours: Hours, *, grains: bool = False
    ) -> Floats:
        """Sums of each block or grain, the first side's first. [B, ...] each to [blocks, ...]."""
        sides = zip(
            (current, baseline), self.grains if grains else self.starts, (hours.current, hours.baseline)
        )
        return np.concatenate(
            [_reduce(array, starts, weight if hours.matched else None) for array, starts, weight in sides]
        )

    def expected(
        self,
        arrays: tuple[npt.NDArray, npt.NDArray],
        sizes: tuple[npt.NDArray, npt.NDArray],
        hours: Hours,
    ) -> Floats:
        """Sums of each block if every bucket had the pooled mean of its hour of the day. To [blocks, ...].

        Args:
          arrays: What is averaged, of the first side and of the baseline. Shape [B, ...] each.
          sizes: What it is divided by; as many axes as fit. Shape [B, ...] each.
          hours: Weights and numbers of the hours.
        """
        phases = hours.phases
        count = int(max(part.max() for part in phases)) + 1
        total = np.zeros((count, *arrays[0].shape[1:]))
        size = np.zeros((count, *sizes[0].shape[1:]))
        for of, array, own, weight in zip(phases, arrays, sizes, (hours.current, hours.baseline)):
            np.add.at(total, of, _weighted(array, weight))
            np.add.at(size, of, _weighted(own, weight))
        size = size.reshape(size.shape + (1,) * (total.ndim - size.ndim))
        mean = np.divide(total, size, out=np.zeros_like(total), where=size > 0)
        sides = []
        for of, own in zip(phases, sizes):
            own = np.asarray(own, dtype=np.float64)
            sides.append(mean[of] * own.reshape(own.shape + (1,) * (total.ndim - own.ndim)))
        return self.sums(sides[0], sides[1], hours)


def _weighted(array: npt.NDArray, weights: Floats) -> Floats:
    values = np.asarray(array, dtype=np.float64)
    return values * weights.reshape((-1,) + (1,) * (values.ndim - 1))


def _reduce(array: npt.NDArray, starts: Ints, weights: Floats | None) -> Floats:
    values = np.asarray(array, dtype=np.float64) if weights is None else _weighted(array, weights)
    return np.add.reduceat(values, starts, axis=0)


def block_starts(bucket: Ints, per_block: int) -> Ints:
    """Positions at which blocks of `per_block` buckets begin, counted from the first bucket.

    Blocks without a bucket do not exist; a rest of less than half a block belongs to the one before.
    """
    number = (bucket - bucket[0]) // per_block
    starts = np.flatnonzero(np.diff(number, prepend=-1) > 0)
    rest = bucket[-1] - bucket[0] + 1 - number[-1] * per_block
    if starts.size > 1 and rest * 2 < per_block:
        starts = starts[:-1]
    return starts.astype(np.int64)


def make_blocks(current: Profile, baseline: Profile, block_s: float, hours: Hours) -> Blocks:
    """Cuts both sides into blocks of `block_s`, each counted from its side's first bucket.

    Args:
      current: First side, with at least one bucket.
      baseline: Other side, with buckets of the same length, at least one.
      block_s: Wanted length; rounded to whole buckets.
      hours: Weights of the buckets; undefined ones make the noise rule undefined.
    """
    bucket_s = current.plan.bucket_s
    per_block = max(round(block_s / bucket_s), 1)
    buckets = (current.bucket, baseline.bucket)
    starts = (block_starts(buckets[0], per_block), block_starts(buckets[1], per_block))
    length = float(per_block * bucket_s)
    reason = hours.reason
    if not reason and min(starts[0].size, starts[1].size) < MIN_BLOCKS:
        reason = (
            f"{starts[0].size} and {starts[1].size} blocks of {length / 3600:g} h; "
            f"the noise rule needs {MIN_BLOCKS} on each side"
        )
    if reason:
        return Blocks(starts, starts, length, None, reason)
    per_grain = next(
        size
        for size in range(1, per_block + 1)
        if per_block % size == 0
        and (sum(side.size for side in buckets) <= MAX_GRAINS * size or size == per_block)
    )
    grains = tuple(
        np.union1d(block_starts(side, per_grain), own).astype(np.int64) for side, own in zip(buckets, starts)
    )
    return Blocks(
        starts, (grains[0], grains[1]), length, _course(buckets, starts, grains, per_grain, bucket_s)
    )


def _course(
    buckets: tuple[Ints, Ints],
    starts: tuple[Ints, Ints],
    grains: tuple[Ints, ...],
    per_grain: int,
    bucket_s: int,
) -> Course:
    begin = [side[own] for side, own in zip(buckets, grains)]
    block = [np.searchsorted(own, grain, side="right") - 1 for own, grain in zip(starts, grains)]
    apart = buckets[0][0] <= buckets[1][-1] and buckets[1][0] <= buckets[0][-1]
    time = np.concatenate(begin)
    grains_per_day = DAY_S / (bucket_s * per_grain)
    # Phases that are hardly repeated cannot be told from the noise.
    daily = grains_per_day > 1 and time.size >= 3 * grains_per_day and DAY_S % bucket_s == 0
    return Course(
        time=(time - time.min()) / per_grain,
        first=begin[0].size,
        block=np.concatenate([block[0], block[1] + starts[0].size]),
        phase=np.unique(phase(time, bucket_s) // per_grain, return_inverse=True)[1] if daily else None,
        apart=bool(apart),
    )
