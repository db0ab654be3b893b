"""Every claim of the threat model names a test that exists, and every link leads somewhere."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "threat-model.md"
_TEST = re.compile(r"`([\w/]+\.py)::(\w+)`")
_LINK = re.compile(r"\]\(([^)#]+)\)")


def named_tests() -> list[tuple[str, str]]:
    return sorted(set(_TEST.findall(PAGE.read_text())))


@pytest.mark.parametrize(("file", "name"), named_tests())
def test_a_named_test_exists(file, name):
    path = ROOT / "tests" / file
    assert path.is_file(), file
    found = {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}
    assert name in found, f"{file} has no {name}"


def test_every_link_leads_to_a_file():
    for target in _LINK.findall(PAGE.read_text()):
        assert (PAGE.parent / target).exists(), target


def test_every_row_of_a_table_that_makes_a_claim_names_a_test_or_a_page():
    in_table = False
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        in_table = bool(cells) and (in_table or cells[-1] == "Test")
        if in_table and cells[-1] != "Test" and set(cells[-1]) - set("- "):
            assert _TEST.search(cells[-1]) or _LINK.search(cells[-1]), line
    assert len(named_tests()) > 30
