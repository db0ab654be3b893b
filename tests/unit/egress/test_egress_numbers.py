"""Digits of single real rows are not repeated; well-supported values and missing ones stay."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


def test_on_a_sensors_steps_only_lonely_and_outermost_values_move_to_the_next_frequent_step():
    steps = np.concatenate([np.repeat(np.arange(100), 20), [103, 140]])
    real = table(steps * np.float32(0.05), n=steps)
    rare = rare_numbers(real, DATASET, 10)
    assert rare["x"].step == pytest.approx(0.05, rel=1e-4) and rare["n"].step == 1
    # 103 stands alone, 140 is the greatest; 0 to 99 have 20 rows each.
    assert rare["n"].values.tolist() == [103, 140]
    found = blur(table([5.15, 7.0, 1.0], n=[103, 140, 50]), rare, 3)
    assert found["n"].to_pylist() == [99, 99, 50]
    assert found["x"].to_pylist() == as_float32([np.float32(99) * np.float32(0.05)] * 2 + [1.0])


def test_a_step_in_another_rounding_is_the_same_step():
    steps = np.concatenate([np.repeat(np.arange(100), 20), [140]]).astype(np.float32) * np.float32(0.05)
    repeated = np.nextafter(steps[-1], np.float32(0))
    found = blur(table([repeated]), rare_numbers(table(steps), DATASET, 10), 3)
    assert found["x"].to_pylist() == as_float32([steps[-2]])


def test_rare_ends_come_out_as_the_outermost_frequent_value():
    ends = np.arange(50, 55)
    real = table([0.0] * 1_005, n=np.concatenate([np.repeat(np.arange(50), 20), ends]))
    found = blur(table([0.0] * 1_000, n=np.repeat(ends, 200)), rare_numbers(real, DATASET, 10), 5)
    assert set(found["n"].to_pylist()) == {49}


def test_far_from_frequent_values_a_rare_one_comes_out_as_a_step_of_no_row():
    # 40 rows lie between the greatest value and 9, the last frequent one: those beside it keep their shape.
    tail = np.arange(13, 13 + 4 * 40, 4)
    real = table([0.0] * (200 + len(tail)), n=np.concatenate([np.repeat(np.arange(10), 20), tail]))
    rare = rare_numbers(real, DATASET, 10)
    found = np.array(blur(table([0.0] * 400, n=[int(tail[-1])] * 400), rare, 5)["n"].to_pylist())
    assert set(found) == {tail[-1] - 3, tail[-1] - 2, tail[-1] - 1}
    found = np.array(blur(table([0.0] * 400, n=[int(tail[20])] * 400), rare, 5)["n"].to_pylist())
    assert set(found - tail[20]) == {-3, -2, -1, 1, 2, 3}


def test_two_values_one_of_them_rare():
    real = table([1.5] * 40 + [4.0], n=[0] * 40 + [1])
    found = blur(table([4.0, 1.5], n=[1, 0]), rare_numbers(real, DATASET, 10), 5)
    assert found["x"].to_pylist() == [1.5, 1.5] and found["n"].to_pylist() == [0, 0]


def test_nothing_comes_out_where_too_few_rows_have_any_value():
    real = table([7.0] * 9, n=[3] * 4 + [4] * 5)
    found = blur(table([7.0, 8.0], n=[3, 4]), rare_numbers(real, DATASET, 10), 5)
    assert found["x"].to_pylist() == [None, 8.0] and found["n"].to_pylist() == [None, None]


def test_a_gap_without_room_is_passed_over():
    one = np.float32(1.0)
    crowd = [one]
    for _ in range(3):
        crowd.append(np.nextafter(crowd[-1], np.float32(2)))
    real = table([0.0, *crowd, 2.0, 2.5, 4.75] * 2)
    found = np.array(blur(table([one] * 100), rare_numbers(real, DATASET, 10), 5)["x"].to_pylist())
    assert not set(found) & set(real["x"].to_pylist())
    assert ((found > 0) & (found < 1)).all()


def test_large_integers_that_are_not_rare_keep_every_digit():
    large = 2**53 + 1
    real = table([0.0] * 60, n=[1] * 20 + [3] * 20 + [2**54] * 19 + [900])
    found = blur(table([0.0] * 2, n=[large, 900]), rare_numbers(real, DATASET, 10), 5)
    assert found["n"].to_pylist()[0] == large


@settings(max_examples=200, deadline=None)
@given(
    counts=st.lists(st.sampled_from([0, 0, 1, 1, 2, 5, 9, 10, 30]), min_size=1, max_size=40),
    stretch=st.sampled_from([1, 1, 7]),
    integer=st.booleans(),
    seed=st.integers(0, 5),
)
def test_what_is_moved_comes_out_frequent_or_as_no_rows_value(counts, stretch, integer, seed):
    # Rare runs at both ends, and whatever the counts say between.
    spots = np.arange(len(counts)) * stretch
    column = np.repeat(spots, counts)
    if not len(column):
        return
    scale = np.float32(1 if integer else 0.1)
    real = table([0.0] * len(column), n=column) if integer else table(column * scale)
    name = "n" if integer else "x"
    values, supporters = np.unique(real[name].to_numpy(), return_counts=True)
    rare = rare_numbers(real, DATASET, 10).get(name)
    moved = set() if rare is None else set(rare.values)
    frequent = set(values[supporters >= 10])
    from_below, from_above = np.cumsum(supporters), np.cumsum(supporters[::-1])[::-1]
    outermost = set(values[np.minimum(from_below, from_above) < 10])
    assert outermost <= moved and not moved & frequent

    given_rows = np.tile(values, 20)
    rows = table([0.0] * len(given_rows), n=given_rows) if integer else table(given_rows)
    out = blur(rows, rare_numbers(real, DATASET, 10), seed)[name].to_pylist()
    for before, after in zip(given_rows, out, strict=True):
        if before not in moved:
            assert after == before
        elif after is not None and after not in frequent:
            assert after not in set(values) and values.min() < after < values.max()


def test_the_same_seed_moves_alike():
    real = table(np.random.default_rng(4).normal(size=50))
    rare = rare_numbers(real, DATASET, 10)
    assert blur(real, rare, 1).equals(blur(real, rare, 1))
    assert not blur(real, rare, 1).equals(blur(real, rare, 2))
    assert not set(blur(real, rare, 1)["x"].to_pylist()) & set(real["x"].to_pylist())


def test_constants_and_empty_tables_stay():
    assert rare_numbers(table([1.0] * 10), DATASET, 10) == {}
    rare = rare_numbers(table(np.random.default_rng(4).normal(size=50)), DATASET, 10)
    assert blur(table([]), rare, 1).num_rows == 0
