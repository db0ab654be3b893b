"""The table's measures: each notices the error that it is there for; rows are divided cleanly."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

# The benchmarks are no installed package.
sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from benchmarks.synthesizer import data, dense, measures
from benchmarks.synthesizer.baseline import CopulaVar
from components.dataset import TIMESTAMP


def _process(rows: int, seed: int) -> np.ndarray:
    """Three correlated first-order series. Shape [rows, 3]."""
    rng = np.random.default_rng(seed)
    out = np.zeros((rows, 3))
    for t in range(1, rows):
        out[t] = 0.9 * out[t - 1] + rng.standard_normal(3)
    out[:, 1] += out[:, 0]
    return out


REAL = _process(4000, 0)
ONE = np.zeros(4000, np.int64)


def test_equal_rows_are_perfect() -> None:
    found = measures.summary(REAL, ONE, REAL, ONE)
    assert found["marginal"] == found["worst"] == found["pair"] == found["step"] == 1.0
    assert found["acf"] == found["acf_local"] == 0.0


def test_shuffled_rows_keep_margins_and_pairs_and_lose_time() -> None:
    shuffled = np.random.default_rng(1).permutation(REAL)
    found = measures.summary(REAL, ONE, shuffled, ONE)
    assert found["marginal"] == 1.0 and found["pair"] == pytest.approx(1.0)
    assert found["acf"] > 0.1 and found["acf_local"] > 0.1 and found["step"] < 0.85


def test_a_shift_of_one_column_moves_the_margins_alone() -> None:
    shifted = REAL + np.array([REAL[:, 0].std(), 0, 0])
    found = measures.summary(REAL, ONE, shifted, ONE)
    # A normal column moved by one deviation: KS = 2 Phi(1/2) - 1 = 0.383.
    assert found["worst"] == pytest.approx(1 - 0.383, abs=0.03)
    assert found["pair"] == pytest.approx(1.0) and found["acf"] < 1e-9
    assert found["step"] == pytest.approx(1.0, abs=1e-3)


def test_a_lost_dependence_is_its_correlation_in_the_pairs() -> None:
    loose = REAL.copy()
    loose[:, 1] = np.random.default_rng(2).permutation(loose[:, 1])
    lost = np.corrcoef(REAL.T)[0, 1]
    assert measures.pair_fidelity(REAL, loose) == pytest.approx(1 - lost / 3, abs=0.02)


def test_the_hourly_mean_is_taken_out_by_segment() -> None:
    values = np.arange(150.0)
    segment = np.repeat([0, 1], [90, 60])
    left = measures.local(values, segment)
    assert left[:60].mean() == left[60:90].mean() == left[90:].mean() == 0
    assert left[60] == -14.5 and left[90] == -29.5


def test_membership_tells_a_copier_from_a_release_that_knows_nothing() -> None:
    inside, outside = (REAL[:2000], ONE[:2000]), (REAL[2000:], ONE[2000:])
    copied, control = measures.membership(REAL[:2000], ONE[:2000], inside, outside)
    assert copied > 0.95 and control == pytest.approx(0.5, abs=0.06)
    fresh, _ = measures.membership(_process(2000, 9), ONE[:2000], inside, outside)
    assert abs(fresh - control) < 0.06


def _case() -> data.Case:
    source = dense.simulate(3000, 1)
    columns = [name for name in source.column_names if name != "timestamp"]
    return data.divide("server", source, data._numbers(columns, 60.0, "timestamp"), 3)


def test_a_case_holds_out_whole_hours_of_the_period_and_all_later_rows() -> None:
    case = _case()
    parts = {n: set(getattr(case, n)[TIMESTAMP].to_pylist()) for n in ("period", "train", "holdout", "test")}
    assert parts["train"] | parts["holdout"] == parts["period"] and not parts["train"] & parts["holdout"]
    assert min(parts["test"]) > max(parts["period"]) and len(parts["test"]) == 900
    hours = {stamp // 3_600_000_000 for stamp in parts["holdout"]}
    # One hour in five, each of them whole.
    assert len(hours) == 7 and len(parts["holdout"]) == 60 * 7
    assert not {stamp // 3_600_000_000 for stamp in parts["train"]} & hours


def test_a_csv_of_whole_numbers_is_read(tmp_path: Path) -> None:
    rows = [f"2024-01-01T00:{m:02d}:00Z,{m + 2**24},{m}" for m in range(60)]
    path = tmp_path / "host.csv"
    path.write_text("\n".join(["time,memory,load", *rows]))
    case = data.named(path, 60.0, "time")
    assert case.name == "host" and case.dataset.feature_names() == ("memory", "load")
    assert data.rows_of(case.period, case).values[:3, 1].tolist() == [0.0, 1.0, 2.0]


def test_labelled_rows_are_left_out_and_end_a_segment() -> None:
    dataset = data._numbers(["a"], 60.0, "timestamp").model_copy(update={"label": "label"})
    minute = np.arange(40)
    stamps = [f"{np.datetime64('2024-01-01T00:00:00') + int(m) * 60}Z" for m in minute]
    label = ((minute >= 5) & (minute < 8)).astype(int)
    case = data.divide(
        "x", pa.table({"timestamp": stamps, "a": minute.astype(float), "label": label}), dataset
    )
    rows = data.rows_of(case.period, case)
    assert rows.values[:, 0].tolist() == [*range(5), *range(8, 28)]
    assert rows.segment.tolist() == [0] * 5 + [1] * 20


def test_the_dense_server_is_the_same_for_the_same_seed() -> None:
    assert dense.simulate(50, 4) == dense.simulate(50, 4) != dense.simulate(50, 5)
    assert len(dense.simulate(50, 4).column_names) == 26


def test_the_baseline_keeps_margins_and_time() -> None:
    made = CopulaVar(REAL, ONE).sample(4000, np.random.default_rng(3))
    found = measures.summary(REAL, ONE, made, ONE)
    assert found["marginal"] > 0.95 and found["acf"] < 0.08 and found["step"] > 0.97
    assert np.isin(made[:, 0], REAL[:, 0]).all()  # it copies values, column by column
