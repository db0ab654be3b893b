"""The page on serving names options, routes, files and tests that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.main import get_command

from pipeline.cli import app

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "serving.md").read_text()
COMMANDS = {name: get_command(app).commands[name] for name in ("serve", "serve-manifest", "register-model")}


def test_every_option_that_is_named_is_one_of_a_command() -> None:
    known = {option for command in COMMANDS.values() for item in command.params for option in item.opts}
    named = set(re.findall(r"`(--[a-z][a-z-]+)", PAGE)) | set(re.findall(r" (--[a-z][a-z-]+) ", PAGE))
    assert len(named) > 8 and named <= known, named - known


def test_every_test_and_file_that_is_named_exists() -> None:
    for file, name in re.findall(r"`(unit/[\w/]+\.py)(?:::(\w+))?`", PAGE):
        text = (ROOT / "tests" / file).read_text()
        assert not name or f"def {name}(" in text, name
    for path in re.findall(r"`(kubeflow/[\w/]+)`", PAGE):
        assert (ROOT / path).is_dir(), path


@pytest.mark.heavy
def test_every_route_of_the_page_is_one_of_the_server() -> None:
    from types import SimpleNamespace

    from pipeline.serving.app import make_app
    from pipeline.serving.predictor import Limits

    there = {resource.canonical for resource in make_app(SimpleNamespace(limits=Limits())).router.resources()}
    named = set(re.findall(r"`(?:GET |POST )?(/[^`]*)`", PAGE)) - {"/mnt/models"}
    assert len(named) > 8
    for path in named:
        for form in (path.replace("[/versions/N]", ""), path.replace("[", "").replace("]", "")):
            found = re.sub(r"/N$|/N(?=/)", "/{version}", form.replace("NAME", "{name}"))
            assert found in there, path


def test_the_numbers_are_those_of_the_code() -> None:
    defaults = {item.opts[0]: item.default for item in COMMANDS["serve"].params}
    assert f"{defaults['--max-mb']} MiB and {defaults['--max-rows']:,}" in PAGE
    assert f"{defaults['--waiting']} wait (`--waiting`)" in PAGE
