"""The page on alerts names tests, commands, options, files and settings that exist; its example is valid."""

from __future__ import annotations

import re
from pathlib import Path

import typer
import yaml

from pipeline.cli import app
from pipeline.config.alerts import AlertsSection, DeliverySection
from pipeline.config.alerts_mail import _PORTS

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "alerts.md").read_text()


def test_every_test_and_file_that_is_named_exists() -> None:
    named = set(re.findall(r"`(\w+\.py)::(\w+)`", PAGE))
    assert len(named) >= 5
    for file, test in named:
        assert f"def {test}(" in (ROOT / "tests/unit/alerts" / file).read_text(), test
    for path in set(re.findall(r"`((?:tests|schemas)/[\w/.-]+\.\w+)`", PAGE)):
        assert (ROOT / path).exists(), path


def test_every_command_and_option_exists() -> None:
    group = typer.main.get_command(app).commands["alert"]
    calls = re.findall(r"isthmus alert (\w+)([^`\n#]*)", PAGE)
    assert {name for name, _ in calls} == set(group.commands)
    for name, rest in calls:
        known = {option for parameter in group.commands[name].params for option in parameter.opts}
        assert set(re.findall(r"--\w+", rest)) <= known, (name, rest)


def test_the_example_is_valid_and_the_words_are_those_of_the_code() -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.S)
    section = AlertsSection.model_validate(yaml.safe_load(block)["alerts"])
    assert set(section.channels) == {"chat", "hook", "mail"}
    for setting in re.findall(r"`delivery\.(\w+)`", PAGE):
        assert setting in DeliverySection.model_fields
    for mode, port in _PORTS.items():
        assert re.search(rf"{mode}\b.*{port}", PAGE), mode
    defaults = AlertsSection()
    assert f"`clear_after` spans ({defaults.clear_after})" in PAGE
    words = {2: "second", 3: "third", 4: "fourth"}
    assert f"from the {words[defaults.flapping.starts]} start within seven days" in PAGE
    assert defaults.flapping.window_h == 7 * 24 and defaults.flapping.clear_after == 3
