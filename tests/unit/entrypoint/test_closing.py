"""A run's last two tasks: the report says what became of everybody, the verdict fails with the centre."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from components.errors import DataError
from components.release.options import DEFAULT_OPTIONS
from pipeline.entrypoint import notices, outcome, step
from pipeline.entrypoint.arguments import Arguments
from pipeline.entrypoint.launcher import Invocation

RUN = "0a1b-run"


def closing(
    root: Path, name: str, run: str = RUN, zones: Any = (("eu", "restricted"), ("central", "central"))
) -> Path:
    """Runs `report` or `verdict`; gives the folder of its outputs."""
    folder = root / name
    told = {
        "name": "fleet",
        "zones": [list(zone) for zone in zones],
        "exchange": {"$": "exchange"},
        "storage": DEFAULT_OPTIONS.model_dump(mode="json"),
    }
    pages = {"summary": "system.Markdown", "report": "system.HTML"} if name == "report" else {}
    call = {
        "inputs": {
            "parameterValues": {
                "zone": "report",
                "template": json.dumps(told),
                "own": "{}",
                "run": run,
                "exchange": str(root / "exchange"),
            }
        },
        "outputs": {
            "artifacts": {
                page: {"artifacts": [{"uri": str(folder / page), "type": {"schemaTitle": kind}}]}
                for page, kind in pages.items()
            },
            "outputFile": str(folder / "executor_output.json"),
        },
    }
    arguments = Arguments(name, name, "report", "central", 0, "", "", json.dumps(call))
    step.run(arguments, Invocation(call), lambda node, seconds: None)
    assert (folder / "executor_output.json").exists()
    return folder


def tell(root: Path, zone: str, **change: Any) -> None:
    notices.write(str(root / "exchange"), DEFAULT_OPTIONS, RUN, {"zone": zone, "outcome": "pushed", **change})


def test_a_centre_that_came_to_its_end_whatever_a_region_did(tmp_path: Path, capsys) -> None:
    tell(tmp_path, "central", verdict="NOT_BLESSED", outcome="not pushed")
    made = closing(tmp_path, "report")
    closing(tmp_path, "verdict")
    assert "failed: eu" in capsys.readouterr().out
    assert "failed: eu" in (made / "summary").read_text() and "failed: eu" in (made / "report").read_text()


def test_a_centre_that_failed_fails_the_run(tmp_path: Path) -> None:
    tell(tmp_path, "eu")
    made = closing(tmp_path, "report")
    assert "1 of 1 regions released; failed: central" in (made / "summary").read_text()
    with pytest.raises(DataError, match="central: did not come to its end; its tasks in this run say why"):
        closing(tmp_path, "verdict")
    assert not (tmp_path / "verdict" / "executor_output.json").exists()


def test_a_spec_without_a_centre_has_nothing_to_fail_with(tmp_path: Path) -> None:
    closing(tmp_path, "report", zones=(("eu", "restricted"),))
    closing(tmp_path, "verdict", zones=(("eu", "restricted"),))


def test_before_there_is_a_report_nothing_is_judged(tmp_path: Path) -> None:
    closing(tmp_path, "verdict")


def test_the_reports_own_notice_is_no_zones(tmp_path: Path) -> None:
    closing(tmp_path, "report")
    found = notices.read(str(tmp_path / "exchange"), DEFAULT_OPTIONS, RUN)
    assert set(found) == {outcome.REPORT} and outcome.REPORT.startswith("_")
    # A locale that is called report has a notice of its own.
    tell(tmp_path, "report")
    assert set(notices.read(str(tmp_path / "exchange"), DEFAULT_OPTIONS, RUN)) == {outcome.REPORT, "report"}
