"""`isthmus submit`, `runs`, `watch` in this process: what they send, print, and end with."""

from __future__ import annotations

import io
import json
import re
from datetime import datetime, timezone

import pytest
import yaml
from rich.console import Console

from pipeline.commands import kubeflow_view
from pipeline.kfp_api import runs
from pipeline.kfp_api.runs import Run
from pipeline.kfp_api.tasks import Task
from pipeline.kfp_api.watching import Sight
from tests.support import kfp_api_specs

SCRIPT = [
    ("PENDING", {}),
    ("RUNNING", {"eu-west": "RUNNING", "eu-west-train": "RUNNING", "ap-south": "RUNNING"}),
    ("RUNNING", {"eu-west": "FAILED", "eu-west-train!exit\ncode 1": "FAILED", "ap-south": "RUNNING"}),
    ("SUCCEEDED", {"eu-west": "FAILED", "eu-west-train!exit\ncode 1": "FAILED", "ap-south": "SUCCEEDED"}),
]


@pytest.fixture
def submit(server, spec_file, isthmus):
    """`isthmus submit` of the spec with what it needs."""

    def call(*arguments, exchange="s3://exchange"):
        return isthmus(
            "submit",
            spec_file,
            "--endpoint",
            server.endpoint,
            "--span",
            "latest",
            "--exchange",
            exchange,
            *arguments,
        )

    return call


def test_submit_sends_typed_parameters_and_names_the_run(server, submit):
    status, out, err = submit("--seed", 11, "--param", "ratio=0.25", "--run-name", "mine", "--namespace", "n")

    (run_id,) = server.store.runs
    assert (status, err) == (0, "")
    assert re.fullmatch(r"\S+pipeline.yaml: run " + run_id + r" 'mine' in experiment isthmus\n", out)
    sent = server.bodies("create_run")[0]
    expected = {"span": -1, "exchange": "s3://exchange", "seed": 11, "ratio": 0.25}
    assert sent["runtime_config"] == {"parameters": expected}
    assert sent["pipeline_spec"]["platform_spec"] == kfp_api_specs.documents()[1]


def test_submit_in_json(server, submit, spec_file):
    status, out, _ = submit("--json", "--experiment", "trial")

    found = json.loads(out)
    assert status == 0 and found["experiment"]["name"] == "trial"
    (run,) = found["runs"]
    assert run["spec"] == str(spec_file) and run["run_id"] in server.store.runs
    assert run["parameters"] == {"span": -1, "exchange": "s3://exchange"}
    assert re.fullmatch(r"isthmus \d{4}-\d\d-\d\d \d\d:\d\d:\d\d", run["name"])


def test_root_account_and_no_cache_arrive(server, submit):
    status, _, _ = submit("--pipeline-root", "s3://b/p", "--service-account", "runner", "--no-cache")

    sent = server.bodies("create_run")[0]
    assert status == 0
    assert sent["runtime_config"]["pipeline_root"] == "s3://b/p"
    assert sent["service_account"] == "runner"
    assert "enableCache: true" not in yaml.safe_dump(sent)


def test_a_kept_version_is_run_by_reference(server, submit):
    assert submit("--pipeline", "fleet")[0] == 0
    assert submit("--pipeline", "fleet")[0] == 0

    assert len(server.store.versions) == 1
    assert all("pipeline_version_reference" in body for body in server.bodies("create_run"))


def test_a_schedule_instead_of_a_run(server, submit):
    status, out, _ = submit("--recurring", "0 4 * * *", "--disabled", "--max-concurrency", 2)

    (schedule_id,) = server.store.schedules
    assert status == 0 and not server.store.runs
    assert f"recurring run {schedule_id} (0 0 4 * * *, disabled) 'isthmus' in experiment isthmus" in out
    assert server.bodies("create_recurring_run")[0]["max_concurrency"] == "2"


def test_the_same_schedule_twice_is_refused(submit):
    submit("--recurring", "0 4 * * *")
    status, _, err = submit("--recurring", "0 4 * * *")

    assert status == 2 and "recurring run isthmus: exists already" in err


def test_several_specs_are_several_runs(server, submit, spec_file, tmp_path):
    second = tmp_path / "second.yaml"
    documents = kfp_api_specs.documents()
    documents[0]["pipelineInfo"]["name"] = "centre"
    second.write_text(yaml.safe_dump_all(documents))

    status, out, _ = submit(second, "--run-name", "nightly")

    assert status == 0 and len(out.splitlines()) == 2
    assert [run["display_name"] for run in server.store.runs.values()] == [
        "nightly isthmus",
        "nightly centre",
    ]


