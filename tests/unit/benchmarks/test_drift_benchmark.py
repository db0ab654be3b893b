"""The drift benchmark: what both sides get, and how their memory is watched."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

# The benchmarks are no installed package.
sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from benchmarks import drift
from benchmarks.peers.memory import watch_memory
from components.drift.core.building import build_profile
from components.drift.core.planning import plan_profile


def test_the_second_side_differs_from_the_first_in_the_moved_columns_alone(tmp_path: Path) -> None:
    features, rows = 60, 40_000
    sides = []
    for number, side in enumerate(drift.SIDES):
        drift.write_side(tmp_path / f"{side}.parquet", features, rows, number)
        sides.append(pq.read_table(tmp_path / f"{side}.parquet"))
    numeric, words = drift.names(features)
    assert len(numeric) + len(words) == features and len(words) == 3
    for name in numeric:
        gap = np.mean(sides[1][name]) - np.mean(sides[0][name])
        assert gap == pytest.approx(drift.BY if drift.is_moved(name) else 0.0, abs=0.04)
    assert sum(map(drift.is_moved, numeric)) == 3 and not any(map(drift.is_moved, words))
    ends, starts = sides[0]["timestamp"][-1].as_py(), sides[1]["timestamp"][0].as_py()
    assert 0 < starts - ends <= drift.INTERVAL_S * 1_000_000
    # Our side reads all of it, in the cadence that it says.
    dataset = drift._dataset(features)
    assert {*dataset.feature_names(), "timestamp", "series"} == set(sides[0].column_names)
    batches = list(drift._batches(tmp_path / "baseline.parquet"))
    assert len(batches) > 1 and all(isinstance(batch, pa.RecordBatch) for batch in batches)
    profile = build_profile(iter(batches), dataset, plan_profile(batches, dataset))
    assert profile.rows.sum() == rows
    assert profile.cadence.sum(axis=0).tolist() == [0, 0, 0, rows - drift.SERIES, 0, 0, 0, 0]


def test_memory_is_that_of_a_process_and_its_children_together() -> None:
    child = "import time; x = bytearray(60_000_000); time.sleep(0.8)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}]); y = 1"
    process = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True)
    assert 60 < watch_memory(process) < 200
    process.communicate()
    assert process.returncode == 0
