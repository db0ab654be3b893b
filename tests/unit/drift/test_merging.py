"""The merge of profiles is the profile of the union of their rows; a selection is its own part."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.dataset import DatasetConfig
from components.drift.core import merging
from components.errors import DataError, InternalError
from tests.unit.drift.conftest import HOUR_US, some_rows
from tests.unit.drift.profiles import assert_equal, build, planned

ROWS = some_rows(360, series=6)


@pytest.fixture(scope="module")
def plan(dataset):
    return planned(ROWS, dataset)


@settings(max_examples=40, deadline=None)
@given(
    sides=st.lists(st.integers(0, 3), min_size=6, max_size=6),
    narrow=st.booleans(),
    order=st.permutations(range(4)),
)
def test_merge_is_the_profile_of_the_union_where_each_series_is_whole(dataset, plan, sides, narrow, order):
    """Any division of six series among four sides, some of them empty; or all rows in one bucket."""
    rows = [{**row, "timestamp": row["timestamp"] % HOUR_US} for row in ROWS] if narrow else ROWS
    series = sorted({(str(row["asset"]), row["channel"]) for row in rows})
    parts = [
        [row for row in rows if sides[series.index((str(row["asset"]), row["channel"]))] == side]
        for side in order
    ]
    merged = merging.merge([build(part, dataset, plan) for part in parts])
    assert merged.rows.sum() == len(rows)
    assert_equal(merged, build(rows, dataset, plan))


@settings(max_examples=20, deadline=None)
@given(cut=st.floats(0.1, 0.9))
def test_a_seam_in_a_series_costs_one_step_and_the_pairs_over_it_and_nothing_else(dataset, plan, cut):
    times = sorted(row["timestamp"] for row in ROWS)
    at = times[int(cut * len(times))]
    early = [row for row in ROWS if row["timestamp"] < at]
    late = [row for row in ROWS if row["timestamp"] >= at]
    whole, merged = (
        build(ROWS, dataset, plan),
        merging.merge([build(p, dataset, plan) for p in (early, late)]),
    )
    over = {(row["asset"], row["channel"]) for row in early} & {
        (row["asset"], row["channel"]) for row in late
    }
    assert whole.cadence.sum() - merged.cadence.sum() == len(over)
    lost = whole.pairs.sum(axis=0) - merged.pairs.sum(axis=0)
    assert (lost >= 0).all() and (lost <= len(over)).all() and lost.sum() > 0
    assert (merged.longest_still_s <= whole.longest_still_s).all()
    names = ("pairs", "still", "longest_still_s", "cadence")
    same = {name: getattr(whole, name) for name in names}
    assert_equal(dataclasses.replace(merged, **same), whole)


def test_buckets_that_are_selected_merge_to_the_whole_in_any_order(dataset, plan):
    whole = build(ROWS, dataset, plan)
    even = np.arange(len(whole.bucket)) % 2 == 0
    first, second = merging.select(whole, even), merging.select(whole, ~even)
    assert first.rows.sum() + second.rows.sum() == whole.rows.sum() and len(first.bucket) == even.sum()
    assert_equal(merging.merge([second, first]), whole)
    assert_equal(merging.select(whole, slice(1, 3)), merging.select(whole, np.array([1, 2])))


@pytest.mark.parametrize("buckets", [np.array([1, 1]), np.array([2, 1]), np.array([10_000])])
def test_a_selection_that_is_no_part_is_refused(dataset, plan, buckets):
    with pytest.raises(InternalError, match="buckets of a profile"):
        merging.select(build(ROWS, dataset, plan), buckets)


def test_an_empty_side_adds_nothing_and_empty_sides_make_an_empty_profile(dataset, plan):
    whole, nothing = build(ROWS, dataset, plan), build([], dataset, plan)
    assert len(nothing.bucket) == 0 and nothing.counts.shape == (0, int(plan.offsets[-1]))
    assert_equal(nothing, merging.empty(plan))
    assert_equal(merging.merge([nothing, whole, nothing]), whole)
    assert_equal(merging.merge([nothing, nothing]), nothing)


def test_rows_without_a_label_column_merge_with_labelled_ones(dataset, plan):
    bare = DatasetConfig(**{**dataset.model_dump(), "label": None})
    labelled, unlabelled = build(ROWS[:180], dataset, plan), build(ROWS[180:], bare, plan)
    assert unlabelled.positive.shape == (0, int(plan.offsets[-1]))
    merged = merging.merge([unlabelled, labelled])
    assert merged.positive.shape == merged.counts.shape
    assert merged.positive.sum() == labelled.positive.sum() > 0
    assert merged.labelled.sum() == labelled.labelled.sum()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"bucket_s": 7_200}, "bucket_s is 3600 and 7200"),
        ({"seed": 1}, "seed is 0 and 1"),
        ({"public": True}, "public is False and True"),
        ({"interval_s": 60.0}, "interval_s is 300.0 and 60.0"),
    ],
)
def test_plans_that_differ_are_refused_in_one_line(dataset, plan, change, said):
    other = dataclasses.replace(plan, **change)
    with pytest.raises(DataError, match=said) as refused:
        merging.merge([build(ROWS, dataset, plan), build(ROWS, dataset, other)])
    assert "\n" not in str(refused.value)


def test_a_plan_of_other_features_or_bins_is_refused_without_a_value_of_a_row(dataset, plan):
    level = plan.features[0]
    moved = dataclasses.replace(level, edges=tuple(edge + 1 for edge in level.edges))
    for features, said in (
        ((moved, *plan.features[1:]), "feature 'level' has other edges$"),
        (plan.features[1:], "feature 'level' is in one of them only"),
        (plan.features[::-1], "another order"),
    ):
        found = merging.plan_difference(plan, dataclasses.replace(plan, features=features))
        assert re.search(said, found)
        assert str(level.edges[0])[:6] not in found


def test_nothing_to_merge_is_a_fault_of_ours():
    with pytest.raises(InternalError, match="none given"):
        merging.merge([])


def test_counts_of_billions_stay_exact(dataset, plan):
    one = build(ROWS, dataset, plan)
    huge = dataclasses.replace(one, counts=one.counts * 3_000_000_001)
    merged = merging.merge([huge] * 3)
    assert (merged.counts == one.counts * 9_000_000_003).all()
    assert merged.counts.max() > 2**33