def test_an_error_of_the_second_names_the_first(server, submit, tmp_path):
    second = tmp_path / "second.yaml"
    documents = kfp_api_specs.documents()
    documents[0]["surplus"] = 1
    second.write_text(yaml.safe_dump_all(documents))

    status, _, err = submit(second)

    (run_id,) = server.store.runs
    assert status == 2
    assert re.search(
        rf"second.yaml: .*\(500\).*; submitted before it: \S+pipeline.yaml as {run_id}$", err.strip()
    )


def test_nothing_is_sent_before_everything_is_checked(server, submit, tmp_path):
    second = tmp_path / "second.yaml"
    second.write_text("kind: Workflow")

    status, _, err = submit(second)

    assert status == 2 and "second.yaml: 1 documents" in err
    assert not server.requests


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--recurring", "0 4 * * *", "--wait"], "--recurring and --wait: both given"),
        (["--recurring", "0 4 * *"], "4 fields"),
        (["--recurring", "0 4 * * *", "--max-concurrency", "11"], "--max-concurrency 11; allowed: 1 to 10"),
        (["--disabled"], "--disabled and --max-concurrency: need --recurring CRON"),
        (["--max-concurrency", "2"], "need --recurring CRON"),
        (["--pipeline", "fleet", "--no-cache"], "--pipeline and --no-cache: both given"),
        (["--pipeline-root", "/tmp"], "--pipeline-root /tmp: not a bucket"),
        (["--param", "span=3"], "--span and --param span: differ"),
        (["--param", "sede=3"], "parameter sede: not one of its (did you mean 'seed'?)"),
        (["--span", "newest"], "--span newest; allowed: a number from 0, or latest"),
        (["--span", "-1"], "--span -1; allowed: a number from 0, or latest"),
        (["--image", "x"], "parameter image: not one of its"),
    ],
)
def test_what_is_refused_before_anything_is_sent(server, submit, arguments, message):
    status, out, err = submit(*arguments)

    assert (status, out) == (2, "")
    assert message in err and len(err.splitlines()) == 1
    assert not server.requests


def test_a_missing_address(isthmus, spec_file):
    status, _, err = isthmus("submit", spec_file, "--span", "1", "--exchange", "x")

    assert status == 2 and "--endpoint: missing, and ISTHMUS_KFP_ENDPOINT is not set" in err


def test_insecure_is_said_aloud(submit):
    status, _, err = submit("--insecure")

    assert status == 0 and "WARNING: http://127.0.0.1" in err and "whoever listens in is trusted" in err


