"""The examples run as they stand; the real-data ones where the data set is at hand."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.e2e

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("name", sorted(p.name for p in EXAMPLES.glob("*.yaml")))
def test_an_example_is_valid(name):
    from pipeline.config.load import load_deployment

    assert load_deployment(EXAMPLES / name).locales


@pytest.mark.parametrize("name", ["smap_freeze", "smap_stuck"])
def test_a_real_data_example_runs_end_to_end(name, tmp_path):
    """Results are what they are; that it runs, releases and judges is what is asserted."""
    text = (EXAMPLES / f"{name}.yaml").read_text()
    data = EXAMPLES.parents[1] / "shared" / "data" / "smap" / name
    if not data.exists():
        pytest.skip(f"the SMAP data set is not at hand ({data.name})")
    (tmp_path / "examples").mkdir()
    shutil.copytree(data, tmp_path.parent / "shared" / "data" / "smap" / name, dirs_exist_ok=True)
    config = tmp_path / "examples" / f"{name}.yaml"
    config.write_text(text)
    locales = yaml.safe_load(text)["locales"]
    command = [sys.executable, "-m", "pipeline", "run", str(config), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=800, check=False)
    assert done.returncode in (0, 1), done.stderr
    state = json.loads(done.stdout)
    assert {section["status"] for section in state["locales"].values()} == {"succeeded"}
    assert state["central"]["status"] == "succeeded"
    manifests = list((tmp_path / "runs" / name / "exchange").rglob("manifest.json"))
    released = {json.loads(file.read_text())["locale"] for file in manifests}
    assert released == {locale["name"] for locale in locales}
