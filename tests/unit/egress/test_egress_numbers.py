"""Digits of single real rows are not repeated; well-supported values and missing ones stay."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from components.dataset import DatasetConfig, FeatureConfig
from components.egress.numbers import blur, rare_numbers

DATASET = DatasetConfig(
    features=(FeatureConfig(name="x"), FeatureConfig(name="n", kind="integer")), targets=("x",), interval_s=60
)


def table(x, n=None) -> pa.Table:
    n = [0] * len(x) if n is None else n
    return pa.table({"x": pa.array(x, pa.float32()), "n": pa.array(n, pa.int64())})


def as_float32(values) -> list[float]:
    return [float(np.float32(value)) for value in values]


def test_a_value_of_one_row_among_well_supported_ones_is_moved_into_the_gap():
    marked = 18.273645
    real = table([18.0] * 20 + [18.05] * 20 + [18.5] * 20 + [marked])
    rare = rare_numbers(real, DATASET, 10)
    assert rare["x"].values.tolist() == as_float32([marked]) and rare["x"].step == 0
    found = blur(table([18.0, marked, None, 18.05, marked]), rare, 7)["x"].to_pylist()
    assert [found[0], found[2], found[3]] == [18.0, None, *as_float32([18.05])]
    for value in (found[1], found[4]):
        assert value != np.float32(marked) and 18.05 < value < 18.5


def test_extremes_are_moved_inwards():
    rng = np.random.default_rng(1)
    real = table(rng.normal(size=2_000).astype(np.float32))
    ends = np.array([real["x"].to_numpy().min(), real["x"].to_numpy().max()], np.float32)
    found = np.array(blur(table(ends), rare_numbers(real, DATASET, 10), 3)["x"].to_pylist())
    assert ends[0] < found[0] < found[1] < ends[1]


def test_on_a_sensors_steps_only_lonely_and_outermost_values_move_and_stay_on_the_steps():
    steps = np.concatenate([np.repeat(np.arange(100), 20), [103, 140]])
    real = table(steps * np.float32(0.05), n=steps)
    rare = rare_numbers(real, DATASET, 10)
    assert rare["x"].step == pytest.approx(0.05, rel=1e-4) and rare["n"].step == 1
    # 103 stands alone, 140 is the greatest; 0 to 99 have 20 rows each.
    assert rare["n"].values.tolist() == [103, 140]
    found = blur(table([5.0, 7.0, 1.0], n=[103, 140, 50]), rare, 3)
    assert found["n"].to_pylist()[2] == 50
    assert found["n"].to_pylist()[0] in (101, 102, 104, 105) and found["n"].to_pylist()[1] in (138, 139)
    moved = np.array(found["x"].to_pylist()[1]) / 0.05
    assert abs(moved - round(moved)) < 1e-3 and moved < 140


def test_the_same_seed_moves_alike():
    real = table(np.random.default_rng(4).normal(size=50))
    rare = rare_numbers(real, DATASET, 10)
    assert blur(real, rare, 1).equals(blur(real, rare, 1))
    assert not blur(real, rare, 1).equals(blur(real, rare, 2))
    assert not set(blur(real, rare, 1)["x"].to_pylist()) & set(real["x"].to_pylist())


def test_constants_and_empty_tables_stay():
    assert rare_numbers(table([1.0] * 9), DATASET, 10) == {}
    rare = rare_numbers(table(np.random.default_rng(4).normal(size=50)), DATASET, 10)
    assert blur(table([]), rare, 1).num_rows == 0
