"""The spec as text: what was written is read again, by Python and by Go."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pipeline.compiler.text import to_text

# YAML takes neither control characters nor halves of surrogate pairs; NEL and its like count as line ends.
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=20)
SCALARS = st.none() | st.booleans() | st.integers() | TEXT
DATA = st.dictionaries(
    TEXT,
    st.recursive(
        SCALARS,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
        max_leaves=20,
    ),
    min_size=1,
    max_size=4,
)


def text_of(pipeline, platform=None):
    return to_text(SimpleNamespace(name="x", pipeline=pipeline, platform=platform or {"a": 1}))


@given(DATA, DATA)
def test_both_documents_are_read_again(pipeline, platform):
    assert list(yaml.safe_load_all(text_of(pipeline, platform))) == [pipeline, platform]


def test_the_order_of_keys_says_nothing():
    one = text_of({"b": 1, "a": [1, 2]}, {"d": 1, "c": {"f": 1, "e": 2}})
    other = text_of({"a": [1, 2], "b": 1}, {"c": {"e": 2, "f": 1}, "d": 1})
    assert one == other and one.startswith("# Kubeflow Pipelines v2")


def test_what_is_used_twice_is_written_twice():
    shared = {"a": [1]}
    text = text_of({"one": shared, "two": shared}, {"three": shared})
    assert "&" not in text and "*" not in text


@pytest.mark.parametrize(
    "text", ["1e3", "1E-3", "12e03", "0o17", "0x1F", "0b1", "1_000", "y", "Y", "n", "N", "+1", "-1.5e3", ".5"]
)
def test_texts_that_go_would_take_for_numbers_or_truth_are_quoted(text):
    written = text_of({"zone": text, text: 1})
    assert f"zone: '{text}'" in written and f"'{text}': 1" in written


def test_plain_texts_are_not_quoted():
    written = text_of({"a": "eu-west", "b": "registry.example", "c": "2.1.0"})
    assert "a: eu-west\nb: registry.example\nc: 2.1.0\n" in written or (
        "{a: eu-west, b: registry.example, c: 2.1.0}" in written
    )


def test_short_mappings_stand_on_one_line_and_long_ones_do_not():
    written = text_of({"outer": {"short": {"a": 1, "b": [2]}, "long": {"a": "x" * 200}}})
    assert "  short: {a: 1, b: [2]}\n" in written
    assert "  long:\n    a: x" in written
