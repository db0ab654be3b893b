"""A locale with differentially private synthesizers and a budget, run as a user runs it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from components.governance.core.accounting import spent_epsilon
from components.governance.core.events import COST_FILE, SelfComposed, parse_cost
from components.synthesizer_trainer.core.dp.kept import FILE as CHECKPOINT

pytestmark = pytest.mark.e2e

WHERE = ("--locale", "eu-west")
#: Of the private GAN's critic.
STEPS = 300
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


def killed_in_training(fleet: Path, step: int) -> int:
    """Starts a run, and kills all of it at this step of the critic's checkpoint or later; says which."""
    checkpoints = fleet.parent / "runs" / "eu-west" / "artifacts" / "SynthesizerTrainer" / "checkpoints"
    command = [sys.executable, "-m", "pipeline", "run", str(fleet), *WHERE]
    run = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL)
    try:
        while run.poll() is None:
            for path in checkpoints.glob(f"*/{CHECKPOINT}"):
                with np.load(path, allow_pickle=False) as found:
                    at = int(found["state/step"]) if "state/step" in found.files else 0
                if at >= step:
                    return at
            time.sleep(0.05)
    finally:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
        run.wait()
    raise AssertionError(f"the run ended before step {step}, with exit status {run.returncode}")


def latest_release(fleet: Path) -> Path:
    manifests = (fleet.parent / "exchange" / "eu-west").rglob("manifest.json")
    return max((path.parent for path in manifests), key=lambda folder: int(folder.name.split("-")[0]))


def budget_of(fleet: Path) -> dict:
    return json.loads(isthmus("budget", fleet, "--json").stdout)["eu-west"]


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
    budget = budget_of(fleet)
    assert (budget["releases"], budget["reserved"], budget["releases_left"]) == (1, 0, 1)
    assert budget["spent"] == budget["counted"] == pytest.approx(2, rel=1e-3)

    # A cached run pays nothing.
    assert isthmus("run", fleet, *WHERE).returncode == 0
    assert budget_of(fleet)["spent"] == budget["spent"]

    # The private GAN makes another model of the same rows; its training is killed, and goes on.
    data = yaml.safe_load(fleet.read_text())
    (locale,) = [locale for locale in data["locales"] if locale["name"] == "eu-west"]
    linear = locale["synthesizer"]
    private = {**linear["dp"], "critic": {"steps": STEPS}}
    locale["synthesizer"] = {"method": "dp_gan", "evaluate_every": 20, "dp": private}
    fleet.write_text(yaml.safe_dump(data, sort_keys=False))
    step = killed_in_training(fleet, 60)
    killed = budget_of(fleet)
    assert (killed["releases"], killed["reserved"], killed["releases_left"]) == (1, 1, 0)
    run = isthmus("run", fleet, *WHERE)
    assert run.returncode == 0, run.stdout + run.stderr
    paid = budget_of(fleet)
    assert (paid["releases"], paid["reserved"]) == (2, 0)
    assert 2.5 < paid["spent"] == paid["counted"] == killed["counted"] <= 3
    check_the_statement(fleet, step)

    # Other settings, another model: it does not fit.
    private["harmonics"] = 1
    fleet.write_text(yaml.safe_dump(data, sort_keys=False))
    run = isthmus("run", fleet, *WHERE)
    assert run.returncode == 1, run.stdout + run.stderr
    assert "the budget is 3. Nothing was trained;" in run.stdout
    assert "exit status 1: a verdict was negative: eu-west would exceed its privacy budget" in run.stdout
    manifests = list((fleet.parent / "exchange" / "eu-west").rglob("manifest.json"))
    assert len(manifests) == 2
    assert {json.loads(path.read_text())["privacy"]["epsilon"] for path in manifests} == {2}

    # The first settings again: their release, cached long ago, has to become the newest, at no cost.
    locale["synthesizer"] = linear
    fleet.write_text(yaml.safe_dump(data, sort_keys=False))
    after = budget_of(fleet)
    assert (after["releases"], after["reserved"], after["refused"], after["releases_left"]) == (2, 0, 1, 0)
    assert after["spent"] == paid["spent"]
    for state in ("executed", "cached"):
        back = isthmus("run", fleet, *WHERE)
        assert back.returncode == 0, back.stdout + back.stderr
        pusher, push = last_push(fleet)
        assert (pusher["state"], push["sequence"], push["outcome"]) == (state, 3, "published")
    releases = sorted(path.parent.name for path in (fleet.parent / "exchange").rglob("manifest.json"))
    assert [name.split("-")[0] for name in releases] == ["1", "2", "3"]
    assert releases[0].split("-")[1] == releases[2].split("-")[1] == push["release_id"]
    assert budget_of(fleet) == after
    report = json.loads((latest(fleet) / "report.json").read_text())
    (shown,) = [item["budget"]["content"] for item in report["locales"] if item["locale"] == "eu-west"]
    assert shown == {key: after[key] for key in shown}
    assert isthmus("audit", fleet).returncode == 0


def check_the_statement(fleet: Path, step: int) -> None:
    """What a private GAN's release says of itself is what its training did, which went on behind `step`."""
    region = fleet.parent / "runs" / "eu-west"
    log = (region / "logs" / f"{latest(fleet).name}.log").read_text()
    assert "the released statistics of an earlier attempt are taken up" in log
    resumed = [int(found) for found in re.findall(rf"private critic: step (\d+) of {STEPS}", log)]
    assert resumed and step < resumed[0]
    assert not list(region.rglob(CHECKPOINT))
    (folder,) = [path.parent for path in region.rglob("synthesizer.json") if "dp_gan" in path.read_text()]
    report = json.loads((folder / "synthesizer.json").read_text())
    assert report["training"] == {"steps": STEPS, "steps_paid": STEPS, "stopped": "steps"}
    cost = parse_cost((folder / COST_FILE).read_bytes(), "cost")
    sampled = [(e.count, e.event.sampling_probability) for e in cost.events if isinstance(e, SelfComposed)]
    assert sampled == [(STEPS, 0.1)] and len(cost.events) == 4
    assert 1.9 < spent_epsilon([cost], 1e-6) <= 2
    release = latest_release(fleet)
    manifest = json.loads((release / "manifest.json").read_text())["privacy"]
    assert "DP-SGD on a critic (dp_gan)" in manifest["mechanism"]
    assert (manifest["unit"], manifest["adjacency"]) == ("record", "add_or_remove_one")
    assert f"in each of {STEPS} batches with probability 0.1, independently" in manifest["sampling"]
    verified = isthmus("verify", release, "--key", fleet.parent / "keys" / "eu-west.pem.pub")
    assert verified.returncode == 0, verified.stderr
    assert f"Sampling: {manifest['sampling']}." in verified.stdout
