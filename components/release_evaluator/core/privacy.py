"""Privacy of a release: what the synthetic records say about train rows that they do not about holdout rows.

Every measure compares train (seen by the synthesizer) with holdout (never seen, blocks interleaved in
time with train, so that time is no confounder). A record is *distinctive* when nothing else in the real
rows equals it: a stuck sensor or a row of zeros repeats by itself and identifies nobody.

Sources: Shokri et al. (2017), "Membership inference attacks against machine learning models"; van Breugel
et al. (2023), "Membership inference attacks against synthetic data through overfitting detection" (density
calibration); Platzer and Reutterer (2021), Front. Big Data 4 (train against holdout, share of closest
records); Yao et al. (2025), "The DCR delusion" (why distances alone are no evidence).
"""

from __future__ import annotations

import dataclasses

import numpy as np

from components.errors import UndefinedMetricError
from components.release_evaluator.core import attacks
from components.release_evaluator.core.metrics import (
    Interval,
    normal_interval,
    percentile_interval,
)
from components.release_evaluator.core.records import Records, nearest

#: A record is replayed when it is nearer than this share of the usual distance between independent
#: records. Measured: 12 x 4 windows of an autoregressive process have it at 0.9 to 1.1 for honest draws
#: and at 0.3 for jitter of a quarter of the noise.
REPLAY_RATIO = 0.3
#: Fewest time chunks on each side; below, a block bootstrap says nothing.
MIN_CHUNKS = 8
#: Fewest records on each side.
MIN_RECORDS = 100
BLOCK_BOOTSTRAP = "bootstrap over time blocks"


@dataclasses.dataclass(frozen=True)
class Measured:
    """A value with its interval, its control and the number of records."""

    value: float
    interval: Interval | None
    control: float | None
    n: int


@dataclasses.dataclass(frozen=True)
class Sampling:
    """Bounds of the work: records asked about, records searched, bootstrap draws, level."""

    max_records: int
    max_candidates: int
    draws: int
    confidence: float


@dataclasses.dataclass(frozen=True)
class Sides:
    """Records of train, holdout and synthetic rows, and the hash of every row of each.

    Chunk numbers of train and holdout do not overlap.
    """

    train: Records
    holdout: Records
    synthetic: Records
    hashes: dict[str, np.ndarray]

    def require_enough(self) -> None:
        """Refuses to measure on too little.

        Raises:
          UndefinedMetricError: fewer than `MIN_RECORDS` records or `MIN_CHUNKS` chunks on a side.
        """
        for name, records in (
            ("train", self.train),
            ("holdout", self.holdout),
            ("synthetic", self.synthetic),
        ):
            if len(records) < MIN_RECORDS:
                raise UndefinedMetricError(f"{name} has {len(records)} records, needs at least {MIN_RECORDS}")
            chunks = len(np.unique(records.chunk))
            if name != "synthetic" and chunks < MIN_CHUNKS:
                raise UndefinedMetricError(f"{name} has {chunks} time blocks, needs at least {MIN_CHUNKS}")
        if self.train.points.shape[1] == 0:
            raise UndefinedMetricError("no feature varies in the real rows")


@dataclasses.dataclass(frozen=True)
class SyntheticSide:
    """What is found by asking, for synthetic records, which real record is nearest."""

    near_copy: Measured
    dcr_share: Measured
    dcr_ratio: Measured
    nndr: Measured


@dataclasses.dataclass(frozen=True)
class RealSide:
    """What is found by asking, for real records, how near the synthetic ones come.

    Attributes:
      usual: Distance of a distinctive real record to the nearest real one of another chunk that nine in ten
        do not exceed.
      holdout_replay: Share of holdout records that are replayed.
    """

    replay: Measured
    membership: Measured
    calibrated: Measured
    usual: float
    holdout_replay: float


