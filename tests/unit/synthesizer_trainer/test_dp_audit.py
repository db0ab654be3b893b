"""Audit: an attacker who knows everything but one planted record learns no more than epsilon allows.

The attack is the best there is against a Gaussian mechanism: project what was released on the difference
that the record makes, and compare with a threshold chosen on half of the fits; on the other half Clopper
and Pearson's bounds of its hit and false alarm rates give a lower confidence bound on epsilon (Jagielski
et al. 2020, "Auditing differentially private machine learning", section 3). The audit has teeth: without
noise, with an eighth of it, or without clipping, it exceeds the claim.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from components.synthesizer_trainer.core.dp import statistics
from components.synthesizer_trainer.core.dp.mechanism import (
    Noise,
    Noisy,
    Query,
    noise_multiplier,
    noise_std,
    release,
    stage_multipliers,
    system_noise,
)
from components.synthesizer_trainer.core.dp.queries import layout, stages
from components.synthesizer_trainer.core.dp.rows import Rows
from components.synthesizer_trainer.core.dp.train import measure
from tests.unit.synthesizer_trainer.dp_data import (
    DOMAINS,
    INTERVAL_S,
    STEP_US,
    all_sums,
    trainer_config,
)

EPSILON, DELTA = 2.0, 1e-5
CONFIDENCE = 0.95


def epsilon_lower_bound(without: np.ndarray, with_canary: np.ndarray) -> float:
    """Lower 95 % confidence bound on epsilon from attack scores of two worlds. Shapes [fits]."""
    half = len(without) // 2
    candidates = np.quantile(
        np.concatenate([without[:half], with_canary[:half]]), np.linspace(0.02, 0.98, 97)
    )
    best = max(candidates, key=lambda t: _bound(without[:half], with_canary[:half], t))
    return _bound(without[half:], with_canary[half:], best)


def _bound(without: np.ndarray, with_canary: np.ndarray, threshold: float) -> float:
    alpha = (1 - CONFIDENCE) / 2
    alarms, hits = int((without > threshold).sum()), int((with_canary > threshold).sum())
    false_rate = (
        stats.beta.ppf(1 - alpha, alarms + 1, len(without) - alarms) if alarms < len(without) else 1.0
    )
    hit_rate = stats.beta.ppf(alpha, hits, len(with_canary) - hits + 1) if hits else 0.0
    return float(np.log(max(hit_rate - DELTA, 1e-12) / false_rate))


def _rows(canary: bool, jumps: bool = False) -> Rows:
    """Twelve plain rows; the canary is an extreme one in their middle.

    It stands next to others of its kind, so that its two pairs fall into the same cells; or it `jumps` out
    and back, which makes its steps as large as they can be.
    """
    values = np.tile([20.0, 7.0, 0.0, 1.0], (12, 1))
    values[6 if jumps else slice(5, 8)] = [40.0, 15.0, 1.0, 2.0]
    keep = np.ones(12, bool)
    keep[6] = canary
    time_us = np.arange(12, dtype=np.int64) * STEP_US
    return Rows(time_us[keep], np.zeros(keep.sum(), int), values[keep], np.zeros(keep.sum(), int))


def _scores(noise: Noise | None, fits: int, jumps: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Log likelihood ratios of all statistics of all stages, in `fits` releases of each world."""
    config = trainer_config(epsilon=EPSILON, delta=DELTA)
    dp = config.dp
    assert dp is not None
    worlds = [all_sums(_rows(canary, jumps), config) for canary in (False, True)]
    planned = stages(config, DOMAINS)
    multipliers = stage_multipliers(noise_multiplier(EPSILON, DELTA), planned)
    scores = np.zeros((2, fits))
    for world, exact in enumerate(worlds):
        for fit in range(fits):
            for stage, multiplier in zip(planned, multipliers):
                released = release(stage, exact, multiplier, dp, noise)
                scores[world, fit] += _ratio(released, stage.queries, *worlds)
    return scores[0], scores[1]


