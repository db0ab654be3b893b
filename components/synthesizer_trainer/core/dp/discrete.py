"""From noisy transition counts to Markov chains: post-processing, no rows."""

from __future__ import annotations

import numpy as np

from components.synthesizer_trainer.core.calendar import PHASE_BINS
from components.synthesizer_trainer.core.chains import Chain, Variable
from components.synthesizer_trainer.core.dp.mechanism import Noisy

#: Weight of the pooled transitions in a phase's own, in pairs, beside the noise's standard deviation.
PRIOR_PAIRS = 2.0
#: Harmonics of the phase that a transition's counts keep.
PHASE_HARMONICS = 5


def balanced(counts: np.ndarray) -> np.ndarray:
    """The nearest counts (least squares) in which as many pairs enter every state as leave it.

    A chain in its stationary law, cut only by gaps, has such counts but for the ends. Shape [S, S].
    """
    size = len(counts)
    excess = counts.sum(1) - counts.sum(0)
    move = excess / (2 * size)
    return counts - move[:, None] + move[None, :]


def transition_table(pooled: Noisy, phases: Noisy | None, signal: float) -> tuple[np.ndarray, np.ndarray]:
    """Transition probabilities by phase, and stationary shares.

    Args:
      pooled: Pairs (before, after). Shape [S, S].
      phases: The same by phase. Shape [B, S, S]; None: none.
      signal: A state stands if its pairs are so many standard deviations of the noise.

    Returns:
      P(after | phase, before), shape [B or 1, S, S]; and shares, shape [S]. A state that does not stand is
      never entered. Where none stands, the first is taken.
    """
    size = len(pooled.value)
    counts = balanced(pooled.value)
    total = counts.sum(1)
    stands = total >= signal * pooled.std * np.sqrt(size)
    if not stands.any():
        stands[int(np.argmax(total))] = True
    counts = np.where(stands[:, None] & stands[None, :], np.maximum(counts, 0.0), 0.0)
    # A state that stands but whose exits are lost in the noise leaves at the rate that would just be seen.
    leaving = counts.sum(1) - np.diag(counts)
    stuck = stands & (leaving <= 0) & (stands.sum() > 1)
    others = (stands[None, :] & ~np.eye(size, dtype=bool)) * stuck[:, None]
    counts = counts + others * 0.5 * pooled.std / max(int(stands.sum()) - 1, 1)
    fallback = np.zeros(size)
    fallback[int(np.argmax(np.where(stands, total, -np.inf)))] = 1.0
    rows = counts.sum(1, keepdims=True)
    pool = np.where(rows > 0, counts / np.maximum(rows, 1e-12), fallback)
    share = np.where(stands, np.maximum(total, 0.0), 0.0)
    share = share / share.sum() if share.sum() > 0 else fallback
    if phases is None:
        return pool[None], share
    own, std = _smooth(phases)
    own = np.maximum(own, 0.0) * (counts > 0)
    # The pooled counts are the surer ones: the phases share them out.
    sums = own.sum(0)
    own = own * np.where(sums > 0, counts / np.maximum(sums, 1e-12), 0.0)
    weight = PRIOR_PAIRS + std
    table = (own + weight * pool) / (own.sum(2, keepdims=True) + weight)
    return table / table.sum(2, keepdims=True), share


def _smooth(phases: Noisy) -> tuple[np.ndarray, float]:
    """Low-pass over the phase: fewer numbers, so less noise. Shape of the value, and the noise's new std."""
    bins = len(phases.value)
    kept = min(PHASE_HARMONICS, bins // 2 - 1)
    spectrum = np.fft.rfft(phases.value, axis=0)
    spectrum[kept + 1 :] = 0
    return np.fft.irfft(spectrum, bins, axis=0), phases.std * np.sqrt((2 * kept + 1) / bins)


def make_chain(place: int, table: np.ndarray, share: np.ndarray, kinds: int) -> Chain:
    """One variable's chain, with the first cycle's phase as covariate where the table has one.

    Args:
      place: Of the variable.
      table: Shape [B, S, S].
      share: Shape [S].
      kinds: Anomaly kinds; all follow the normal transitions.
    """
    bins, states = len(table), len(share)
    if bins > 1:
        table = np.repeat(table, PHASE_BINS // bins, axis=0)
    cumulative = np.cumsum(table, axis=-1)
    cumulative /= cumulative[..., -1:]
    return Chain(
        variables=(place,),
        states=np.arange(states, dtype=np.int32)[:, None],
        codes=np.zeros(0, np.int32),
        covariates=(0,) if bins > 1 else (),
        sizes=(PHASE_BINS,) if bins > 1 else (),
        cumulative=cumulative[None],
        block=np.zeros(kinds + 1, np.int32),
        frequency=share,
        resting=np.arange(states) == 0,
    )


def flag(feature: int, role: str) -> Variable:
    """A variable of role `null` or `hold`."""
    return Variable(feature, role, np.array([0.0, 1.0]), np.zeros(0, np.int32))
