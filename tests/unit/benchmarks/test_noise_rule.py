"""False alarms of each measure that judges on stationary series: within a fifth of alpha, and why."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

# The benchmarks are no installed package.
sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from benchmarks import noise_rule
from components.drift.core import null

ALPHA = 0.05


def rate(measure: str, memory_h: float, count: int, **options: float) -> float:
    """Share of comparisons of 14 days with 14 days at or below `ALPHA`."""
    found = [
        noise_rule.p_values(measure, (14, 14), memory_h, 100, seed, draws=199, **options)[0]  # type: ignore[arg-type]
        for seed in range(count // 100)
    ]
    return float(np.mean(np.concatenate(found) <= ALPHA))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("measure", "memory_h"),
    [
        ("anderson_darling", 4.0),
        ("chi_squared", 24.0),
        ("label_shift", 24.0),
        ("maximum_mean_discrepancy", 12.0),
    ],
)
def test_false_alarms_are_within_a_fifth_of_alpha(measure: str, memory_h: float) -> None:
    """1,000 comparisons know a rate of 0.05 to 0.007: the band is a fifth of alpha and one such error."""
    assert 0.8 * ALPHA - 0.007 <= rate(measure, memory_h, 1_000) <= 1.2 * ALPHA + 0.007


def test_blocks_that_are_no_whole_days_do_not_hold_the_level() -> None:
    """The daily course makes blocks of six hours unlike each other, so deals of them hide what noise does."""
    assert rate("anderson_darling", 4.0, 200, block_s=6 * 3_600.0) < 0.02
    assert 0.02 <= rate("anderson_darling", 4.0, 200) <= 0.09


def test_without_studentisation_sides_of_unequal_variance_cry_wolf(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fifth of the days with thrice the spread: the deals' variance is too small for their mean."""
    rng = np.random.default_rng(0)
    hourly = noise_rule.Hourly((20, 5), noise_rule.DAY_S)
    values = rng.standard_normal((25 * 24, 300, 1))
    values[20 * 24 :] *= 3
    blocks, grains = hourly.sums(values)
    size = np.full(blocks.shape[:2], 24.0)
    sampling = noise_rule.make_sampling(hourly.blocks, draws=199, alpha=ALPHA, seed=0)
    vectors = null.residuals(blocks, size), null.residuals(grains, np.ones(grains.shape[:2]))

    def share() -> float:
        return float(np.mean(sampling.noise(*vectors).p_value <= ALPHA))

    assert share() < 0.11
    squared_distances = null.squared_distances

    def plain(dealt: np.ndarray, deviations: np.ndarray, first: int) -> tuple[np.ndarray, np.ndarray]:
        found, variance = squared_distances(dealt, deviations, first)
        return found, np.ones_like(variance)

    monkeypatch.setattr(null, "squared_distances", plain)
    assert share() > 0.2
