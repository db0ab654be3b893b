"""Audit of the private critic: an attacker who sees every step learns no more than epsilon allows.

A thousand tiny critics are trained, half of them with one planted window. The attacker is the strongest
that the claim is about (Nasr et al. 2023, "Tight auditing of differentially private machine learning"): he
knows all other windows (there are none), all parameters and every noisy sum, and the planted window's
clipped gradient at each step, whose norm is the clipping norm; his score is the exact log likelihood ratio
of the sampled Gaussian mechanism. Clopper and Pearson's bounds on his rates give a lower bound on epsilon
that is too high with a chance of one in a million. Without noise, or without clipping, the same audit
exceeds the claim.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from components.governance.core.accounting import Tally, epsilon_of
from components.governance.core.events import Gaussian, PoissonSampled, SelfComposed
from components.synthesizer_trainer.core.dp import critic, sgd
from components.synthesizer_trainer.core.dp.mechanism import Noise

MODELS, STEPS, RATE, SIGMA, CLIP, DELTA = 500, 8, 0.5, 3.0, 0.05, 1e-5
#: Size of a batch that the sum is divided by.
EXPECTED = 1000.0
UNITS, SLOT, FEATURES = 2, 5, 2
pytestmark = pytest.mark.slow

#: Chance that the lower bound exceeds a claim that is true.
ALARM = 1e-6


def _claim() -> float:
    sampled = PoissonSampled(sampling_probability=RATE, event=Gaussian(noise_multiplier=SIGMA))
    return epsilon_of(Tally.of([SelfComposed(event=sampled, count=STEPS)]), DELTA)


def _inputs(scores: np.ndarray) -> np.ndarray:
    return np.asarray(critic.inputs(scores, np.zeros((*scores.shape[:2], 0))))


def _train(real: np.ndarray, canary: np.ndarray, model: int, noise: Noise | None) -> tuple[float, float]:
    """Trains one critic. Returns the attacker's score, and the least norm of the canary's gradient."""
    own = sgd.Mechanism(RATE, CLIP, SIGMA)
    # Well inside the projection, so that two parameters tell the noisy sum between them.
    theta = 0.5 * critic.initial(critic.width(FEATURES, 0), UNITS, model)
    fake = _inputs(np.random.default_rng(model).normal(size=(8, SLOT, FEATURES)))
    score, least = 0.0, np.inf
    for _ in range(STEPS):
        centre = critic.gradients(theta, fake, UNITS).mean(0)
        gradient = sgd.noisy_sum(critic.gradients(theta, canary, UNITS) - centre, own, np.zeros)
        after = sgd.critic_step(theta, real, fake, UNITS, own, EXPECTED, noise)
        seen = (after - theta) * EXPECTED / sgd.CRITIC_RATE
        theta = after
        ratio = (seen @ gradient - 0.5 * gradient @ gradient) / (SIGMA * CLIP) ** 2
        score += float(np.logaddexp(np.log1p(-RATE), np.log(RATE) + ratio))
        least = min(least, float(np.linalg.norm(gradient)))
    return score, least


def _scores(noise: Noise | None = None) -> tuple[np.ndarray, np.ndarray, float]:
    """Scores without and with the canary, and the least norm of its gradients."""
    canary = _inputs(8.0 * np.array([[[1, 1], [-1, 1], [1, -1], [1, 1], [-1, -1]]], float))
    none = canary[:0]
    without = [_train(none, canary, model, noise) for model in range(MODELS)]
    planted = [_train(canary, canary, model, noise) for model in range(MODELS, 2 * MODELS)]
    return (
        np.array([score for score, _ in without]),
        np.array([score for score, _ in planted]),
        min(least for _, least in without + planted),
    )


def _bound(without: np.ndarray, planted: np.ndarray, threshold: float) -> float:
    alarms, hits = int((without > threshold).sum()), int((planted > threshold).sum())
    false_rate = (
        stats.beta.ppf(1 - ALARM / 2, alarms + 1, len(without) - alarms) if alarms < len(without) else 1.0
    )
    hit_rate = stats.beta.ppf(ALARM / 2, hits, len(planted) - hits + 1) if hits else 0.0
    return float(np.log(max(hit_rate - DELTA, 1e-12) / false_rate))


def epsilon_lower_bound(without: np.ndarray, planted: np.ndarray) -> float:
    """Lower bound on epsilon; the threshold is chosen on one half, the rates are counted on the other."""
    half = len(without) // 2
    both = np.concatenate([without[:half], planted[:half]])
    best = max(
        np.quantile(both, np.linspace(0.02, 0.98, 97)),
        key=lambda t: _bound(without[:half], planted[:half], t),
    )
    return _bound(without[half:], planted[half:], best)


@pytest.fixture(scope="module")
def honest() -> tuple[np.ndarray, np.ndarray, float]:
    return _scores()


def test_the_critic_leaks_no_more_than_it_claims(honest: tuple[np.ndarray, np.ndarray, float]) -> None:
    without, planted, least = honest
    assert least > 0.99 * CLIP  # the worst window that there can be
    assert epsilon_lower_bound(without, planted) <= _claim()
    assert 1.0 < _claim() < 2.3


def test_the_attack_sees_what_there_is_to_see(honest: tuple[np.ndarray, np.ndarray, float]) -> None:
    # The same scores, drawn from the sampled Gaussian mechanism itself.
    without, planted, _ = honest
    generator = np.random.default_rng(0)
    expected = []
    for world in (0, 1):
        drawn = world * (generator.random((20_000, STEPS)) < RATE)
        value = (drawn + SIGMA * generator.normal(size=drawn.shape) - 0.5) / SIGMA**2
        expected.append(np.logaddexp(np.log1p(-RATE), np.log(RATE) + value).sum(1))
    assert stats.ks_2samp(without, expected[0]).pvalue > ALARM
    assert stats.ks_2samp(planted, expected[1]).pvalue > ALARM
    # The two worlds differ by so much that it is below 1e-7 in 2,999 of 3,000 simulated audits.
    assert stats.ks_2samp(planted, expected[0]).pvalue < 1e-3


def test_the_audit_exceeds_the_claim_without_noise() -> None:
    assert epsilon_lower_bound(*_scores(np.zeros)[:2]) > _claim()


def test_the_audit_exceeds_the_claim_without_clipping(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        sgd, "clip_norm", lambda values, limit, lattice: np.trunc(np.asarray(values) / lattice) * lattice
    )
    assert epsilon_lower_bound(*_scores()[:2]) > _claim()
