"""Causes that are injected one at a time are named: a small part of what `benchmarks/causes.py` prints."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

# The benchmarks are no installed package.
sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from benchmarks import causes, generator_errors
from benchmarks.cause_cases import NOTHING, Named, verdict
from components.drift.core.fault_model import Fault
from components.drift.core.rules import Compared
from components.drift.findings import ALL_FEATURES, CAUSES, INTAKE_CAUSES

#: Causes of a span that came to no monitor: nothing of its rows tells them.
NOT_OF_ROWS = set(INTAKE_CAUSES) - {"schema_change"}
#: Neither of those that the rules were written on, nor of the reported table.
SEED = 500


def some(each: int) -> list[tuple[str, causes.Case]]:
    """The first `each` cases of every truth."""
    chosen: dict[str, list[causes.Case]] = {}
    for truth, case in causes.cases(SEED):
        chosen.setdefault(truth, []).append(case)
    return [(truth, case) for truth, of in chosen.items() for case in of[:each]]


def test_each_cause_is_named() -> None:
    results = [case() for _, case in some(1)]
    assert {each.truth for each in results} == set(CAUSES) - {"unknown", *NOT_OF_ROWS}
    assert [(each.truth, each.named, each.what) for each in results if each.truth != each.named] == []
    assert any(each.off_buckets for each in results)


@pytest.mark.slow
def test_at_least_95_per_cent_are_named() -> None:
    results = [case() for _, case in causes.cases(SEED)]
    assert len(results) > 40
    assert np.mean([each.truth == each.named for each in results]) >= 0.95, causes.table(results)


@pytest.mark.slow
def test_a_stationary_fleet_raises_no_fault_over_thirty_spans() -> None:
    assert causes.false_faults(SEED, 30) == []


def test_the_table_counts_what_was_named() -> None:
    results = [
        Named("stuck_sensor", "stuck_sensor", ""),
        Named("stuck_sensor", NOTHING, ""),
        Named("unit_change", "stuck_sensor", ""),
    ]
    lines = causes.table(results).splitlines()
    assert [line.split() for line in lines] == [
        ["injected", "1", "2", "3"],
        ["1", "stuck_sensor", "1", ".", "1"],
        ["2", "unit_change", "1", ".", "."],
        ["3", *NOTHING.split()],
        ["1", "of", "3", "right:", "33.3", "%"],
    ]


def test_a_case_has_the_name_of_its_column_then_of_its_fault_then_of_the_worst_alert() -> None:
    def alert(feature: str) -> Compared:
        return Compared(feature, (), None, None, "ALERT")

    mine = Fault("stuck_sensor", "soc", "", "")
    causes_ = [(alert("temp_c"), "drift_in_time"), (alert("soc"), "unit_change")]
    assert verdict("", "", causes_, [mine], "soc").named == "unit_change"
    assert verdict("", "", causes_[:1], [mine], "soc").named == "stuck_sensor"
    assert verdict("", "", causes_[:1], [], "soc").named == "drift_in_time"
    assert verdict("", "", [], [], ALL_FEATURES).named == NOTHING


def test_generator_errors_do_what_they_say() -> None:
    rng = np.random.default_rng(0)
    table = pa.table({"a": rng.normal(5, 2, 4000), "b": rng.gamma(2.0, size=4000)})
    a, b = table["a"].to_numpy(), table["b"].to_numpy()

    def made(error, column: str, size) -> np.ndarray:
        return error(table, column, size)[column].to_numpy()

    assert made(generator_errors.shifted_mean, "a", 0.5).mean() == pytest.approx(a.mean() + 0.5 * a.std())
    wide = made(generator_errors.wrong_variance, "a", 1.8)
    assert (wide.mean(), wide.std()) == (pytest.approx(a.mean()), pytest.approx(1.8 * a.std()))
    bent = made(generator_errors.wrong_marginal, "a", 3.0)
    assert (bent.mean(), bent.std()) == (pytest.approx(a.mean()), pytest.approx(a.std()))
    assert abs(np.median(bent) - np.median(a)) > 0.3 * a.std()
    assert (np.argsort(bent) == np.argsort(a)).all()
    lost = made(generator_errors.lost_mode, "b", 0.3)
    assert lost.max() <= np.quantile(b, 0.7) and len(lost) == len(b)
    swapped = generator_errors.mixed_up_columns(table, "a", "b")
    assert (swapped["a"].to_numpy() == b).all() and (swapped["b"].to_numpy() == a).all()
    holes = pa.table({"a": pa.array([1.0, None, 3.0])})
    assert generator_errors.shifted_mean(holes, "a", 1.0)["a"].to_pylist() == [2.0, None, 4.0]
