"""The page on data quality and fairness names tests that exist, valid examples and every policy."""

from __future__ import annotations

import re

import yaml

from components.data_quality.config import ALLOWED, ImputationConfig, QualityConfig
from components.fairness.config import FairnessConfig
from tests.support.doc_pages import ROOT, named_tests_exist

PAGE = (ROOT / "docs" / "quality.md").read_text()


def test_every_test_that_is_named_exists() -> None:
    named_tests_exist(PAGE)


def test_the_examples_are_valid() -> None:
    quality, fairness = (yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.S))
    section = QualityConfig(**quality["quality"])
    # What the page says of defaults is so.
    assert section.imputation.model_copy(update={"features": {}}) == ImputationConfig()
    given = FairnessConfig(**fairness["central"]["detector"]["fairness"])
    assert (given.min_rows, given.min_events) == (FairnessConfig().min_rows, FairnessConfig().min_events)
    assert given.gate.judge_by == FairnessConfig().gate.judge_by
    assert FairnessConfig().gate.limits() == {}


def test_the_table_has_every_policy_with_the_kinds_that_it_fits() -> None:
    rows = re.findall(r"^\| (`[a-z`, ]+`) \| (all|[a-z, ]+) \|", PAGE, re.M)
    told = {name: kinds for names, kinds in rows for name in re.findall(r"`(\w+)`", names)}
    for kind, policies in ALLOWED.items():
        for policy in ALLOWED["continuous"]:
            assert (policy in policies) == (told[policy] == "all" or kind in told[policy]), (kind, policy)
