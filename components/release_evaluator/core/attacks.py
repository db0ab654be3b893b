"""Membership attacks as scores, and the statistics that judge them with time blocks as the unit.

An attack is a score per real record, higher = "was in the training rows". Its strength is the AUC of
train records (members) against holdout records (non-members). To add an attack, compute its scores on
both sides from the same information and hand them to `attack_auc`.
"""

from __future__ import annotations

import numpy as np


def auc(members: np.ndarray, others: np.ndarray) -> float:
    """Probability that a member scores higher than a non-member; ties count half.

    Args:
      members: Scores. Shape [member], float64.
      others: Scores. Shape [non-member], float64.
    """
    ones = np.ones((1, len(members))), np.ones((1, len(others)))
    return float(_weighted_auc(members, others, *ones)[0])


def _weighted_auc(
    members: np.ndarray, others: np.ndarray, member_weight: np.ndarray, other_weight: np.ndarray
) -> np.ndarray:
    """AUC for many weightings at once. Weights [draw, record]; result [draw]."""
    scores = np.concatenate([members, others])
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    group = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    zeros_m, zeros_o = np.zeros_like(member_weight), np.zeros_like(other_weight)
    member = np.add.reduceat(np.hstack([member_weight, zeros_o])[:, order], group, axis=1)
    other = np.add.reduceat(np.hstack([zeros_m, other_weight])[:, order], group, axis=1)
    below = np.cumsum(other, axis=1) - other
    total = member.sum(axis=1) * other.sum(axis=1)
    return (member * (below + other / 2)).sum(axis=1) / total


def resampled_weights(chunk: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Record weights of a bootstrap over chunks: how often each record's chunk was drawn.

    Args:
      chunk: Chunk of each record. Shape [record], int64.
      draws: Number of bootstrap draws.
      rng: Source of randomness.

    Returns:
      Shape [draw, record], float64.
    """
    _, position = np.unique(chunk, return_inverse=True)
    count = int(position.max()) + 1
    times = rng.multinomial(count, np.full(count, 1 / count), size=draws).astype(np.float64)
    return times[:, position]


def auc_draws(
    members: np.ndarray,
    others: np.ndarray,
    member_chunk: np.ndarray,
    other_chunk: np.ndarray,
    draws: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Bootstrap draws of the AUC, time blocks resampled on both sides. Shape [draw], float64."""
    return _weighted_auc(
        members,
        others,
        resampled_weights(member_chunk, draws, rng),
        resampled_weights(other_chunk, draws, rng),
    )


def rate_draws(flags: np.ndarray, chunk: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Bootstrap draws of the mean of `flags`, chunks resampled. Shape [draw], float64."""
    weights = resampled_weights(chunk, draws, rng)
    return (weights * flags[None, :]).sum(axis=1) / weights.sum(axis=1)


def balanced_share(
    train_wins: np.ndarray, train_size: np.ndarray, holdout_wins: np.ndarray, holdout_size: np.ndarray
) -> np.ndarray:
    """Share of synthetic records nearer to train, were train and holdout of equal size.

    share = r_t / (r_t + r_h), r = wins per real record. Blocks are dealt to train or holdout at random,
    so a synthesizer that knows nothing of the deal wins alike per record: 0.5, whatever the sizes.

    Args:
      train_wins: Synthetic records nearest to each train chunk. Shape [..., chunk], float64.
      train_size: Records in each train chunk. Shape as `train_wins`.
      holdout_wins: As `train_wins`.
      holdout_size: As `train_size`.

    Returns:
      Share in [0, 1]; 0.5 where nobody wins. Shape [...], float64.
    """
    train = train_wins.sum(axis=-1) / train_size.sum(axis=-1)
    holdout = holdout_wins.sum(axis=-1) / holdout_size.sum(axis=-1)
    total = train + holdout
    return np.where(total > 0, train / np.where(total > 0, total, 1), 0.5)
