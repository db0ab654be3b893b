"""An erasure on a real fleet of two spans: found, refused while the source has it, taken back, made again."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.e2e

GATE = {
    "metric": "exact_copy_risk_rows",
    "of": "value",
    "rule": "max",
    "threshold": 0.2,
    "reason": "a test",
}
WHERE = ("--locale", "eu-west")
#: In the first span only, and in both.
GUEST, STAYER = "guest-pump", "eu-west-pump-02"


def isthmus(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "pipeline", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)


def edit(config: Path, span: object) -> None:
    """Sets the span of eu-west; leaves two locales and a quick detector."""
    data = yaml.safe_load(config.read_text())
    data["locales"] = [x for x in data["locales"] if x["name"] != "ap-south"]
    data["synthesizer"] |= {"max_steps": 20, "evaluate_every": 10}
    data["central"].update(quorum=2, ideal=False)
    data["central"]["detector"] = {
        "bootstrap_samples": 100,
        "classifier": {"max_iter": 30},
        "interval": {"threshold": "best_f1"},
    }
    (restricted,) = [x for x in data["locales"] if x["name"] == "eu-west"]
    restricted.update(span=span, privacy={"gate": {"checks": [GATE]}})
    config.write_text(yaml.safe_dump(data, sort_keys=False))


def sources(config: Path) -> list[Path]:
    return sorted((config.parent / "data" / "eu-west").glob("span-*/data.csv"))


@pytest.fixture(scope="module")
def fleet(tmp_path_factory) -> Path:
    from components.simulator.core.fleet import simulate_fleet
    from components.simulator.presets import default_fleet
    from pipeline import starter

    folder = tmp_path_factory.mktemp("erasure") / "fleet"
    config = starter.write(folder, seed=7, size="small")
    two_spans = folder.parent / "two"
    made = default_fleet("small", 7)
    # Three assets: when one is erased enough is left for the gate.
    wider = tuple(x.model_copy(update={"assets": 3}) for x in made.locales)
    simulate_fleet(made.model_copy(update={"locales": wider}), two_spans, spans=2)
    (folder / "data" / "eu-west").rename(folder.parent / "one")
    (two_spans / "eu-west").rename(folder / "data" / "eu-west")
    first, _ = sources(config)
    first.write_text(first.read_text().replace("eu-west-pump-01", GUEST))
    edit(config, 0)
    onboarded = isthmus("run", config, *WHERE, "--stage", "onboard")
    assert onboarded.returncode == 0, onboarded.stderr
    edit(config, "latest")
    done = isthmus("run", config)
    assert done.returncode == 0, done.stdout + done.stderr
    return config


def test_a_subject_is_found_taken_back_and_what_stood_on_it_is_made_again(fleet: Path) -> None:
    # Of the guest only the first span knew; the drift of the second was measured against it.
    guest = json.loads(isthmus("erase", fleet, *WHERE, "--series", GUEST, "--json").stdout)
    assert list(guest["sources"]) == ["span-0/data.csv"] and guest["releases"] == []
    # Both monitors' reports, since the second repeats the first's; the profile, for it has the first's bins.
    compared = sorted(Path(uri).parent.name for uri in guest["compared"])
    assert compared == ["anomalies", "drift", "monitor", "monitor", "profile"]

    refused = isthmus("erase", fleet, *WHERE, "--series", STAYER, "--apply", "--retrain", "--json")
    assert refused.returncode == 1, refused.stderr
    found = json.loads(refused.stdout)
    assert sorted(found["sources"]) == ["span-0/data.csv", "span-1/data.csv"]
    assert found["retraining"]["state"] == "left to be done" and found["retraining"]["run_id"] == ""
    (revoked,), (old,) = found["releases"], found["detectors"]
    assert revoked["outcome"] == "revoked" and found["central"]

    for file in sources(fleet):
        lines = [line for line in file.read_text().splitlines() if STAYER not in line]
        file.write_text("\n".join(lines) + "\n")
    done = isthmus("erase", fleet, *WHERE, "--series", STAYER, "--apply", "--retrain", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    again = json.loads(done.stdout)
    assert again["erasure_id"] == found["erasure_id"] and again["complete"]
    assert again["retraining"]["state"] == "done"
    (release,), (detector,) = again["retraining"]["releases"], again["retraining"]["detectors"]
    assert release["content_digest"] != revoked["content_digest"] and detector["uri"] != old["uri"]
    manifest = json.loads((Path(detector["uri"]) / "manifest.json").read_text())
    assert manifest["content_digest"] == detector["content_digest"]
    digests = {item["digest"] for item in manifest["releases"]}
    assert release["content_digest"] in digests and revoked["content_digest"] not in digests
    key = fleet.parent / "keys" / "eu-west.pem.pub"
    assert isthmus("verify", release["uri"], "--key", key).returncode == 0
    assert isthmus("verify", revoked["uri"], "--key", key).returncode == 1  # revoked
    assert json.loads(isthmus("erase", fleet, *WHERE, "--series", STAYER, "--json").stdout)["examples"] == {}
