"""What a synthetic record says about which real record is nearest to it: DCR, NNDR and near copies.

Sources: Platzer and Reutterer (2021), Front. Big Data 4 (share nearer to train than to holdout);
Yao et al. (2025), "The DCR delusion", and Ganev and De Cristofaro (2023), "On the inadequacy of
similarity-based privacy metrics": these measures can prove a leak, never its absence.
"""

from __future__ import annotations

import numpy as np

from components.release_evaluator.core.attacks.base import (
    MIN_RECORDS,
    Attack,
    Findings,
    Measured,
    Sampling,
    Sides,
    World,
)
from components.release_evaluator.core.attacks.replay import replayed
from components.release_evaluator.core.attacks.risks import BLOCK_BOOTSTRAP, owner_risk
from components.release_evaluator.core.metrics import Evidence, percentile_interval
from components.release_evaluator.core.records import nearest
from components.release_evaluator.core.resampling import balanced_share, resampled_times


def closeness(world: World) -> Findings:
    """The measures on both units.

    Raises:
      InsufficientDataError: too few records or time blocks.
    """
    found: dict[str, Measured] = {}
    for unit in ("rows", "windows"):
        found |= closeness_of(
            world.sides(unit), world.usual(unit), world.sampling, unit, world.rng(f"closeness_{unit}")
        )
    return found


def closeness_of(
    sides: Sides, usual: float, sampling: Sampling, unit: str, rng: np.random.Generator
) -> dict[str, Measured]:
    """The measures on one unit.

    Args:
      sides: The records.
      usual: `World.usual`.
      sampling: Bounds of the work.
      unit: `rows` or `windows`.
      rng: Source of randomness.

    Raises:
      InsufficientDataError: too few records or time blocks.
    """
    sides.require_enough()
    limit = sampling.candidates(sides.train.dimension)
    share = min(1.0, limit / (len(sides.train) + len(sides.holdout)))
    train = sides.train.sample(max(1, int(share * len(sides.train))), rng)
    holdout = sides.holdout.sample(max(1, int(share * len(sides.holdout))), rng)
    queries = sides.synthetic.sample(sampling.max_records, rng)
    dcr_train, at_train = nearest(queries, train)
    dcr_holdout, at_holdout = nearest(queries, holdout)

    # share nearer to train; a tie is split by size, which counts half once sizes are balanced
    tie = dcr_train == dcr_holdout
    part = len(train) / (len(train) + len(holdout))
    to_train = np.where(tie, part, (dcr_train < dcr_holdout).astype(float))
    wins = (
        _per_chunk(train.chunk[at_train], to_train, train.chunk),
        _per_chunk(holdout.chunk[at_holdout], 1 - to_train, holdout.chunk),
    )
    dcr_share = _share(wins, sampling, rng, len(queries), (len(train), len(holdout)))

    # the same distances against equally many records of train and holdout
    equal = min(len(train), len(holdout))
    levels = [
        float(np.quantile(nearest(queries, records.sample(equal, rng))[0], 0.05))
        for records in (train, holdout)
    ]
    ratio = 1.0 if levels[0] == levels[1] else levels[0] / levels[1] if levels[1] > 0 else np.inf
    if not np.isfinite(ratio):
        ratio = 1.0  # holdout is met exactly and train is not: no sign of a leak
    dcr_ratio = Measured(float(ratio), None, levels[1], len(queries))

    nearer_train = dcr_train <= dcr_holdout
    first = np.minimum(dcr_train, dcr_holdout)
    owner = np.where(nearer_train, train.chunk[at_train], holdout.chunk[at_holdout])
    second = np.minimum(nearest(queries, train, owner)[0], nearest(queries, holdout, owner)[0])
    copies = replayed(first, second, usual)
    near_copy = owner_risk(owner[copies], sides, len(queries), sampling.confidence, copies=True)

    ratios = np.divide(first, second, out=np.ones_like(first), where=second > 0)
    own = [ratios[nearer_train & ~tie], ratios[~nearer_train & ~tie]]
    lows = [float(np.quantile(part, 0.05)) if len(part) >= MIN_RECORDS // 5 else None for part in own]
    nndr = Measured(1.0 if lows[0] is None else lows[0], None, lows[1], len(queries))
    return {
        f"dcr_share_{unit}": dcr_share,
        f"dcr_ratio_{unit}": dcr_ratio,
        f"nndr_{unit}": nndr,
        f"near_copy_risk_{unit}": near_copy,
    }


def _per_chunk(owner: np.ndarray, weight: np.ndarray, chunk: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Wins and records of each chunk of a side."""
    chunks, size = np.unique(chunk, return_counts=True)
    wins = np.bincount(np.searchsorted(chunks, owner), weights=weight, minlength=len(chunks))
    return wins, size.astype(np.float64)


def _share(
    wins: tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]],
    sampling: Sampling,
    rng: np.random.Generator,
    n: int,
    sizes: tuple[int, int],
) -> Measured:
    (train, train_size), (holdout, holdout_size) = wins
    value = float(balanced_share(train, train_size, holdout, holdout_size))
    times = [resampled_times(len(part), sampling.draws, rng) for part in (train, holdout)]
    draws = balanced_share(
        times[0] * train, times[0] * train_size, times[1] * holdout, times[1] * holdout_size
    )
    interval = percentile_interval(draws, sampling.confidence, BLOCK_BOOTSTRAP)
    return Measured(value, interval, 0.5, n, Evidence(value, 0.5, None, *sizes))


METRICS = tuple(
    f"{stem}_{unit}"
    for unit in ("rows", "windows")
    for stem in ("near_copy_risk", "dcr_share", "dcr_ratio", "nndr")
)
ATTACK = Attack("closeness", METRICS, closeness)
