"""The null of sampling noise: blocks of consecutive time are dealt anew to the two sides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.drift.core.pairing import DAY_S, Hours
from components.drift.core.profile import Floats, Ints, Profile

#: Fewest blocks on a side. With four on each, the deal that was seen is one of 70.
MIN_BLOCKS = 4


@dataclass(frozen=True)
class Blocks:
    """How the buckets of both sides fall into blocks.

    Attributes:
      starts: Position of each block's first bucket, of the first side and of the baseline.
      block_s: Length of a block, in seconds.
      reason: Why the noise rule is undefined on them; else empty.
    """

    starts: tuple[Ints, Ints]
    block_s: float
    reason: str = ""

    @property
    def counts(self) -> tuple[int, int]:
        """Blocks on each side."""
        return self.starts[0].size, self.starts[1].size

    def sums(self, current: npt.NDArray, baseline: npt.NDArray, hours: Hours) -> Floats:
        """Sums of each block, the first side's blocks first. [B, ...] each to [blocks, ...]."""
        sides = zip((current, baseline), self.starts, (hours.current, hours.baseline))
        return np.concatenate(
            [_reduce(array, starts, weight if hours.matched else None) for array, starts, weight in sides]
        )


def _reduce(array: npt.NDArray, starts: Ints, weights: Floats | None) -> Floats:
    values = np.asarray(array, dtype=np.float64)
    if weights is not None:
        values = values * weights.reshape((-1,) + (1,) * (values.ndim - 1))
    return np.add.reduceat(values, starts, axis=0)


def block_starts(bucket: Ints, bucket_s: int, block_s: float) -> Ints:
    """Positions at which blocks of `block_s` begin, counted from the first bucket.

    Blocks without a bucket do not exist; a rest of less than half a block belongs to the one before.
    """
    if bucket.size == 0:
        return np.zeros(0, dtype=np.int64)
    per_block = max(round(block_s / bucket_s), 1)
    number = (bucket - bucket[0]) // per_block
    starts = np.flatnonzero(np.diff(number, prepend=-1) > 0)
    rest = bucket[-1] - bucket[0] + 1 - number[-1] * per_block
    if starts.size > 1 and rest * 2 < per_block:
        starts = starts[:-1]
    return starts.astype(np.int64)


def make_blocks(current: Profile, baseline: Profile, block_s: float | None, hours: Hours) -> Blocks:
    """Cuts both sides into blocks."""
    bucket_s = current.plan.bucket_s
    length = float(block_s or max(DAY_S, bucket_s))
    length = max(length, float(bucket_s))
    starts = tuple(block_starts(side.bucket, bucket_s, length) for side in (current, baseline))
    reason = hours.reason
    if not reason and min(starts[0].size, starts[1].size) < MIN_BLOCKS:
        reason = (
            f"{starts[0].size} and {starts[1].size} blocks of {length / 3600:g} h; "
            f"the noise rule needs {MIN_BLOCKS} on each side"
        )
    return Blocks((starts[0], starts[1]), length, reason)


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
