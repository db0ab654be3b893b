"""Names in a compiled spec: slugs, unique, never too long, the same in every compilation."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.compiler.names import MAX_LENGTH, Names

LOCALE = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9_-]{0,46}[A-Za-z0-9])?", fullmatch=True)


@given(st.lists(st.tuples(LOCALE, st.sampled_from(["push", "resolve", "a"])), unique=True, max_size=20))
def test_names_are_slugs_and_each_is_given_once(parts):
    names, again = Names(reserved=("root",)), Names(reserved=("root",))
    found = [names.take(*one) for one in parts]
    assert len({*found, "root"}) == len(parts) + 1
    assert all(re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", name) for name in found)
    assert all(len(name) <= MAX_LENGTH for name in found)
    assert found == [again.take(*one) for one in parts]


def test_a_plain_name_stays():
    assert Names().take("pt-BR", "push") == "pt-br-push"


def test_what_is_taken_or_too_long_ends_in_a_digest():
    names = Names(reserved=("regions",))
    assert re.fullmatch(r"regions-[0-9a-f]{8}", names.take("regions"))
    assert names.take("a", "push") == "a-push"
    assert re.fullmatch(r"a-push-[0-9a-f]{8}", names.take("a-push"))
    long = names.take("x" * 48, "examplevalidator-and-more")
    assert len(long) == MAX_LENGTH and re.search(r"-[0-9a-f]{8}$", long)


@pytest.mark.parametrize("name", ["in", "NOT", "true", "a-driver", "contains"])
def test_words_of_argos_conditions_and_names_of_drivers(name):
    """A region may be India's: a task called `in` would break the condition that Argo makes of it."""
    assert re.fullmatch(rf"{name.lower()}-[0-9a-f]{{8}}", Names().take(name))
    assert Names().take(name, "push") == f"{name.lower()}-push"


def test_no_name_begins_with_a_digit():
    assert Names().take("3com", "push") == "n-3com-push"


def test_hyphens_do_not_pile_up_before_the_digest():
    name = Names().take("x" * 53, "a-b", "c" * 20)
    assert re.fullmatch(r"x{53}-[0-9a-f]{8}", name)
