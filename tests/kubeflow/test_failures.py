"""A region that fails, in the emulated back end: retries, then the centre goes on by quorum.

The report names the region, and resubmitting redoes only what did not succeed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.kubeflow import fleet
from tests.kubeflow.conftest import KEY_ID, SECRET
from tests.kubeflow.emulation import Backend, Fault
from tests.support.gateway import Gateway
from tests.support.http_sink import HttpSink

pytestmark = [pytest.mark.kubeflow, pytest.mark.timeout(1500)]
ROOT = "minio://mlpipeline/failures"


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("failures")


@pytest.fixture(scope="module")
def hook():
    with HttpSink() as sink:
        yield sink


@pytest.fixture(scope="module")
def gateway():
    server = Gateway()
    yield server
    server.close()


@pytest.fixture(scope="module")
def deployment(place, s3_endpoint, hook, gateway) -> fleet.Fleet:
    return fleet.write(
        place / "fleet",
        "s3://exchange/failures",
        endpoint=s3_endpoint,
        lenient=True,
        central={"quorum": 2},
        # The simulated locales differ: at this threshold the centre has something to tell.
        monitoring={"skew": {"jensen_shannon_divergence": 0.001, "infinity_norm": 0.001}},
        alerts={"webhook": [{"name": "hook", "url": f"{hook.url}/x"}]},
        metrics={"pushgateway": {"url": gateway.url}},
    )


@pytest.fixture(scope="module")
def spec(deployment) -> Path:
    out = deployment.config.with_name("pipeline.yaml")
    command = [sys.executable, "-m", "pipeline", "compile", str(deployment.config), "-o", str(out)]
    subprocess.run(command, check=True, capture_output=True)
    return out


@pytest.fixture
def submit(place, deployment, spec, s3_endpoint):
    """Submits the spec to one installation, with faults."""

    def run(faults: dict[str, Fault] | None = None, other: Path | None = None, **parameters):
        backend = Backend(
            s3_endpoint,
            state=place / "state",
            work=place / "work",
            secrets=deployment.secrets,
            faults=faults,
            environment={"OMP_NUM_THREADS": "1"},
            access_key=KEY_ID,
            secret_key=SECRET,
            backoff=0.1,
            grace_s=2,
        )
        return backend.run(other or spec, parameters, ROOT)

    return run


def states(run) -> dict[str, str]:
    return {task.path.rsplit("/", 1)[-1]: task.state for task in run.tasks if task.kind == "container"}


def report_of(run, client) -> str:
    uri = run.task("report").artifacts["summary"]
    bucket, _, key = uri.removeprefix("minio://").partition("/")
    return client.get_object(Bucket=bucket, Key=key)["Body"].read().decode()


def attempts(run, task: str) -> list[str]:
    return [attempt.phase for attempt in run.task(task).attempts]


# The tests of this file build on one another, as runs on a cluster do. More kinds of failure, with containers
# that only make their outputs, are in tests/unit/kubeflow_emulation/test_fleet.py.


def told(hook: HttpSink) -> list[tuple[str, str]]:
    """Kind and locale of each message since the last look."""
    found = [json.loads(got.body) for got in hook.taken]
    hook.taken.clear()
    return [(message["kind"], notice["locale"]) for message in found for notice in message["notices"]]


def test_a_step_that_exits_1_is_tried_again_and_the_centre_goes_on_without_its_region(
    submit, s3_client, hook, gateway
):
    run = submit({"eu-west-train": Fault("exit", code=1)})
    found = states(run)
    assert attempts(run, "eu-west-train") == ["Failed", "Failed"]
    assert found["eu-west-generate"] == found["eu-west-push"] == "skipped"
    assert found["ap-south-push"] == found["us-east-push"] == "succeeded"
    assert found["central-push"] == found["report"] == "succeeded"
    assert run.state == "FAILED"  # honest: a region failed
    text = report_of(run, s3_client)
    assert "2 of 3 regions released" in text and "failed: eu-west" in text
    assert "| eu-west | restricted | did not come to its end |" in text
    # The centre told of what crossed, the others' numbers arrived, and so did the failure.
    assert ("alert", "eu-west") not in (alerts := told(hook)) and alerts
    series = gateway.series()
    assert set(series) == {"", "us-east", "eu-west", "ap-south", "central"}
    success = {zone: found.get("isthmus_zone_success") for zone, found in series.items() if zone}
    assert success == {"us-east": {"": 1}, "ap-south": {"": 1}, "central": {"": 1}, "eu-west": {"": 0}}
    assert series["ap-south"]["isthmus_monitor_span"] == {"": 0}
    assert series[""]["isthmus_run_exit_status"] == {"": 2}


def test_resubmitting_redoes_only_that_region(submit, s3_client):
    run = submit()
    found = states(run)
    assert run.state == "SUCCEEDED"
    assert found["eu-west-train"] == found["eu-west-generate"] == "succeeded"
    assert found["eu-west-onboard"] == "cached"
    others = ("ap-south-onboard", "ap-south-train", "ap-south-generate", "us-east-onboard")
    assert {found[name] for name in others} == {"cached"}
    # Its release is new to the centre, which judges anew.
    assert found["central-merge"] == found["central-evaluate"] == found["verdict"] == "succeeded"
    assert "3 of 3 regions released" in report_of(run, s3_client)


def test_nothing_changed_so_everything_that_costs_is_cached(submit, hook, gateway):
    told(hook), gateway.series()
    found = states(submit())
    assert told(hook) == []  # what was told is not told again, by a pod that is another
    assert gateway.series()["eu-west"]["isthmus_zone_success"] == {"": 1}
    never = {name for name in found if name.endswith(("-resolve", "-push")) or name in ("report", "verdict")}
    assert {found[name] for name in set(found) - never} == {"cached"}


@pytest.mark.parametrize(
    ("fault", "phases"),
    [
        (Fault("kill", attempts=(1,), after_s=2), ["Failed", "Succeeded"]),
        (Fault("deny", attempts=(1,)), ["Failed", "Succeeded"]),
    ],
    ids=["killed", "bucket-away-for-a-while"],
)
def test_a_step_that_fails_once_is_done_by_its_second_pod(submit, fault, phases):
    run = submit({"eu-west-push": fault})
    assert attempts(run, "eu-west-push") == phases
    assert run.state == "SUCCEEDED"


@pytest.mark.parametrize(
    "fault",
    [Fault("lost", after_s=1), Fault("deny")],
    ids=["node-lost", "bucket-gone"],
)
def test_a_region_that_never_comes_to_its_end_is_named(submit, s3_client, fault):
    run = submit({"eu-west-push": fault})
    assert states(run)["report"] == "succeeded"
    assert states(run)["central-push"] == "succeeded"
    text = report_of(run, s3_client)
    assert "failed: eu-west" in text and "2 of 3 regions released" in text


def test_a_step_that_hangs_is_ended_by_its_deadline(submit, spec, s3_client):
    """`activeDeadlineSeconds` is the step's own limit and two minutes; here it is a few seconds."""
    pipeline, platform = yaml.safe_load_all(spec.read_text())
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert int(executors["exec-eu-west-push"]["activeDeadlineSeconds"]) == 6 * 3600 + 120
    executors["exec-eu-west-push"]["activeDeadlineSeconds"] = "3"
    short = spec.with_name("short.yaml")
    short.write_text(yaml.safe_dump_all([pipeline, platform]))
    run = submit({"eu-west-push": Fault("hang")}, short)
    assert attempts(run, "eu-west-push") == ["Failed", "Failed"]
    assert "DeadlineExceeded" in run.task("eu-west-push").attempts[0].reason
    assert states(run)["central-push"] == "succeeded"
    assert "failed: eu-west" in report_of(run, s3_client)


def test_a_centre_that_fails_is_reported_too(submit, s3_client):
    run = submit({"central-resolve": Fault("exit")})
    assert states(run)["report"] == "succeeded"
    assert states(run)["verdict"] == "failed"
    assert run.state == "FAILED"
    assert "failed: central" in report_of(run, s3_client)
