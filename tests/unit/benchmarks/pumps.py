"""Made-up rows of two pumps, for tests of how the benchmarks read and divide a source."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from components.dataset import DatasetConfig, FeatureConfig

DATASET = DatasetConfig(
    timestamp="when",
    series=("asset",),
    label="label",
    label_kind="kind",
    features=(
        FeatureConfig(name="volts"),
        FeatureConfig(name="on", kind="binary"),
        FeatureConfig(name="mode", kind="categorical"),
    ),
    targets=("volts",),
    interval_s=60,
)


def source(rows: int) -> pa.Table:
    """Two assets, row by row in turn, a row a minute each; one event of 20 rows."""
    step = np.arange(rows) // 2
    stamps = np.datetime64("2024-03-01T00:00:00") + step.astype("timedelta64[m]")
    label = ((step >= 100) & (step < 110)).astype(int)
    return pa.table(
        {
            "when": [f"{stamp}Z" for stamp in stamps],
            "asset": [f"pump-{row % 2}" for row in range(rows)],
            "volts": np.round(np.sin(step / 9), 2),
            "on": (step // 5) % 2,
            "mode": np.where(step % 7 == 0, None, np.where(step % 2, "sun", "dark")),
            "label": label,
            "kind": np.where(label == 1, "ramp", ""),
        }
    )
