"""The API's flat list of tasks becomes regions and their tasks."""

from __future__ import annotations

import pytest

from pipeline.kfp_api.tasks import NO_REGION, Task, by_region, regions_of, state_of, tasks_of
from tests.support import kfp_api_specs, kfp_rules

REGIONS = {
    "ap-south": "ap-south",
    "ap-south-onboard": "ap-south",
    "ap-south-train": "ap-south",
    "eu-west": "eu-west",
    "eu-west-onboard": "eu-west",
    "eu-west-train": "eu-west",
    "central": "central",
    "central-merge": "central",
    "regions": NO_REGION,
    "after": NO_REGION,
    "report": NO_REGION,
}
_PLUMBING = {
    "root": "RUNNING",
    "root-driver": "SUCCEEDED",
    "eu-west-driver": "SUCCEEDED",
    "eu-west-train-driver": "SUCCEEDED",
    "executor": "RUNNING",
    "executor(0)": "FAILED",
}


def _run(nodes):
    return {"run_details": {"task_details": kfp_rules._details("run", nodes)}}


def test_regions_are_read_from_both_forms_of_a_manifest():
    pipeline, platform = kfp_api_specs.documents()

    assert regions_of({"pipeline_spec": pipeline, "platform_spec": platform}) == REGIONS
    assert regions_of(pipeline) == REGIONS
    assert regions_of({}) == regions_of(None) == {}


def test_deeper_dags_and_regions_below_the_root():
    pipeline = kfp_api_specs.documents()[0]
    pipeline["components"]["comp-inner"] = {
        "dag": {"tasks": {"eu-west-deep": {"componentRef": {"name": "comp-x"}}}}
    }
    pipeline["components"]["comp-eu-west"]["dag"]["tasks"]["eu-west-inner"] = {
        "componentRef": {"name": "comp-inner"}
    }
    pipeline["root"]["dag"]["tasks"]["central"] = {"componentRef": {"name": "comp-central"}}

    found = regions_of(pipeline)

    assert (found["eu-west-inner"], found["eu-west-deep"]) == ("eu-west", "eu-west")
    assert found["central-merge"] == "central"


@pytest.mark.parametrize("regions", [REGIONS, {}], ids=["by the spec", "by the names"])
def test_plumbing_is_left_out_and_tasks_are_grouped(regions):
    nodes = {"eu-west": "RUNNING", "eu-west-onboard": "SUCCEEDED", "eu-west-train": "RUNNING"}
    nodes |= {"central": "PENDING", "central-merge": "PENDING", "regions": "RUNNING", **_PLUMBING}

    found = by_region(tasks_of(_run(nodes), regions))

    assert {region: {task.name: task.state for task in tasks} for region, tasks in found.items()} == {
        "eu-west": {"eu-west": "RUNNING", "eu-west-onboard": "SUCCEEDED", "eu-west-train": "RUNNING"},
        "central": {"central": "PENDING", "central-merge": "PENDING"},
        NO_REGION: {"regions": "RUNNING"},
    }
    assert list(found) == ["eu-west", "central", NO_REGION]


def test_a_region_within_anothers_name_keeps_its_own_tasks():
    nodes = dict.fromkeys(["eu", "eu-train", "eu-west", "eu-west-train", "report"], "RUNNING")

    found = by_region(tasks_of(_run(nodes), {}))

    assert {region: [task.name for task in tasks] for region, tasks in found.items()} == {
        "eu": ["eu", "eu-train"],
        "eu-west": ["eu-west", "eu-west-train"],
        NO_REGION: ["report"],
    }


def test_the_latest_attempt_counts():
    nodes = {"eu-west-train": "FAILED", "x": "SUCCEEDED", "eu-west-train#2": "RUNNING"}

    (task,) = tasks_of(_run(nodes), REGIONS)

    assert (task.state, task.attempts) == ("RUNNING", 2)


@pytest.mark.parametrize("state", ["PENDING", "SKIPPED"])
def test_a_failed_driver_fails_its_task(state):
    nodes = {"eu-west-train": state, "eu-west-train-driver!no such bucket": "FAILED"}

    (task,) = tasks_of(_run(nodes), REGIONS)

    assert (task.state, task.error) == ("FAILED", "no such bucket")


def test_a_failed_driver_whose_task_is_not_listed_counts_too():
    (task,) = tasks_of(_run({"eu-west-driver": "FAILED"}), REGIONS)

    assert (task.name, task.state, task.region) == ("eu-west", "FAILED", "eu-west")


def test_times_and_errors():
    error = {"message": "exit\n code 1" + "x" * 300}
    detail = {
        "display_name": "eu-west-train",
        "start_time": "2026-11-21T12:00:00Z",
        "end_time": "1970-01-01T00:00:00Z",
        "state": "FAILED",
        "state_history": [{"state": "RUNNING"}, {"state": "FAILED", "error": error}],
    }

    (task,) = tasks_of({"run_details": {"task_details": [detail]}}, REGIONS)

    assert (task.started, task.ended) == ("2026-11-21T12:00:00Z", "")
    assert task.error.startswith("exit code 1xxx") and len(task.error) == 200


def test_a_task_without_a_state_waits():
    details = [{"display_name": "eu-west"}, {"display_name": "central", "state": "RUNTIME_STATE_UNSPECIFIED"}]

    assert {task.state for task in tasks_of({"run_details": {"task_details": details}}, REGIONS)} == {
        "PENDING"
    }


@pytest.mark.parametrize(
    ("states", "said"),
    [
        ({"eu-west": "SUCCEEDED", "eu-west-train": "FAILED"}, "SUCCEEDED"),
        ({"eu-west-a": "SUCCEEDED", "eu-west-b": "RUNNING", "eu-west-c": "FAILED"}, "FAILED"),
        ({"eu-west-a": "SUCCEEDED", "eu-west-b": "RUNNING"}, "RUNNING"),
        ({"eu-west-a": "SUCCEEDED", "eu-west-b": "NEW_STATE"}, "SUCCEEDED"),
        ({}, "PENDING"),
    ],
)
def test_a_regions_state_is_its_dags_or_the_worst(states, said):
    assert state_of("eu-west", [Task(name, "eu-west", state) for name, state in states.items()]) == said


def test_a_run_without_details_has_no_tasks():
    assert tasks_of({}, REGIONS) == []