def _ratio(
    released: dict[str, Noisy],
    queries: tuple[Query, ...],
    left: dict[str, np.ndarray],
    right: dict[str, np.ndarray],
) -> float:
    total = 0.0
    for query in queries:
        # In the Frobenius norm a symmetric matrix weighs as its noise does.
        found, difference = released[query.name], right[query.name] - left[query.name]
        total += float(((found.value - left[query.name]) * difference).sum()) / found.std**2
    return total


def test_the_release_leaks_no_more_than_it_claims() -> None:
    found = epsilon_lower_bound(*_scores(None, 600))
    assert found <= EPSILON


def test_the_canary_is_nearly_the_worst_record_there_can_be() -> None:
    # The best test's power is set by the distance of the two worlds in noise, at most 1 / sigma.
    config = trainer_config(epsilon=EPSILON, delta=DELTA)
    assert config.dp is not None
    left, right = (all_sums(_rows(canary), config) for canary in (False, True))
    planned, sigma = stages(config, DOMAINS), noise_multiplier(EPSILON, DELTA)
    square = 0.0
    for stage, multiplier in zip(planned, stage_multipliers(sigma, planned)):
        for query in stage.queries:
            moved = np.linalg.norm(right[query.name] - left[query.name])
            square += (moved / noise_std(query, multiplier, config.dp)) ** 2
    assert 0.85 < np.sqrt(square) * sigma <= 1


def _no_noise(count: int) -> np.ndarray:
    return np.zeros(count)


def _an_eighth(count: int) -> np.ndarray:
    # Simulated with exact normal scores: 400 fits find this every time in 300, a quarter only one in four.
    return system_noise(count) / 8


@pytest.mark.parametrize("sabotaged", [_no_noise, _an_eighth])
def test_the_audit_exceeds_the_claim_when_noise_is_missing(sabotaged: Callable[[int], np.ndarray]) -> None:
    assert epsilon_lower_bound(*_scores(sabotaged, 400)) > EPSILON


def test_the_audit_exceeds_the_claim_when_clipping_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert epsilon_lower_bound(*_scores(None, 400, jumps=True)) <= EPSILON
    monkeypatch.setattr(
        statistics,
        "clip_norm",
        lambda values, limit, lattice: np.trunc(np.nan_to_num(values) / lattice) * lattice,
    )
    assert epsilon_lower_bound(*_scores(None, 400, jumps=True)) > EPSILON


@pytest.mark.e2e
def test_whole_fits_leak_no_more_than_they_claim() -> None:
    # As above, but each fit runs all three stages, the later on what the earlier released.
    config = trainer_config(epsilon=EPSILON, delta=DELTA)
    found, interval = layout(config, DOMAINS), INTERVAL_S
    worlds = [_rows(False), _rows(True)]
    scores = np.zeros((2, 250))
    for world, rows in enumerate(worlds):
        for fit in range(scores.shape[1]):
            released, marginals, cycles = measure(rows, config, DOMAINS)
            assert cycles is not None
            given = []
            for side in worlds:
                sums = all_sums(side, config)
                sums |= statistics.calendar_sums(side, found, marginals.tables, marginals.centre, interval)
                sums |= statistics.moment_sums(
                    side, found, marginals.tables, cycles.coefficients, cycles.step_scale, 1, interval
                )
                given.append(sums)
            for stage in stages(config, DOMAINS):
                scores[world, fit] += _ratio(released, stage.queries, *given)
    assert epsilon_lower_bound(scores[0], scores[1]) <= EPSILON


def test_the_attack_measures_what_theory_says() -> None:
    # One Gaussian statistic at full sensitivity: the scores are normal, 1 / sigma apart.
    sigma = noise_multiplier(EPSILON, DELTA)
    generator = np.random.default_rng(0)
    without, with_canary = generator.normal(0, sigma, 50_000), generator.normal(1, sigma, 50_000)
    found = epsilon_lower_bound(without, with_canary)
    assert 0.5 < found < EPSILON
    assert epsilon_lower_bound(without, with_canary + 4 * sigma) > EPSILON
