"""`isthmus metrics` prints what a run writes, and changes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from pipeline.cli import app
from tests.unit.metrics.conftest import deployment_of
from tests.unit.report.made_up_run import MadeUpRun

collecting = pytest.importorskip("pipeline.monitoring.collect", reason="monitoring is not part of this tree")


@pytest.fixture
def config(tmp_path: Path, made_up: MadeUpRun) -> Path:
    """A deployment file whose root holds the made-up run."""
    made_up.save()
    (tmp_path / "runs" / "latest.json").write_text(json.dumps({"run_id": made_up.run_dir.name}))
    (tmp_path / "textfile").mkdir()
    data = deployment_of(tmp_path).model_dump(mode="json", exclude_defaults=True)
    file = tmp_path / "isthmus.yaml"
    file.write_text(yaml.safe_dump(data | {"metrics": {"textfile_folder": "textfile"}}))
    return file


def test_it_prints_what_a_run_writes(config: Path, text_of: Callable[..., Any]) -> None:
    from pipeline.config.load import load_deployment
    from pipeline.metrics.follow import follow

    before = sorted(config.parent.rglob("*"))
    first = CliRunner().invoke(app, ["metrics", str(config)])
    assert first.exit_code == 0, first.output
    assert sorted(config.parent.rglob("*")) == before
    deployment = load_deployment(config)
    (folder,) = (path for path in (config.parent / "runs").iterdir() if path.is_dir())
    follow(deployment, folder, collecting.collect(folder))
    written = "".join(file.read_text() for file in (config.parent / "textfile").iterdir())
    printed = CliRunner().invoke(app, ["metrics", str(config), "--run", folder.name])
    told = text_of(printed.output)
    assert told == text_of(first.output) and len(told) > 100
    lines = {line for line in written.splitlines() if not line.startswith("#")}
    assert lines == {line for line in printed.output.splitlines() if not line.startswith("#")}


def test_other_forms_hold_the_same_series(config: Path, text_of: Callable[..., Any]) -> None:
    plain = text_of(CliRunner().invoke(app, ["metrics", str(config)]).output)
    other = CliRunner().invoke(app, ["metrics", str(config), "--form", "openmetrics"])
    assert other.exit_code == 0 and other.output.endswith("# EOF\n")
    series = json.loads(CliRunner().invoke(app, ["metrics", str(config), "--json"]).output)
    told = {(item["metric"], frozenset(item["labels"].items())): item["value"] for item in series}
    assert told == plain


def test_a_run_that_is_not_there_is_named(config: Path) -> None:
    done = CliRunner().invoke(app, ["metrics", str(config), "--run", "never"])
    assert done.exit_code != 0 and "run 'never'" in str(done.exception)
