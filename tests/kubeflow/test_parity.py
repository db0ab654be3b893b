"""One deployment, three ways: `isthmus run`, KFP's own local orchestrator, the emulated back end on S3.

All three must release the same bytes and judge the same detector. Prints what each step of the emulated
back end cost: start-up, work, transfer.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kubeflow import fleet
from tests.kubeflow.conftest import KEY_ID, SECRET
from tests.kubeflow.emulation import Backend
from tests.support.kfp_local import check_spec, run_spec

pytestmark = [pytest.mark.kubeflow, pytest.mark.timeout(1500)]
#: `small` makes it minutes faster, for work on these tests.
SIZE = os.environ.get("ISTHMUS_KUBEFLOW_FLEET", "demo")


def isthmus(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipeline", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )


@pytest.fixture(scope="module")
def deployment(tmp_path_factory, s3_endpoint) -> fleet.Fleet:
    folder = tmp_path_factory.mktemp("parity") / "fleet"
    return fleet.write(
        folder,
        "s3://exchange/local",
        endpoint=s3_endpoint,
        size=SIZE,
        lenient=SIZE == "small",
        own_buckets=True,
    )


@pytest.fixture(scope="module")
def spec(deployment) -> Path:
    out = deployment.config.with_name("pipeline.yaml")
    done = isthmus("compile", deployment.config, "-o", out)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def local(deployment) -> dict:
    """Pushes and the detector's evaluation of `isthmus run`."""
    done = isthmus("run", deployment.config, "--json", **deployment.everything)
    assert done.returncode in (0, 1), done.stderr[-3000:]
    run = json.loads(done.stdout)
    sections = {**run["locales"], "central": run["central"]}
    return {
        name: {
            f"{component['id']}.{channel}": Path(uri)
            for component in section["components"]
            for channel, uri in component["outputs"].items()
        }
        for name, section in sections.items()
    }


def pushes(found: dict[str, Path]) -> dict:
    push = json.loads((found["Pusher.pushed"] / "push.json").read_text())
    return {key: push[key] for key in ("pushed", "content_digest", "files", "rows", "span")}


def verdicts(central: dict[str, Path]) -> dict:
    """What the centre made of it. An exchange of another name has other addresses in the merge's report."""
    merge = json.loads((central["MergeGen.merge_report"] / "merge.json").read_text())
    push = json.loads((central["ModelPusher.pushed"] / "push.json").read_text())
    evaluation = json.loads((central["ProphetEvaluator.evaluation"] / "evaluation.json").read_text())
    for took in ("seconds", "scenario_seconds"):
        del evaluation[took]
    return {
        "evaluation": evaluation,
        "forecast": json.loads((central["ProphetEvaluator.evaluation"] / "forecast.json").read_text()),
        "verdict": json.loads((central["ProphetEvaluator.blessing"] / "verdict.json").read_text()),
        "skew": json.loads((central["SkewValidator.skew"] / "skew.json").read_text()),
        "releases": {item["locale"]: item["digest"] for item in merge["accepted"]},
        "pushed": push["pushed"],
    }


def forget(deployment: fleet.Fleet) -> None:
    """A fresh cluster: nothing is known of an earlier run."""
    shutil.rmtree(deployment.config.parent / "state", ignore_errors=True)
    shutil.rmtree(deployment.config.parent / "registry", ignore_errors=True)


def test_the_spec_is_what_a_current_kfp_takes(spec):
    assert check_spec(spec) == []


def test_kfp_local_makes_the_same_releases_and_the_same_detector(
    deployment, spec, local, tmp_path, s3_client
):
    forget(deployment)
    environment = {
        **deployment.environment,
        "report": deployment.environment["central"],
        "verdict": deployment.environment["central"],
        "*": {"TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": "1"},
    }
    run = run_spec(spec, tmp_path / "kfp", {"exchange": "s3://exchange/kfp-local"}, environment)
    assert run.status == 0, run.printed[-3000:] + run.errors[-3000:]
    outputs = {folder.name: folder for folder in (tmp_path / "kfp").rglob("*-*") if folder.is_dir()}
    for locale in deployment.environment:
        if locale == "central":
            continue
        pushed = next((tmp_path / "kfp").rglob(f"{locale}-push/pusher-pushed"))
        pushed = _followed(s3_client, locale, pushed, tmp_path / "own")
        assert pushes({"Pusher.pushed": pushed}) == pushes(local[locale]), locale
    assert verdicts(_central(outputs)) == verdicts(local["central"])


