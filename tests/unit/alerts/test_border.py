"""No value of a row is in a message: planted in every free text of a finding, looked for in every byte."""

from __future__ import annotations

import base64
import itertools
import json
import quopri
import re
from pathlib import Path

import pytest

from components.drift.findings import (
    Cause,
    Distribution,
    Finding,
    Measurement,
    MonitorReport,
    MonitorRun,
    Null,
    TimeLine,
)
from tests.support.alerting import finding, run_of
from tests.support.http_sink import HttpSink
from tests.support.smtp_sink import SmtpSink

#: Never a word of ours, whatever is done to its case.
_MARKS = (f"Zx{number:03d}qK" for number in itertools.count(1))


def planted(planting: set[str]) -> Finding:
    """A finding that alerts, with a mark in every text that its form allows, and in every number's name."""

    def mark() -> str:
        text = next(_MARKS)
        planting.add(text)
        return text

    null = Null(mean=0.1, limit=0.2, draws=9, blocks=9, block_s=60.0)
    measurement = Measurement(
        measure="wasserstein",
        value=1.5,
        unit=mark(),
        threshold=0.5,
        rule="number",
        n=7,
        n_baseline=8,
        null=null,
        verdict="ALERT",
        reason=mark(),
    )
    cause = Cause(
        name="stuck_sensor",
        words=f"the sensor repeats {mark()}",
        evidence={mark(): 0.5},
        begin=mark(),
        end=mark(),
    )
    shares = Distribution(labels=(mark(), mark()), share=(0.5, 0.5), share_baseline=(0.5, 0.5))
    line = TimeLine(begin=(mark(),), bucket_s=60.0, measure="wasserstein", value=(0.1,))
    return Finding(
        comparison="drift",
        locale="eu-west",
        against=mark(),
        feature="load",
        split=mark(),
        span=3,
        measurements=(measurement, measurement.model_copy(update={"unit": mark(), "reason": mark()})),
        verdict="ALERT",
        severity="critical",
        cause=cause,
        distribution=shares,
        time_line=line,
        reason=mark(),
    )


def everything_planted() -> tuple[MonitorRun, set[str]]:
    planting: set[str] = set()
    base = planted(planting)

    def mark() -> str:
        text = next(_MARKS)
        planting.add(text)
        return text

    findings = [
        base,
        base.model_copy(update={"feature": mark(), "comparison": "skew"}),
        base.model_copy(update={"feature": mark() + "\r\nBcc: x@y.example", "comparison": "skew"}),
        base.model_copy(update={"locale": mark(), "feature": "starts"}),
        base.model_copy(update={"against": f"spans 0 to 2 {mark()}", "baseline": "window"}),
    ]
    report = MonitorReport(
        zone=mark(),
        sharing="restricted",
        span=3,
        alpha=0.01,
        status="EVALUATED",
        reason=mark(),
        findings=tuple(findings),
    )
    run = MonitorRun(
        deployment=mark(),
        run_id=f"{mark()}_{mark()} !",
        finished=mark(),
        isthmus_version=mark(),
        reports=(report,),
        missing={mark(): mark()},
    )
    return run, planting


def texts_of(model) -> set[str]:
    """Every text of a model, keys included."""
    if isinstance(model, str):
        return {model}
    if isinstance(model, dict):
        return {text for item in (*model, *model.values()) for text in texts_of(item)}
    return {text for item in model for text in texts_of(item)} if isinstance(model, (list, tuple)) else set()


def test_every_text_of_a_finding_is_planted():
    # A field that is added to a finding must be planted here too, or listed as one of the closed ones.
    run, planting = everything_planted()
    closed = {"drift", "skew", "eu-west", "load", "starts", "", "window", "ALERT", "critical", "wasserstein"}
    closed |= {"number", "stuck_sensor", "restricted", "EVALUATED", "benjamini_hochberg"}
    keys = re.compile(r"[a-z_]+")
    free = {
        text
        for text in texts_of(run.model_dump(mode="json"))
        if text not in closed and not (keys.fullmatch(text) and not any(mark in text for mark in planting))
    }
    assert all(any(mark in text for mark in planting) for text in free), free
    found = json.dumps(run.model_dump(mode="json"))
    assert all(mark in found for mark in planting) and len(planting) > 25


