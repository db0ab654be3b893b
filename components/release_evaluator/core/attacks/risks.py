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
    effects = [design_effect(flag, chunk) for flag, chunk in zip(flags, chunks)]
    blocks = [len(np.unique(chunk)) for chunk in chunks]
    attack, control = (float(flag.mean()) for flag in flags)
    # Of a leak: the spread is that of chance, so the clustering is that of the control alone: a block that
    # is known by heart must not pass for noise because it is a single one. Of its absence: another release
    # might reveal other blocks, so the clustering of both sides counts.
    seen = clustered_interval(attack, len(flags[0]) / effects[1], blocks[0], confidence)
    alone = clustered_interval(
        control, min(len(flags[1]) / effects[1], independent[1]), blocks[1], confidence
    )
    sizes = [min(len(flag) / max(effects), most) for flag, most in zip(flags, independent)]
    spans = [
        clustered_interval(float(flag.mean()), size, count, confidence)
        for flag, size, count in zip(flags, sizes, blocks)
    ]
    value = risk(attack, control)
    rest = max(1 - control, 1e-9)
    slope = (1 - attack) / rest**2
    arms = (
        np.hypot((attack - seen.low) / rest, (alone.high - control) * slope),
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
    owner: np.ndarray,
    sides: Sides,
    tries: int,
    confidence: float,
    *,
    naive: float | None = None,
    copies: bool = False,
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
      copies: Whether chance hardly succeeds. Then successes are facts, and of a leak only holdout's spread
        counts: copies of a single train block must not pass for noise because it is a single one.
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
    attack, control = share * (1 - held), min(1.0, share * held * balance)
    if count:
        # of a leak: chance is what holdout shows per record
        of_holdout = wins[np.isin(chunks, sides.holdout.chunk)]
        own = of_holdout.sum() / len(sides.holdout)
        spread = np.bincount(np.searchsorted(np.unique(sides.holdout.chunk), sides.holdout.chunk))
        clustering = max(1.0, float(((of_holdout - spread * own) ** 2).sum()) / max(1.0, of_holdout.sum()))
        alone = len(sides.holdout) / sides.holdout.length / clustering
        most = wilson_interval(min(own, 1.0) * alone, max(1.0, alone), confidence).high
        seen = wilson_interval(attack * tries / clustering, max(1.0, tries / clustering), confidence)
        rest = max(1 - control, 1e-9)
        reached = (max(most, own) - own) * len(sides.train) / tries
        down = np.hypot((attack - seen.low) / rest, reached * (1 - attack) / rest**2)
        # of its absence, or where chance succeeds: the clustering of all successes in blocks
        of_held = wilson_interval(held * count / effect, max(1.0, count / effect), confidence)
        if not copies:
            down = np.hypot(value - of(share, of_held.high), value - of(of_tries.low, held))
        up = np.hypot(of(share, of_held.low) - value, of(of_tries.high, held) - value)
        arms = np.array([down, up])
    else:
        arms = np.array([of_tries.high, of_tries.high])
    interval = Interval(
        max(-1.0, value - float(arms[0])),
        min(1.0, value + float(arms[1])),
        confidence,
        "Wilson, with the effective number of time blocks",
    )
    evidence = Evidence(
        attack,
        naive,
        None,
        len(sides.train),
        len(sides.holdout),
        (len(sides.train) / effect, len(sides.holdout) / effect),
        "owner",
    )
    return Measured(value, interval, control, tries, evidence)
