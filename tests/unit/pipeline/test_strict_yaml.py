"""A key that is given twice is refused, wherever it stands."""

from __future__ import annotations

import pytest
import yaml

from components.strict_yaml import StrictLoader


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\nb: 2\na: 3\n", 2),
        ("- x\n- {a: 1,\n   a: 2}\n", 2),
        ("a: {b: [{c: 1,\n c: 1}]}\n", 1),
    ],
)
def test_the_second_of_two_equal_keys_is_named_with_its_line(text, line):
    with pytest.raises(yaml.YAMLError, match="given twice") as caught:
        yaml.load(text, Loader=StrictLoader)
    assert caught.value.problem_mark.line == line


def test_other_keys_are_as_pyyaml_reads_them():
    text = "base: &b {x: 1, y: 2}\nmore: {<<: *b, x: 3}\n1: one\n'1': text\n"
    assert yaml.load(text, Loader=StrictLoader) == {
        "base": {"x": 1, "y": 2}, "more": {"x": 3, "y": 2}, 1: "one", "1": "text"
    }  # fmt: skip


def test_an_anchor_within_itself_ends():
    found = yaml.load("a: &a [*a]\n", Loader=StrictLoader)
    assert found["a"][0] is found["a"]
