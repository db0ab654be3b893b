"""The report of a compiled run sends metrics and alerts, remembers what was told, and never fails for it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.drift.findings import MonitorReport
from components.errors import ReleaseError
from components.release.options import DEFAULT_OPTIONS
from pipeline.compiler import telling as compiled
from pipeline.config.model import Deployment
from pipeline.entrypoint import findings, notices, step
from pipeline.entrypoint.arguments import Arguments
from pipeline.entrypoint.launcher import Invocation
from tests.support.alerting import finding, run_of
from tests.support.deployments import deployment
from tests.support.gateway import Gateway
from tests.support.http_sink import HttpSink
from tests.support.smtp_sink import SmtpSink

ZONES = (("eu-west", "restricted"), ("central", "central"))


@pytest.fixture
def hook() -> Iterator[HttpSink]:
    with HttpSink() as sink:
        yield sink


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    found = Gateway()
    yield found
    found.close()


class Pods:
    """Runs of one compiled deployment, as far as their last two steps go."""

    def __init__(self, folder: Path, host: str = "central", zones: Any = ZONES, **sections: Any) -> None:
        self.folder, self.host, self.zones = folder, host, zones
        self.deployment: Deployment = deployment(folder, lambda data: data.update(sections))
        self.exchange = str(folder / "exchange")
        self.how: Any = "exchange" if host == "central" else "state"
        self.state = str(folder / "state")

    def leave(self, run: str, report: MonitorReport) -> None:
        raw = report.model_dump_json().encode()
        if self.how == "state":
            findings.leave_in_state(findings.open_own(self.state, self.host, DEFAULT_OPTIONS), run, raw)
        else:
            findings.leave_in_exchange(self.exchange, DEFAULT_OPTIONS, run, report.zone, raw)

    def run(self, run: str, *found: Any, outcome: str = "pushed", span: int = 3) -> None:
        """A run in which eu-west found this."""
        if found:
            self.leave(run, run_of(*found, span=span).reports[0])
        for zone, sharing in self.zones:
            release = {"release_id": f"{span:x}" * 8} if outcome == "pushed" else {}
            said = {"verdict": "BLESSED"} if sharing == "central" else {"span": span, **release}
            given = {"zone": zone, "outcome": outcome, **said}
            notices.write(self.exchange, DEFAULT_OPTIONS, run, given)
        self.report(run)

    def report(self, run: str) -> None:
        told = {
            "name": "fleet",
            "zones": [list(zone) for zone in self.zones],
            "exchange": {"$": "exchange"},
            "storage": DEFAULT_OPTIONS.model_dump(mode="json"),
            "telling": compiled.content(self.deployment, self.host, self.how),
        }
        out = self.folder / "out" / run
        given = {"zone": "report", "template": json.dumps(told), "own": "{}", "run": run}
        pages = {"summary": "system.Markdown", "report": "system.HTML"}
        call = {
            "inputs": {"parameterValues": {**given, "exchange": self.exchange}},
            "outputs": {
                "artifacts": {
                    page: {"artifacts": [{"uri": str(out / page), "type": {"schemaTitle": kind}}]}
                    for page, kind in pages.items()
                },
                "outputFile": str(out / "executor_output.json"),
            },
        }
        arguments = Arguments("report", "report", "report", "central", 0, "", self.state, json.dumps(call))
        step.run(arguments, Invocation(call), lambda node, seconds: None)
        assert (out / "executor_output.json").exists()


def webhook(sink: HttpSink, **more: Any) -> dict[str, Any]:
    patience = {"patience_s": 0.0, "first_pause_s": 0.01}
    return {"webhook": [{"name": "hook", "url": f"{sink.url}/x"}], "delivery": patience, **more}


def kinds(sink: HttpSink) -> list[str]:
    found = [json.loads(got.body)["kind"] for got in sink.taken]
    sink.taken.clear()
    return found


def test_an_alert_is_told_once_over_runs_and_its_end_too(tmp_path: Path, hook: HttpSink) -> None:
    pods = Pods(tmp_path, alerts=webhook(hook))
    pods.run("run-1", finding())
    body = hook.taken[0].body
    assert b"eu-west" in body and b"stuck_sensor" in body and b"run-1" in body
    assert kinds(hook) == ["alert"]
    pods.run("run-2", finding(span=4), span=4)
    assert kinds(hook) == []
    pods.run("run-3", finding(span=5, verdict="OK"), span=5)
    assert kinds(hook) == ["resolved"]
    assert (tmp_path / "state" / "central" / "alerts" / "state.json").exists()


def test_what_could_not_be_sent_goes_with_the_next_run(tmp_path: Path, hook: HttpSink, capsys) -> None:
    pods = Pods(tmp_path, alerts=webhook(hook))
    hook.fail(503, 503, 503)
    pods.run("run-1", finding())
    assert kinds(hook) == [] and "1 waiting in the outbox" in capsys.readouterr().out
    hook.answers.clear()
    pods.run("run-2")
    assert kinds(hook) == ["alert"]


def test_mail_goes_from_a_pod(tmp_path: Path) -> None:
    with SmtpSink() as sink:
        mail = {"name": "mail", "host": "127.0.0.1", "port": sink.port, "tls": "none"}
        mail |= {"sender": "isthmus@plant.example", "to": ["ops@plant.example"]}
        Pods(tmp_path, alerts={"email": [mail]}).run("run-1", finding())
        (taken,) = sink.got
    assert taken.to == ["ops@plant.example"] and b"eu-west" in taken.raw


def test_the_state_may_be_an_object_store(tmp_path: Path, hook: HttpSink) -> None:
    place = f"memory://alerts-{tmp_path.name}"
    pods = Pods(tmp_path, alerts=webhook(hook, state=place))
    pods.run("run-1", finding())
    pods.run("run-2", finding(span=4), span=4)
    assert kinds(hook) == ["alert"] and not (tmp_path / "state").exists()
    own = Pods(tmp_path, "eu-west", ZONES[:1], alerts=webhook(hook, state=place))
    own.run("run-3", finding(span=5), span=5)
    assert kinds(hook) == ["alert"]  # a region's own report remembers for itself
    own.run("run-4", finding(span=6), span=6)
    assert kinds(hook) == []


EU, CENTRE, RUN = "eu-west", "central", ""


def test_metrics_go_to_the_pushgateway_and_count_a_run_once(
    tmp_path: Path, gateway: Gateway, monkeypatch
) -> None:
    seconds = iter(range(1_800_000_000, 1_900_000_000))
    now = time.gmtime
    monkeypatch.setattr(time, "gmtime", lambda at=None: now(next(seconds) if at is None else at))
    pods = Pods(tmp_path, metrics={"pushgateway": {"url": gateway.url}})
    pods.run("run-1", finding())
    found = gateway.series()
    assert set(found) == {RUN, EU, CENTRE}
    assert found[EU]["isthmus_drift_alert"] == {"previous drift load eu-west (span)": 1}
    assert found[EU]["isthmus_monitor_evaluated"] == {"": 1} == found[EU]["isthmus_zone_success"]
    assert found[EU]["isthmus_release_published"] == {"eu-west": 1}
    assert found[CENTRE]["isthmus_detector_blessed"] == {"": 1}
    assert found[CENTRE]["isthmus_monitor_evaluated"] == {"": 0}
    assert found[RUN]["isthmus_runs_total"]["0"] == 1 and found[RUN]["isthmus_run_exit_status"] == {"": 0}
    pods.report("run-1")
    assert gateway.series()[RUN]["isthmus_runs_total"]["0"] == 1
    pods.run("run-2", outcome="refused")
    found = gateway.series()
    assert found[RUN]["isthmus_runs_total"] == {"0": 1, "1": 1, "2": 0, "3": 0}
    assert found[EU]["isthmus_release_published"] == {"eu-west": 0}
    assert found[EU]["isthmus_releases_published_total"] == {"eu-west": 1}
    pods.run("run-again")
    assert gateway.series()[EU]["isthmus_releases_published_total"] == {"eu-west": 1}  # was there already
    pods.run("run-new", span=4)
    assert gateway.series()[EU]["isthmus_releases_published_total"] == {"eu-west": 2}
    pods.report("run-3")  # nobody came to an end
    found = gateway.series()
    assert found[EU]["isthmus_zone_success"] == {"": 0}
    assert found[EU]["isthmus_zone_failures_total"] == {"": 1}
    assert found[RUN]["isthmus_runs_total"] == {"0": 3, "1": 1, "2": 1, "3": 0}


def test_a_regions_own_report_tells_of_its_zone_only(
    tmp_path: Path, gateway: Gateway, hook: HttpSink
) -> None:
    sections = {"metrics": {"pushgateway": {"url": gateway.url}}, "alerts": webhook(hook)}
    pods = Pods(tmp_path, "eu-west", ZONES[:1], **sections)
    pods.run("run-1", finding())
    assert set(gateway.series()) == {EU} and kinds(hook) == ["alert"]
    assert not (tmp_path / "exchange" / "_notices" / "monitor-run-1").exists()
    # What an earlier run left is not this one's.
    pods.run("run-2")
    assert gateway.series()[EU]["isthmus_monitor_evaluated"] == {"": 0}


def test_a_server_that_is_away_does_not_fail_the_report(tmp_path: Path, capsys) -> None:
    gone = {"url": "http://127.0.0.1:9", "attempts": 1}
    pods = Pods(tmp_path, metrics={"pushgateway": gone})
    pods.run("run-1", finding())
    assert "metrics: pushgateway 127.0.0.1:9: cannot be reached" in capsys.readouterr().out


def test_another_locale_or_a_picture_is_not_believed(tmp_path: Path, hook: HttpSink, capsys) -> None:
    pods = Pods(tmp_path, alerts=webhook(hook))
    stranger = run_of(finding(locale="pt-BR")).reports[0]
    pods.leave("run-1", stranger)
    pods.run("run-1")
    assert kinds(hook) == [] and "monitoring: " in capsys.readouterr().out
    raw = run_of(finding()).reports[0].model_copy(update={"zone": "pt-BR"}).model_dump_json().encode()
    findings.leave_in_exchange(pods.exchange, DEFAULT_OPTIONS, "run-2", "eu-west", raw)
    with pytest.raises(ReleaseError, match="is not of locale eu-west"):
        findings.from_exchange(pods.exchange, DEFAULT_OPTIONS, "run-2", "eu-west", 3, pods.deployment.dataset)
