"""What a pod could not read is refused, and `isthmus compile` says so in one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from components.errors import ConfigError
from pipeline import cli
from pipeline.compiler.compile import compile_deployment
from tests.support.deployments import deployment, golden, many, written

pytestmark = pytest.mark.tfx


def west(data):
    return data["locales"][0]


def brazil(data):
    return data["locales"][1]


def secret_missing(data):
    west(data)["placement"]["secret_env"].pop(0)


def store_secret_missing(data):
    placement = west(data)["placement"]
    placement["secret_env"] = [x for x in placement["secret_env"] if x["env"] != "EU_WEST_SECRET"]


def store_token_of_this_machine(data):
    west(data)["placement"]["store"] = {
        "uri": "gs://isthmus-eu-west",
        "storage_options": {"token_file": "/home/me/token.json"},
    }


REFUSED = [
    (
        lambda data: brazil(data).update(signing_key={"file": "keys/pt.pem"}),
        ["pt-BR", "Pusher.config.signing_key", "keys/pt.pem, a path of this machine", "/secrets/signing"],
    ),
    (
        lambda data: brazil(data)["source"].update(pattern="data/span-{SPAN}/*.csv"),
        ["pt-BR", "ExampleGen.config.sources", "data/span-{SPAN}/*.csv, a path of this machine"],
    ),
    (
        lambda data: brazil(data).update(governance={"policy": "policy.yaml", "required_approvals": 1}),
        ["pt-BR", "governance.policy", "policy.yaml, a path of this machine"],
    ),
    (
        lambda data: data.update(exchange={"uri": "exchange"}),
        ["eu-west", "exchange.uri", "a path of this machine"],
    ),
    (
        lambda data: data["central"].update(registry="registry"),
        ["central: ModelPusher.config", "registry, a path of this machine"],
    ),
    (
        lambda data: data["central"]["test_set"].update(pattern="test/*.csv"),
        ["central: TestExampleGen.config.sources", "a path of this machine"],
    ),
    (
        lambda data: data["central"].update(signing_key={"env": "CENTRAL_KEY"}),
        ["central: ModelPusher.config", "CENTRAL_KEY, which no secret fills", "placement.secret_env"],
    ),
    (secret_missing, ["eu-west", "EU_WEST_SIGNING_KEY, which no secret fills", "EXCHANGE_KEY_ID"]),
    (
        store_secret_missing,
        ["eu-west: placement.store.storage_options.secret_access_key", "EU_WEST_SECRET, which no secret"],
    ),
    (
        store_token_of_this_machine,
        ["eu-west: placement.store.storage_options.token_file", "/home/me/token.json, a path of this"],
    ),
    (
        lambda data: west(data)["placement"]["store"].update(uri="/elsewhere/artifacts"),
        ["eu-west: placement.store.uri", "/elsewhere/artifacts, a path of this machine"],
    ),
    (
        lambda data: brazil(data).update(trusted_key="keys/pt.pem.pub"),
        ["keys/pt.pem.pub"],
    ),
]


@pytest.mark.parametrize("change, words", REFUSED)
def test_what_a_pod_could_not_read(tmp_path, change, words):
    with pytest.raises(ConfigError) as caught:
        compile_deployment(deployment(tmp_path, change))
    message = str(caught.value)
    assert "\n" not in message
    assert [word for word in words if word not in message] == [], message


def test_public_keys_are_text_in_the_spec(tmp_path):
    from components.release import keys

    pair = keys.ensure_key_pair(tmp_path / "pt.pem")

    def change(data):
        brazil(data)["trusted_key"] = str(tmp_path / "pt.pem.pub")

    text = str(compile_deployment(deployment(tmp_path, change))[0][0].pipeline)
    assert pair.public.to_text() in text and str(tmp_path) not in text


# --- the command ---------------------------------------------------------------------------------


@pytest.fixture
def isthmus(monkeypatch, capsys):
    """Calls `isthmus`; gives the exit status, stdout and stderr."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["isthmus", *map(str, arguments)])
        status = cli._run_app()
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


@pytest.fixture
def config(tmp_path):
    return written(tmp_path, golden())


def refused(found, *words):
    status, out, err = found
    lines = [line for line in err.splitlines() if not line.startswith("WARNING")]
    assert (status, out) == (2, "")
    assert len(lines) == 1 and lines[0].startswith("isthmus: "), err
    assert [word for word in words if word not in lines[0]] == [], err


def test_one_file(isthmus, config, tmp_path):
    out = tmp_path / "deep" / "pipeline.yaml"
    status, printed, err = isthmus("compile", config, "-o", out)
    assert status == 0 and err.startswith("WARNING") and "depot_3: placement.state" in err
    assert printed.startswith(f"{out}: pipeline golden, 19 steps, ")
    assert len(list(yaml.safe_load_all(out.read_text()))) == 2
    assert [file.name for file in out.parent.iterdir()] == ["pipeline.yaml"]


