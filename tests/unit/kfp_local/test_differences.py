"""Where kfp.local differs from a cluster, as its README says, so that a newer kfp which does not is seen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import kfp_local

pytestmark = pytest.mark.kubeflow

Spec = Callable[..., Path]
GIVEN = {"image": "registry.example/isthmus:1", "span": 7}
FAILING = {"north-release": {"FAIL": "always"}}


def ran(run: kfp_local.LocalRun) -> set[str]:
    return {one["task"] for one in run.record["tasks"]}


def test_what_takes_an_output_of_a_failed_task_ends_the_run(spec: Spec, tmp_path: Path) -> None:
    def change(pipeline: dict[str, Any], _: dict[str, Any]) -> None:
        policy = {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}
        pipeline["root"]["dag"]["tasks"]["centre"]["triggerPolicy"] = policy

    run = kfp_local.run_spec(spec(change), tmp_path / "root", GIVEN, FAILING)
    assert run.status == 1 and run.record["error"].startswith("ValueError: Tried to get output 'release'")
    assert "report" not in ran(run)


def test_a_dag_without_parameters_loses_its_artifacts(spec: Spec, tmp_path: Path) -> None:
    def change(pipeline: dict[str, Any], _: dict[str, Any]) -> None:
        del pipeline["root"]["dag"]["tasks"]["centre"]["inputs"]["parameters"]
        del pipeline["components"]["comp-centre"]["inputDefinitions"]["parameters"]

    path = spec(change)
    assert kfp_local.check_spec(path) == []
    run = kfp_local.run_spec(path, tmp_path / "root", GIVEN)
    assert run.status == 1 and "input argument" in run.record["error"] and "not found" in run.record["error"]


def test_an_exit_task_may_be_a_dag_and_ask_for_several_statuses(spec: Spec, tmp_path: Path) -> None:
    def change(pipeline: dict[str, Any], _: dict[str, Any]) -> None:
        tasks = pipeline["root"]["dag"]["tasks"]
        closing = tasks.pop("report")
        status = {"parameterType": "STRUCT", "isOptional": True}
        inner = {
            "taskInfo": {"name": "report"},
            "componentRef": {"name": "comp-report"},
            "inputs": {"parameters": {"status": {"componentInputParameter": "north"}}},
        }
        pipeline["components"]["comp-closing"] = {
            "inputDefinitions": {"parameters": {"north": status, "south": status}},
            "dag": {"tasks": {"report": inner}},
        }
        closing["componentRef"]["name"] = "comp-closing"
        closing["inputs"]["parameters"] = {
            name: {"taskFinalStatus": {"producerTask": name}} for name in ("north", "south")
        }
        tasks["closing"] = closing

    path = spec(change)
    assert kfp_local.check_spec(path) == []
    run = kfp_local.run_spec(path, tmp_path / "root", GIVEN, FAILING)
    (report,) = run.attempts("report")
    state = report["parameters"]["state"]
    assert '"pipeline_task_name": "north"' in state and '"state": "FAILED"' in state


def test_the_retries_of_a_dag_are_ignored(spec: Spec, tmp_path: Path) -> None:
    def change(pipeline: dict[str, Any], _: dict[str, Any]) -> None:
        pipeline["root"]["dag"]["tasks"]["north"]["retryPolicy"] = {"maxRetryCount": 2}
        del pipeline["components"]["comp-north"]["dag"]["tasks"]["north-release"]["retryPolicy"]

    run = kfp_local.run_spec(spec(change), tmp_path / "root", GIVEN, FAILING)
    assert len(run.attempts("north-release")) == 1
