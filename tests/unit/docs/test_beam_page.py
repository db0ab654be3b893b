"""The page on Beam names tests, files and options that exist; its examples are valid."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from pipeline.config.beam import OPTIONS, BeamSection, WholeBeamSection
from pipeline.config.model import LocaleSection

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "beam.md").read_text()


def test_every_test_and_file_that_is_named_exists() -> None:
    named = set(re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE))
    assert len(named) >= 9
    for file, test in named:
        assert f"def {test}(" in (ROOT / "tests" / file).read_text(), test
    for path in set(re.findall(r"`(kubeflow/[\w/.-]+)`", PAGE)):
        assert (ROOT / path).exists(), path


def test_the_examples_are_valid() -> None:
    direct, flink = (yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.S))
    assert "--direct_num_workers=4" in BeamSection(**direct["beam"]).pipeline_args()
    own = flink["locales"][0]["beam"]
    assert "beam" in LocaleSection.model_fields
    assert "--runner=FlinkRunner" in WholeBeamSection(**{**flink["beam"], **own}).pipeline_args()


def test_the_table_has_every_option_of_every_profile() -> None:
    rows = re.findall(r"^\| (`?[a-z`, ]+`?) \| (.*) \|$", PAGE.split("## Profiles")[1].split("## ")[0], re.M)
    for profile, options in OPTIONS.items():
        told = " ".join(text for names, text in rows if f"`{profile}`" in names or names == "all")
        assert set(options) <= set(re.findall(r"`(\w+)`", told)), profile
