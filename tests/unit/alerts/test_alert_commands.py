"""`isthmus alert` from end to end, against servers on this machine."""

from __future__ import annotations

import json
import sys

import pytest

from pipeline import cli
from tests.support import deployments, slack_rules
from tests.support.alerting import finding, run_of
from tests.support.http_sink import HttpSink
from tests.support.smtp_sink import SmtpSink


@pytest.fixture
def isthmus(monkeypatch, capsys):
    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["isthmus", *map(str, arguments)])
        exit_status = cli._run_app()
        captured = capsys.readouterr()
        return exit_status, captured.out, captured.err

    return call


@pytest.fixture
def fleet(tmp_path, monkeypatch):
    """A deployment file with a channel of each kind, and their servers."""
    with HttpSink() as http, SmtpSink() as smtp:
        monkeypatch.setenv("SLACK", f"{http.url}/slack")
        data = deployments.golden()
        data["root"] = str(tmp_path / "root")
        to = {"sender": "a@ex.org", "to": ["b@ex.org"]}
        data["alerts"] = {
            "slack": [{"name": "chat", "url": {"env": "SLACK"}}],
            "webhook": [{"name": "hook", "url": f"{http.url}/hook"}],
            "email": [{"name": "mail", "host": "127.0.0.1", "port": smtp.port, "tls": "none", **to}],
            "delivery": {"patience_s": 0},
        }
        (tmp_path / "run.json").write_text(run_of(finding()).model_dump_json())
        yield deployments.written(tmp_path, data), http, smtp


def test_the_test_goes_the_whole_way_and_says_what_happened(isthmus, fleet, tmp_path):
    config, http, smtp = fleet
    status, out, err = isthmus("alert", "test", config)
    assert (status, err) == (0, "")
    assert out.splitlines() == ["chat: sent (HTTP 200)", "hook: sent (HTTP 200)", "mail: sent (1 mailboxes)"]
    for request in http.taken:
        assert (
            b"TEST" in request.body if request.path == "/slack" else json.loads(request.body)["test"] is True
        )
    slack_rules.check(json.loads(http.taken[0].body))
    assert smtp.got[0].message["Subject"] == "[Isthmus] [TEST] golden: this is a test; nothing happened"
    state = json.loads((tmp_path / "root" / "alerts" / "state.json").read_text())
    assert len(state["sent"]) == 3 and not list((tmp_path / "root" / "alerts" / "outbox").iterdir())


def test_a_test_that_is_not_taken_is_said_and_not_kept(isthmus, fleet):
    config, http, _ = fleet
    http.fail(404)
    status, out, err = isthmus("alert", "test", config, "--channel", "hook", "--json")
    assert status == 2 and "not taken by hook" in err
    assert json.loads(out) == [{"channel": "hook", "sent": False, "words": "HTTP 404"}]
    http.fail(500)
    assert isthmus("alert", "test", config, "--channel", "hook")[1] == "hook: NOT sent (HTTP 500)\n"
    found = json.loads(isthmus("alert", "list", config, "--json")[1])
    assert found["outbox"] == found["set_aside"] == [] and len(http.got) == 2
    # The pause after a failure does not hold a second test up.
    assert isthmus("alert", "test", config, "--channel", "hook")[0] == 0


def test_a_channel_that_is_not_there_and_a_deployment_without_any(isthmus, fleet, tmp_path):
    config, _, _ = fleet
    status, _, err = isthmus("alert", "test", config, "--channel", "chatt")
    assert (
        status == 2
        and "--channel chatt: not configured (did you mean 'chat'?); allowed: chat, hook, mail" in err
    )
    data = deployments.golden()
    bare = deployments.written(tmp_path, data)
    for command in ("test", "send", "flush", "list"):
        status, _, err = isthmus("alert", command, bare)
        assert status == 2 and "no channel is configured" in err


def test_to_list_writes_nothing(isthmus, fleet, tmp_path):
    assert "the outbox is empty" in isthmus("alert", "list", fleet[0])[1]
    assert not (tmp_path / "root").exists()


def test_send_list_and_flush(isthmus, fleet, tmp_path):
    config, http, _ = fleet
    http.fail(503)
    status, out, _ = isthmus("alert", "send", config, "--monitor", tmp_path / "run.json")
    assert (
        status == 2
        and out == "alerts: 2 sent; 1 waiting in the outbox; channel chat: HTTP 503; it is tried again\n"
    )
    found = json.loads(isthmus("alert", "list", config, "--json")[1])
    assert [item["key"] for item in found["open"]] == ["drift/eu-west/previous/load/(span)"]
    (waiting,) = found["outbox"]
    assert (waiting["channel"], waiting["attempts"], waiting["error"]) == ("chat", 1, "HTTP 503")
    assert "stuck sensor" in isthmus("alert", "list", config)[1]
    http.fail(400)
    status, out, err = isthmus("alert", "flush", config, "--now")
    assert (status, out) == (2, "sent 0, waiting 0, held back 0, set aside 1\n") and "set aside: " in err
    assert len(json.loads(isthmus("alert", "list", config, "--json")[1])["set_aside"]) == 1
    assert isthmus("alert", "flush", config, "--failed")[1] == "sent 1, waiting 0, held back 0, set aside 0\n"
    status, out, _ = isthmus("alert", "send", config, "--monitor", tmp_path / "run.json")
    assert (status, out) == (0, "alerts: nothing to tell\n")
    flushed = json.loads(isthmus("alert", "flush", config, "--json")[1])
    assert flushed == {"held": 0, "problems": [], "sent": 0, "set_aside": 0, "waiting": 0}
    assert len(http.taken) == 2


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "cannot be read"), ("{", "no monitoring of a run"), ('{"version": 2}', "no monitoring of a run")],
)
def test_a_file_that_is_no_monitoring_is_refused(isthmus, fleet, tmp_path, content, words):
    file = tmp_path / "other.json"
    if content is not None:
        file.write_text(content)
    status, _, err = isthmus("alert", "send", fleet[0], "--monitor", file)
    assert status == 2 and words in err and err.count("\n") == 1


def test_the_end_of_a_run_tells_in_one_line_and_never_fails(fleet, tmp_path, capsys):
    from pipeline.alerts.follow import follow
    from pipeline.config.load import load_deployment

    config, http, _ = fleet
    deployment = load_deployment(config)
    folder = tmp_path / "root" / "runs" / "x"
    folder.mkdir(parents=True)
    (folder / "monitor.html").write_text("<p>")
    http.fail(500)
    follow(deployment, folder, run_of(finding()))
    assert capsys.readouterr().err.count("\n") == 1
    assert json.loads(http.taken[-1].body)["notices"][0]["report"] == str(folder / "monitor.html")
    follow(deployment, folder, run_of(finding()))
    follow(deployment.model_copy(update={"root": "/proc/nowhere"}), folder, run_of(finding()))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) <= 2 and "cannot write" in lines[-1]
