"""A locale with a differentially private synthesizer and a budget, run as a user runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.e2e

WHERE = ("--locale", "eu-west")
#: Lenient, and real: what is judged here is the budget.
GATE = {
    "metric": "exact_copy_risk_rows",
    "of": "value",
    "rule": "max",
    "threshold": 0.5,
    "reason": "a test",
}


def isthmus(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "pipeline", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory) -> Path:
    from pipeline import starter

    config = starter.write(tmp_path_factory.mktemp("budget") / "fleet", seed=7, size="small")
    data = yaml.safe_load(config.read_text())
    (locale,) = [locale for locale in data["locales"] if locale["name"] == "eu-west"]
    locale["privacy"] = {
        "gate": {"checks": [GATE]},
        "target_epsilon": 2,
        "target_delta": 1e-6,
        # Two of them compose to about 2.9.
        "budget": {"epsilon": 3, "delta": 1e-6, "unit": "record", "cadence": "monthly"},
    }
    period = {"start": "2024-03-01T00:00:00Z", "end": "2024-03-07T00:00:00Z"}
    kinds = ["heater_loss", "oscillation", "ramp", "spike"]
    locale["synthesizer"] = {"method": "dp_linear", "dp": {"period": period, "kinds": kinds}}
    data.pop("synthesizer")
    config.write_text(yaml.safe_dump(data, sort_keys=False))
    return config


def latest(fleet: Path) -> Path:
    root = fleet.parent / "runs" / "runs"
    return root / json.loads((root / "latest.json").read_text())["run_id"]


def last_push(fleet: Path) -> tuple[dict, dict]:
    components = json.loads((latest(fleet) / "run.json").read_text())["locales"]["eu-west"]["components"]
    (pusher,) = [component for component in components if component["id"] == "Pusher"]
    return pusher, json.loads((Path(pusher["outputs"]["pushed"]) / "push.json").read_text())


def test_two_models_fit_the_third_is_refused_and_nothing_is_paid_for_twice(fleet: Path) -> None:
    first = isthmus("run", fleet, *WHERE)
    assert first.returncode == 0, first.stdout + first.stderr
    budget = json.loads(isthmus("budget", fleet, "--json").stdout)["eu-west"]
    assert (budget["releases"], budget["reserved"], budget["releases_left"]) == (1, 0, 1)
    assert budget["spent"] == budget["counted"] == pytest.approx(2, rel=1e-3)

    # A cached run pays nothing.
    assert isthmus("run", fleet, *WHERE).returncode == 0
    assert json.loads(isthmus("budget", fleet, "--json").stdout)["eu-west"]["spent"] == budget["spent"]

    # Other settings make another model of the same rows.
    data = yaml.safe_load(fleet.read_text())
    (locale,) = [locale for locale in data["locales"] if locale["name"] == "eu-west"]
    for harmonics, status in ((2, 0), (1, 1)):
        locale["synthesizer"]["dp"]["harmonics"] = harmonics
        fleet.write_text(yaml.safe_dump(data, sort_keys=False))
        run = isthmus("run", fleet, *WHERE)
        assert run.returncode == status, run.stdout + run.stderr
    assert "the budget is 3. Nothing was trained;" in run.stdout
    assert "exit status 1: a verdict was negative: eu-west would exceed its privacy budget" in run.stdout
    after = json.loads(isthmus("budget", fleet, "--json").stdout)["eu-west"]
    assert (after["releases"], after["reserved"], after["refused"], after["releases_left"]) == (2, 0, 1, 0)
    manifests = list((fleet.parent / "exchange" / "eu-west").rglob("manifest.json"))
    assert len(manifests) == 2
    assert {json.loads(path.read_text())["privacy"]["epsilon"] for path in manifests} == {2}

    # The first settings again: their release, cached long ago, has to become the newest, at no cost.
    del locale["synthesizer"]["dp"]["harmonics"]
    fleet.write_text(yaml.safe_dump(data, sort_keys=False))
    for state in ("executed", "cached"):
        back = isthmus("run", fleet, *WHERE)
        assert back.returncode == 0, back.stdout + back.stderr
        pusher, push = last_push(fleet)
        assert (pusher["state"], push["sequence"], push["outcome"]) == (state, 3, "published")
    releases = sorted(path.parent.name for path in (fleet.parent / "exchange").rglob("manifest.json"))
    assert [name.split("-")[0] for name in releases] == ["1", "2", "3"]
    assert releases[0].split("-")[1] == releases[2].split("-")[1] == push["release_id"]
    assert json.loads(isthmus("budget", fleet, "--json").stdout)["eu-west"] == after
    report = json.loads((latest(fleet) / "report.json").read_text())
    (shown,) = [item["budget"]["content"] for item in report["locales"] if item["locale"] == "eu-west"]
    assert shown == {key: after[key] for key in shown}
    assert isthmus("audit", fleet).returncode == 0
