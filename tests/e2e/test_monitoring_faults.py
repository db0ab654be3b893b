"""Two spans of a fleet, the second with another fault in each locale: whoever is told is told the same.

`isthmus run` on span 0, on span 1, and on span 1 once more, with a webhook, a mail server and a folder for
metrics. The locales are open, and the centre is left out: nothing is trained.
"""

from __future__ import annotations

import dataclasses
import datetime
import html
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from tests.support.http_sink import HttpSink
from tests.support.smtp_sink import SmtpSink

pytestmark = pytest.mark.e2e

ALL = "(all)"
DAYS = 14
#: Span 1 begins here; the fleet starts on 1 March 2024.
SPAN_1 = datetime.datetime(2024, 3, 15, tzinfo=datetime.timezone.utc)
#: Twice the bucket of two hours in which a change of the rows can be placed.
NEAR = datetime.timedelta(hours=4)


@dataclasses.dataclass(frozen=True)
class Case:
    """A locale, and what its second span has.

    Attributes:
      locale: Its name.
      cause: Of the alert that is expected.
      feature: Of that alert, as messages name it.
      fault: Of the simulator; begin and end are parts of the span.
      change: Of the plant, from span 1 on.
    """

    locale: str
    cause: str
    feature: str
    fault: dict[str, Any] = dataclasses.field(default_factory=dict)
    change: dict[str, Any] = dataclasses.field(default_factory=dict)

    def time(self, part: str) -> datetime.datetime | None:
        """When the fault begins or ends; None at an end of the span."""
        share = self.fault.get(part, 0.0)
        return SPAN_1 + datetime.timedelta(days=DAYS * share) if 0 < share < 1 else None


CASES = [
    # Half of the temperatures come in kelvin.
    Case(
        "kelvin",
        "unit_change",
        "temp_c",
        {"kind": "unit_change", "column": "temp_c", "begin": 0.5, "end": 1.0, "unit": (1.0, 273.15)},
    ),
    # A time zone that was set wrongly.
    Case(
        "zone",
        "clock_shift",
        ALL,
        {"kind": "clock_shift", "begin": 0.5, "end": 1.0, "seconds": 7200.0},
    ),
    Case(
        "frozen",
        "stuck_sensor",
        "pressure_kpa",
        {"kind": "stuck_sensor", "column": "pressure_kpa", "begin": 0.4, "end": 0.7},
    ),
    Case("offline", "silent_gap", ALL, {"kind": "silent_gap", "begin": 0.4, "end": 0.6}),
    # The source may lack it, or ExampleGen would refuse the span.
    Case("renamed", "schema_change", "flow_lpm", {"kind": "schema_change", "column": "flow_lpm"}),
    # A head that is a quarter higher: the pump gives less flow at more pressure.
    Case("worn", "drift_in_time", "flow_lpm", change={"parameter": "pump.static_kpa", "factor": 1.25}),
]
QUIET = "quiet"
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.locale)


@dataclasses.dataclass(frozen=True)
class Run:
    """What a run left and sent."""

    status: int
    errors: str
    folder: Path
    monitor: dict[str, Any]
    metrics: str
    posts: list[dict[str, Any]]
    mails: list[tuple[str, str]]


def deployment(folder: Path, webhook: str, smtp_port: int) -> Path:
    """Simulates the fleet; returns the deployment's file."""
    from components.simulator.config import ChangeConfig, FaultConfig, FleetConfig, LocaleConfig
    from components.simulator.core.fleet import simulate_fleet
    from pipeline import starter

    given: dict[str, Any] = {"sharing": "open", "assets": 2, "days": DAYS, "interval_s": 600}
    fleet = FleetConfig(
        seed=7,
        test_days=1,
        locales=tuple(LocaleConfig(name=name, **given) for name in (*(c.locale for c in CASES), QUIET)),
        faults=tuple(FaultConfig(locale=case.locale, span=1, **case.fault) for case in CASES if case.fault),
        changes=tuple(
            ChangeConfig(locale=case.locale, span=1, **case.change) for case in CASES if case.change
        ),
    )
    simulate_fleet(fleet, folder / "data", spans=2)
    (folder / "textfile").mkdir()
    config = folder / "isthmus.yaml"
    data = yaml.safe_load(starter.render(fleet, config.name, "fleet", 7))
    data["central"]["ideal"] = False
    data["monitoring"] = {"fail_on": "never"}
    data["metrics"] = {"textfile_folder": str(folder / "textfile")}
    mail = {"name": "mail", "host": "127.0.0.1", "port": smtp_port, "tls": "none"}
    mail |= {"sender": "isthmus@plant.example", "to": ["telemetry@plant.example"]}
    data["alerts"] = {"webhook": [{"name": "hook", "url": webhook}], "email": [mail]}
    for locale in data["locales"]:
        if locale["name"] == "renamed":
            locale["source"]["may_lack"] = ["flow_lpm"]
    config.write_text(yaml.safe_dump(data, sort_keys=False))
    return config


