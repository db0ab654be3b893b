"""A small data set with every kind of feature, and its rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from components.dataset import DatasetConfig, FeatureConfig

HOUR_US = 3_600_000_000


@pytest.fixture(scope="session")
def dataset() -> DatasetConfig:
    return DatasetConfig(
        series=("asset", "channel"),
        label="label",
        features=(
            FeatureConfig(name="level"),
            FeatureConfig(name="count", kind="integer"),
            FeatureConfig(name="on", kind="binary"),
            FeatureConfig(name="mode", kind="categorical"),
        ),
        targets=("level",),
        interval_s=300,
    )


def to_table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(
        rows,
        pa.schema(
            [
                ("timestamp", pa.int64()),
                ("asset", pa.string()),
                ("channel", pa.string()),
                ("level", pa.float32()),
                ("count", pa.int64()),
                ("on", pa.int64()),
                ("mode", pa.string()),
                ("label", pa.int64()),
            ]
        ),
    )


def some_rows(count: int, seed: int = 0, series: int = 3) -> list[dict[str, Any]]:
    """Rows of several series over some hours: gaps, repeats, missing values, NaN and infinity."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(series):
        time, level = int(rng.integers(0, HOUR_US)), 0.0
        for _ in range(count // series):
            time += int(rng.choice([0, 300, 300, 300, 301, 900, 9_000]) * 1_000_000)
            level = level if rng.random() < 0.5 else float(np.float32(rng.normal()))
            odd = rng.random()
            rows.append(
                {
                    "timestamp": time,
                    "asset": ["a", None, "b"][number % 3],
                    "channel": f"c{number // 3}",
                    "level": None if odd < 0.1 else np.nan if odd < 0.12 else np.inf if odd < 0.14 else level,
                    "count": None if rng.random() < 0.1 else int(rng.integers(0, 90)),
                    "on": None if rng.random() < 0.1 else int(rng.integers(0, 2)),
                    "mode": None if rng.random() < 0.1 else str(rng.choice(["sun", "eclipse", ""])),
                    "label": None if rng.random() < 0.1 else int(rng.random() < 0.2),
                }
            )
    return rows
