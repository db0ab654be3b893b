"""Two spans of a locale through the command line, the second with a fault of the data path."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.e2e

#: Half of the temperatures come in kelvin.
FAULT = {
    "kind": "unit_change",
    "locale": "eu-west",
    "span": 1,
    "column": "temp_c",
    "begin": 0.5,
    "end": 1.0,
    "unit": (1.0, 273.15),
}


def isthmus(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipeline", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def run_span(config: Path, span: int) -> tuple[int, dict[str, Any], Path]:
    """Onboards a span; returns exit status, what `monitor.json` of the run says, and the run's folder."""
    data = yaml.safe_load(config.read_text())
    for locale in data["locales"]:
        locale["span"] = span
    config.write_text(yaml.safe_dump(data, sort_keys=False))
    done = isthmus("run", config, "--stage", "onboard", "--locale", "eu-west")
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    root = config.parent / "runs" / "runs"
    folder = root / json.loads((root / "latest.json").read_text())["run_id"]
    return done.returncode, json.loads((folder / "monitor.json").read_text()), folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[int, dict[str, Any], Path]]:
    from components.simulator.config import FaultConfig
    from components.simulator.core.fleet import simulate_fleet
    from components.simulator.presets import default_fleet
    from pipeline import starter

    folder = tmp_path_factory.mktemp("monitoring") / "fleet"
    fleet = default_fleet("small", seed=7)
    quiet = [locale.model_copy(update={"events": {}}) for locale in fleet.locales]
    fleet = fleet.model_copy(update={"locales": tuple(quiet), "faults": (FaultConfig(**FAULT),)})
    config = folder / "isthmus.yaml"
    simulate_fleet(fleet, folder / "data", spans=2)
    config.write_text(starter.render(fleet, config.name, "fleet", 7))
    return [run_span(config, span) for span in (0, 1)]


def findings(monitor: dict[str, Any]) -> list[dict[str, Any]]:
    (report,) = monitor["reports"]
    assert report["zone"] == "eu-west"
    return report["findings"]


def test_a_first_span_says_that_it_has_no_baseline(runs):
    status, monitor, _ = runs[0]
    assert status == 0
    (report,) = monitor["reports"]
    assert (report["status"], report["reason"]) == ("NOT_EVALUATED", "there is no earlier span")
    assert [item["verdict"] for item in findings(monitor)] == ["UNDEFINED"]
    assert set(monitor["missing"]) == {"us-east", "ap-south", "central"}


def test_the_fault_is_named_with_locale_feature_time_and_cause_though_the_span_is_refused(runs):
    status, monitor, _ = runs[1]
    assert status == 1, "ExampleValidator refuses temperatures that no plant has"
    (alert,) = [item for item in findings(monitor) if item["feature"] == "temp_c"]
    assert (alert["verdict"], alert["locale"], alert["span"]) == ("ALERT", "eu-west", 1)
    assert (alert["against"], alert["baseline"]) == ("span 0", "previous")
    assert alert["cause"]["name"] == "unit_change"
    # Six days from 1 March 2024: span 1 begins on the 7th, and its middle is the 10th, at the locale's time.
    assert alert["cause"]["begin"][:10] in ("2024-03-09", "2024-03-10")
    others = {item["feature"]: item for item in findings(monitor) if item["feature"] != "temp_c"}
    assert not [name for name, item in others.items() if (item["cause"] or {}).get("name") == "unit_change"]


def test_what_the_run_says_of_a_restricted_locale_is_what_may_leave_it(runs):
    _, monitor, folder = runs[1]
    assert all(item.get("distribution") is None for item in findings(monitor))
    (state,) = [json.loads((folder / "run.json").read_text())["locales"]["eu-west"]]
    (component,) = [item for item in state["components"] if item["id"] == "DriftMonitor"]
    own = json.loads((Path(component["outputs"]["monitor"]) / "monitor.json").read_text())
    assert any(item["distribution"] for item in own["findings"])
    assert all(
        item["n"] % 10 == 0 for found in findings(monitor) for item in found["measurements"] if item["n"]
    )
