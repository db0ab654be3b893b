"""Every claim of the governance page names a test, and the test is there."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from components.governance.config import BudgetConfig, GovernanceSection, RetentionConfig

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "governance.md").read_text()


def test_every_test_that_is_named_exists() -> None:
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE)
    assert len(named) > 40
    for file, name in named:
        path = ROOT / file if "/" in file else Path(__file__).parent / file
        assert re.search(rf"^(def {name}\(|{name} = )", path.read_text(), re.MULTILINE), f"{file}::{name}"


def test_the_configurations_on_the_page_are_valid() -> None:
    found = {}
    for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL):
        data = yaml.safe_load(block)
        locale = data["locales"][0] if "locales" in data else data
        found.update(locale)
    BudgetConfig.model_validate(found["privacy"]["budget"])
    GovernanceSection.model_validate(found["governance"])
    RetentionConfig.model_validate(found["retention"])
