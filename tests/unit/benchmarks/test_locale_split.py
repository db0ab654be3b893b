"""How a locale's rows are divided for the benchmarks that split as ExampleGen does."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa

# The benchmarks are no installed package.
sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from benchmarks import locale_split
from components.dataset import TIMESTAMP
from tests.unit.benchmarks.pumps import DATASET, source


def _source() -> pa.Table:
    return source(1200).append_column("serial", pa.array(["SN-1"] * 1200))


def test_a_source_becomes_two_disjoint_splits_without_other_columns() -> None:
    fleet = locale_split.split("pumps", _source(), DATASET, None)
    assert fleet.train.column_names == [TIMESTAMP, "asset", "volts", "on", "mode", "label", "kind"]
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
