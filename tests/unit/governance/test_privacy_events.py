"""The typed form of privacy costs: exact round trips, and refusals with their text."""

from __future__ import annotations

import json

import dp_accounting as dp
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import DataError, InternalError
from components.governance.core import events

multipliers = st.floats(0.3, 50)
leaves = st.one_of(
    multipliers.map(lambda x: events.Gaussian(noise_multiplier=x)),
    multipliers.map(lambda x: events.Laplace(noise_multiplier=x)),
    st.builds(
        lambda p, x: events.PoissonSampled(sampling_probability=p, event=events.Gaussian(noise_multiplier=x)),
        st.floats(0.001, 1),
        multipliers,
    ),
    st.just(events.NonPrivate()),
)
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(lambda e, n: events.SelfComposed(event=e, count=n), inner, st.integers(1, 1000)),
        st.lists(inner, max_size=3).map(events.compose),
    ),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None)
@given(st.lists(trees, max_size=3))
def test_a_cost_survives_json_and_dp_accounting(found: list[events.Event]) -> None:
    cost = events.PrivacyCost(unit="record", events=tuple(found))
    again = events.parse_cost(cost.to_exec_property().encode(), "cost")
    assert again == cost
    assert [events.from_dp_event(events.to_dp_event(event)) for event in again.events] == found


def test_the_form_in_the_docstring_is_the_form_that_is_read() -> None:
    text = events.__doc__.split("can read:\n\n")[1].split("\n\nSource")[0]
    cost = events.parse_cost(text.encode(), "docstring")
    assert cost.events[0] == events.Gaussian(noise_multiplier=4.0)
    assert cost.events[1].count == 10
    assert cost.is_private


def test_events_become_the_events_of_dp_accounting() -> None:
    event = events.SelfComposed(
        event=events.PoissonSampled(sampling_probability=0.01, event=events.Gaussian(noise_multiplier=1.1)),
        count=7,
    )
    expected = dp.SelfComposedDpEvent(dp.PoissonSampledDpEvent(0.01, dp.GaussianDpEvent(1.1)), 7)
    assert events.to_dp_event(event) == expected


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"version": 2}, "version"),
        ({"unit": "person"}, "unit"),
        ({"events": [{"kind": "gaussian", "noise_multiplier": 0}]}, "noise_multiplier"),
        ({"events": [{"kind": "gaussian", "noise_multiplier": float("nan")}]}, "not a privacy cost"),
        ({"events": [{"kind": "pickle", "data": "gASV"}]}, "events.0"),
        ({"events": [{"kind": "laplace", "noise_multiplier": 1.0, "more": 1}]}, "more"),
        ({"time_range": {"start_us": 5, "end_us": 5}}, "is not before"),
        ({"events": [{"kind": "poisson_sampled", "sampling_probability": 0.5,
                      "event": {"kind": "non_private"}}]}, "events.0"),
    ],
)  # fmt: skip
def test_what_is_no_cost_is_refused(change: dict, word: str) -> None:
    fields = {"format": "isthmus-privacy-cost", "version": 1, "unit": "record", "events": []}
    with pytest.raises(DataError, match=word) as caught:
        events.parse_cost(json.dumps({**fields, **change}).encode(), "model/privacy_cost.json")
    assert str(caught.value).startswith("model/privacy_cost.json: not a privacy cost")
    assert "\n" not in str(caught.value)


def test_a_deeply_nested_or_huge_cost_is_refused_and_does_not_crash() -> None:
    deep = '{"kind":"self_composed","count":1,"event":' * 3000 + '{"kind":"non_private"}' + "}" * 3000
    text = f'{{"unit":"record","events":[{deep}]}}'
    with pytest.raises(DataError, match="not a privacy cost"):
        events.parse_cost(text.encode(), "cost")
    with pytest.raises(DataError, match="larger than"):
        events.parse_cost(b" " * (events.MAX_COST_BYTES + 1), "cost")


def test_an_event_that_the_form_cannot_say_is_named() -> None:
    with pytest.raises(InternalError, match="ZCDpEvent has no form"):
        events.from_dp_event(dp.ComposedDpEvent([dp.ZCDpEvent(0.5)]))
    with pytest.raises(InternalError, match="PoissonSampledDpEvent has no form"):
        events.from_dp_event(dp.PoissonSampledDpEvent(0.1, dp.ComposedDpEvent([])))
    with pytest.raises(InternalError, match="GaussianDpEvent: Input should be greater than 0"):
        events.from_dp_event(dp.GaussianDpEvent(0.0))


def test_a_non_private_event_is_found_however_deep() -> None:
    hidden = events.SelfComposed(event=events.compose([events.NonPrivate()]), count=2)
    assert not events.PrivacyCost(unit="series", events=(hidden,)).is_private
    assert not events.PrivacyCost.non_private("record").is_private
    with pytest.raises(pydantic.ValidationError):
        events.PrivacyCost(unit="record", events=(), extra=1)
