"""The emulation from the command line."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.kubeflow.emulation.__main__ import main
from tests.support.kfp_specs import Pipeline, task

pytestmark = pytest.mark.slow  # seconds of small pods


def arguments(cluster, spec: Path, *more: str) -> list[str]:
    folders = ["--state", str(cluster.folder / "state"), "--work", str(cluster.folder / "work")]
    return [str(spec), "--s3", cluster.endpoint, "--root", f"s3://{cluster.bucket}/v2", *folders, *more]


def test_exit_status_and_table(cluster, tmp_path, capsys):
    pipeline = Pipeline(n="NUMBER_INTEGER", word="STRING")
    pipeline.container(
        "work",
        'test "$1" = 3; test "$2" = a=b; test "$KEY" = k',
        "{{$.inputs.parameters['n']}}",
        "{{$.inputs.parameters['word']}}",
        parameters={"n": "NUMBER_INTEGER", "word": "STRING"},
        platform={"secretAsEnv": [{"secretName": "keys", "keyToEnv": [{"secretKey": "x", "envVar": "KEY"}]}]},
    )
    spec = pipeline.write(tmp_path / "a.yaml", work=task("work", {"n": "@n", "word": "@word"}))
    (tmp_path / "secrets.yaml").write_text(yaml.safe_dump({"keys": {"x": "k"}}))
    given = arguments(
        cluster, spec, "-p", "n=3", "-p", "word=a=b", "--secrets", str(tmp_path / "secrets.yaml")
    )
    assert main(given) == 0
    assert "work  succeeded  1" in capsys.readouterr().out
    assert main(arguments(cluster, spec, "-p", "n=4", "-p", "word=x")) == 1
    assert main(arguments(cluster, spec)) == 2
    assert capsys.readouterr().err == "parameter n: has neither a value nor a default\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_pods_end_with_the_command(cluster, tmp_path, number):
    beat = tmp_path / "beat"
    pipeline = Pipeline()
    pipeline.container("long", f"while true; do date >> {beat}; sleep 0.05; done")
    pipeline.dag("region", {"region-long": task("long")})
    spec = pipeline.write(tmp_path / "a.yaml", region=task("region"))
    command = [sys.executable, "-m", "tests.kubeflow.emulation", *arguments(cluster, spec)]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[3], stderr=subprocess.PIPE, text=True)
    for _ in range(400):
        if beat.exists():
            break
        time.sleep(0.05)
    process.send_signal(number)
    assert process.communicate(timeout=20)[1] == "stopped\n"
    assert process.returncode == 130
    (record,) = (cluster.folder / "work").glob("*/run.json")
    assert json.loads(record.read_text())["state"] == "CANCELED"
    size = beat.stat().st_size
    time.sleep(0.3)
    assert beat.stat().st_size == size > 0