def test_a_folder_of_files_as_json(isthmus, config, tmp_path):
    out = tmp_path / "specs"
    status, printed, _ = isthmus("compile", config, "-o", out, "--layout", "multi-cluster", "--json")
    found = json.loads(printed)
    assert status == 0
    assert [item["pipeline"] for item in found["specs"]] == [
        "golden-eu-west",
        "golden-pt-br",
        "golden-depot-3",
        "golden-central",
    ]
    assert [item["tasks"] for item in found["specs"]] == [6, 6, 4, 5]
    for item in found["specs"]:
        assert Path(item["file"]).stat().st_size == item["bytes"]
    assert len(found["warnings"]) == 1


def test_a_file_where_a_folder_belongs_and_the_other_way_round(isthmus, config, tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    refused(
        isthmus("compile", config, "-o", tmp_path / "file", "--layout", "multi-cluster"),
        f"{tmp_path}/file: a file; allowed: a folder, for 4 specs",
    )
    assert (tmp_path / "file").read_text() == "mine"
    refused(
        isthmus("compile", config, "-o", tmp_path / "folder"),
        f"{tmp_path}/folder: a folder; allowed: a file such as {tmp_path}/folder/golden.yaml",
    )


def test_a_place_that_cannot_be_written(isthmus, config, tmp_path):
    (tmp_path / "file").write_text("")
    refused(isthmus("compile", config, "-o", tmp_path / "file" / "x.yaml"), "cannot be written")
    refused(isthmus("compile", config, "-o", "/proc/x.yaml"), "/proc/x.yaml: cannot be written")


def test_refusals_name_the_file(isthmus, config, tmp_path):
    for change, words in (
        (lambda data: data["kubeflow"].update(image=""), "kubeflow.image: found none"),
        (lambda data: brazil(data)["source"].update(pattern="data/*.csv"), "a path of this machine"),
        (lambda data: west(data)["placement"]["store"].update(uri="s3://exchange"), "border: eu-west"),
    ):
        data = golden()
        change(data)
        file = written(tmp_path, data)
        refused(isthmus("compile", file, "-o", tmp_path / "out.yaml"), f"{file}: ", words)
        assert not (tmp_path / "out.yaml").exists()


def test_the_refusal_as_json(isthmus, config, tmp_path):
    data = golden()
    data["kubeflow"]["image"] = "isthmus:latest"
    status, out, _ = isthmus("compile", written(tmp_path, data), "-o", tmp_path / "x.yaml", "--json")
    found = json.loads(out)
    assert (status, found["exit"]) == (2, 2) and "kubeflow.image" in found["message"]


def test_a_spec_too_large_is_refused_and_leaves_nothing(isthmus, tmp_path, monkeypatch):
    from pipeline.compiler import rules

    file = written(tmp_path, many(3, alike=False))
    monkeypatch.setattr(rules, "LIMIT_BYTES", 100 << 10)
    refused(isthmus("compile", file, "-o", tmp_path / "x.yaml"), f"{file}: the compiled spec has")
    assert not (tmp_path / "x.yaml").exists()
    monkeypatch.setattr(rules, "LIMIT_BYTES", 1 << 20)
    monkeypatch.setattr(rules, "LOUD_BYTES", 100 << 10)
    status, _, err = isthmus("compile", file, "-o", tmp_path / "x.yaml")
    assert status == 0 and f"WARNING: {file}: the compiled spec has" in err


@pytest.mark.slow
def test_the_starter_says_what_it_lacks_in_one_line(tmp_path):
    """As a process: no traceback, and nothing of TensorFlow's on the terminal."""
    from pipeline import starter

    config = starter.write(tmp_path / "fleet", size="small")
    done = process("compile", config, "-o", tmp_path / "x.yaml")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"isthmus: {config}: kubeflow.image: found none")
    assert done.stderr.count("\n") == 1
    data = yaml.safe_load(config.read_text())
    config.write_text(yaml.safe_dump({**data, "kubeflow": {"image": "isthmus:1"}}))
    done = process("compile", config, "-o", tmp_path / "x.yaml")
    assert done.returncode == 2 and done.stderr.startswith(f"isthmus: {config}: ")
    assert done.stderr.count("\n") == 1 and "Traceback" not in done.stderr


@pytest.mark.parametrize("moment", ["replace", "fsync"])
def test_ctrl_c_leaves_what_was_there(isthmus, config, tmp_path, monkeypatch, moment):
    out = tmp_path / "pipeline.yaml"
    out.write_text("mine")

    def interrupt(*_):
        raise KeyboardInterrupt

    if moment == "replace":
        monkeypatch.setattr(Path, "replace", interrupt)
    else:
        monkeypatch.setattr(os, "fsync", interrupt)
    status, _, err = isthmus("compile", config, "-o", out)
    assert status == 130 and "Traceback" not in err
    assert out.read_text() == "mine"
    assert {file.name for file in tmp_path.iterdir()} == {"isthmus.yaml", "pipeline.yaml"}


def process(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "pipeline", *map(str, arguments)],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
