"""Every claim of the page on releases names a test that exists; its examples are valid."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import yaml

from components.release.manifest import Manifest
from pipeline.config.model import ExchangeSection, LocaleSection

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "releases.md"
HOSTILE = "unit/merge_gen/test_hostile_releases.py"
_TEST = re.compile(r"`([\w/]+\.py|hostile)::(\w+)`")
_LINK = re.compile(r"\]\(([^)#]+)\)")


def named() -> list[tuple[str, str]]:
    return sorted(set(_TEST.findall(PAGE.read_text())))


def functions(file: str) -> set[str]:
    path = ROOT / "tests" / file
    assert path.is_file(), file
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize(("file", "name"), named())
def test_a_named_test_exists(file, name):
    assert name in functions(HOSTILE if file == "hostile" else file), f"{file} has no {name}"


def test_enough_is_claimed_and_every_link_leads_to_a_file():
    assert len(named()) > 60
    for target in _LINK.findall(PAGE.read_text()):
        assert (PAGE.parent / target).exists(), target
    for file in re.findall(r"`(components/[\w/.-]+\.json)`", PAGE.read_text()):
        assert (ROOT / file).is_file(), file


def test_every_row_of_a_table_of_claims_names_a_test():
    in_table = False
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        in_table = bool(cells) and (in_table or cells[-1] == "Test")
        if in_table and cells[-1] != "Test" and set(cells[-1]) - set("- "):
            assert _TEST.search(cells[-1]), line


def test_the_table_names_every_field_of_the_manifest():
    table = PAGE.read_text().split("## 2.")[1].split("**Canonical form.**")[0]
    assert set(re.findall(r"`([a-z_]+)`", table)) >= set(Manifest.model_fields)


def test_the_configurations_on_the_page_are_valid():
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.S)]
    (locale,) = next(block["locales"] for block in blocks if "locales" in block)
    found = LocaleSection.model_validate({**locale, "sharing": "open", "source": {"pattern": "x.csv"}})
    assert len(found.trusted_key) == 2 and found.trusted_key[0].not_after.year == 2027
    exchange = next(block["exchange"] for block in blocks if "exchange" in block)
    assert ExchangeSection.model_validate(exchange).storage_options.attempts == 4
