"""The runner of compiled specs, and what KFP's local orchestrator does with nested regions."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import kfp_local
from tests.unit.kfp_local.conftest import write_spec

pytestmark = pytest.mark.kubeflow

Spec = Callable[..., Path]
GIVEN = {"image": "registry.example/isthmus:1", "span": 7}
FAILING = {"north-release": {"FAIL": "always"}}


def states(run: kfp_local.LocalRun) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for one in run.record["tasks"]:
        found.setdefault(one["task"], []).append(one["exit_code"])
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> kfp_local.LocalRun:
    """A run of the unchanged spec in which nothing fails; this machine's own SIGNER is to stay outside."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIGNER", "this machine")
        environment = {"north-": {"SIGNER": "Nora"}}
        return kfp_local.run_spec(write_spec(folder / "spec.yaml"), folder / "root", GIVEN, environment)


def test_artifacts_and_parameters_cross_the_borders_of_nested_dags(whole: kfp_local.LocalRun) -> None:
    run = whole
    assert run.status == 0, run.printed + run.errors
    # 10 + 7 and 20 + 7: the constant of each region and the pipeline's parameter.
    assert run.record["outputs"]["total"] == 44
    assert json.loads(Path(run.record["outputs"]["merged"]["uri"]).read_text()) == {"north": 17, "south": 27}
    assert run.record["state"] == "SUCCEEDED" and run.record["without_container"] == []


def test_a_default_stands_in_for_a_parameter(spec: Spec, tmp_path: Path) -> None:
    run = kfp_local.run_spec(spec(), tmp_path / "root", {"image": "a"})
    assert run.record["outputs"]["total"] == 28


def test_the_record_tells_of_each_container(whole: kfp_local.LocalRun) -> None:
    run = whole
    (merge,) = run.attempts("centre-merge")
    assert merge["component"] == "comp-centre-merge" and merge["exit_code"] == 0
    assert merge["parameters"] == {"total": "44"} and set(merge["artifacts"]) == {"merged"}
    assert 0 < merge["cpu_seconds"] < 60 and 0 < merge["seconds"] < run.record["seconds"]
    (report,) = run.attempts("report")
    assert '"state": "SUCCEEDED"' in Path(report["log"]).read_text()


def test_a_task_gets_the_variables_of_its_prefix_and_no_others(whole: kfp_local.LocalRun) -> None:
    def signer(task: str) -> str:
        return str(whole.attempts(task)[0]["artifacts"]["release"][0]["metadata"]["by"])

    assert (signer("north-release"), signer("south-release")) == ("Nora", "nobody")


def test_python_in_a_container_is_the_one_that_was_named(spec: Spec, tmp_path: Path) -> None:
    def change(pipeline: dict[str, Any], _: dict[str, Any]) -> None:
        container = pipeline["deploymentSpec"]["executors"]["exec-report"]["container"]
        container |= {"command": ["python", "-c", "import sys; print(sys.prefix)"], "args": ["{{$}}"]}

    run = kfp_local.run_spec(spec(change), tmp_path / "root", GIVEN, python=sys.executable)
    assert Path(run.attempts("report")[0]["log"]).read_text().strip() == sys.prefix


def test_a_failed_attempt_is_tried_again(spec: Spec, tmp_path: Path) -> None:
    run = kfp_local.run_spec(spec(), tmp_path / "root", GIVEN, {"north-release": {"FAIL": "once"}})
    assert run.status == 0
    assert [one["exit_code"] for one in run.attempts("north-release")] == [3, 0]
    first, second = run.attempts("north-release")
    assert (
        Path(first["log"]).read_text() == "no release: told to fail\n"
        and Path(second["log"]).read_text() == ""
    )


def test_a_failed_region_keeps_the_centre_out_and_the_exit_task_reports_it(
    spec: Spec, tmp_path: Path
) -> None:
    run = kfp_local.run_spec(spec(), tmp_path / "root", GIVEN, FAILING)
    assert run.status == 1 and run.record["state"] == "FAILED"
    assert run.record["without_container"] == ["comp-centre-merge"]
    assert states(run)["north-release"] == [3, 3] and states(run)["south-release"] == [0]
    (report,) = run.attempts("report")
    assert '"state": "FAILED"' in Path(report["log"]).read_text()
    assert re.search("Inner task failed: .*north-release.* inside .*north", run.record["error"])
    # Without the colours of a terminal.
    assert "\x1b" not in run.record["error"]


