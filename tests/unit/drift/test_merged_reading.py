"""Splits that are read batch by batch give the profile of all of their rows, to the last bit."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from components.drift.core import building, merged_reading
from components.drift.core.building import build_profile
from components.drift.core.merged_reading import merged_profile, tables_of
from components.drift.core.planning import plan_profile
from components.drift.core.profile import Profile
from components.errors import DataError
from tests.unit.drift.conftest import some_rows, to_table

BLOCK = 37


class Split:
    """A split that counts what was read of it."""

    def __init__(self, rows: list[dict[str, Any]], batch_rows: int) -> None:
        self.table, self.batch_rows = to_table(rows), batch_rows
        self.passes: list[bool] = []
        self.read = 0

    def __call__(self, columns: Sequence[str] | None):
        self.passes.append(columns is None)
        table = self.table if columns is None else self.table.select(list(columns))
        for start in range(0, max(table.num_rows, 1), self.batch_rows):
            piece = table.slice(start, self.batch_rows).combine_chunks()
            self.read += piece.num_rows if columns is None else 0
            yield from piece.to_batches()


@pytest.fixture
def merges(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Small groups; gets an entry for each time that splits were merged as they are read."""
    for module in (building, merged_reading):
        monkeypatch.setattr(module, "GROUP_ROWS", 64)
    found, merged = [], merged_reading._merged

    def counted(sources, survey):
        found.append(len(sources))
        return merged(sources, survey)

    monkeypatch.setattr(merged_reading, "_merged", counted)
    return found


def place(row: dict[str, Any]) -> tuple[Any, ...]:
    """Series, those without a name last, then time."""
    return row["asset"] is None, row["asset"] or "", row["channel"], row["timestamp"]


def dealt(rows: list[dict[str, Any]], splits: int = 3) -> list[list[dict[str, Any]]]:
    """Blocks of rows in the order of series and time, dealt in turn."""
    rows = sorted(rows, key=place)
    found: list[list[dict[str, Any]]] = [[] for _ in range(splits)]
    for number, start in enumerate(range(0, len(rows), BLOCK)):
        found[number % splits] += rows[start : start + BLOCK]
    return found


def assert_same_bits(one: Profile, other: Profile) -> None:
    for field in dataclasses.fields(one):
        if field.name != "plan":
            first, second = getattr(one, field.name), getattr(other, field.name)
            assert first.dtype == second.dtype and first.tobytes() == second.tobytes(), field.name


def both(parts: list[list[dict[str, Any]]], dataset, batch_rows: int) -> list[Split]:
    splits = [Split(part, batch_rows) for part in parts]
    plan = plan_profile([split.table for split in splits], dataset, random_features=8)
    assert plan_profile(tables_of(splits), dataset, random_features=8) == plan
    for split in splits:
        split.passes.clear()
    whole = build_profile([split.table for split in splits], dataset, plan)
    assert_same_bits(merged_profile(splits, dataset, plan), whole)
    return splits


@pytest.mark.parametrize("batch_rows", [1, 20, 1_000])
def test_blocks_of_several_splits_are_merged(dataset, merges, batch_rows):
    splits = both(dealt(some_rows(600, seed=1, series=7)), dataset, batch_rows)
    assert [split.passes for split in splits] == [[False, True]] * 3, "keys once, rows once"
    assert merges == [3]


@pytest.mark.parametrize(("lacks", "merged"), [(("b", "c0"), [4]), (("a",), [])])
def test_series_that_the_first_split_lacks_come_where_all_rows_together_have_them(
    dataset, merges, lacks, merged
):
    parts = dealt(some_rows(600, seed=2, series=7))
    parts[0] = [row for row in parts[0] if (row["asset"], row["channel"])[: len(lacks)] != lacks]
    both([[], *parts], dataset, 20)
    assert merges == merged, (
        "without `a` at first, `b` comes before it, and the other splits are out of order"
    )


def test_rows_of_one_time_stay_in_the_order_of_the_splits(dataset, merges):
    parts = dealt(some_rows(600, seed=3))
    parts[2] = sorted([*parts[2], *parts[0][10:60]], key=place)
    both(parts, dataset, 7)
    assert merges == [3]


def test_one_split_in_order_is_passed_on_as_it_is(dataset, merges):
    (split,) = both(dealt(some_rows(300, seed=4), 1), dataset, 20)
    assert split.passes == [False, True] and merges == []


def test_a_split_in_another_order_is_ordered_as_a_whole(dataset, merges):
    parts = dealt(some_rows(600, seed=5))
    rng = np.random.default_rng(0)
    both([[part[at] for at in rng.permutation(len(part))] for part in parts], dataset, 20)
    # In the order of time, all series mixed.
    both([[], *[sorted(part, key=lambda row: row["timestamp"]) for part in parts]], dataset, 20)
    assert merges == []


def test_without_rows_there_are_no_buckets_and_without_times_it_is_refused(dataset):
    splits = [Split([], 10)]
    plan = plan_profile([to_table(some_rows(50))], dataset)
    assert merged_profile(splits, dataset, plan).bucket.size == 0
    rows = some_rows(50)
    rows[7]["timestamp"] = None
    with pytest.raises(DataError, match="1 rows have no time"):
        merged_profile([Split(rows, 10)], dataset, plan)


def test_no_more_than_a_few_batches_are_read_ahead(dataset, merges, monkeypatch):
    splits = [Split(part, 20) for part in dealt(some_rows(1_500, seed=6, series=5))]
    plan = plan_profile([split.table for split in splits], dataset)
    ahead, taken, add = [], [0], building._Builder.add

    def counted(builder, table):
        taken[0] += table.num_rows
        ahead.append(sum(split.read for split in splits) - taken[0])
        add(builder, table)

    monkeypatch.setattr(building._Builder, "add", counted)
    merged_profile(splits, dataset, plan)
    assert taken == [1_500] and len(ahead) > 20
    # Of each split what is left of one batch and another one, and what is not yet a whole group.
    assert max(ahead) <= 3 * 2 * 20 + 64
