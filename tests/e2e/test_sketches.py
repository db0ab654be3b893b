"""Two restricted locales release noised sketches of real rows; the centre compares them, the ledger pays."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.e2e

RESTRICTED = ("eu-west", "ap-south")
#: Lenient, and real: what is judged here is the sketch.
GATE = {"metric": "exact_copy_risk_rows", "of": "value", "rule": "max", "threshold": 0.5, "reason": "a test"}
SKETCH = {
    "mode": "noised",
    "begin": "2024-03-01",
    "end": "2024-03-07",
    "noise": {"epsilon": 2, "delta": 1e-6},
}


def isthmus(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "pipeline", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=1500, check=False)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory) -> Path:
    from pipeline import starter

    config = starter.write(tmp_path_factory.mktemp("sketches") / "fleet", seed=7, size="small")
    data = yaml.safe_load(config.read_text())
    for locale in data["locales"]:
        if locale["sharing"] == "restricted":
            locale["privacy"] = {
                "gate": {"checks": [GATE]},
                "target_epsilon": 4,
                "target_delta": 1e-6,
                "budget": {"epsilon": 6, "delta": 1e-6, "unit": "record"},
            }
            period = {"start": "2024-03-01T00:00:00Z", "end": "2024-03-07T00:00:00Z"}
            kinds = ["heater_loss", "oscillation", "ramp", "spike", "stuck", "dropout"]
            locale["synthesizer"] = {"method": "dp_linear", "dp": {"period": period, "kinds": kinds}}
            locale["egress"] = {"sketch": SKETCH}
    data.pop("synthesizer")
    data["central"]["ideal"] = False
    data["metrics"] = {"textfile_folder": "metrics"}
    (config.parent / "metrics").mkdir()
    config.write_text(yaml.safe_dump(data, sort_keys=False))
    return config


def latest(fleet: Path) -> Path:
    root = fleet.parent / "runs" / "runs"
    return root / json.loads((root / "latest.json").read_text())["run_id"]


def ledgers(fleet: Path) -> dict[str, Any]:
    return json.loads(isthmus("budget", fleet, "--json").stdout)


def test_real_rows_are_compared_by_what_was_paid_for_and_nothing_is_paid_twice(fleet: Path) -> None:
    first = isthmus("run", fleet)
    assert first.returncode in (0, 1), first.stdout + first.stderr
    manifests = {
        path.parts[-4]: json.loads(path.read_text())
        for path in (fleet.parent / "exchange").rglob("manifest.json")
    }
    assert set(manifests) == {*RESTRICTED, "us-east"}
    spent = ledgers(fleet)
    for name in RESTRICTED:
        assert "sketch.json" in manifests[name]["files"]
        assert {item["work"]: item["status"] for item in spent[name]["reservations"]} == {
            "model": "committed",
            "sketch": "committed",
        }
        # Both together, and not the model's four alone.
        assert 4 < spent[name]["spent"] <= manifests[name]["privacy"]["epsilon"] < 6
        assert spent[name]["releases"] == 1
    assert "sketch.json" not in manifests["us-east"]["files"]
    (central,) = [
        report
        for report in json.loads((latest(fleet) / "monitor.json").read_text())["reports"]
        if report["zone"] == "central"
    ]
    skew = [item for item in central["findings"] if item["comparison"] == "skew"]
    bases = {(item["locale"], item["against"], item["feature"]): item["basis"] for item in skew}
    for pair in (("eu-west", "us-east"), ("ap-south", "us-east"), ("ap-south", "eu-west")):
        assert bases[(*pair, "temp_c")] == "sketches" and bases[(*pair, "(all)")] == "releases"
    assert {item["verdict"] for item in skew if item["basis"] == "sketches"} & {"OK", "ALERT"}
    page = next(latest(fleet).rglob("monitor.html")).read_text()
    assert "on sketches of real rows" in page and "on what was released" in page
    metrics = "".join(path.read_text() for path in fleet.parent.rglob("*.prom"))
    (line,) = [
        x for x in metrics.splitlines() if x.startswith("isthmus_privacy_epsilon_spent") and "eu-west" in x
    ]
    assert float(line.split()[-1]) == pytest.approx(spent["eu-west"]["spent"])

    # What is cached draws no noise.
    assert isthmus("run", fleet).returncode == first.returncode
    assert ledgers(fleet) == spent
    states = json.loads((latest(fleet) / "run.json").read_text())["locales"]["eu-west"]["components"]
    assert [item["state"] for item in states if item["id"] == "SketchGen"] == ["cached"]

    # Whoever is erased is in the counts.
    (file, *_) = sorted((fleet.parent / "data" / "eu-west").rglob("*.csv"))
    with file.open(newline="") as rows:
        asset = next(csv.DictReader(rows))["asset"]
    drill = isthmus("erase", fleet, "--locale", "eu-west", "--series", asset, "--json")
    assert "/SketchGen/sketch/" in drill.stdout, drill.stdout + drill.stderr
