"""Fills and interpolation against pandas, scikit-learn and hand values; what must not be reached over."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.impute import SimpleImputer

from components.data_quality.core.imputation import GapFiller, interpolate_gaps, learn_fill
from components.data_quality.core.plan import FillPlan
from components.errors import InternalError

NAN = float("nan")
VALUES = np.array([1.0, 5.0, NAN, 5.0, 2.0, 10.0, NAN, 14.0])
SERIES = np.array([0, 0, 0, 0, 0, 1, 1, 1])


@pytest.mark.parametrize(
    ("policy", "strategy"), [("mean", "mean"), ("median", "median"), ("mode", "most_frequent")]
)
def test_fills_are_scikit_learns(policy, strategy):
    for code in (0, 1):
        expected = SimpleImputer(strategy=strategy).fit(VALUES[code == SERIES, None]).statistics_[0]
        assert learn_fill(VALUES, SERIES, policy).of_series[code] == expected
    overall = SimpleImputer(strategy=strategy).fit(VALUES[:, None]).statistics_[0]
    found = learn_fill(VALUES, SERIES, policy, by="all")
    assert (found.overall, found.of_series) == (pytest.approx(overall), {})


def test_a_series_without_a_known_value_gets_the_one_of_all():
    fill = learn_fill(np.array([1.0, 3.0, NAN]), np.array([0, 0, 1]), "mean")
    values, stood_in = fill.values(np.array([0, 1, 7]))
    assert values.tolist() == [2.0, 2.0, 2.0]
    assert stood_in.tolist() == [False, True, True]


@pytest.mark.parametrize("values", [np.array([NAN, NAN]), np.array([np.inf, -np.inf]), np.zeros(0)])
def test_without_a_known_value_there_is_no_fill(values):
    fill = learn_fill(values, np.zeros(len(values), int), "mean")
    found, stood_in = fill.values(np.array([0]))
    assert found.tolist() == [None] and not stood_in.any()


def test_infinities_do_not_enter():
    assert learn_fill(np.array([1.0, np.inf, 3.0]), np.zeros(3, int), "mean").overall == 2.0


def test_texts_have_a_mode_and_ties_go_to_the_smallest():
    texts = np.array(["b", "a", None, "b", "a"], dtype=object)
    assert learn_fill(texts, np.zeros(5, int), "mode").overall == "a"
    assert learn_fill(texts[[0, 3, 1, 2]], np.zeros(4, int), "mode").overall == "b"


def test_whole_numbers_stay_whole():
    assert learn_fill(np.array([1.0, 2.0, 2.0]), np.zeros(3, int), "mean", whole=True).overall == 2.0
    with pytest.raises(InternalError, match="'drop'"):
        learn_fill(VALUES, SERIES, "drop")


def test_interpolation_is_linear_in_time_and_not_in_rows():
    time = np.array([0, 10, 40])
    assert interpolate_gaps(time, np.array([0.0, NAN, 4.0]), np.zeros(3), 100)[1] == 1.0


@pytest.mark.parametrize(
    ("values", "run", "longest", "filled"),
    [
        ([NAN, 1, NAN], [0, 0, 0], 9, []),  # no neighbour on one side
        ([1, NAN, 3], [0, 0, 0], 2, [1]),
        ([1, NAN, 3], [0, 0, 0], 1.9, []),  # the gap is longer than what is allowed
        ([1, NAN, 3], [0, 0, 1], 9, []),  # another series, or another split's rows between
        ([1, NAN, 3], [0, 1, 1], 9, []),
        ([1, NAN, NAN, 4], [0, 0, 0, 0], 3, [1, 2]),
        ([np.inf, NAN, 3], [0, 0, 0], 9, []),  # an infinity is no known value
        ([NAN, NAN], [0, 0], 9, []),
        ([1, 2], [0, 0], 9, []),
    ],
)
def test_interpolation_reaches_over_nothing_else(values, run, longest, filled):
    found = interpolate_gaps(np.arange(len(values)), np.array(values, float), np.array(run), longest)
    assert np.flatnonzero(np.isfinite(found)).tolist() == filled


@settings(max_examples=100, deadline=None)
@given(
    hnp.arrays(np.float64, 30, elements=st.one_of(st.just(NAN), st.floats(-5, 5))),
    st.integers(1, 30),
    st.integers(1, 6),
    st.lists(st.integers(1, 29), max_size=4),
)
def test_interpolation_in_pieces_is_that_of_the_whole(values, pieces, longest, cuts):
    run = np.zeros(30, int)
    run[sorted(set(cuts))] = 1
    run, time = np.cumsum(run), np.arange(30) * 10 + (np.arange(30) % 3)
    whole = interpolate_gaps(time, values, run, longest * 10 + 3)
    filler, found = GapFiller(longest * 10 + 3), np.full(30, NAN)
    for part in np.array_split(np.arange(30), pieces):
        ids, put = filler.add(part, time[part], values[part], run[part])
        assert np.isnan(found[ids]).all()  # no cell is filled twice
        found[ids] = put
    np.testing.assert_array_equal(found, whole)
    # pandas, run by run, agrees wherever a value was filled; and every known cell is left alone.
    for code in np.unique(run):
        rows = run == code
        line = pd.Series(values[rows], index=time[rows]).interpolate(method="index", limit_area="inside")
        there = np.isfinite(whole[rows])
        np.testing.assert_allclose(whole[rows][there], line.to_numpy()[there], atol=1e-12)
    assert np.isnan(whole[np.isfinite(values)]).all()


def test_a_plan_fills_and_drops_by_row_id_and_keeps_types():
    table = pa.table(
        {
            "x": pa.array([1.5, None, 2.5, None], pa.float32()),
            "n": pa.array([None, 2, None, 4], pa.int64()),
            "w": pa.array(["a", None, "b", None], pa.string()),
        }
    )
    ids = np.array([40, 10, 30, 20])
    plan = FillPlan(
        np.array([20, 99]),
        {
            "x": (np.array([10]), np.array([9.25])),
            "n": (np.array([30, 40, 50]), np.array([3.0, 7.0, 1.0])),
            "w": (np.array([10, 20]), np.array(["c", "d"], dtype=object)),
        },
    )
    assert plan.stays(ids).tolist() == [True, True, True, False]
    found = plan.apply(ids, table)
    assert found.schema == table.schema
    assert found["x"].to_pylist() == [1.5, 9.25, 2.5, None]
    assert found["n"].to_pylist() == [7, 2, 3, 4]
    assert found["w"].to_pylist() == ["a", "c", "b", "d"]
    empty = FillPlan(np.zeros(0, np.int64), {})
    assert empty.apply(ids, table) is table and empty.stays(ids).all()
    assert plan.apply(np.zeros(0, np.int64), table.slice(0, 0)).num_rows == 0
