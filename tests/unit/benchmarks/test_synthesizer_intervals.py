"""What several seeds say: t intervals, who is ahead beyond noise, and who copies rows."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

# The benchmarks are no installed package.
sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from benchmarks.synthesizer import measures
from benchmarks.synthesizer.intervals import against, copying, interval, leader


def test_the_interval_is_students() -> None:
    found = interval([1.0, 2.0, 3.0, 4.0, 5.0])
    # t(0.975, 4) = 2.776 (a printed table); standard error sqrt(2.5 / 5).
    assert found is not None and (found.mean, found.n) == (3.0, 5)
    assert found.half == pytest.approx(2.776 * np.sqrt(0.5), rel=1e-3)
    one = interval([0.7])
    assert one is not None and one.half is None and one.mean == 0.7
    assert interval([]) is None


def test_it_holds_the_mean_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    inside = sum(abs((f := interval(rng.normal(size=4).tolist())).mean) <= f.half for _ in range(2000))
    assert 0.93 < inside / 2000 < 0.97


def test_ahead_is_beyond_the_noise_of_both() -> None:
    low, high = [0.90, 0.91, 0.92], [0.95, 0.96, 0.97]
    assert against(high, low, more=True) == "ahead" and against(low, high, more=True) == "behind"
    assert against(low, high, more=False) == "ahead"
    assert against([0.90, 0.97, 0.93], [0.91, 0.98, 0.94], more=True) == "even"
    assert against([0.99], low, more=True) == "unsure"
    assert against([2.0, 2.0], [1.0, 1.0], more=True) == "ahead"  # no noise at all
    assert against([1.0, 1.0], [1.0, 1.0], more=True) == "even"


def test_ahead_agrees_with_welchs_test() -> None:
    rng = np.random.default_rng(1)
    for _ in range(200):
        one, other = rng.normal(0.8, 1, 5), rng.normal(0, 3, 4)
        p = stats.ttest_ind(one, other, equal_var=False).pvalue
        assert (against(one, other, more=True) == "even") == (p >= 0.05)


def test_a_leader_is_ahead_of_each_other_one() -> None:
    columns = {"a": [1.0, 1.1, 1.2], "b": [2.0, 2.1, 2.2], "c": [3.0, 3.1, 3.2]}
    assert leader(columns, more=True) == "c" and leader(columns, more=False) == "a"
    assert leader(columns | {"d": [3.1, 3.2, 3.0]}, more=True) is None  # one is even with it
    assert leader(columns | {"d": [0.5]}, more=True) is None  # one seed cannot tell
    assert leader(columns | {"d": []}, more=True) == "c"  # has no such measure
    assert leader({"a": [1.0, 1.1]}, more=True) is None  # nobody to be ahead of


def test_copying_has_to_be_sure() -> None:
    assert copying([{"excess": 0.09, "excess_row": 0.0}]) == ["excess"]
    assert copying([{"excess": 0.045, "excess_row": 0.0}]) == []  # one seed, within what chance brings
    assert copying([{"excess": x} for x in (0.044, 0.045, 0.046)]) == ["excess"]
    assert copying([{"excess": x} for x in (0.01, 0.045, 0.08)]) == []
    assert copying([{"excess_row": 0.2, "copied": 0.5}] * 2) == ["excess_row", "copied"]
    assert copying([{"marginal": 1.0}]) == [] and copying([]) == []


def _rows(seed: int, count: int = 1500) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 6))


def test_copied_rows_are_found_and_other_real_rows_are_not() -> None:
    members, others = _rows(0), _rows(1)
    assert abs(measures.copied(_rows(2), members, others)) < 0.02
    assert measures.copied(members[:900], members, others) > 0.97
    jittered = members + np.random.default_rng(3).normal(scale=0.01, size=members.shape)
    assert measures.copied(jittered, members, others) > 0.95
    half = np.concatenate([members[:500], _rows(4)[:500]])
    assert 0.45 < measures.copied(half, members, others) < 0.55


def test_rows_that_repeat_by_themselves_are_no_copies() -> None:
    flags = [np.random.default_rng(seed).integers(0, 2, (800, 4)).astype(float) for seed in range(3)]
    assert abs(measures.copied(flags[0], flags[1], flags[2])) < 0.05


def test_a_copier_of_rows_is_seen_by_rows_and_not_by_windows() -> None:
    # Independent rows: shuffled copies make no window that resembles a real one.
    rng = np.random.default_rng(5)
    walk = np.cumsum(rng.normal(size=(4000, 5)), 0) * 0.05 + rng.normal(size=(4000, 5))
    held = np.arange(4000) // 60 % 5 == 2
    segment = np.cumsum(np.r_[0, np.diff(held.astype(int)) != 0])
    inside, outside = (walk[~held], segment[~held]), (walk[held], segment[held])
    made = rng.permutation(inside[0])
    one = np.zeros(len(made), np.int64)
    by_row = np.subtract(*measures.membership(made, one, inside, outside, 0, 1))
    by_window = np.subtract(*measures.membership(made, one, inside, outside, 0))
    assert by_row > 0.3 and by_window < 0.1
