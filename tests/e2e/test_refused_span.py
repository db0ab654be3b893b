"""A span that is refused at the door is told to whoever watches, and so is its end.

`isthmus run` on a restricted locale whose source lost a column, which is seen before anything starts, and on
an open one with text in place of numbers, which ExampleGen meets. Slack, a webhook, a mail server and a
folder for metrics listen. Nothing is trained.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import os
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

#: A name of the restricted source that the deployment does not have.
PLANTED = "zanzibar"


@dataclasses.dataclass(frozen=True)
class Run:
    """What a run left and sent."""

    status: int
    errors: str
    folder: Path
    monitor: dict[str, Any]
    metrics: list[str]
    posts: list[dict[str, Any]]
    slack: list[str]
    mails: list[tuple[str, str]]

    def report(self, zone: str) -> dict[str, Any]:
        (found,) = [each for each in self.monitor["reports"] if each["zone"] == zone]
        return dict(found)

    @property
    def notices(self) -> list[tuple[str, str, str, str]]:
        """Kind, locale, cause and feature of everything that the webhook got."""
        told = [notice for post in self.posts for notice in post["notices"]]
        return [(n["kind"], n["locale"], n["cause"], i["feature"]) for n in told for i in n["items"]]


def change(path: Path, column: str, *, name: str = "", value: str = "") -> None:
    """Gives a column of a CSV file another name, or one value in every row."""
    rows = list(csv.reader(path.read_text().splitlines()))
    at = rows[0].index(column)
    rows[0][at] = name or column
    for row in rows[1:]:
        row[at] = value or row[at]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def deployment(folder: Path, url: str, smtp_port: int) -> Path:
    from components.simulator.config import FleetConfig, LocaleConfig
    from components.simulator.core.fleet import simulate_fleet
    from pipeline import starter

    given: dict[str, Any] = {"assets": 1, "days": 6, "interval_s": 600}
    fleet = FleetConfig(
        seed=7,
        test_days=1,
        locales=(
            LocaleConfig(name="lost", sharing="restricted", **given),
            LocaleConfig(name="texty", sharing="open", **given),
        ),
    )
    simulate_fleet(fleet, folder / "data", spans=2)
    change(folder / "data" / "lost" / "span-1" / "data.csv", "temp_c", name=PLANTED)
    change(folder / "data" / "texty" / "span-1" / "data.csv", "pressure_kpa", value=PLANTED)
    (folder / "textfile").mkdir()
    config = folder / "isthmus.yaml"
    data = yaml.safe_load(starter.render(fleet, config.name, "fleet", 7))
    data["central"]["ideal"] = False
    data["metrics"] = {"textfile_folder": str(folder / "textfile")}
    mail = {"name": "mail", "host": "127.0.0.1", "port": smtp_port, "tls": "none"}
    mail |= {"sender": "isthmus@plant.example", "to": ["telemetry@plant.example"]}
    data["alerts"] = {
        "slack": [{"name": "chat", "url": {"env": "REFUSED_SLACK"}}],
        "webhook": [{"name": "hook", "url": f"{url}/hook"}],
        "email": [mail],
    }
    config.write_text(yaml.safe_dump(data, sort_keys=False))
    return config


def run(config: Path, hook: HttpSink, mail: SmtpSink, *more: str) -> Run:
    command = [sys.executable, "-m", "pipeline", "run", str(config), "--stage", "onboard", *more]
    environment = {**os.environ, "REFUSED_SLACK": f"{hook.url}/chat"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, env=environment)
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    runs = config.parent / "runs" / "runs"
    folder = runs / json.loads((runs / "latest.json").read_text())["run_id"]
    files = sorted((config.parent / "textfile").glob("*.prom"))
    found = Run(
        status=done.returncode,
        errors=done.stderr,
        folder=folder,
        monitor=json.loads((folder / "monitor.json").read_text()),
        metrics=[line for file in files for line in file.read_text().splitlines()],
        posts=[json.loads(got.body) for got in hook.got if got.path == "/hook"],
        slack=[got.body.decode() for got in hook.got if got.path == "/chat"],
        mails=[(item.message["subject"], str(item.message)) for item in mail.got],
    )
    hook.got.clear()
    mail.got.clear()
    return found


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """One locale alone, so that none is fit to start; both; and the first again, with its source mended."""
    folder = tmp_path_factory.mktemp("refused") / "fleet"
    folder.mkdir()
    with HttpSink() as hook, SmtpSink() as mail:
        config = deployment(folder, hook.url, mail.port)
        found = [run(config, hook, mail, "--locale", "lost"), run(config, hook, mail)]
        change(folder / "data" / "lost" / "span-1" / "data.csv", PLANTED, name="temp_c")
        return [*found, run(config, hook, mail, "--locale", "lost")]


def test_a_run_of_which_no_locale_starts_tells_it_all_the_same(runs):
    first = runs[0]
    assert (
        first.status == 2 and first.errors.splitlines()[-1].count("span-1/data.csv: no column 'temp_c'") == 1
    )
    report = first.report("lost")
    assert (report["status"], report["span"], first.monitor["missing"].get("lost")) == (
        "NOT_EVALUATED",
        1,
        None,
    )
    (finding,) = report["findings"]
    assert (finding["verdict"], finding["feature"], finding["span"]) == ("ALERT", "temp_c", 1)
    assert finding["cause"]["name"] == "schema_change"
    assert first.notices == [("alert", "lost", "schema_change", "temp_c")]
    ((subject, body),) = first.mails
    assert "lost: schema change in temp_c" in subject and "since span 1" in body
    (said,) = first.slack
    assert "schema change" in said and "temp_c" in said


def series(lines: list[str], name: str) -> list[tuple[dict[str, str], float]]:
    """Labels and value of every series of a metric."""
    mine = [line for line in lines if line.startswith(f"{name}{{")]
    return [(dict(re.findall(r'(\w+)="([^"]*)"', line)), float(line.rsplit(" ", 1)[1])) for line in mine]


def test_the_metrics_name_locale_cause_and_column(runs):
    metrics = runs[0].metrics
    ((alert, count),) = series(metrics, "isthmus_monitor_alerts")
    assert (alert["zone"], alert["locale"], alert["cause"], count) == ("lost", "lost", "schema_change", 1)
    ((found, value),) = series(metrics, "isthmus_drift_alert")
    assert (found["locale"], found["comparison"], found["against"]) == ("lost", "intake", "expected")
    assert (found["feature"], value) == ("temp_c", 1)
    assert [value for _, value in series(metrics, "isthmus_monitor_evaluated")] == [0]


def test_pages_summary_and_build_servers_have_it(runs):
    folder = runs[0].folder
    for page in ("monitor.html", "monitor/lost.html", "summary.md"):
        text = (folder / page).read_text()
        assert "data fault: schema change" in text and "in span 1" in text, page
    (failure,) = ElementTree.parse(folder / "junit.xml").getroot().iter("failure")
    assert "schema change" in failure.get("message") and "column temp_c is gone" in failure.text


def test_what_examplegen_refuses_is_told_once_and_what_holds_is_not_told_again(runs):
    both = runs[1]
    assert both.status == 2
    assert both.notices == [("alert", "texty", "schema_change", "pressure_kpa")]
    assert len(both.mails) == len(both.slack) == 1
    causes = {zone: both.report(zone)["findings"][0]["cause"]["name"] for zone in ("lost", "texty")}
    assert causes == {"lost": "schema_change", "texty": "schema_change"}
    assert len(series(both.metrics, "isthmus_monitor_alerts")) == 2


def test_it_ends_with_the_first_run_that_takes_the_span_in(runs):
    mended = runs[2]
    assert mended.status == 0, mended.errors
    assert mended.notices == [("resolved", "lost", "schema_change", "temp_c")]
    ((subject, _),) = mended.mails
    assert "[resolved] lost" in subject
    zones = [labels["zone"] for labels, _ in series(mended.metrics, "isthmus_monitor_alerts")]
    assert zones == ["texty"], "it did not run again"


def test_nothing_of_the_restricted_source_is_told(runs):
    alone = runs[0]
    assert PLANTED in "".join(path.read_text() for path in (alone.folder.parents[1] / "lost").glob("logs/*"))
    told = [json.dumps([alone.posts, alone.slack, alone.mails, alone.monitor]), *alone.metrics]
    told += [path.read_text() for path in alone.folder.rglob("*") if path.suffix in (".html", ".xml", ".md")]
    assert PLANTED not in "".join(told)