def run_span(config: Path, span: int, hook: HttpSink, mail: SmtpSink) -> Run:
    """Onboards a span of all locales. What the servers have got is taken from them."""
    data = yaml.safe_load(config.read_text())
    for locale in data["locales"]:
        locale["span"] = span
    config.write_text(yaml.safe_dump(data, sort_keys=False))
    command = [sys.executable, "-m", "pipeline", "run", str(config), "--stage", "onboard"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    root = config.parent / "runs" / "runs"
    folder = root / json.loads((root / "latest.json").read_text())["run_id"]
    found = Run(
        status=done.returncode,
        errors=done.stderr,
        folder=folder,
        monitor=json.loads((folder / "monitor.json").read_text()),
        metrics="\n".join(file.read_text() for file in sorted((config.parent / "textfile").glob("*.prom"))),
        posts=[json.loads(got.body) for got in hook.got],
        mails=[(item.message["subject"], mail_text(item.message)) for item in mail.got],
    )
    hook.got.clear()
    mail.got.clear()
    return found


def mail_text(message: Any) -> str:
    return "\n".join(part.get_content() for part in message.walk() if part.get_content_maintype() == "text")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    folder = tmp_path_factory.mktemp("faults") / "fleet"
    folder.mkdir()
    with HttpSink() as hook, SmtpSink() as mail:
        config = deployment(folder, f"{hook.url}/alerts", mail.port)
        return [run_span(config, span, hook, mail) for span in (0, 1, 1)]


def alert_of(run: Run, case: Case) -> dict[str, Any]:
    """The finding of `monitor.json` that a case is about."""
    (report,) = [each for each in run.monitor["reports"] if each["zone"] == case.locale]
    alerts = {item["feature"]: item for item in report["findings"] if item["verdict"] == "ALERT"}
    assert case.feature in alerts, (case.locale, list(alerts))
    return alerts[case.feature]


def is_near(stamp: str, wanted: datetime.datetime) -> bool:
    return abs(datetime.datetime.fromisoformat(stamp.replace("Z", "+00:00")) - wanted) <= NEAR


def shown(folder: Path, page: str = "monitor.html") -> str:
    """What a reader sees of a page's text: drawings, styles and marks are left out."""
    text = re.sub(r"(?s)<(svg|style|script)\b.*?</\1>", " ", (folder / page).read_text())
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text)).split())


def in_words(cause: str) -> str:
    return cause.replace("_", " ")


def time_in_words(stamp: str) -> str:
    """As pages write a time; empty for none."""
    if not stamp:
        return ""
    time = datetime.datetime.fromisoformat(stamp.replace("Z", "+00:00"))
    return f"{time.day} {time:%b %Y, %H:%M} UTC"


def test_the_runs_are_whole_and_the_first_tells_nobody_anything(runs):
    first, second, again = runs
    assert (first.status, second.status, again.status) == (0, 0, 0), second.errors
    assert set(first.monitor["missing"]) == {"central"}, "every locale has its report"
    assert {report["status"] for report in first.monitor["reports"]} == {"NOT_EVALUATED"}
    assert {report["status"] for report in second.monitor["reports"]} == {"EVALUATED"}
    assert first.posts == [] and first.mails == []
    assert "isthmus_monitor_alerts{" not in first.metrics


@each_case
def test_the_run_names_feature_cause_and_time(runs, case):
    alert = alert_of(runs[1], case)
    assert (alert["locale"], alert["span"], alert["against"]) == (case.locale, 1, "span 0")
    cause = alert["cause"]
    assert cause["name"] == case.cause
    if case.time("begin"):
        assert is_near(cause["begin"], case.time("begin")), cause
    if case.time("end"):
        assert is_near(cause["end"], case.time("end")), cause
    elif case.fault.get("end") == 1.0:
        assert cause["end"] == "", "it goes on"


@each_case
def test_no_other_cause_is_named_in_that_locale(runs, case):
    (report,) = [each for each in runs[1].monitor["reports"] if each["zone"] == case.locale]
    causes = {item["cause"]["name"] for item in report["findings"] if item["verdict"] == "ALERT"}
    assert causes == {case.cause}