def from_real(sides: Sides, sampling: Sampling, rng: np.random.Generator) -> RealSide:
    """Membership attacks and replay.

    Scores of a real record x: -d(x, nearest synthetic), and calibrated for how common x is,
    -d(x, nearest synthetic) / d(x, nearest real of another chunk). The control of both is the naive
    attack that does not see the synthetic rows: how common x is.

    Raises:
      UndefinedMetricError: too few records or time blocks.
    """
    sides.require_enough()
    real = joined(sides.train, sides.holdout).sample(sampling.max_candidates, rng)
    synthetic = sides.synthetic.sample(sampling.max_candidates, rng)
    train = sides.train.sample(sampling.max_records, rng)
    holdout = sides.holdout.sample(sampling.max_records, rng)
    holdout_queries = dataclasses.replace(
        holdout, points=real.points, starts=holdout.starts + len(sides.train.points)
    )
    to_synthetic = [nearest(records, synthetic)[0] for records in (train, holdout)]
    to_real = [nearest(records, real, records.chunk)[0] for records in (train, holdout_queries)]
    pooled = np.concatenate(to_real)
    positive = pooled[np.isfinite(pooled) & (pooled > 0)]
    usual = float(np.quantile(positive, 0.9)) if len(positive) else 0.0
    floor = max(1e-3 * usual, 1e-12)
    calibrated = [(d + floor) / (ref + floor) for d, ref in zip(to_synthetic, to_real)]
    chunks = [train.chunk, holdout.chunk]
    everything = [np.ones(len(records), bool) for records in (train, holdout)]
    # among repeated records the ratio only says that they are repeated; few distinctive ones are watched
    # by the replay rate
    distinctive = [ref > 0 for ref in to_real]
    if not all(_enough(chunk[mask]) for chunk, mask in zip(chunks, distinctive)):
        distinctive = everything

    def judged(scores: list[np.ndarray], masks: list[np.ndarray]) -> Measured:
        members, others = (-score[mask] for score, mask in zip(scores, masks))
        where = [chunk[mask] for chunk, mask in zip(chunks, masks)]
        draws = attacks.auc_draws(members, others, where[0], where[1], sampling.draws, rng)
        interval = percentile_interval(draws, sampling.confidence, BLOCK_BOOTSTRAP)
        naive = attacks.auc(*(-ref[mask] for ref, mask in zip(to_real, masks)))
        return Measured(attacks.auc(members, others), interval, naive, len(members) + len(others))

    flags = [replayed(d, ref, usual) for d, ref in zip(to_synthetic, to_real)]
    rates = [
        attacks.rate_draws(flag, records.chunk, sampling.draws, rng)
        for flag, records in zip(flags, (train, holdout))
    ]
    holdout_rate = float(flags[1].mean())
    replay = Measured(
        float(flags[0].mean()) - holdout_rate,
        percentile_interval(rates[0] - rates[1], sampling.confidence, BLOCK_BOOTSTRAP),
        holdout_rate,
        len(train) + len(holdout),
    )
    return RealSide(
        replay, judged(to_synthetic, everything), judged(calibrated, distinctive), usual, holdout_rate
    )


def replayed(to_synthetic: np.ndarray, to_real: np.ndarray, usual: float) -> np.ndarray:
    """Whether each distinctive record is reproduced much nearer than independent records lie.

    Args:
      to_synthetic: Distance to the nearest synthetic record. Shape [record], float64.
      to_real: Distance to the nearest real record of another chunk. Shape [record], float64.
      usual: `RealSide.usual`. A far outlier is replayed only when it is met as closely as usual records
        meet, not already when its region is.

    Returns:
      Shape [record], bool; never True where `to_real` is 0.
    """
    scale = np.minimum(to_real, usual)
    return (scale > 0) & (to_synthetic < REPLAY_RATIO * scale)


