"""How a locale's rows are divided for the benchmarks that split as ExampleGen does."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa

# The benchmarks are no installed package.
sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from benchmarks import locale_split
from components.dataset import TIMESTAMP, DatasetConfig, FeatureConfig

DATASET = DatasetConfig(
    timestamp="when",
    series=("asset",),
    label="label",
    label_kind="kind",
    features=(FeatureConfig(name="volts"), FeatureConfig(name="on", kind="binary")),
    targets=("volts",),
    interval_s=60,
)


def _source(rows: int = 1200) -> pa.Table:
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
            "label": label,
            "kind": np.where(label == 1, "ramp", ""),
            "serial": ["SN-1"] * rows,
        }
    )


def test_a_source_becomes_two_disjoint_splits_without_other_columns() -> None:
    fleet = locale_split.split("pumps", _source(), DATASET, None)
    assert fleet.train.column_names == [TIMESTAMP, "asset", "volts", "on", "label", "kind"]
    keys = [set(zip(t["asset"].to_pylist(), t[TIMESTAMP].to_pylist())) for t in (fleet.train, fleet.holdout)]
    assert not keys[0] & keys[1]
    # ExampleGen's fractions: 0.7 and 0.2 of 1,200 rows, by whole blocks of about 30.
    assert abs(len(keys[0]) - 840) <= 60 and abs(len(keys[1]) - 240) <= 60


def test_a_source_without_series_is_one_series() -> None:
    alone = _source().filter(pa.array(np.arange(1200) % 2 == 0)).drop(["asset"])
    fleet = locale_split.split("pump", alone, DATASET.model_copy(update={"series": ()}), None)
    assert 0.6 < fleet.train.num_rows / 600 < 0.8 and 0.1 < fleet.holdout.num_rows / 600 < 0.3


def test_rows_keeps_the_first_in_time_of_all_series() -> None:
    fleet = locale_split.split("pumps", _source(), DATASET, 800)
    first = 1_709_251_200_000_000  # 2024-03-01T00:00:00Z
    # 800 rows of two assets are the first 400 minutes.
    last = max(max(t[TIMESTAMP].to_pylist()) for t in (fleet.train, fleet.holdout))
    assert last <= first + 399 * 60_000_000
    assert set(fleet.train["asset"].to_pylist()) == {"pump-0", "pump-1"}
