"""`isthmus monitor`, and the pages that follow a run."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from components.drift.findings import MonitorReport, MonitorRun
from pipeline.cli import _run_app
from pipeline.monitor_report.follow import read_history, report_run
from pipeline.monitor_report.outward_view import outward_view, own_part
from tests.support.deployments import golden, written
from tests.support.made_up_monitoring import finding

collecting = pytest.importorskip("pipeline.monitoring.collect", reason="monitoring is not wired in yet")


def _run(level: float, span: int = 2) -> MonitorRun:
    reports = tuple(
        MonitorReport(
            zone=zone,
            sharing=sharing,  # type: ignore[arg-type]
            span=span,
            alpha=0.05,
            status="EVALUATED",
            findings=(finding("flow", zone, level, cause="drift_in_time", span=span),),
        )
        for zone, sharing in (("eu-west", "restricted"), ("us-east", "open"))
    )
    return MonitorRun(
        deployment="d", run_id="r2", finished="", isthmus_version="0", reports=reports, missing={}
    )


@pytest.fixture
def isthmus(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Runs a command in this process; returns its exit status."""

    def run(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["isthmus", *map(str, arguments)])
        return _run_app()

    return run


@pytest.fixture
def fleet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_pictures: None
) -> Callable[[float], tuple[Path, Path]]:
    """Makes a deployment file and the folder of its run, in which monitoring finds flow at `level`."""

    def make(level: float) -> tuple[Path, Path]:
        root = tmp_path / "root"
        folder = root / "runs" / "r2"
        folder.mkdir(parents=True)
        for name in ("eu-west", "us-east"):
            (root / name).mkdir()
        sections = {name: {"sharing": s} for name, s in (("eu-west", "restricted"), ("us-east", "open"))}
        record = {"run_id": "r2", "started_at": "2026-11-21T01:00:00Z", "locales": sections, "words": []}
        (folder / "run.json").write_text(json.dumps(record))
        (root / "runs" / "latest.json").write_text('{"run_id": "r2"}')
        run = _run(level)
        monkeypatch.setattr(collecting, "collect", lambda where: outward_view(run))
        monkeypatch.setattr(collecting, "collect_own", lambda where, name: own_part(run, name))
        return written(tmp_path, {**golden(), "root": str(root)}), folder

    return make


@pytest.mark.parametrize(("level", "status"), [(2.0, 1), (0.5, 0)])
def test_exit_status_and_headline(
    fleet: Callable[[float], tuple[Path, Path]],
    isthmus: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    level: float,
    status: int,
) -> None:
    config, folder = fleet(level)
    assert isthmus("monitor", config) == status
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("2 alerts in eu-west and us-east. " if status else "No alert: 2 comparisons")
    assert lines[-1] == f"report: {folder / 'monitor.html'}"
    assert isthmus("monitor", config, "--run", "r2", "--json") == status
    answer = json.loads(capsys.readouterr().out)
    assert (answer["alerts"], answer["run_id"]) == (2 * status, "r2")
    assert answer["page"] == str(folder / "monitor.html")


def test_a_run_that_is_not_there_is_bad_input(
    fleet: Callable[[float], tuple[Path, Path]],
    isthmus: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    config, _ = fleet(0.5)
    assert isthmus("monitor", config, "--run", "r9") == 2
    assert "run 'r9'" in capsys.readouterr().err


def test_own_pages_lie_below_the_restricted_root_only(
    fleet: Callable[[float], tuple[Path, Path]],
) -> None:
    _, folder = fleet(2.0)
    page = report_run(None, folder, outward_view(_run(2.0)))
    root = folder.parents[1]
    assert page == folder / "monitor.html"
    own = root / "eu-west" / "reports" / "r2.monitor"
    assert sorted(path.name for path in own.iterdir()) == [
        "junit.xml",
        "monitor.html",
        "monitor.json",
        "span",
        "summary.md",
    ]
    assert not (root / "us-east" / "reports").exists()
    inside, outside = (json.loads((place / "monitor.json").read_text()) for place in (own, folder))
    assert inside["reports"][0]["findings"][0]["distribution"]["edges"]
    assert outside["reports"][0]["findings"][0]["distribution"] is None


def test_history_is_the_runs_before_by_time_and_tells_what_it_cannot_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def put(run_id: str, started: str, text: str) -> Path:
        folder = tmp_path / run_id
        folder.mkdir()
        (folder / "run.json").write_text(json.dumps({"started_at": started}))
        (folder / "monitor.json").write_text(text)
        return folder

    for run_id, started, span in (("b", "2026-01-02", 2), ("a", "2026-01-03", 3), ("z", "2026-01-09", 9)):
        put(run_id, started, _run(0.5, span).model_dump_json())
    put("old", "2026-01-01", '{"version": 0}')
    (tmp_path / "bare").mkdir()
    now = put("c", "2026-01-04", _run(0.5, 4).model_dump_json())
    assert [run.reports[0].span for run in read_history(now)] == [2, 3]
    assert [run.reports[0].span for run in read_history(now, most=1)] == [3]
    told = capsys.readouterr().err
    assert told.startswith(f"warning: {tmp_path / 'old' / 'monitor.json'}: not monitoring of version 1")
    assert told.count("warning") == 1
