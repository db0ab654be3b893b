"""Building a profile: against the definitions row by row, and at every border between groups of rows."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest

from components.drift.core import building, planning, profile_file
from components.errors import DataError
from tests.unit.drift.conftest import some_rows, to_table
from tests.unit.drift.oracle import slow_profile
from tests.unit.drift.profiles import assert_equal, build, planned

#: Distinct times, since rows of equal ones stay in the order in which they come.
ROWS = [{**row, "timestamp": row["timestamp"] + n} for n, row in enumerate(some_rows(300))]


@pytest.mark.parametrize("group_rows", [3, 100_000])
@pytest.mark.parametrize("shuffled", [False, True])
def test_every_field_is_what_its_definition_says(dataset, monkeypatch, group_rows, shuffled):
    monkeypatch.setattr(building, "GROUP_ROWS", group_rows)
    rows = ROWS
    plan = planning.plan_profile([to_table(rows)], dataset, random_features=8)
    if shuffled:
        rows = [rows[n] for n in np.random.default_rng(1).permutation(len(rows))]
    profile = building.build_profile([to_table(rows)], dataset, plan)
    slow = slow_profile(rows, dataset, plan)
    assert profile.bucket.tolist() == sorted(slow)
    for position, bucket in enumerate(sorted(slow)):
        for name, expected in slow[bucket].items():
            found = getattr(profile, name)[position]
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9, err_msg=name)
    assert profile.rows.sum() == len(rows)
    assert profile.longest_still_s.max() > 300
    assert profile.complete.sum() < len(rows)


@pytest.mark.parametrize("group_rows", [11, 100_000])
def test_borders_of_tables_and_their_form_change_nothing(dataset, monkeypatch, group_rows):
    plan = planned(ROWS, dataset)
    whole = build(ROWS, dataset, plan)
    ordered = sorted(ROWS, key=lambda row: row["timestamp"])
    table = to_table(ordered)
    stamps = table.column("timestamp").cast(pa.timestamp("us", "UTC"))
    coded = table.set_column(0, "timestamp", stamps)
    for name in ("asset", "mode"):
        at = coded.column_names.index(name)
        coded = coded.set_column(at, name, coded.column(name).dictionary_encode())
    monkeypatch.setattr(building, "GROUP_ROWS", group_rows)
    pieces = [to_table(ordered[start : start + 40]) for start in range(0, len(ordered), 40)]
    dictionaries = [piece.set_column(6, "mode", piece.column("mode").dictionary_encode()) for piece in pieces]
    for tables in (
        [table],
        iter([table]),
        table.to_batches(max_chunksize=17),
        iter(pieces),
        iter(dictionaries),
        [coded],
        [to_table([]), *pieces, to_table([])],
    ):
        assert_equal(building.build_profile(tables, dataset, plan), whole)


def test_tables_of_a_list_may_go_back_in_time_those_of_an_iterator_may_not(dataset, monkeypatch):
    monkeypatch.setattr(building, "GROUP_ROWS", 50)
    plan = planned(ROWS, dataset)
    late_first = [to_table(ROWS[50:]), to_table(ROWS[:50])]
    shuffled = [ROWS[number] for number in np.random.default_rng(0).permutation(len(ROWS))]
    pieces = [to_table(shuffled[start : start + 40]) for start in range(0, len(ROWS), 40)]
    whole = build(ROWS, dataset, plan)
    assert_equal(building.build_profile(pieces, dataset, plan), whole)
    assert_equal(building.build_profile(late_first, dataset, plan), whole)
    with pytest.raises(DataError, match="older than rows of the same series in an earlier table"):
        building.build_profile(iter(pieces), dataset, plan)


def test_a_run_goes_on_over_tables_and_ends_at_a_gap_a_missing_value_and_another_series(dataset):
    def row(minute, level, asset="a"):
        filled = {"asset": asset, "channel": "c", "count": 1, "on": 1, "mode": "sun", "label": 0}
        return {"timestamp": minute * 60_000_000, "level": level, **filled}

    rows = [row(5 * n, 1.0) for n in range(24)]
    plan = planned(rows, dataset)

    def longest(rows, cut):
        found = building.build_profile(iter([to_table(rows[:cut]), to_table(rows[cut:])]), dataset, plan)
        return found.longest_still_s[:, 0].tolist()

    for cut in (0, 1, 11, 12, 13, 23):
        # The second hour's greatest is of the run that began in the first.
        assert longest(rows, cut) == [55 * 60, 115 * 60]
        assert longest([*rows[:12], row(60, None), *rows[13:]], cut) == [55 * 60, 50 * 60]
        assert longest([*rows[:12], row(60, math.nan), *rows[13:]], cut) == [55 * 60, 50 * 60]
    # A step of more than 10.5 intervals: nothing was repeated meanwhile, though the pair counts.
    gap = [*rows[:6], *(row(5 * n + 80, 1.0) for n in range(6))]
    assert longest(gap, 6) == [25 * 60, 25 * 60]
    assert build(gap, dataset, plan).still[:, 0].sum() == 11
    other = [*rows[:6], *(row(5 * n, 1.0, "b") for n in range(6))]
    assert longest(other, 3) == [25 * 60]
    assert build(other, dataset, plan).pairs[:, 0].sum() == 10


def test_steps_are_counted_in_nominal_intervals_up_to_and_with_each_edge(dataset):
    minutes = np.cumsum([0, 0, 2.5, 4.5, 5, 5.5, 5.6, 12.5, 52.5, 502.5, 503])
    rows = [
        {"timestamp": int(minute * 60e6), "asset": "a", "channel": "c", "level": float(n), "count": n}
        | {"on": 0, "mode": "sun", "label": 0}
        for n, minute in enumerate(minutes)
    ]
    profile = build(rows, dataset, planned(rows, dataset))
    assert profile.cadence.sum(axis=0).tolist() == [1, 1, 1, 2, 2, 1, 1, 1]


def test_bins_hold_their_upper_edge_for_both_widths_of_floats():
    edges = (0.1, 0.2, 1e300)
    for kind in (np.float32, np.float64):
        values = np.array([0.1, np.nextafter(kind(0.1), kind(1)), 0.2, 0.3, -np.inf, np.nan], kind)
        expected = [sum(float(value) > edge for edge in edges) for value in values]
        assert building.bin_numbers(values, edges).tolist() == expected
    many = tuple(np.linspace(0, 1, 500).tolist())
    values = np.append(np.random.default_rng(0).random(1_000), [0.0, 1.0, np.nan])
    expected = [sum(value > edge for edge in many) for value in values]
    assert building.bin_numbers(values, many).tolist() == expected


def test_a_column_that_is_absent_or_null_is_all_missing_and_without_labels_nothing_is_positive(dataset):
    plan = planned(ROWS, dataset)
    table = to_table(ROWS)
    nulls = table.set_column(3, "level", pa.nulls(len(ROWS))).set_column(6, "mode", pa.nulls(len(ROWS)))
    whole = build(ROWS, dataset, plan)
    for other in (table.drop(["level", "mode"]), nulls):
        found = building.build_profile([other], dataset, plan)
        for index in (0, 3):
            assert (found.missing[:, index] == found.rows).all()
            assert not found.counts[:, plan.columns(index)].any() and not found.pairs[:, index].any()
        assert np.isnan(found.low[:, 0]).all() and not found.sums[:, 0].any()
        assert not found.complete.any() and not found.random.any()
        np.testing.assert_array_equal(found.counts[:, plan.columns(1)], whole.counts[:, plan.columns(1)])
    bare = building.build_profile([table.drop(["label"])], dataset, plan)
    assert not bare.labelled.any() and not bare.positive.any()
    np.testing.assert_array_equal(bare.counts, whole.counts)


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [
        ("level", ["secret"] * 2, "column 'level': type string; a numeric feature holds numbers"),
        ("timestamp", [None, 1], "column 'timestamp': 1 rows have no time"),
        ("timestamp", ["1", "2"], "type string; a time is int64"),
        ("timestamp", None, "found no time column"),
        ("asset", None, "column 'asset': absent; it names the series"),
        ("mode", [[1], [2]], "names no categories"),
        ("mode", [b"\xff", b"\xfe"], "not UTF-8"),
    ],
)
def test_columns_of_another_kind_are_refused_by_name_without_a_value(dataset, column, values, said):
    plan = planned(ROWS, dataset)
    table = to_table(ROWS[:2])
    at = table.column_names.index(column)
    table = table.remove_column(at) if values is None else table.set_column(at, column, pa.array(values))
    with pytest.raises(DataError, match=said) as refused:
        building.build_profile([table], dataset, plan)
    assert "secret" not in str(refused.value) and "\n" not in str(refused.value)


def test_huge_values_leave_every_sum_finite(dataset, tmp_path):
    rows = [{**row, "count": 2**62} for row in ROWS]
    table = to_table(rows)
    level = np.where(np.arange(len(ROWS)) % 2, 1e308, -1e308)
    table = table.set_column(3, "level", pa.array(level))
    plan = planned(ROWS, dataset)
    profile = building.build_profile([table], dataset, plan)
    profile_file.write_profile(tmp_path, profile)
    assert np.isfinite(profile.sums).all() and np.isfinite(profile.random).all()
    assert profile.high[:, 0].max() == 1e308 and profile.complete.sum() == len(ROWS)
    own = building.build_profile([table], dataset, planning.plan_profile([table], dataset))
    profile_file.write_profile(tmp_path, own)
    assert own.counts.sum() + own.missing.sum() == 4 * len(ROWS)
