"""P-values of the noise rule on many independent stationary series at once, for each measure that judges.

Series are first-order processes with a daily course, four rows an hour. Blocks, deals, deviations and the
test are the program's own; only the profiles are left out, since a hundred series fit into one array.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

from components.drift.core import measures
from components.drift.core.blocks import Blocks, make_blocks
from components.drift.core.building import bin_numbers
from components.drift.core.distances import Chunk, value_vectors
from components.drift.core.null import residuals
from components.drift.core.pairing import Hours
from components.drift.core.profile import CADENCE_EDGES, Floats, Profile, ProfilePlan
from components.drift.core.sampling import make_sampling
from components.drift.core.whole import vectors_of

DAY_H = 24
ROWS = 4
DAY_S, HOUR_S = 86_400, 3_600
_BINS = 24
#: Comparisons that share their deals.
AT_ONCE = 100
#: Numeric features of one multivariate test, and random Fourier features.
_TOGETHER, _RANDOM = 6, 64


def series(days: int, memory_h: float, count: int, rng: np.random.Generator) -> Floats:
    """Independent first-order processes of variance 1; white noise without memory. Shape [rows, count]."""
    white = rng.standard_normal((days * DAY_H * ROWS, count))
    if memory_h == 0:
        return white
    keep = np.exp(-1 / ROWS / memory_h)
    white[1:] *= np.sqrt(1 - keep**2)
    return lfilter([1.0], [1.0, -keep], white, axis=0)


def _daily(values: Floats) -> Floats:
    return values + np.cos(2 * np.pi * np.arange(len(values)) / (DAY_H * ROWS))[:, None]


def _per_hour(rows: npt.NDArray) -> Floats:
    return rows.reshape(-1, ROWS, *rows.shape[1:]).sum(axis=1, dtype=np.float64)


def _profile(first: int, hours: int) -> Profile:
    nothing = np.zeros((hours, 0), dtype=np.int64)
    plan = ProfilePlan((), HOUR_S, HOUR_S / ROWS)
    bucket = np.arange(first, first + hours)
    names = ("counts", "missing", "low", "high", "pairs", "still", "longest_still_s", "cadence", "labelled")
    arrays = dict.fromkeys((*names, "positive", "random"), nothing)
    return Profile(plan, bucket, bucket, sums=np.zeros((hours, 0, 2)), complete=bucket, **arrays)  # type: ignore[arg-type]


class Hourly:
    """The hours of all series, the later side first, and their sums over blocks and grains."""

    def __init__(self, days: tuple[int, int], block_s: float) -> None:
        before, after = (length * DAY_H for length in days)
        self._before = before
        self._hours = Hours(np.ones(after), np.ones(before))
        self.blocks: Blocks = make_blocks(_profile(before, after), _profile(0, before), block_s, self._hours)

    def sums(self, hourly: Floats) -> tuple[Floats, Floats]:
        """Of blocks and of grains. [hours, ...] in the order of time to [N, ...] and [T, ...]."""
        sides = hourly[self._before :], hourly[: self._before]
        return self.blocks.sums(*sides, self._hours), self.blocks.sums(*sides, self._hours, grains=True)


def _values(kind: str, edges: Floats) -> Callable[..., tuple[Floats, Floats]]:
    def of(latent: Floats, hourly: Hourly, rng: np.random.Generator) -> tuple[Floats, Floats]:
        number = bin_numbers(_daily(latent).ravel(), edges).reshape(latent.shape)
        counts = np.stack([_per_hour(number == place) for place in range(len(edges) + 1)], axis=2)
        parts = []
        for part in hourly.sums(counts):
            none = np.zeros(part.shape[:2])
            parts.append(Chunk(part, none, none, none[:, 0], None))
        first = hourly.blocks.counts[0]
        sizes = [side.sum(axis=(0, 2)) for side in (parts[0].counts[:first], parts[0].counts[first:])]
        rare = measures.rare_bins(parts[0].counts.sum(axis=0), *sizes)
        return value_vectors(kind, parts[0], parts[1], rare)

    return of


def _share(daily: bool) -> Callable[..., tuple[Floats, Floats]]:
    """Of rows whose level is high: missing values in long outages, labels at the same hours of the day."""

    def of(latent: Floats, hourly: Hourly, rng: np.random.Generator) -> tuple[Floats, Floats]:
        high = _per_hour((_daily(latent) if daily else latent) > 1)
        every = np.full(high.shape, float(ROWS))
        sums = zip(hourly.sums(high), hourly.sums(every))
        block, grain = (residuals(part[:, :, None], size) for part, size in sums)
        return block, grain

    return of


def _discrepancy(latent: Floats, hourly: Hourly, rng: np.random.Generator) -> tuple[Floats, Floats]:
    groups = latent.shape[1] // _TOGETHER
    values = _daily(latent)[:, : groups * _TOGETHER].reshape(-1, groups, _TOGETHER)
    phase = values @ (rng.standard_normal((_TOGETHER, _RANDOM // 2)) / 3)
    random = _per_hour(np.concatenate([np.cos(phase), np.sin(phase)], axis=2) * np.sqrt(2 / _RANDOM))
    sizes = hourly.sums(np.full((len(random), groups), float(ROWS)))
    block, grain = (residuals(part, size) for part, size in zip(hourly.sums(random), sizes))
    return block, grain


def _cadence(latent: Floats, hourly: Hourly, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Single rows are lost at random, and more of them while the level is high."""
    found = []
    kept = rng.random(latent.shape) > np.where(latent > 1, 0.2, 0.05)
    hours = len(latent) // ROWS
    for own in kept.T:
        at = np.flatnonzero(own)
        kind = np.searchsorted(CADENCE_EDGES, np.diff(at), side="left")
        steps = np.zeros((hours, len(CADENCE_EDGES) + 1))
        np.add.at(steps, (at[1:] // ROWS, kind), 1)
        rows = np.bincount(at // ROWS, minlength=hours).astype(np.float64)
        arrays = {"cadence": steps, "rows": rows, "buckets": np.ones(hours), "labelled": np.ones((hours, 2))}
        sums = {name: hourly.sums(array) for name, array in arrays.items()}
        found.append(
            [vectors_of({name: sums[name][at] for name in sums}, True, {})["cadence"] for at in (0, 1)]
        )
    block, grain = (np.concatenate(part, axis=1) for part in zip(*found))
    return block, grain


_EDGES = np.quantile(
    _daily(np.random.default_rng(0).standard_normal((9_600, 1))), np.arange(1, _BINS) / _BINS
)
SIMULATED: Final[dict[str, Callable[..., tuple[Floats, Floats]]]] = {
    "anderson_darling": _values("numeric", _EDGES),
    "chi_squared": _values("categorical", np.array([-1.5, 0.0, 1.5])),
    "missing_rate": _share(daily=False),
    "label_shift": _share(daily=True),
    "maximum_mean_discrepancy": _discrepancy,
    "cadence": _cadence,
}


def p_values(
    measure: str,
    days: tuple[int, int],
    memory_h: float,
    count: int,
    seed: int,
    *,
    draws: int = 499,
    block_s: float = DAY_S,
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Of independent comparisons, and which of them are called too short to tell stability from noise.

    Args:
      measure: One of `SIMULATED`.
      days: Length of the baseline and of the span that follows.
      memory_h: Correlation time, in hours; 0 for independent rows.
      count: Comparisons that share their deals.
      seed: Of series and deals.
      draws: Deals.
      block_s: Length of a block, in seconds.
    """
    rng = np.random.default_rng([seed, *days, int(60 * memory_h), len(measure)])
    hourly = Hourly(days, block_s)
    wide = _TOGETHER if measure == "maximum_mean_discrepancy" else 1
    latent = series(sum(days), memory_h, count * wide, rng)
    deviations, course = SIMULATED[measure](latent, hourly, rng)
    sampling = make_sampling(hourly.blocks, draws=draws, alpha=0.05, seed=seed)
    found = sampling.noise(deviations, course)
    return found.p_value, found.short