def leaked(planting: set[str], data: bytes) -> set[str]:
    """Marks in bytes: as they are, and with a mail's transfer encoding undone."""
    views = [data, quopri.decodestring(data)]
    for part in re.findall(rb"(?:[A-Za-z0-9+/=]{20,}\r?\n?)+", data):
        signs = re.sub(rb"[\r\n=]", b"", part)
        views.append(base64.b64decode(signs + b"A" * (-len(signs) % 4)))
    joined = b"\n".join(views).lower()
    return {mark for mark in planting if mark.lower().encode() in joined}


def test_a_planted_value_is_found_where_it_is():
    mail = quopri.encodestring(("x" * 70 + "Zx001qK").encode())
    assert leaked({"Zx001qK"}, mail) and leaked({"Zx001qK"}, base64.b64encode(b"see " * 9 + b"zX001Qk"))
    assert not leaked({"Zx001qK"}, b"nothing")


@pytest.mark.parametrize("hours", ["day", "night"])
def test_no_planted_value_leaves_in_any_message_or_stays_in_a_file(world, monkeypatch, capsys, hours):
    run, planting = everything_planted()
    from pipeline.alerts.sending import attempt

    with HttpSink() as http, SmtpSink() as smtp:
        monkeypatch.setenv("SLACK", f"{http.url}/slack")
        sender = {"sender": "isthmus@ex.org", "to": ["ops@ex.org"]}
        world.section = {
            "slack": [{"name": "chat", "url": {"env": "SLACK"}}],
            "webhook": [{"name": "hook", "url": f"{http.url}/hook"}],
            "email": [{"name": "mail", "host": "127.0.0.1", "port": smtp.port, "tls": "none", **sender}],
            "owners": [{"names": ["Ada"]}],
        }
        if hours == "night":
            window = {"begin": "08:00", "end": "18:00"}
            world.section["quiet_hours"] = {"time_zone": "Etc/UTC", "windows": [window], "through": None}
        world.attempt = attempt
        summary = world.dispatch(run)
        assert not summary.problems
        world.later(hours=10)
        flushed = world.flush()
        clean = run_of(*(x.model_copy(update={"verdict": "OK", "span": 4}) for x in run.reports[0].findings))
        world.dispatch(clean.model_copy(update={"run_id": "after"}))
        world.later(hours=24)
        world.flush()
        sent = [request.body + json.dumps([request.path, request.headers]).encode() for request in http.got]
        sent += [mail.raw for mail in smtp.got]
    # Alerts and ends were told, on all three channels; at night as digests.
    assert len(sent) >= 6 and (flushed.sent == 3 or hours == "day")
    told = b"".join(sent)
    assert b"eu-west" in told and b"resolved" in told and b"does not name" in told
    kept = b"".join(file.read_bytes() for file in (world.folder / "root").rglob("*") if file.is_file())
    assert b"eu-west" in kept
    printed = "".join(capsys.readouterr()) + summary.words
    assert leaked(planting, told) == set()
    assert leaked(planting, kept + printed.encode()) == set()


def test_a_unit_that_the_deployment_gives_is_a_distances_unit(world):
    world.dispatch(run_of(finding()))
    ((_, message),) = world.sent
    assert message.notices[0].items[0].measures[0].unit == "kW"


def test_only_one_module_reads_findings():
    folder = Path(__file__).parents[3] / "pipeline" / "alerts"
    readers = {
        file.name
        for file in folder.glob("*.py")
        if re.search(r"import .*\bFinding\b|^    Finding,", file.read_text(), re.M)
    }
    assert readers == {"facts.py"}