def test_submit_and_wait_prints_every_change_and_ends_as_the_run(server, submit):
    server.store.script = SCRIPT

    status, out, _ = submit("--wait", "--run-name", "mine", "--poll", 0.1)

    lines = [re.sub(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ ", "", line) for line in out.splitlines()[1:]]
    (run_id,) = server.store.runs
    assert status == 0
    assert lines == [
        "ap-south ap-south RUNNING",
        "eu-west eu-west RUNNING",
        "eu-west eu-west-train RUNNING",
        "eu-west eu-west FAILED",
        "eu-west eu-west-train FAILED: exit code 1",
        "ap-south ap-south SUCCEEDED",
        f"run {run_id} SUCCEEDED; ap-south SUCCEEDED, eu-west FAILED",
    ]


def test_submit_and_wait_in_json_is_one_value(server, submit):
    server.store.script = [*SCRIPT[:3], ("FAILED", SCRIPT[2][1])]

    status, out, err = submit("--wait", "--json", "--poll", 0.1)

    (found,) = json.loads(out)["runs"]
    assert (status, found["exit"], found["state"]) == (3, 3, "FAILED")
    assert found["regions"]["eu-west"]["state"] == "FAILED"
    assert [task["name"] for task in found["regions"]["eu-west"]["tasks"]] == ["eu-west", "eu-west-train"]
    assert "eu-west-train FAILED: exit code 1" in err


@pytest.mark.parametrize(("state", "exit_status"), [("SUCCEEDED", 0), ("FAILED", 3), ("CANCELED", 3)])
def test_watch_ends_as_the_run(server, submit, isthmus, state, exit_status):
    server.store.script = [(state, {})]
    submit()
    (run_id,) = server.store.runs

    status, out, _ = isthmus("watch", run_id, "--endpoint", server.endpoint, "--poll", 0.1)

    assert (status, out) == (exit_status, f"run {run_id} {state}; the API names no tasks of it\n")


def test_watch_says_what_troubles_the_api(server, submit, isthmus):
    submit()
    (run_id,) = server.store.runs
    server.failures = [503]

    status, out, _ = isthmus("watch", run_id, "--endpoint", server.endpoint, "--poll", 0.1)

    assert status == 0
    assert re.search(r"Z - api http://\S+ refused run .*\(503\).*; trying again\n", out)


def test_watch_of_a_run_that_is_not_there(server, isthmus):
    status, out, err = isthmus("watch", "none", "--endpoint", server.endpoint, "--json")

    assert status == 2 and "run none: not found" in err
    assert json.loads(out)["exit"] == 2


def test_ctrl_c_leaves_the_run_and_says_so(server, submit, isthmus, monkeypatch):
    server.store.script = SCRIPT
    submit()
    (run_id,) = server.store.runs

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(runs, "get", interrupt)
    status, _, err = isthmus("watch", run_id, "--endpoint", server.endpoint, "--poll", 0.1)

    assert status == 130
    assert err == f"isthmus: interrupted; run {run_id} goes on: isthmus watch {run_id} looks again\n"
    assert server.store.runs[run_id]["state"] == "PENDING"


def test_ctrl_c_while_submitting_says_what_to_look_for(submit, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(runs, "start", interrupt)
    status, _, err = submit()

    assert status == 130 and "pipeline.yaml may have been submitted: look with isthmus runs" in err


def test_runs_are_listed_by_state_and_experiment(server, submit, isthmus):
    for name in ("a", "b", "c"):
        submit("--run-name", name)
    submit("--run-name", "other", "--experiment", "trial")
    first = next(iter(server.store.runs.values()))
    first["state"] = "FAILED"
    base = ("runs", "--endpoint", server.endpoint)

    def names(*arguments):
        return [line.split("\t")[1] for line in isthmus(*base, *arguments)[1].splitlines()]

    assert names() == ["other", "c", "b", "a"]
    assert names("--limit", 2) == ["other", "c"]
    assert names("--experiment", "isthmus") == ["c", "b", "a"]
    assert names("--state", "failed") == ["a"]
    listed = json.loads(isthmus(*base, "--state", "FAILED", "--json")[1])["runs"]
    assert [(run["run_id"], run["state"], run["finished"]) for run in listed] == [
        (first["run_id"], "FAILED", "")
    ]


def test_runs_of_an_experiment_that_is_not_there(server, isthmus):
    status, _, err = isthmus("runs", "--endpoint", server.endpoint, "--experiment", "none")

    assert status == 2 and "experiment none: none at http" in err


def _sight(tasks, state="RUNNING"):
    return Sight(Run("1", "a [red]run[/]", state, "e", "", "", {}), tasks)


def test_the_table_has_a_row_for_every_region():
    tasks = [
        Task("eu-west", "eu-west", "RUNNING"),
        Task("eu-west-onboard", "eu-west", "SUCCEEDED"),
        Task("eu-west-train", "eu-west", "RUNNING", attempts=2),
        Task("central-merge", "central", "FAILED"),
    ]
    console = Console(file=io.StringIO(), width=100)

    console.print(kubeflow_view._table(_sight(tasks), "no answer"))

    shown = console.file.getvalue()
    assert "a [red]run[/]: RUNNING" in shown and "no answer; trying again" in shown
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in shown.splitlines() if "│" in line]
    assert rows == [
        ["eu-west", "RUNNING", "1/2", "train (2.)", ""],
        ["central", "FAILED", "0/1", "", "merge"],
    ]


def test_a_terminal_gets_the_table_and_the_end(monkeypatch, capsys):
    screen = io.StringIO()
    monkeypatch.setattr(
        kubeflow_view, "Console", lambda: Console(file=screen, force_terminal=True, width=100)
    )
    looks = [
        Sight(None, trouble="away"),
        _sight([Task("eu-west-train", "eu-west", "SUCCEEDED")], "SUCCEEDED"),
    ]

    result = kubeflow_view.follow(iter(looks), False)

    assert result["exit"] == 0 and "waiting for the API" in screen.getvalue()
    assert "eu-west" in screen.getvalue()
    assert capsys.readouterr().out == "run 1 SUCCEEDED; eu-west SUCCEEDED\n"


def test_a_change_is_one_line():
    task = Task("eu-west-train", "eu-west", "FAILED", attempts=3, error="exit code 1")
    now = datetime(2026, 11, 21, 12, 0, 5, tzinfo=timezone.utc)

    line = kubeflow_view.change_line(task, now)

    assert line == "2026-11-21T12:00:05Z eu-west eu-west-train FAILED attempt 3: exit code 1"


def test_runs_on_a_terminal_are_a_table(monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr(
        kubeflow_view, "Console", lambda: Console(file=screen, force_terminal=True, width=120)
    )

    kubeflow_view.print_runs([Run("1", "a\nname", "FAILED", "e", "2026-11-21T12:00:00Z", "", {})])

    assert "a name" in screen.getvalue() and "FAILED" in screen.getvalue()
