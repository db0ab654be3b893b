"""What a restricted region tells of a profile: attacks on it, and that nothing else leaves."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from collections import defaultdict

import numpy as np
import pydantic
import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from components.drift.core import merging, outward, planning, suppression
from components.drift.core.outward import NoiseRules, OutwardRules, sketch_of
from components.drift.core.outward_form import MAX_BYTES
from components.egress.lists import SKETCH_FIELDS
from components.errors import ConfigError, DataError
from components.governance.core.accounting import Tally, epsilon_of
from tests.unit.drift.conftest import some_rows
from tests.unit.drift.profiles import build, planned

ROWS = some_rows(1_500, seed=3, series=15)
DAY_S = 86_400
RULES = OutwardRules(minimum=10)
NOISE = NoiseRules(epsilon=1.0, delta=1e-6)

SCHEMA = text_format.Parse(
    """
    feature { name: "level" type: FLOAT float_domain { min: -4 max: 4 } }
    feature { name: "count" type: INT int_domain { min: 0 max: 99 } }
    feature { name: "on" type: INT int_domain { min: 0 max: 1 } }
    feature { name: "mode" type: BYTES domain: "mode" }
    string_domain { name: "mode" value: "sun" value: "eclipse" value: "safe" }
    """,
    schema_pb2.Schema(),
)


@pytest.fixture(scope="module")
def curated(dataset):
    return dataset.model_copy(update={"schema_name": "made_up"})


@pytest.fixture(scope="module")
def plan(curated):
    return planning.public_plan(SCHEMA, curated, bins=8, bucket_s=3_600)


@pytest.fixture(scope="module")
def profile(curated, plan):
    return build(ROWS, curated, plan)


def _tables(total: int, cells: int):
    if cells == 1:
        yield (total,)
        return
    for first in range(total + 1):
        for rest in _tables(total - first, cells - 1):
            yield (first, *rest)


@pytest.mark.parametrize(("minimum", "cells", "largest"), [(3, 3, 18), (3, 4, 12), (4, 3, 20)])
def test_nobody_who_knows_the_total_finds_a_hidden_count(minimum, cells, largest):
    """Every table, against somebody who tries every table that would have been told in the same way."""
    seen = 0
    for total in range(largest + 1):
        told_so = defaultdict(list)
        for table in _tables(total, cells):
            told_so[tuple(suppression.told(np.array(table), minimum))].append(table)
        for told, tables in told_so.items():
            for cell in (number for number, count in enumerate(told) if count is None):
                possible = {table[cell] for table in tables}
                for table in tables:
                    if 0 < table[cell] < minimum - 1:
                        seen += 1
                        assert len(possible) > 1
                        assert min(possible) == 0 or max(possible) >= minimum
    assert seen > 100


def test_what_is_told_is_large_and_rounded_down():
    told = suppression.told(np.array([1_000, 59, 40, 1, 0]), 20)
    assert told == [1_000, None, None, None, None]
    assert suppression.told(np.array([1_000, 59, 40, 0]), 20) == [1_000, 40, 40, None]
    assert suppression.told(np.array([30, 1]), 20) == [None, None]
    assert suppression.told(np.array([0, 0]), 20) == [None, None]
    assert suppression.told(np.array([100, 200, 300, 90]), 20, most_told=2) == [None, 200, 300, None]


def test_a_plan_made_from_rows_is_refused(dataset):
    made = build(ROWS, dataset, planned(ROWS, dataset))
    with pytest.raises(ConfigError, match="the plan was made from rows"):
        sketch_of(made, RULES)


@pytest.mark.parametrize(
    ("feature", "cell", "change"),
    [
        ("level", 0, {"level": -99.0}),
        ("mode", 2, {"mode": "safe"}),
        ("mode", 3, {"mode": "somebody's own word"}),
        ("on", -1, {"on": None}),
    ],
)
def test_one_row_in_a_bin_a_category_or_a_missing_count_is_not_told(curated, plan, feature, cell, change):
    common = {"level": 0.5, "count": 40, "on": 1, "mode": "sun", "label": 0}
    rows = [{**row, **common} for row in ROWS]
    alone, odd = build(rows, curated, plan), build([{**rows[0], **change}, *rows[1:]], curated, plan)
    where = next(index for index, one in enumerate(plan.features) if one.name == feature)
    column = plan.columns(where)
    cells = np.column_stack([odd.counts[:, column], odd.missing[:, [where]]]).sum(axis=0)
    assert cells[cell] == 1
    told = sketch_of(odd, RULES).periods[0].features[feature]
    assert [*told.bins, told.missing][cell] is None
    # With one hidden, the bin that all others are in is hidden too: a total minus the rest says nothing.
    assert all(count is None for count in [*told.bins, told.missing])
    assert sum(count is not None for count in sketch_of(alone, RULES).periods[0].features[feature].bins) == 1


def test_the_total_minus_the_rest_holds_no_row_or_many(profile):
    hidden_somewhere = 0
    sketch = sketch_of(profile, RULES.model_copy(update={"period_s": DAY_S}))
    begins = profile.bucket * 3_600
    for period in sketch.periods:
        inside = merging.select(profile, (begins >= period.begin_s) & (begins < period.begin_s + DAY_S))
        for index, feature in enumerate(profile.plan.features):
            cells = inside.counts[:, profile.plan.columns(index)].sum(axis=0)
            exact = np.append(cells, inside.missing[:, index].sum())
            found = period.features[feature.name]
            gone = np.array([count is None for count in [*found.bins, found.missing]])
            assert exact[gone].sum() == 0 or exact[gone].sum() >= 30 or gone.all()
            hidden_somewhere += (exact[gone] > 0).any()
            for count, shown in zip(exact[~gone], [c for c in [*found.bins, found.missing] if c is not None]):
                assert shown == count // 10 * 10 > 0
    assert len(sketch.periods) >= 2 and hidden_somewhere


def test_subtracting_two_sketches_finds_a_removed_row_no_more_often_than_rounding_allows(curated, plan):
    rng = np.random.default_rng(0)
    noticed, tried = 0, 0
    for _ in range(60):
        kept = [ROWS[number] for number in rng.permutation(len(ROWS))[: rng.integers(1_000, 1_400)]]
        whole, without = (sketch_of(build(rows, curated, plan), RULES) for rows in (kept, kept[1:]))
        for name, before in whole.periods[0].features.items():
            after = without.periods[0].features[name]
            cells = zip((*before.bins, before.missing), (*after.bins, after.missing))
            changed = [(one, two) for one, two in cells if one != two]
            # One row is in one cell: it moves one count by one step, or hides what is near the minimum.
            assert all(one - two == 10 for one, two in changed if None not in (one, two))
            noticed += bool(changed)
            tried += 1
    assert 0 < noticed <= tried * (1 / 10 + 4 * math.sqrt(0.09 / tried))


def test_nothing_leaves_but_the_fields_of_the_list(profile):
    found = json.loads(sketch_of(profile, RULES).to_exec_property())
    names = {feature.name for feature in profile.plan.features}

    def keys(value):
        if isinstance(value, dict):
            return set(value).union(*map(keys, value.values()))
        return set().union(*map(keys, value)) if isinstance(value, list) else set()

    assert keys(found) - names == SKETCH_FIELDS
    numbers = [
        count for period in found["periods"] for f in period["features"].values() for count in f["bins"]
    ]
    assert all(count is None or count % 10 == 0 for count in numbers)


def test_only_the_largest_categories_are_told(profile):
    few = sketch_of(profile, OutwardRules(minimum=5, top_categories=1)).periods[0].features["mode"]
    assert sum(count is not None for count in (*few.bins, few.missing)) == 1
    many = sketch_of(profile, OutwardRules(minimum=5)).periods[0].features["mode"]
    assert sum(count is not None for count in (*many.bins, many.missing)) > 1


def test_the_noise_is_that_of_the_stated_epsilon_and_the_cost_says_so(plan):
    for noise, unit in (
        (NOISE, "record"),
        (NoiseRules(epsilon=1, delta=1e-6, unit="window", unit_rows=12), "window"),
    ):
        rules = OutwardRules(begin_s=0, end_s=DAY_S, noise=noise)
        price = outward.cost(rules)
        assert price.unit == unit and price.is_private
        assert 0.999 < epsilon_of(Tally.of(price.events), 1e-6) <= 1.0
        (event,) = price.events
        assert outward.noise_std(plan, noise) == pytest.approx(
            event.noise_multiplier * noise.unit_rows * math.sqrt(len(plan.features) + 1)
        )
    assert price.time_range is not None and price.time_range.end_us == DAY_S * 1_000_000
    assert not outward.cost(RULES).is_private


def _range(profile):
    first = int(profile.bucket[0]) * 3_600 // DAY_S * DAY_S
    return {"begin_s": first, "end_s": first + 4 * DAY_S}


def test_a_window_of_rows_moves_all_counts_together_by_no_more_than_the_sensitivity(curated, plan, profile):
    """For windows anywhere, with noise that lifts every count by the same, so that all are told."""
    rules = OutwardRules(minimum=5, top_categories=99, noise=NOISE, period_s=DAY_S, **_range(profile))

    def vector(rows):
        sketch = sketch_of(build(rows, curated, plan), rules, noise=lambda count: np.full(count, 50.0))
        return np.array(
            [
                count
                for period in sketch.periods
                for cells in ([*f.bins, f.missing] for f in period.features.values())
                for count in cells
            ]
            + [count for period in sketch.periods for count in period.labels],
            float,
        )

    whole, largest = vector(ROWS), {1: 0.0, 5: 0.0}
    for width, start in itertools.product(largest, range(0, 1_400, 70)):
        moved = np.linalg.norm(whole - vector(ROWS[:start] + ROWS[start + width :]))
        largest[width] = max(largest[width], float(moved))
        assert moved <= width * math.sqrt(len(plan.features) + 1) + 1e-9
    assert largest[1] == pytest.approx(math.sqrt(len(plan.features) + 1))
    assert largest[5] > largest[1]


def test_noise_is_added_to_every_count_and_never_the_same_twice(profile):
    rules = OutwardRules(minimum=5, noise=NOISE, **_range(profile))
    one, two = sketch_of(profile, rules), sketch_of(profile, rules)
    assert one.mechanism == "gaussian" and one.epsilon == 1.0 and one.delta == 1e-6 and one.unit_rows == 1
    assert one.periods != two.periods
    drawn = []

    def noise(count):
        drawn.append(count)
        return np.full(count, 1.0)

    shifted = sketch_of(profile, rules, noise=noise)
    none = sketch_of(profile, rules, noise=np.zeros)
    assert sum(drawn) == int(profile.plan.offsets[-1]) + len(profile.plan.features) + 3
    for name, found in none.periods[0].features.items():
        for before, after in zip(found.bins, shifted.periods[0].features[name].bins):
            if before is not None:
                assert after - before == round(one.noise_std)
    spread = [
        count - exact
        for sketch in (sketch_of(profile, rules) for _ in range(60))
        for count, exact in zip(sketch.periods[0].features["on"].bins, none.periods[0].features["on"].bins)
        if exact is not None and count is not None
    ]
    assert np.std(spread) == pytest.approx(one.noise_std, rel=0.35)


def test_with_noise_the_periods_are_those_declared_whatever_rows_there_are(curated, plan, profile):
    rules = OutwardRules(noise=NOISE, period_s=DAY_S, **_range(profile))
    for found in (profile, build([], curated, plan)):
        sketch = sketch_of(found, rules)
        assert [period.begin_s for period in sketch.periods] == list(range(rules.begin_s, rules.end_s, DAY_S))
    outside = OutwardRules(minimum=5, begin_s=0, end_s=DAY_S)
    nothing = sketch_of(profile, outside).periods[0]
    if profile.bucket[0] * 3_600 >= DAY_S:
        assert all(count is None for f in nothing.features.values() for count in f.bins)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"minimum": 4}, "minimum"),
        ({"period_s": 3_600}, "period_s"),
        ({"begin_s": DAY_S}, "belong together"),
        ({"begin_s": DAY_S, "end_s": DAY_S}, "not before"),
        ({"begin_s": 1, "end_s": DAY_S}, "begin_s"),
        ({"noise": {"epsilon": 1, "delta": 1e-6}}, "noise needs begin_s"),
        ({"noise": {"epsilon": 1, "delta": 1e-6, "unit": "series"}}, "unit"),
        ({"noise": {"epsilon": 1, "delta": 1e-6, "unit_rows": 2}}, "a record is 1 row"),
        ({"noise": {"epsilon": 0, "delta": 1e-6}}, "epsilon"),
    ],
)
def test_rules_that_protect_nothing_are_refused(changes, rule):
    with pytest.raises(pydantic.ValidationError, match=rule):
        OutwardRules.model_validate(changes)


def test_a_sketch_is_read_back_and_what_is_none_is_refused(profile, plan, curated):
    sketch = sketch_of(profile, RULES.model_copy(update={"period_s": DAY_S}))
    raw = sketch.to_exec_property().encode()
    assert outward.parse(raw, plan, "a sketch") == sketch
    form = json.loads(raw)
    first = form["periods"][0]
    level = first["features"]["level"]

    def changed(**features):
        return {**form, "periods": [{**first, "features": {**first["features"], **features}}]}

    other = planning.public_plan(SCHEMA, curated, bins=9, bucket_s=3_600)
    for bad, of, rule in (
        ({**form, "surprise": 1}, plan, "surprise"),
        ({**form, "version": 2}, plan, "version"),
        (form, other, "another plan"),
        (changed(level={**level, "bins": level["bins"][1:]}), plan, "other features or bins"),
        (changed(more=level), plan, "other features or bins"),
        (changed(level={**level, "bins": [-1, *level["bins"][1:]]}), plan, "bins"),
        ({**form, "periods": [first, first]}, plan, "do not follow"),
    ):
        with pytest.raises(DataError, match=rule) as refused:
            outward.parse(json.dumps(bad).encode(), of, "a sketch")
        assert str(refused.value).startswith("a sketch: ") and "\n" not in str(refused.value)
    with pytest.raises(DataError, match="allowed"):
        outward.parse(b" " * (MAX_BYTES + 1), plan, "a sketch")


def test_a_sketch_becomes_a_profile_that_can_be_merged(curated, plan):
    later = [{**row, "timestamp": row["timestamp"] + 100 * DAY_S * 1_000_000} for row in ROWS]
    profile = build(later, curated, plan)
    sketch = sketch_of(profile, RULES.model_copy(update={"period_s": DAY_S}))
    found = outward.to_profile(sketch, plan)
    assert found.bucket[0] == 100
    assert found.bucket.tolist() == [period.begin_s // DAY_S for period in sketch.periods]
    assert found.plan.bucket_s == DAY_S and found.plan.public
    told = sum(count or 0 for period in sketch.periods for count in period.features["level"].bins)
    assert found.counts[:, plan.columns(0)].sum() == told > 0
    exact = profile.counts[:, plan.columns(0)].sum(axis=0)
    assert (found.counts[:, plan.columns(0)].sum(axis=0) <= exact).all()
    assert merging.merge([found, found]).counts.sum() == 2 * found.counts.sum()


def test_no_rows_make_no_period_and_a_span_of_none_says_so(curated, plan):
    empty = sketch_of(build([], curated, plan), RULES)
    assert empty.periods == ()
    assert len(outward.to_profile(empty, plan).bucket) == 0


def test_buckets_that_cross_a_day_and_too_many_periods_are_refused(curated, plan, profile):
    long = dataclasses.replace(plan, bucket_s=5 * 3_600)
    with pytest.raises(ConfigError, match="divisors of a day"):
        sketch_of(build(ROWS, curated, long), RULES)
    with pytest.raises(DataError, match="take longer ones"):
        sketch_of(profile, OutwardRules(period_s=DAY_S, begin_s=0, end_s=DAY_S * 20_000))
