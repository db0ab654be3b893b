"""False-discovery control against SciPy, and what it promises."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from components.drift.core.discovery import q_values


@pytest.mark.parametrize(
    ("correction", "method"), [("benjamini_hochberg", "bh"), ("benjamini_yekutieli", "by")]
)
def test_q_values_are_scipy_s(correction: str, method: str) -> None:
    p_values = np.random.default_rng(0).random(50) ** 2
    if not hasattr(stats, "false_discovery_control"):
        pytest.skip("SciPy below 1.11")
    expected = stats.false_discovery_control(p_values, method=method)
    assert q_values(p_values, correction) == pytest.approx(expected, rel=1e-12)  # type: ignore[arg-type]


def test_q_values_by_hand() -> None:
    assert q_values([0.04, 0.01, 0.03, 0.5]).tolist() == pytest.approx([0.16 / 3, 0.04, 0.16 / 3, 0.5])
    harmonic = 1 + 1 / 2 + 1 / 3 + 1 / 4
    expected = np.minimum(np.array([0.16 / 3, 0.04, 0.16 / 3, 0.5]) * harmonic, 1)
    assert q_values([0.04, 0.01, 0.03, 0.5], "benjamini_yekutieli").tolist() == pytest.approx(
        expected.tolist()
    )


def test_a_test_that_was_not_made_does_not_count() -> None:
    found = q_values([0.02, np.nan, 0.02])
    assert np.isnan(found[1]) and found[[0, 2]].tolist() == [0.02, 0.02]
    assert q_values([]).size == 0


def test_false_discoveries_stay_below_the_level() -> None:
    rng = np.random.default_rng(1)
    shares = []
    for _ in range(400):
        p_values = rng.random(60)
        p_values[:10] = rng.random(10) * 1e-4
        rejected = q_values(p_values) <= 0.1
        shares.append(rejected[10:].sum() / max(rejected.sum(), 1))
    # Benjamini & Hochberg: alpha times the share of tests without an effect.
    assert np.mean(shares) == pytest.approx(0.1 * 50 / 60, abs=0.02)
