"""Missing values that are few and fall by chance: how often their rate is called changed."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from components.dataset import DatasetConfig, FeatureConfig
from components.drift.core.building import build_profile
from components.drift.core.compare import compare
from components.drift.core.planning import plan_profile
from components.drift.core.profile import Profile
from components.drift.core.rules import Rules

DAYS, INTERVAL_S, FEATURES = 14, 3_600, 250
DATASET = DatasetConfig(
    series=(),
    features=tuple(FeatureConfig(name=f"x{place}") for place in range(FEATURES)),
    targets=("x0",),
    interval_s=INTERVAL_S,
)


@pytest.fixture(scope="module")
def side() -> Profile:
    """Two weeks of many features, one row an hour."""
    times = np.arange(DAYS * 86_400 // INTERVAL_S, dtype=np.int64) * INTERVAL_S * 1_000_000
    values = np.random.default_rng(0).normal(size=(FEATURES, times.size)).astype(np.float32)
    table = pa.table({"timestamp": times, **{f"x{place}": row for place, row in enumerate(values)}})
    return build_profile([table], DATASET, plan_profile([table], DATASET, bins=4))


def with_missing(profile: Profile, rows: int, share: float, seed: int) -> Profile:
    """As many rows in each hour, of which a share lacks each value, by chance."""
    rng = np.random.default_rng(seed)
    return dataclasses.replace(
        profile,
        rows=np.full_like(profile.rows, rows),
        missing=rng.binomial(rows, share, profile.missing.shape),
    )


def p_values(current: Profile, baseline: Profile) -> np.ndarray:
    found = compare(current, baseline, Rules(draws=199))
    return np.array(
        [
            measured.p_value
            for entry in found
            for measured in entry.measurements
            if measured.measure == "missing_rate"
        ]
    )


@pytest.mark.parametrize("share", [0.0023, 0.02])
def test_rare_missing_cells_are_not_judged_too_strictly(side, share):
    pairs = [
        (with_missing(side, 36, share, seed), with_missing(side, 36, share, seed + 50)) for seed in (1, 2)
    ]
    found = np.concatenate([p_values(*pair) for pair in pairs])
    assert found.size == 2 * FEATURES
    for level in (0.05, 0.01, 0.001):
        # As many as chance gives but once in ten thousand.
        assert (found <= level).sum() <= stats.binom.isf(1e-4, found.size, level), level
    changed = p_values(with_missing(side, 36, 2.5 * share, 9), with_missing(side, 36, share, 3))
    assert np.median(changed) < 0.01, "a rate that is two and a half times as high is seen"
