"""Statistics of an attack with time blocks as the unit: telemetry is autocorrelated, rows are no sample.

A membership attack is a score per real record, higher = "was in the training rows"; its strength is the
AUC of train records (members) against holdout records (non-members). Other attacks are rates of success.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from scipy import stats

from components.release_evaluator.core.metrics import Interval, wilson_interval


def auc(members: np.ndarray, others: np.ndarray) -> float:
    """Probability that a member scores higher than a non-member; ties count half.

    Args:
      members: Scores. Shape [member], float64.
      others: Scores. Shape [non-member], float64.
    """
    below, upto = (np.searchsorted(np.sort(others), members, side) for side in ("left", "right"))
    return float((below + upto).mean() / (2 * len(others)))


def resampled_times(count: int, draws: int, rng: np.random.Generator) -> np.ndarray:
    """How often each of `count` chunks is drawn in each bootstrap draw. Shape [draw, chunk], float64."""
    return rng.multinomial(count, np.full(count, 1 / count), size=draws).astype(np.float64)


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
    return resampled_times(int(position.max()) + 1, draws, rng)[:, position]


def auc_draws(
    members: np.ndarray,
    others: np.ndarray,
    member_chunk: np.ndarray,
    other_chunk: np.ndarray,
    draws: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Bootstrap draws of the AUC, time blocks resampled on both sides. Shape [draw], float64.

    The AUC is a sum over pairs, so wins are counted once per pair of chunks, and a draw is a bilinear
    form in how often each chunk was drawn.
    """
    member_place = np.unique(member_chunk, return_inverse=True)[1]
    other_place = np.unique(other_chunk, return_inverse=True)[1]
    counts = np.bincount(member_place), np.bincount(other_place)
    wins = np.empty((len(counts[0]), len(counts[1])))
    for column in range(len(counts[1])):
        rivals = np.sort(others[other_place == column])
        won = (np.searchsorted(rivals, members, "left") + np.searchsorted(rivals, members, "right")) / 2
        wins[:, column] = np.bincount(member_place, weights=won, minlength=len(counts[0]))
    times = [resampled_times(len(count), draws, rng) for count in counts]
    total = (times[0] @ counts[0]) * (times[1] @ counts[1])
    return np.einsum("dm,mo,do->d", times[0], wins, times[1], optimize=True) / total


def design_effect(flags: np.ndarray, chunk: np.ndarray) -> float:
    """Variance of a rate over blocks of time, over what it were if records were independent; at least 1.

    var(p) = B / (B - 1) * sum_c (s_c - p n_c)^2 / n^2, with s_c successes among the n_c records of block
    c of B; the design effect is var(p) / (p (1 - p) / n). 1 where nothing or everything succeeds: then
    the data show no clustering.

    Args:
      flags: Success of each record. Shape [record], bool.
      chunk: Chunk of each record. Shape [record], int64.

    Source: Kish (1965), "Survey sampling", chapters 5 and 8 (ratio means of clusters).
    """
    n = len(flags)
    share = float(flags.mean())
    place = np.unique(chunk, return_inverse=True)[1]
    size = np.bincount(place)
    if not 0 < share < 1 or len(size) < 2:
        return 1.0
    residual = np.bincount(place, weights=flags) - share * size
    variance = len(size) / (len(size) - 1) * float((residual**2).sum()) / n**2
    return max(1.0, variance / (share * (1 - share) / n))


def clustered_interval(share: float, size: float, blocks: int, confidence: float) -> Interval:
    """Wilson's interval of a share of clustered records, by their effective number and Student's quantile.

    Args:
      share: The observed share, in [0, 1].
      size: Independent records that weigh as much: records over the design effect.
      blocks: Blocks of time that the records come from.
      confidence: Two-sided level, in (0, 1).

    Source: Korn and Graubard (1998), Survey Methodology 24(2): effective size times the squared ratio of
      the normal to Student's quantile, here inside Wilson's interval.
    """
    tail = 0.5 + confidence / 2
    if 0 < share < 1:  # else no variance was estimated
        size *= (NormalDist().inv_cdf(tail) / float(stats.t.ppf(tail, max(1, blocks - 1)))) ** 2
    size = max(1.0, size)
    return wilson_interval(share * size, size, confidence)


def needed_for_rate(threshold: float, control: float, confidence: float, ratio: float = 1.0) -> int:
    """Fewest independent control records with which a release without a leak can pass `risk.high <= t`.

    The upper bound of the risk (a - c) / (1 - c) at a = c is about z sqrt(c / (1 - c) (1/n_a + 1/n_c)),
    and at a = c = 0 Wilson's z^2 / (n_a + z^2): the greater of what the two demand.

    Args:
      threshold: Of the upper bound, in (0, 1).
      control: Success rate of the control, in [0, 1).
      confidence: Two-sided level.
      ratio: Attacked records per control record, > 0.
    """
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    odds = control / max(1e-9, 1 - control)
    spread = z * z * odds * (1 + 1 / ratio) / threshold**2
    empty = z * z * (1 - threshold) / (threshold * ratio)
    return max(1, math.ceil(max(spread, empty)))


def needed_for_auc(threshold: float, confidence: float, ratio: float = 1.0) -> int:
    """Fewest independent control records with which guessing passes `2 AUC - 1 <= t` with its upper bound.

    At chance the variance of the AUC of m against n records is (m + n + 1) / (12 m n) (Mann and Whitney
    1947), here with m = ratio * n, so 2 AUC - 1 spreads by sqrt((1 + 1 / ratio) / (3 n)).
    """
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    return max(1, math.ceil(z * z * (1 + 1 / ratio) / (3 * threshold**2)))


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
