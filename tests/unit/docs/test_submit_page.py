"""The page on submit, runs and watch names every option of the three commands, and no other."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import typer

from pipeline.cli import app

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "submit.md").read_text()
_ROW = re.compile(r"^\| (`--[^|]+) \|", re.MULTILINE)
_TEST = re.compile(r"`([\w/]+\.py)::(\w+)`")


def _options(command):
    found = typer.main.get_command(app).commands[command]
    names = {name for parameter in found.params for name in parameter.opts if name.startswith("--")}
    return names - {"--help"}


def _rows(section):
    text = PAGE.split(f"\n## {section}\n")[1].split("\n## ")[0]
    return {name for row in _ROW.findall(text) for name in re.findall(r"`(--[\w-]+)`", row)}


CONNECTION = _rows("Where to, and who we are")


@pytest.mark.parametrize("command", ["submit", "runs"])
def test_every_option_is_named_and_no_other(command):
    assert _rows(command) | CONNECTION == _options(command)


def test_watch_has_what_the_page_says():
    assert _options("watch") == (CONNECTION - {"--namespace"}) | {"--timeout", "--poll", "--json"}


def test_named_files_and_tests_exist():
    for name in re.findall(r"`(tests/[\w/]+\.py)`", PAGE):
        assert (ROOT / name).is_file(), name
    for file, name in _TEST.findall(PAGE):
        tree = ast.parse((ROOT / "tests" / file).read_text())
        assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_the_pages_example_of_a_change_is_what_is_printed():
    lines = re.findall(r"^\d{4}-\d\d-\d\dT\S+Z (\S+) (\S+) (\S+)$", PAGE, re.MULTILINE)

    assert lines == [
        ("eu-west", "eu-west-onboard", "RUNNING"),
        ("eu-west", "eu-west-onboard", "SUCCEEDED"),
    ]
