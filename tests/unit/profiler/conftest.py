"""Made-up telemetry whose properties are known."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from scipy.signal import lfilter

from components.dataset import DatasetConfig, FeatureConfig

#: 2024-03-04, a Monday, in microseconds.
MONDAY = 1_709_510_400_000_000
INTERVAL_S = 600.0


class Made:
    """Series on a regular grid and columns over them."""

    def __init__(self, days=14, series=2, seed=0):
        self.each = int(days * 86_400 / INTERVAL_S)
        self.series = np.repeat(np.arange(series), self.each)
        self.time_us = np.tile(MONDAY + np.arange(self.each) * int(INTERVAL_S * 1e6), series)
        self.rng = np.random.default_rng(seed)
        self.count = series

    def memory(self, steps):
        """First-order noise of variance 1 that is forgotten to 1/e after so many rows."""
        decay = np.exp(-1 / steps)
        noise = self.rng.standard_normal((self.count, self.each + 20 * int(steps))) * np.sqrt(1 - decay**2)
        return lfilter([1], [1, -decay], noise, axis=1)[:, -self.each :].ravel()

    def white(self):
        return self.rng.standard_normal(len(self.series))

    def daily(self):
        """A sine of variance 1 over the day."""
        return np.sqrt(2) * np.sin(2 * np.pi * self.time_us / 86_400e6)

    def table(self, **columns):
        keys = {"timestamp": pa.array(self.time_us), "unit": pa.array([f"u{n}" for n in self.series])}
        return pa.table({**keys, **{name: pa.array(values) for name, values in columns.items()}})


@pytest.fixture
def made():
    return Made


@pytest.fixture
def dataset():
    def build(label=None, label_kind=None, **kinds):
        return DatasetConfig(
            series=("unit",),
            label=label,
            label_kind=label_kind,
            features=tuple(FeatureConfig(name=name, kind=kind) for name, kind in kinds.items()),
            targets=(next(name for name, kind in kinds.items() if kind == "continuous"),),
            interval_s=INTERVAL_S,
        )

    return build
