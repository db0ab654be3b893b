"""What is collected of a finished run, and that whoever follows it cannot break it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from components.drift.findings import Distribution, Finding, MonitorReport
from components.errors import ConfigError, DataError
from pipeline.monitoring import after_run as following
from pipeline.monitoring.collect import collect, collect_own


def report(zone: str, sharing: str, **change) -> MonitorReport:
    finding = Finding(
        comparison="drift",
        locale=zone,
        against="span 0",
        feature="x",
        span=1,
        verdict="ALERT",
        distribution=Distribution(edges=(17.125,), share=(1.0,), share_baseline=(1.0,)),
    ).model_copy(update=change)
    return MonitorReport(
        zone=zone, sharing=sharing, span=1, alpha=0.01, status="EVALUATED", findings=(finding,)
    )


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of a restricted and an open locale; a third one failed before it was monitored."""

    def component(zone: str, name: str, sharing: str) -> dict:
        folder = tmp_path / zone / name
        folder.mkdir(parents=True)
        (folder / "monitor.json").write_text(report(zone, sharing).model_dump_json())
        outward = report(zone, sharing, distribution=None, reason=f"by {name}")
        (folder / "outward.json").write_text(outward.model_dump_json())
        return {"id": name, "state": "executed", "outputs": {"monitor": str(folder)}}

    record = {
        "run_id": "r1",
        "name": "fleet",
        "finished_at": "2026-11-21T20:00:00+00:00",
        "versions": {"isthmus": "9.9"},
        "locales": {
            "eu": {
                "sharing": "restricted",
                "components": [
                    component("eu", name, "restricted") for name in ("DriftMonitor", "GeneratorMonitor")
                ],
            },
            "us": {"sharing": "open", "components": [component("us", "DriftMonitor", "open")]},
            "ap": {"sharing": "restricted", "status": "failed", "error": "no rows", "components": []},
        },
        "central": {"sharing": "central", "components": [component("central", "SkewMonitor", "central")]},
    }
    folder = tmp_path / "runs" / "r1"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(record))
    return folder


def test_a_restricted_locale_is_shown_as_it_may_leave_and_its_own_page_has_the_whole(run):
    found = collect(run)
    assert (found.run_id, found.deployment, found.isthmus_version) == ("r1", "fleet", "9.9")
    assert [item.zone for item in found.reports] == ["eu", "us", "central"]
    eu, us, _ = found.reports
    assert eu.findings[0].distribution is None and us.findings[0].distribution is not None
    # Where real rows were compared with synthetic ones as well, that report has all of it.
    assert eu.findings[0].reason == "by GeneratorMonitor"
    (own,) = collect_own(run, "eu").reports
    assert own.findings[0].distribution is not None


def test_a_zone_without_a_report_has_its_reason(run):
    missing = collect(run).missing
    assert missing == {"ap": "DriftMonitor did not run because ap failed before it: no rows"}
    data = json.loads((run / "run.json").read_text())
    folder = Path(data["locales"]["us"]["components"][0]["outputs"]["monitor"])
    (folder / "monitor.json").write_text('{"version": 99}')
    assert (
        collect(run).missing["us"] == "monitor.json of DriftMonitor is not a monitoring report of version 1."
    )
    (folder / "monitor.json").unlink()
    assert "wrote no monitor.json" in collect(run).missing["us"]
    with pytest.raises(DataError, match=r"run\.json: not found"):
        collect(run / "elsewhere")


def test_followers_hear_of_a_run_in_turn_and_a_failure_is_one_line(run, monkeypatch, capsys):
    heard = []

    def breaks(deployment, folder, found):
        raise ZeroDivisionError("in the\nchannel")

    def refuses(deployment, folder, found):
        raise ConfigError("alerts.slack: no such secret")

    def hears(deployment, folder, found):
        heard.append((deployment, folder, [item.zone for item in found.reports]))

    followers = {"metrics": breaks, "alerts": refuses, "reports": hears}
    monkeypatch.setattr(following, "FOLLOWERS", followers)
    found = following.after_run("deployment", run)
    assert heard == [("deployment", run, ["eu", "us", "central"])]
    assert found is not None
    assert json.loads((run / "monitor.json").read_text()) == found.model_dump(mode="json")
    assert b"17.125" in (run / "monitor.json").read_bytes()  # of the open locale
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines == [
        "warning: metrics after the run failed (ZeroDivisionError: in the); the run itself is not affected",
        "warning: alerts after the run: alerts.slack: no such secret",
    ]


def test_a_run_that_cannot_be_read_is_told_in_one_line(tmp_path, capsys):
    assert following.after_run("deployment", tmp_path) is None
    assert "warning: monitoring after the run: " in capsys.readouterr().err


def test_the_metrics_of_a_run_are_written_where_the_deployment_says(run, tmp_path):
    from pipeline import starter
    from pipeline.config.load import load_deployment

    config = starter.write(tmp_path / "fleet", size="small")
    folder = tmp_path / "textfiles"
    folder.mkdir()
    with config.open("a") as file:
        file.write(f"metrics: {{textfile_folder: {folder}}}\n")
    following.after_run(load_deployment(config), run)
    assert any("isthmus_" in path.read_text() for path in folder.iterdir())
