"""A toy fleet: a daily sine with labelled events, small enough to fit in a second."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import skops.io  # noqa: F401  Searches all loaded modules for its types: 8 s once TensorFlow is.

from components.dataset import DatasetConfig, FeatureConfig
from components.prophet_evaluator.config import (
    ClassifierConfig,
    IntervalDetectorConfig,
    ProphetEvaluatorConfig,
)

INTERVAL_S = 900
DATASET = DatasetConfig(
    series=("device",),
    label="label",
    label_kind="kind",
    features=(
        FeatureConfig(name="temp", unit="K"),
        FeatureConfig(name="load", kind="integer"),
        FeatureConfig(name="on", kind="binary"),
        FeatureConfig(name="mode", kind="categorical"),
    ),
    targets=("temp",),
    interval_s=INTERVAL_S,
)


def make_table(
    seed: int,
    days: int = 8,
    devices: int = 2,
    phase: float = 0.0,
    shifts: int = 4,
    start_day: int = 0,
    sign: float = 1.0,
) -> pa.Table:
    """`shifts` level shifts of two hours per device in a daily sine; phase in days."""
    rng = np.random.default_rng(seed)
    n = days * 86_400 // INTERVAL_S
    parts = []
    for device in range(devices):
        seconds = (np.arange(n) * INTERVAL_S) + start_day * 86_400
        temp = 20 + 3 * device + 2 * np.sin(2 * np.pi * (seconds / 86_400 + phase)) + rng.normal(0, 0.1, n)
        label = np.zeros(n, np.int64)
        for start in rng.choice(np.arange(8, n - 16, 24), min(shifts, n // 48), replace=False):
            temp[start : start + 8] += sign * 1.5
            label[start : start + 8] = 1
        parts.append(
            {
                "timestamp": seconds.astype(np.int64) * 1_000_000,
                "device": np.full(n, f"d{device}"),
                "temp": temp.astype(np.float32),
                "load": rng.integers(0, 5, n),
                "on": (np.sin(2 * np.pi * seconds / 86_400) > 0).astype(np.int64),
                "mode": rng.choice(["a", "b"], n),
                "label": label,
                "kind": np.where(label == 1, "shift", ""),
            }
        )
    return pa.table({name: np.concatenate([part[name] for part in parts]) for name in parts[0]})


@pytest.fixture(scope="session")
def toy_table():
    """The maker of toy tables."""
    return make_table


@pytest.fixture(scope="session")
def toy_dataset() -> DatasetConfig:
    """Columns of the toy tables."""
    return DATASET


@pytest.fixture(scope="session")
def toy_config() -> ProphetEvaluatorConfig:
    """A configuration that trains in a second."""
    return ProphetEvaluatorConfig(
        dataset=DATASET,
        open_locales=("us",),
        restricted_locales=("eu",),
        interval=IntervalDetectorConfig(detect_cycle=False),
        classifier=ClassifierConfig(max_iter=20, window_rows=(4, 8, 16), max_rows=2000),
        bootstrap_samples=200,
        max_rows_per_fit=600,
        workers=1,
    )


@pytest.fixture(scope="session")
def toy_examples() -> dict[str, pa.Table]:
    """`us` knows downward shifts only; `eu`'s release knows upward ones, at another phase."""
    return {"us": make_table(1, sign=-1.0), "eu": make_table(2, phase=0.4)}


@pytest.fixture(scope="session")
def toy_test() -> pa.Table:
    """Both locales, upward shifts, after the training period."""
    parts = []
    for locale, phase, seed in (("us", 0.0, 3), ("eu", 0.4, 4)):
        table = make_table(seed, days=4, phase=phase, shifts=2, start_day=8)
        parts.append(table.append_column("locale", pa.array([locale] * table.num_rows)))
    return pa.concat_tables(parts)
