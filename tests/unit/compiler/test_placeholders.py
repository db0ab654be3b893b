"""Placeholders: what is marked is filled again to the same value and the same bytes, whatever it holds."""

from __future__ import annotations

import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from components.config_base import canonical_json
from components.errors import InternalError
from pipeline.compiler.placeholders import fill, fill_own, mark, names, unify

SENTINELS = {1_987_654_321: "seed", "isthmus-parameter-exchange": "exchange"}
VALUES = {"seed": 7, "exchange": "s3://exchange"}

KEYS = st.text(max_size=5) | st.sampled_from(["$", "$json", "$$", "$$json", "own-0", "$x"])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(["[NaN]", '{"a":1}', '{"b":2, "a":1}', "{", "[1.0]", '{"$":"seed"}', '["$"]'])
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)


def free_of_sentinels(value):
    return not any(str(sentinel) in canonical_json(value) for sentinel in SENTINELS)


@given(JSON)
def test_what_is_marked_is_filled_again(value):
    assume(free_of_sentinels(value))
    marked = mark(value, SENTINELS)
    assert names(marked) == set()
    assert canonical_json(fill(marked, {})) == canonical_json(value)


@given(JSON)
def test_a_configuration_keeps_its_bytes(value):
    """Every component's `config` is a canonical JSON text."""
    assume(free_of_sentinels(value))
    text = canonical_json({"a": value, "b": 1})
    marked = mark({"config": text}, SENTINELS)
    assert fill(json.loads(canonical_json(marked)), {}) == {"config": text}


def test_where_sentinels_stand():
    properties = {
        "seed": 1_987_654_321,
        "uri": "isthmus-parameter-exchange",
        "config": '{"list":[1987654321],"text":"isthmus-parameter-exchange"}',
        "inner": canonical_json({"config": '["isthmus-parameter-exchange"]'}),
        "part": "isthmus-parameter-exchange/more",
        "flag": True,
    }
    marked = mark(properties, SENTINELS)
    assert marked == {
        "seed": {"$": "seed"},
        "uri": {"$": "exchange"},
        "config": {"$json": {"list": [{"$": "seed"}], "text": {"$": "exchange"}}},
        "inner": {"$json": {"config": {"$json": [{"$": "exchange"}]}}},
        "part": "isthmus-parameter-exchange/more",
        "flag": True,
    }
    assert names(marked) == {"seed", "exchange"}
    assert fill(marked, VALUES) == {
        "seed": 7,
        "uri": "s3://exchange",
        "config": '{"list":[7],"text":"s3://exchange"}',
        "inner": canonical_json({"config": '["s3://exchange"]'}),
        "part": "isthmus-parameter-exchange/more",
        "flag": True,
    }


@pytest.mark.parametrize("value", [{"$": "seed"}, {"$json": {"a": 1}}, {"$$": {"$": 1}}, {"$": {"$": 1}}])
def test_a_configurations_own_dollar_is_no_placeholder(value):
    """A column may be called `$`."""
    marked = mark(value, SENTINELS)
    assert names(marked) == set()
    assert fill(marked, VALUES) == value


def test_a_parameter_that_was_not_given():
    with pytest.raises(InternalError, match="was not given its parameter 'span'"):
        fill({"a": [{"$": "span"}]}, VALUES)


def test_what_is_filled_in_is_not_read_again():
    assert fill({"$": "exchange"}, {"exchange": {"$": "seed"}}) == {"$": "seed"}
    assert fill_own({"$": "own-0"}, {"own-0": {"$": "own-0"}}) == {"$": "own-0"}


@given(st.lists(JSON, min_size=1, max_size=4))
def test_each_gets_its_own_again(values):
    values = [mark(value, SENTINELS) for value in values]
    template, own = unify(values)
    assert [canonical_json(fill_own(template, mine)) for mine in own] == [
        canonical_json(value) for value in values
    ]


def test_only_what_differs_is_a_regions_own():
    values = [
        {"name": name, "again": name, "limit": limit, "list": [1, {"x": name}], "key": {"$": "seed"}}
        for name, limit in (("a", 1), ("b", 1.0), ("c", True))
    ]
    template, own = unify(values)
    assert template == {
        "again": {"$": "own-0"},
        "key": {"$": "seed"},
        "limit": {"$": "own-1"},
        "list": [1, {"x": {"$": "own-0"}}],
        "name": {"$": "own-0"},
    }
    assert [canonical_json(mine) for mine in own] == [
        '{"own-0":"a","own-1":1}',
        '{"own-0":"b","own-1":1.0}',
        '{"own-0":"c","own-1":true}',
    ]


def test_other_shapes_are_whole():
    template, own = unify([{"a": {"x": 1}, "b": [1]}, {"a": {"y": 1}, "b": [1, 2]}])
    assert template == {"a": {"$": "own-0"}, "b": {"$": "own-1"}}
    assert own == [{"own-0": {"x": 1}, "own-1": [1]}, {"own-0": {"y": 1}, "own-1": [1, 2]}]
    template, own = unify([{"a": {"$": "seed"}}, {"a": {"$": "span"}}])
    assert template == {"a": {"$": "own-0"}} and own[1] == {"own-0": {"$": "span"}}