def from_synthetic(sides: Sides, usual: float, sampling: Sampling, rng: np.random.Generator) -> SyntheticSide:
    """Distance to closest record, nearest-neighbour distance ratio and near copies.

    Args:
      sides: The records.
      usual: `RealSide.usual`.
      sampling: Bounds of the work.
      rng: Source of randomness.

    Raises:
      UndefinedMetricError: too few records or time blocks.
    """
    sides.require_enough()
    share = min(1.0, sampling.max_candidates / (len(sides.train) + len(sides.holdout)))
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
        _per_chunk(train.chunk[at_train], to_train, train),
        _per_chunk(holdout.chunk[at_holdout], 1 - to_train, holdout),
    )
    dcr_share = _share(wins, sampling, rng, len(queries))

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
    near_copy = excess(owner[copies], np.ones(int(copies.sum())), sides, len(queries), sampling, rng)

    ratios = np.divide(first, second, out=np.ones_like(first), where=second > 0)
    own = [ratios[nearer_train & ~tie], ratios[~nearer_train & ~tie]]
    lows = [float(np.quantile(part, 0.05)) if len(part) >= MIN_RECORDS // 5 else None for part in own]
    nndr = Measured(1.0 if lows[0] is None else lows[0], None, lows[1], len(queries))
    return SyntheticSide(near_copy, dcr_share, dcr_ratio, nndr)


def _enough(chunk: np.ndarray) -> bool:
    return len(chunk) >= MIN_RECORDS and len(np.unique(chunk)) >= MIN_CHUNKS


def joined(train: Records, holdout: Records) -> Records:
    """Train's records, then holdout's, over one array of points."""
    return Records(
        np.vstack([train.points, holdout.points]),
        train.length,
        np.concatenate([train.starts, holdout.starts + len(train.points)]),
        np.concatenate([train.chunk, holdout.chunk]),
        np.concatenate([train.rare, holdout.rare]),
    )


def _per_chunk(owner: np.ndarray, weight: np.ndarray, side: Records) -> tuple[np.ndarray, np.ndarray]:
    """Wins and records of each chunk of a side."""
    chunks, size = np.unique(side.chunk, return_counts=True)
    mine = np.isin(owner, chunks)
    wins = np.bincount(np.searchsorted(chunks, owner[mine]), weights=weight[mine], minlength=len(chunks))
    return wins, size.astype(np.float64)


def _bootstrap(count: int, draws: int, rng: np.random.Generator) -> np.ndarray:
    return rng.multinomial(count, np.full(count, 1 / count), size=draws).astype(np.float64)


def _share(
    wins: tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]],
    sampling: Sampling,
    rng: np.random.Generator,
    n: int,
) -> Measured:
    (train, train_size), (holdout, holdout_size) = wins
    value = float(attacks.balanced_share(train, train_size, holdout, holdout_size))
    times = [_bootstrap(len(part), sampling.draws, rng) for part in (train, holdout)]
    draws = attacks.balanced_share(
        times[0] * train, times[0] * train_size, times[1] * holdout, times[1] * holdout_size
    )
    return Measured(value, percentile_interval(draws, sampling.confidence, BLOCK_BOOTSTRAP), 0.5, n)


def excess(
    owner: np.ndarray,
    weight: np.ndarray,
    sides: Sides,
    n: int,
    sampling: Sampling,
    rng: np.random.Generator,
) -> Measured:
    """Share of n synthetic records owned by train chunks, less the size-balanced share of holdout."""
    train, train_size = _per_chunk(owner, weight, sides.train)
    holdout, holdout_size = _per_chunk(owner, weight, sides.holdout)
    scale = len(sides.train) / n
    control = float(holdout.sum() / holdout_size.sum() * scale)
    value = float(train.sum() / n) - control
    times = _bootstrap(len(holdout), sampling.draws, rng)
    draws = scale * (times * holdout).sum(axis=1) / (times * holdout_size).sum(axis=1)
    # The spread is what it would be without a leak, taken from holdout alone and carried over to train by
    # size: copies of a single memorised train block must not pass for noise because it is a single one.
    error = float(draws.std()) * np.sqrt(1 + holdout_size.sum() / train_size.sum())
    method = "spread of the control over time blocks"
    return Measured(value, normal_interval(value, error, sampling.confidence, method), control, n)