def test_the_emulated_back_end_makes_the_same_on_s3(
    deployment, spec, local, tmp_path, s3_endpoint, s3_client, capsys
):
    forget(deployment)
    backend = Backend(
        s3_endpoint,
        state=tmp_path / "state",
        work=tmp_path / "work",
        secrets=deployment.secrets,
        environment={"OMP_NUM_THREADS": "1"},
        access_key=KEY_ID,
        secret_key=SECRET,
    )
    parameters = {"exchange": "s3://exchange/emulated"}
    run = backend.run(spec, parameters, "minio://mlpipeline/parity")
    _show("1-first-run", run.table(), capsys)
    assert run.state == "SUCCEEDED"
    folders = {
        name: _download(s3_client, uri, tmp_path / "downloads")
        for task in run.tasks
        for name, uri in task.artifacts.items()
        if name.endswith(("-pushed", "-evaluation", "-blessing", "-skew", "-merge-report", "report"))
    }
    for locale in deployment.environment:
        if locale == "central":
            continue
        uri = run.task(f"{locale}-push").artifacts["pusher-pushed"]
        pushed = _download(s3_client, uri, tmp_path / locale)
        pushed = _followed(s3_client, locale, pushed, tmp_path / "own")
        assert pushes({"Pusher.pushed": pushed}) == pushes(local[locale]), locale
    assert verdicts(_central(folders)) == verdicts(local["central"])
    _check_what_lies_in_the_shared_bucket(s3_client, "parity")

    page = folders["report"].read_text()
    assert page.startswith("<!doctype html>") and "http://" not in page

    again = backend.run(spec, parameters, "minio://mlpipeline/parity")
    _show("2-second-run", again.table(), capsys)
    states = {task.path.rsplit("/", 1)[-1]: task.state for task in again.tasks if task.kind == "container"}
    never = {name for name in states if name.endswith(("-resolve", "-push")) or name in ("report", "verdict")}
    assert {name for name, state in states.items() if state == "cached"} == set(states) - never


def _show(name: str, table: str, capsys) -> None:
    """What each step cost: to a folder, for `make kubeflow-test`, whose processes print nothing; or here."""
    if folder := os.environ.get("ISTHMUS_STEP_TABLES"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / name).write_text(f"{name}\n{table}\n\n")
    else:
        with capsys.disabled():
            print(f"\n{table}")


def _central(folders: dict[str, Path]) -> dict[str, Path]:
    names = {
        "MergeGen.merge_report": "mergegen-merge-report",
        "ModelPusher.pushed": "modelpusher-pushed",
        "ProphetEvaluator.evaluation": "prophetevaluator-evaluation",
        "ProphetEvaluator.blessing": "prophetevaluator-blessing",
        "SkewValidator.skew": "skewvalidator-skew",
    }
    return {key: folders[name] for key, name in names.items()}


def _followed(client, locale: str, folder: Path, into: Path) -> Path:
    """An artifact in its locale's own bucket, where the folder holds a reference to it."""
    reference = folder / "reference.json"
    if not reference.exists():
        return folder
    place = json.loads(reference.read_text())["artifact"]
    return _download(client, f"minio://{locale}-own/artifacts/{place}", into / locale)


def _check_what_lies_in_the_shared_bucket(client, prefix: str) -> None:
    """Of restricted locales nothing but references, pages and what the launcher writes."""
    allowed = ("/reference.json", "/summary", "/executor-logs", "/executor_output.json")
    pages = client.get_paginator("list_objects_v2").paginate(Bucket="mlpipeline", Prefix=prefix)
    keys = [item["Key"] for page in pages for item in page.get("Contents", ())]
    # <root>/<pipeline>/<run>/<task>/…
    of_restricted = [key for key in keys if key.split("/")[3].startswith(("eu-west-", "ap-south-"))]
    assert len(of_restricted) > 10
    assert [key for key in of_restricted if not key.endswith(allowed)] == []


def _download(client, uri: str, into: Path) -> Path:
    bucket, _, key = uri.removeprefix("minio://").partition("/")
    target = into / key.rsplit("/", 1)[-1]
    for item in client.list_objects_v2(Bucket=bucket, Prefix=key).get("Contents", ()):
        file = target / item["Key"][len(key) + 1 :] if item["Key"] != key else target
        file.parent.mkdir(parents=True, exist_ok=True)
        client.download_file(bucket, item["Key"], str(file))
    return target
