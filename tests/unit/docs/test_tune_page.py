"""The page on the search names tests, options, keys and numbers that the code has."""

from __future__ import annotations

import re
from typing import get_args

import typer
import yaml

from components.dataset import DatasetConfig, FeatureConfig
from components.synthesizer_trainer.config import SynthesizerTrainerConfig
from components.tuner.config import _NOT_SEARCHED, DEFAULT_SPACE, read_space
from components.tuner.core import choosing, dividing, scoring, study
from pipeline import tuning, tuning_records
from pipeline.cli import app
from tests.support.doc_pages import ROOT, named_tests_exist

PAGE = (ROOT / "docs" / "tune.md").read_text()


def part(title: str) -> str:
    return PAGE.split(f"## {title}\n")[1].split("\n## ")[0]


def test_every_test_and_link_exists() -> None:
    named_tests_exist(PAGE)
    for target in re.findall(r"\]\(([^)#]+)", PAGE):
        assert (ROOT / "docs" / target).is_file(), target


def test_every_option_exists_and_is_told() -> None:
    command = typer.main.get_command(app).commands["tune"]
    known = {name for item in command.params for name in item.opts}
    used = {word for call in re.findall(r"isthmus tune ([^\n#]*)", PAGE) for word in call.split()}
    assert {word for word in used if word.startswith("-")} <= known
    for name in known - {"config", "--output", "--locale"}:
        assert name in PAGE, name


def test_measures_bounds_and_defaults_are_those_of_the_code() -> None:
    compared = part("What is compared")
    assert all(f"`{name}`" in compared for name in (*scoring.MEASURES, scoring.MEMBERSHIP))
    assert f"excess is above {scoring.MAX_EXCESS:g}:" in compared and dividing.JUDGED == 0.25
    options = tuning.Options()
    assert f"(`--repeats`, {options.repeats})" in part("Noise") and f"# {options.minutes:g} minutes" in PAGE
    assert f"a gain at {choosing.LEVEL:.0%}".replace("%", " %") in part("Noise")
    assert choosing.MIN_PAIRS == 2
    output = part("Output")
    assert all(f"`{name}`" in output for name in (*get_args(study.Kind), *tuning_records.RESULTS))


def test_the_space_is_the_codes_and_the_example_is_read() -> None:
    told = part("Space")
    for name in (*DEFAULT_SPACE, *_NOT_SEARCHED):
        assert f"`{name}`" in told, name
    dataset = DatasetConfig(features=(FeatureConfig(name="a"),), targets=("a",), interval_s=60)
    given = yaml.safe_load(told.split("```yaml\n")[1].split("```")[0])
    assert list(read_space(given, SynthesizerTrainerConfig(dataset=dataset), "page")) == list(given)
