"""A locale that needs approval, run as a user runs it: waits, is approved, is published, is cached."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.e2e

WHERE = ("--locale", "us-east")


def isthmus(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "pipeline", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory) -> Path:
    """A small fleet in which an open locale asks an approver: no synthesizer, so it is quick."""
    from components.release.keys import ensure_key_pair
    from pipeline import starter

    folder = tmp_path_factory.mktemp("governance")
    config = starter.write(folder / "fleet", seed=7, size="small")
    people = []
    for name, role in (("ada", "owner"), ("benno", "scientist"), ("cleo", "approver")):
        ensure_key_pair(config.parent / "people" / name)
        people.append({"name": name, "roles": [role], "key": f"{name}.pub"})
    policy = {"version": 1, "locale": "us-east", "people": people}
    (config.parent / "people" / "policy.yaml").write_text(yaml.safe_dump(policy))
    data = yaml.safe_load(config.read_text())
    data["locales"][0]["governance"] = {"policy": "people/policy.yaml"}
    assert data["locales"][0]["name"] == "us-east"
    config.write_text(yaml.safe_dump(data, sort_keys=False))
    return config


def latest(fleet: Path) -> Path:
    root = fleet.parent / "runs" / "runs"
    return root / json.loads((root / "latest.json").read_text())["run_id"]


def push_of(fleet: Path) -> dict:
    run = json.loads((latest(fleet) / "run.json").read_text())
    (pusher,) = [c for c in run["locales"]["us-east"]["components"] if c["id"] == "Pusher"]
    push = json.loads((Path(pusher["outputs"]["pushed"]) / "push.json").read_text())
    return {**push, "state": pusher["state"], "exit_reason": run["exit_reason"]}


def test_a_release_waits_is_approved_and_exactly_it_is_published(fleet: Path) -> None:
    refused = isthmus("run", fleet, *WHERE)
    assert refused.returncode == 2 and "no policy is in force" in refused.stdout + refused.stderr

    key = fleet.parent / "people"
    assert isthmus("policy", fleet, *WHERE, "--adopt", "--key", key / "ada").returncode == 0
    waiting = isthmus("run", fleet, *WHERE)
    assert waiting.returncode == 1, waiting.stdout + waiting.stderr
    assert "nothing pushed: waiting for approval (0 of 1); next: `isthmus request`" in waiting.stdout
    assert push_of(fleet)["exit_reason"] == "a verdict was negative: us-east waiting for approval"
    assert not list((fleet.parent / "exchange").rglob("manifest.json"))

    (shown,) = json.loads(isthmus("request", fleet, *WHERE, "--json").stdout)
    digest = shown["content_digest"]
    assert isthmus("run", fleet, *WHERE).returncode == 1
    assert push_of(fleet)["state"] == "cached"  # nothing was decided: it waits on, at no cost

    assert isthmus("request", fleet, *WHERE, "--key", key / "benno").returncode == 0
    approved = isthmus("approve", fleet, digest[:12], *WHERE, "--key", key / "cleo", "--yes")
    assert approved.returncode == 0, approved.stderr
    done = isthmus("run", fleet, *WHERE)
    assert done.returncode == 0, done.stdout + done.stderr
    push = push_of(fleet)
    assert push["pushed"] and push["content_digest"] == digest
    manifest = json.loads((Path(push["uri"]) / "manifest.json").read_text())
    assert manifest["approver"]["name"] == "cleo"
    assert {name: file["sha256"] for name, file in manifest["files"].items()} == shown["summary"]["files"]

    assert isthmus("run", fleet, *WHERE).returncode == 0
    assert push_of(fleet)["state"] == "cached"
    report = json.loads((latest(fleet) / "report.json").read_text())
    (shown,) = [item for item in report["locales"] if item["locale"] == "us-east"]
    (decision,) = shown["approval"]["content"]["decisions"]
    assert (decision["who"], decision["decision"]) == ("cleo", "approved")
    audit = isthmus("audit", fleet, *WHERE)
    assert audit.returncode == 0 and "audit log: verified, 5 entries" in audit.stdout