@each_case
def test_the_pages_name_it(runs, case):
    feature = "all features" if case.feature == ALL else case.feature
    folder = runs[1].folder
    said = f"{feature} of {case.locale} : "
    what = case.cause if case.cause == "drift_in_time" else f"data fault: {case.cause}"
    assert f"{said}{in_words(what)}" in shown(folder)
    when = alert_of(runs[1], case)["cause"]["begin"]
    for page in ("monitor.html", f"monitor/{case.locale}.html"):
        text = shown(folder, page)
        assert in_words(case.cause) in text and feature in text
        assert time_in_words(when) in text
        assert re.search(r"[Ss]pan 1\b", text)


@each_case
def test_the_report_for_build_servers_fails_there(runs, case):
    suites = ElementTree.parse(runs[1].folder / "junit.xml").getroot()
    (suite,) = [each for each in suites if each.get("name") == case.locale]
    (failure,) = [
        found
        for test in suite
        if test.get("name") == case.feature
        for found in test.iter("failure")
        if "previous" in (test.get("classname") or "")
    ]
    assert in_words(case.cause) in failure.get("message")
    assert (time_in_words(alert_of(runs[1], case)["cause"]["begin"]) or "in span 1") in failure.text


@each_case
def test_the_webhook_gets_it_once(runs, case):
    mine = [notice for post in runs[1].posts for notice in post["notices"] if notice["locale"] == case.locale]
    assert [(notice["kind"], notice["cause"]) for notice in mine] == [("alert", case.cause)]
    (item,) = [item for item in mine[0]["items"] if item["feature"] == case.feature]
    assert (item["span"], item["since_span"]) == (1, 1)
    if case.time("begin"):
        assert is_near(item["begin"], case.time("begin"))


@each_case
def test_the_mailbox_gets_it_once(runs, case):
    mine = [(subject, body) for subject, body in runs[1].mails if f" {case.locale}: " in subject]
    ((subject, body),) = mine
    assert in_words(case.cause) in subject and case.feature in body
    assert "since span 1" in body
    if case.time("begin"):
        (since,) = set(re.findall(r"in the data since (\S+Z)", body))
        assert is_near(since, case.time("begin"))


@each_case
def test_the_metrics_have_it(runs, case):
    lines = runs[1].metrics.splitlines()
    (alerts,) = [
        line
        for line in lines
        if line.startswith("isthmus_monitor_alerts{") and f'locale="{case.locale}"' in line
    ]
    assert f'cause="{case.cause}"' in alerts
    (series,) = [
        line
        for line in lines
        if line.startswith("isthmus_drift_alert{")
        and f'locale="{case.locale}"' in line
        and f'feature="{case.feature}"' in line
        and 'against="previous"' in line
    ]
    assert series.endswith(" 1.0")
    span = f'isthmus_monitor_span{{deployment="fleet",zone="{case.locale}"}} 1.0'
    assert span in lines, "the time of a metric is that of its sample, and the span is told"


def test_a_quiet_locale_alerts_nowhere(runs):
    run = runs[1]
    (report,) = [each for each in run.monitor["reports"] if each["zone"] == QUIET]
    verdicts = [item["verdict"] for item in report["findings"]]
    assert "ALERT" not in verdicts and verdicts.count("OK") >= 7
    suites = ElementTree.parse(run.folder / "junit.xml").getroot()
    (suite,) = [each for each in suites if each.get("name") == QUIET]
    assert suite.get("failures") == "0" and not list(suite.iter("failure"))
    assert f" of {QUIET} : " not in shown(run.folder), "it is not among what to look at"
    assert QUIET not in json.dumps(run.posts)
    assert not [subject for subject, body in run.mails if QUIET in subject + body]
    mine = [line for line in run.metrics.splitlines() if f'zone="{QUIET}"' in line]
    assert not [line for line in mine if line.startswith("isthmus_monitor_alerts{")]
    assert {line.rsplit(" ", 1)[1] for line in mine if line.startswith("isthmus_drift_alert{")} == {"0.0"}


def test_each_server_got_one_message_of_each_locale_and_no_more(runs):
    told = sorted(notice["locale"] for post in runs[1].posts for notice in post["notices"])
    assert told == sorted(case.locale for case in CASES)
    assert len(runs[1].mails) == len(CASES)


def test_the_same_span_again_finds_the_same_and_tells_nobody_twice(runs):
    _, second, again = runs
    assert again.monitor["run_id"] != second.monitor["run_id"]
    assert again.monitor["reports"] == second.monitor["reports"]
    assert again.posts == [] and again.mails == []
