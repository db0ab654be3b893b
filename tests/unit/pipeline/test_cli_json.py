"""`--json`: one JSON value on stdout, also when the input is bad."""

from __future__ import annotations

import json

import pytest

from components.errors import ConfigError
from pipeline import cli, starter


@pytest.fixture(scope="module")
def deployment(tmp_path_factory):
    return starter.write(tmp_path_factory.mktemp("json") / "fleet", size="small")


@pytest.mark.parametrize("command", ["run", "validate", "status", "lineage", "report"])
def test_bad_input_is_one_json_object_on_stdout_and_the_line_on_stderr(isthmus, tmp_path, command):
    missing = tmp_path / "nowhere.yaml"
    exit_status, out, err = isthmus(command, missing, "--json")
    found = json.loads(out)
    assert exit_status == 2
    assert (found["status"], found["exit"]) == ("error", 2)
    assert str(missing) in found["message"]
    assert err == f"isthmus: {found['message']}\n"


def test_without_json_stdout_stays_empty(isthmus, tmp_path):
    exit_status, out, err = isthmus("run", tmp_path / "nowhere.yaml")
    assert (exit_status, out) == (2, "") and "no such file" in err


def test_a_usage_error_is_a_json_object_too(isthmus):
    exit_status, out, err = isthmus("run", "x.yaml", "--stage", "never", "--json")
    assert exit_status == 2
    assert json.loads(out)["exit"] == 2 and "never" in json.loads(out)["message"]
    assert "never" in err


def test_an_argument_after_two_dashes_is_no_option(isthmus):
    exit_status, out, _ = isthmus("validate", "--", "--json")
    assert (exit_status, out) == (2, "")


def test_a_negative_verdict_and_our_fault_have_their_own_status(isthmus, monkeypatch):
    from components.errors import VerdictError

    def refuse(*given):
        raise VerdictError("locale=eu: drift")

    monkeypatch.setattr(cli, "run_and_report", refuse)
    assert json.loads(isthmus("run", "x.yaml", "--json")[1])["exit"] == 1

    def fail(*given):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(cli, "run_and_report", fail)
    exit_status, out, err = isthmus("run", "x.yaml", "--json")
    assert exit_status == 3 and json.loads(out)["exit"] == 3
    assert "Traceback" in err and "Traceback" not in out


def test_validate_lists_each_deployment(isthmus, deployment):
    exit_status, out, _ = isthmus("validate", deployment, "--json")
    found = json.loads(out)
    assert (exit_status, found["status"]) == (0, "valid")
    (one,) = found["deployments"]
    assert one["config"] == str(deployment)
    assert (one["locales"], one["restricted"]) == (3, 2)
    assert len(one["config_digest"]) == 64


def test_a_simulation_is_called_one_by_validate_and_run(isthmus, monkeypatch, deployment, tmp_path):
    from pipeline import local_runner

    def stop(*arguments, **more):
        raise ConfigError("stopped here")

    monkeypatch.setattr(local_runner, "run", stop)
    warning = (
        f"WARNING: {deployment}: a simulation, no border: the centre reads the raw rows of eu-west, ap-south."
    )
    for command in ("validate", "run"):
        _, out, err = isthmus(command, deployment)
        assert [line for line in err.splitlines() if "WARNING" in line] == [
            f"{warning} Set central.ideal: false before real data come in."
        ]
        assert "WARNING" not in out
    assert json.loads(isthmus("validate", deployment, "--json")[1])["deployments"][0]["warning"].startswith(
        warning
    )
    real = deployment.with_name("real.yaml")
    real.write_text(deployment.read_text().replace("ideal: true", "ideal: false"))
    for command in ("validate", "run"):
        assert "WARNING" not in isthmus(command, real)[2]
    assert json.loads(isthmus("validate", real, "--json")[1])["deployments"][0]["warning"] == ""


def test_the_starter_says_on_its_top_that_it_is_a_simulation(deployment):
    lines = deployment.read_text().splitlines()
    top = "\n".join(line for line in lines[: lines.index("version: 1")])
    assert "SIMULATION, NOT A BORDER" in top and "central.ideal: false" in top and "create_key: false" in top
    assert "rare_events" in top
    marked = [line.split(":")[0].strip() for line in lines if "# SIMULATION" in line]
    assert marked == ["create_key"] * 3 + ["min_windows", "ideal"]


def test_of_two_files_the_bad_one_is_the_answer(isthmus, deployment, tmp_path):
    exit_status, out, _ = isthmus("validate", deployment, tmp_path / "nowhere.yaml", "--json")
    assert exit_status == 2
    assert json.loads(out)["status"] == "error"


def test_what_was_made_is_named(isthmus, monkeypatch, tmp_path):
    monkeypatch.setattr(starter, "simulate_fleet", lambda fleet, out: None)
    assert json.loads(isthmus("init", tmp_path / "fleet", "--json")[1]) == {
        "config": str(tmp_path / "fleet" / "isthmus.yaml")
    }
    key = tmp_path / "k.pem"
    made = json.loads(isthmus("keys", "new", key, "--json")[1])
    assert made["private_key"] == str(key) and made["public_key"] == f"{key}.pub" and made["key_id"]
    assert key.exists()
    # A second time it is there: an error, as JSON.
    assert json.loads(isthmus("keys", "new", key, "--json")[1])["exit"] == 2


def test_simulate_names_the_folders(isthmus, monkeypatch, tmp_path):
    from components.simulator.core import fleet

    monkeypatch.setattr(fleet, "simulate_fleet", lambda made, out, spans: None)
    found = json.loads(isthmus("simulate", tmp_path / "x", "--size", "small", "--json")[1])
    assert found["locales"] == {"us-east": "open", "eu-west": "restricted", "ap-south": "restricted"}
    assert found["folder"] == str(tmp_path / "x") and found["seed"] == 7
