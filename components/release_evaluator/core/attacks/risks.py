"""From successes to a risk with its interval: rates, scores, and successes that belong to a record.

    risk = (attack - control) / (1 - control)

Source: Giomi et al. (2023), PoPETs 2023(2), equation 4; their intervals, here with time blocks.
"""

from __future__ import annotations

import numpy as np

from components.release_evaluator.core.attacks.base import Measured, Sampling, Sides
from components.release_evaluator.core.metrics import Evidence, Interval, wilson_interval
from components.release_evaluator.core.resampling import (
    auc,
    auc_draws,
    clustered_interval,
    design_effect,
)

BLOCK_BOOTSTRAP = "bootstrap over time blocks"


def risk(attack: float, control: float) -> float:
    """(attack - control) / (1 - control), in [-1, 1]; 0 where the control always succeeds."""
    return max(-1.0, (attack - control) / (1 - control)) if control < 1 else 0.0


def rate_risk(
    flags: tuple[np.ndarray, np.ndarray],
    chunks: tuple[np.ndarray, np.ndarray],
    confidence: float,
    *,
    naive: float | None = None,
    independent: tuple[float, float] = (np.inf, np.inf),
    worst: str = "",
) -> Measured:
    """The risk of an attack that succeeds or fails on each record.

    The interval carries the arms of Wilson's intervals of both rates over to the risk by its derivatives,
    as Giomi et al. do; records of one block of time count by their design effect.

    Args:
      flags: Success on each record of train and of holdout. Each [record], bool, not empty.
      chunks: Their chunks. Each [record], int64.
      confidence: Two-sided level.
      naive: Success of an attacker who does not look at the release.
      independent: Records of each side that do not overlap: so many count at most.
      worst: As in `Evidence`.
    """
    effect = max(design_effect(flag, chunk) for flag, chunk in zip(flags, chunks))
    sizes = [min(len(flag) / effect, most) for flag, most in zip(flags, independent)]
    spans = [
        clustered_interval(float(flag.mean()), size, len(np.unique(chunk)), confidence)
        for flag, size, chunk in zip(flags, sizes, chunks)
    ]
    attack, control = (float(flag.mean()) for flag in flags)
    value = risk(attack, control)
    rest = max(1 - control, 1e-9)
    slope = (1 - attack) / rest**2
    arms = (
        np.hypot((attack - spans[0].low) / rest, (spans[1].high - control) * slope),
        np.hypot((spans[0].high - attack) / rest, (control - spans[1].low) * slope),
    )
    interval = Interval(
        max(-1.0, value - float(arms[0])),
        min(1.0, value + float(arms[1])),
        confidence,
        "Wilson, with the design effect of time blocks",
    )
    evidence = Evidence(
        attack, naive, None, len(flags[0]), len(flags[1]), (sizes[0], sizes[1]), "rate", worst
    )
    return Measured(value, interval, control, len(flags[0]) + len(flags[1]), evidence)


def auc_risk(
    scores: tuple[np.ndarray, np.ndarray],
    chunks: tuple[np.ndarray, np.ndarray],
    sampling: Sampling,
    rng: np.random.Generator,
    naive: float | None = None,
) -> Measured:
    """The risk of an attack that scores records: 2 AUC - 1, its success above guessing.

    Args:
      scores: Of train's and of holdout's records, higher = "was in train". Each [record], float64.
      chunks: Their chunks.
      sampling: Draws and level of the block bootstrap.
      rng: Source of randomness.
      naive: AUC of an attacker who does not look at the release.
    """
    attack = auc(*scores)
    draws = auc_draws(*scores, *chunks, sampling.draws, rng)
    tail = 50 * (1 - sampling.confidence)
    low, high = np.percentile(2 * draws - 1, [tail, 100 - tail])
    interval = Interval(float(low), float(high), sampling.confidence, BLOCK_BOOTSTRAP)
    sizes = len(scores[0]), len(scores[1])
    chance = (sizes[0] + sizes[1] + 1) / (12 * sizes[0] * sizes[1])
    effect = max(1.0, float(draws.var()) / chance)
    effective = (sizes[0] / effect, sizes[1] / effect)
    evidence = Evidence(attack, naive, None, *sizes, effective, "auc")
    return Measured(2 * attack - 1, interval, 0.5, sum(sizes), evidence)


def owner_risk(
    owner: np.ndarray, sides: Sides, tries: int, confidence: float, *, naive: float | None = None
) -> Measured:
    """The risk of an attack whose successes each belong to one real record, of train or of holdout.

    attack = successes owned by train / tries; control = those owned by holdout, scaled up to train's
    size. Blocks are dealt to train or holdout at random, so that a release that knows nothing of the deal
    has as many successes per record on both sides. Intervals: Wilson of holdout's share among the
    successes, by their effective number over blocks, and of the successes among the tries.

    Args:
      owner: Chunk of the real record that each success belongs to. Shape [success], int64.
      sides: The records.
      tries: Attempts, >= 1.
      confidence: Two-sided level.
      naive: Success of an attacker who does not look at the release.
    """
    balance = sides.balance
    chunks = np.union1d(sides.train.chunk, sides.holdout.chunk)
    mine = np.isin(owner, np.unique(sides.holdout.chunk))
    count = len(owner)
    wins = np.bincount(np.searchsorted(chunks, owner), minlength=len(chunks))

    def of(share: float, held: float) -> float:
        return risk(share * (1 - held), min(share * held * balance, 1.0))

    share, held = count / tries, float(mine.mean()) if count else 1 / (1 + balance)
    value = of(share, held)
    size = np.bincount(np.searchsorted(chunks, np.concatenate([sides.train.chunk, sides.holdout.chunk])))
    residual = float(((wins - size * count / size.sum()) ** 2).sum())
    effect = max(1.0, residual / count) if count else 1.0
    of_tries = wilson_interval(count, tries, confidence)
    of_held = wilson_interval(held * count / effect, max(1.0, count / effect), confidence)
    if count:
        ends = np.array(
            [
                [of(share, of_held.high), of(of_tries.low, held)],
                [of(share, of_held.low), of(of_tries.high, held)],
            ]
        )
        arms = np.sqrt(((ends - value) ** 2).sum(axis=1))
    else:
        arms = np.array([of_tries.high, of_tries.high])
    interval = Interval(
        max(-1.0, value - float(arms[0])),
        min(1.0, value + float(arms[1])),
        confidence,
        "Wilson, with the effective number of time blocks",
    )
    control = min(1.0, share * held * balance)
    evidence = Evidence(
        share * (1 - held),
        naive,
        None,
        len(sides.train),
        len(sides.holdout),
        (len(sides.train) / effect, len(sides.holdout) / effect),
        "owner",
    )
    return Measured(value, interval, control, tries, evidence)