def test_a_centre_by_quorum_runs_though_a_region_failed(spec: Spec, tmp_path: Path) -> None:
    def change(pipeline: dict[str, Any], _: dict[str, Any]) -> None:
        tasks = pipeline["root"]["dag"]["tasks"]
        tasks["centre"] = {
            "taskInfo": {"name": "centre"},
            "componentRef": {"name": "comp-centre-quorum"},
            "dependentTasks": ["north", "south"],
            "triggerPolicy": {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"},
        }
        pipeline["components"]["comp-centre-quorum"] = {"executorLabel": "exec-quorum"}
        container = {"image": "a", "command": ["echo", "by quorum"], "args": ["{{$}}"]}
        pipeline["deploymentSpec"]["executors"]["exec-quorum"] = {"container": container}
        for part in (pipeline["root"]["dag"].pop("outputs"), pipeline["root"].pop("outputDefinitions")):
            assert part

    run = kfp_local.run_spec(spec(change), tmp_path / "root", GIVEN, FAILING)
    assert states(run)["centre-quorum"] == [0] and states(run)["report"] == [0]
    # kfp.local calls the pipeline failed all the same, since a region did.
    assert run.status == 1


def test_a_container_that_hangs_is_killed(spec: Spec, tmp_path: Path) -> None:
    def change(pipeline: dict[str, Any], _: dict[str, Any]) -> None:
        container = pipeline["deploymentSpec"]["executors"]["exec-south-read"]["container"]
        container["args"][0] = "sleep 600 & sleep 600"

    run = kfp_local.run_spec(spec(change), tmp_path / "root", GIVEN, options=("--limit", "1"))
    (killed,) = run.attempts("south-read")
    assert killed["exit_code"] == 137 and killed["killed_after_s"] == 1 and killed["seconds"] < 60
    assert states(run)["north-release"] == [0] and run.status == 1


def test_with_a_cache_what_ran_before_is_not_run_again(spec: Spec, tmp_path: Path) -> None:
    path, cache = spec(), ("--cache", str(tmp_path / "cache"))
    first = kfp_local.run_spec(path, tmp_path / "first", GIVEN, options=cache)
    again = kfp_local.run_spec(path, tmp_path / "again", GIVEN, options=cache)
    other = kfp_local.run_spec(path, tmp_path / "other", GIVEN | {"span": 8}, options=cache)
    # Only the tasks that read are cached by this spec's options.
    assert {"comp-north-read", "comp-south-read"} == set(again.record["without_container"])
    assert first.record["without_container"] == other.record["without_container"] == []
    assert first.record["outputs"]["total"] == again.record["outputs"]["total"] == 44


def share(pipeline: dict[str, Any], _: dict[str, Any]) -> None:
    tasks = pipeline["components"]["comp-south"]["dag"]["tasks"]
    tasks["south-read"]["componentRef"]["name"] = "comp-north-read"


@pytest.mark.parametrize(
    ("change", "parameters", "options", "words"),
    [
        (share, GIVEN, (), "comp-north-read is used by comp-north/north-read, comp-south/south-read"),
        (None, {}, (), "--parameters: image has no default and is not given"),
        (None, GIVEN | {"sapn": 1}, (), "--parameters: sapn is unknown, the pipeline has image, span"),
        (None, GIVEN, ("--python", "/nowhere/python"), "/nowhere/python is not an executable file"),
        (
            None,
            GIVEN,
            ("--environment", '{"*": {"A": 1}}'),
            "--environment: *: an object of texts is expected",
        ),
        (None, GIVEN, ("--environment", "@/nowhere"), "--environment: a JSON object or @FILE is expected"),
        (None, GIVEN, ("--environment", "[]"), "--environment: found list, a JSON object is expected"),
    ],
)
def test_what_cannot_start_is_refused_in_one_line(
    spec: Spec,
    tmp_path: Path,
    change: Callable[..., None] | None,
    parameters: dict[str, Any],
    options: tuple[str, ...],
    words: str,
) -> None:
    run = kfp_local.run_spec(spec(change), tmp_path / "root", parameters, options=options)
    assert run.status == 2 and len(run.errors.splitlines()) == 1 and words in run.errors


def test_a_folder_in_use_is_refused(spec: Spec, tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "file").touch()
    run = kfp_local.run_spec(spec(), tmp_path / "root", GIVEN)
    assert run.status == 2 and run.errors.rstrip().endswith("root is not empty")


def test_without_the_environment_a_test_fails_and_names_the_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(kfp_local, "REPOSITORY", tmp_path)
    with pytest.raises(pytest.fail.Exception, match="make kubeflow-env"):
        kfp_local.kfp_python()
