"""Events by kind, and risks of columns that were made to have exactly one."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from components.profiler.core import kinds, labels, leakage
from components.synthesizer_trainer.core.panel import segments

ROWS = 2_000
RNG = np.random.default_rng(11)
SERIES = np.repeat(np.arange(4), ROWS // 4)
LABEL = np.zeros(ROWS, bool)
LABEL[100:130] = LABEL[900:940] = LABEL[1600:1630] = True


def risks(ruled=(), label=LABEL, **columns):
    arrays = {name: pa.array(values) for name, values in columns.items()}
    held = {name: kinds.describe(values) for name, values in arrays.items()}
    return [(x.column, x.risk) for x in leakage.find(arrays, held, frozenset(ruled), SERIES, label)]


def test_events_their_durations_and_which_kinds_are_rare():
    names = np.full(600, "", dtype=object)
    for begin in range(10, 340, 30):
        names[begin : begin + 6] = "ramp"
    names[590:600] = names[400:402] = "stuck"
    time_us, series = np.tile(np.arange(300), 2) * 60_000_000, np.repeat([0, 1], 300)
    ramp, stuck = labels.describe(names, time_us, series, segments(time_us, series, 60.0), 60.0)
    assert (ramp.name, ramp.events, ramp.rows, ramp.median_s, ramp.rare) == ("ramp", 11, 66, 360.0, False)
    assert (stuck.events, stuck.longest_s, stuck.series, stuck.rare) == (2, 600.0, 1, True)


def test_an_event_ends_where_its_series_does():
    names = np.array([""] * 8 + ["ramp"] * 4 + [""] * 8, dtype=object)
    time_us, series = np.tile(np.arange(10), 2) * 60_000_000, np.repeat([0, 1], 10)
    (ramp,) = labels.describe(names, time_us, series, segments(time_us, series, 60.0), 60.0)
    assert (ramp.events, ramp.series) == (2, 2)


def test_harmless_columns_have_no_risk():
    found = risks(
        x=RNG.standard_normal(ROWS), flag=RNG.integers(0, 2, ROWS), mode=RNG.choice(["a", "b", "c"], ROWS)
    )
    assert found == []


@pytest.mark.parametrize(
    "risk, values",
    [
        ("identifier-like", [f"SN{number:06d}" for number in RNG.permutation(ROWS)]),
        ("free text", [" ".join(RNG.choice(["a1", "b2", "c3", "d4", "e5", "f6"], 6)) for _ in range(ROWS)]),
        ("timestamp", 1_700_000_000 + 60 * np.arange(ROWS)),
        ("many categories", [f"code {n % 300}" for n in range(ROWS)]),
        ("values seen once", ["usual"] * (ROWS - 3) + ["x", "y", "z"]),
        ("identifies the series", np.array([7, 3, 9, 1])[SERIES]),
        ("equals the label", LABEL.astype(int)),
        ("equals the label", np.where(LABEL, "running", "failed")),
        ("determines the label", np.where(LABEL, 2, RNG.integers(0, 2, ROWS))),
        ("determines the label", RNG.standard_normal(ROWS) + 12 * LABEL),
        ("determines the label", RNG.standard_normal(ROWS) - 12 * LABEL),
    ],
)
def test_each_risk_is_found_and_no_other(risk, values):
    assert risks(column=values) == [("column", risk)]


def test_a_column_that_a_threshold_nearly_separates_is_a_feature():
    assert risks(x=RNG.standard_normal(ROWS) + 3 * LABEL) == []


def test_a_personal_identifier_is_named_by_its_kind_unless_a_rule_covers_it():
    mails = [f"someone{n % 40}@example.org" for n in range(ROWS)]
    arrays = {"contact": pa.array(mails)}
    held = {"contact": kinds.describe(arrays["contact"])}
    (found,) = leakage.find(arrays, held, frozenset(), SERIES, None)
    assert found.risk == "identifier" and "e-mail" in found.detail and "someone" not in str(found)
    assert leakage.find(arrays, held, frozenset({"contact"}), SERIES, None) == []


def test_a_few_labelled_rows_say_nothing():
    few = np.zeros(ROWS, bool)
    few[:3] = True
    assert risks(label=few, column=few.astype(int)) == []


def test_no_finding_tells_a_value():
    secret = [f"ZQX{number:06d}" for number in RNG.permutation(ROWS)]
    arrays = {"a": pa.array(secret), "b": pa.array(["usual"] * (ROWS - 2) + ["ZQXonce", "ZQXtwice"])}
    held = {name: kinds.describe(values) for name, values in arrays.items()}
    assert "ZQX" not in str(leakage.find(arrays, held, frozenset(), SERIES, LABEL)) + str(held)
