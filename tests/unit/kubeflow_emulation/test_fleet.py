"""A compiled fleet without its work: a region goes wrong, and what the others and the centre do then."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.kubeflow import fleet
from tests.kubeflow.emulation import Fault, checks
from tests.kubeflow.emulation.spec import load
from tests.unit.kubeflow_emulation.conftest import Cluster

pytestmark = [pytest.mark.tfx, pytest.mark.slow]

REGIONS = ("us-east", "eu-west", "ap-south")
BROKEN = "eu-west-train"


@pytest.fixture(scope="module")
def made(tmp_path_factory, s3_server) -> tuple[fleet.Fleet, Path]:
    folder = tmp_path_factory.mktemp("fleet")
    written = fleet.write(folder, "s3://exchange/fleet", endpoint=s3_server)
    out = folder / "pipeline.yaml"
    command = [str(Path(sys.executable).parent / "isthmus"), "compile", str(written.config), "-o", str(out)]
    subprocess.run(command, check=True, capture_output=True)
    pipeline, platform = yaml.safe_load_all(out.read_text())
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    executors[f"exec-{BROKEN}"]["activeDeadlineSeconds"] = 2
    out.write_text(yaml.safe_dump_all([pipeline, platform]))
    return written, out


@pytest.fixture
def secrets(made) -> dict[str, dict[str, str]]:
    environment = made[0].environment
    return {
        f"isthmus-{zone}": {key.lower(): value for key, value in variables.items()}
        for zone, variables in environment.items()
    }


@pytest.mark.parametrize("release", ["2.5", "2.14", "2.17"])
def test_nothing_in_it_surprises(made, release):
    assert checks.problems(load(made[1], release)) == []


@pytest.mark.parametrize("fault", [Fault("exit"), Fault("kill", after_s=0), Fault("hang"), Fault("deny")])
def test_a_region_that_goes_wrong(cluster: Cluster, made, secrets, fault):
    run = cluster.run(made[1], {}, hollow=True, secrets=secrets, faults={BROKEN: fault})
    assert run.state == "FAILED"
    states = run.states()
    failed = run.task(BROKEN)
    retries = load(made[1]).dags["comp-eu-west"][BROKEN].retry
    assert retries is not None
    assert len(failed.attempts) == 1 + int(retries["maxRetryCount"])
    assert {path for path, state in states.items() if state == "failed"} == {
        "regions",
        "regions/eu-west",
        f"regions/eu-west/{BROKEN}",
    }
    assert states["regions/eu-west/eu-west-push"] == "skipped"
    others = [path for path in states if path.startswith("regions/") and "eu-west" not in path]
    assert others and {states[path] for path in others} == {"succeeded"}
    after = {state for path, state in states.items() if path.startswith("after")}
    assert after == {"succeeded"}
    assert "after/report" in states


def test_the_same_again_redoes_that_region_only(cluster: Cluster, made, secrets):
    given = {"hollow": True, "secrets": secrets}
    broken = cluster.run(made[1], {}, faults={BROKEN: Fault("exit")}, **given)
    assert broken.state == "FAILED"
    again = cluster.run(made[1], {}, **given)
    assert again.state == "SUCCEEDED"
    cacheable = {
        task.name
        for dag, tasks in load(made[1]).dags.items()
        for task in tasks.values()
        if task.spec.get("cachingOptions", {}).get("enableCache") and dag.removeprefix("comp-") in REGIONS
    }
    states = {task.name: task.state for task in again.containers() if task.name in cacheable}
    redone = {name for name, state in states.items() if state == "succeeded"}
    assert redone == {"eu-west-train", "eu-west-generate"}, json.dumps(states, indent=1)
    assert {state for name, state in states.items() if not name.startswith("eu-west")} == {"cached"}
