"""Where a run's metrics go, and that a run never fails for them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.drift.findings import MonitorRun
from pipeline.config.model import Deployment
from pipeline.metrics import write as module
from pipeline.metrics.counting import state_file
from pipeline.metrics.render import render
from pipeline.metrics.samples import Group, Sample
from pipeline.metrics.textfile import file_name, write_textfiles
from pipeline.metrics.write import groups_of, write
from pipeline.report.collect import collect
from tests.unit.metrics.conftest import deployment_of
from tests.unit.report.made_up_run import MadeUpRun

GROUP = Group("fleet", "eu-west", (Sample("isthmus_zone_success", (), 1),))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The collector's."""
    made = tmp_path / "textfile"
    made.mkdir()
    return made


def test_one_file_per_zone_with_all_series(
    tmp_path: Path, folder: Path, run_report: Any, monitor: MonitorRun, text_of: Callable[..., Any]
) -> None:
    deployment = deployment_of(tmp_path, metrics={"textfile_folder": str(folder)})
    write(deployment, run_report, monitor)
    names = sorted(file.name for file in folder.iterdir())
    zones = ("ap-south", "central", "eu-west", "run", "us-east")
    assert len(names) == 5
    for name, zone in zip(names, zones):
        assert re.fullmatch(rf"isthmus_orbital-fleet_{zone}_[0-9a-f]{{8}}\.prom", name)
    told: dict[Any, float] = {}
    for file in folder.iterdir():
        assert file.stat().st_mode & 0o777 == 0o644
        found = text_of(file.read_text())
        assert not told.keys() & found.keys()  # the collector refuses one series in two files
        told |= found
    assert told == text_of(render(groups_of(deployment, run_report, monitor)))


def test_a_zone_that_did_not_run_keeps_its_file(
    tmp_path: Path, folder: Path, made_up: MadeUpRun, monitor: MonitorRun
) -> None:
    deployment = deployment_of(tmp_path, metrics={"textfile_folder": str(folder)})
    write(deployment, collect(made_up.run_dir), monitor)
    (before,) = folder.glob("*_us-east_*")
    old, others = before.read_bytes(), sorted(folder.iterdir())
    made_up.state["locales"]["us-east"] |= {"status": "skipped", "components": []}
    made_up.state["locales"]["eu-west"]["seconds"] = 7.5
    made_up.save()
    write(deployment, collect(made_up.run_dir), monitor)
    assert before.read_bytes() == old and sorted(folder.iterdir()) == others
    assert b"7.5" in next(folder.glob("*_eu-west_*")).read_bytes()


def test_names_of_files_are_plain_and_do_not_meet() -> None:
    groups = [Group(name, zone, ()) for name in ("A b", "a-b", "../x") for zone in ("", "run", "a_b", "a-b")]
    names = [file_name(group) for group in groups]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"isthmus_[a-z0-9-]+_[a-z0-9-]+_[0-9a-f]{8}\.prom", name) for name in names)


def test_a_file_is_replaced_as_a_whole(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (file,) = write_textfiles(folder, [GROUP])
    before = file.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    later = Group("fleet", "eu-west", (Sample("isthmus_zone_success", (), 0),))
    with pytest.raises(OSError, match="No space"):
        write_textfiles(folder, [later])
    assert [item.read_bytes() for item in folder.iterdir()] == [before]


def test_without_a_place_only_the_counters_are_kept(
    deployment: Deployment, run_report: Any, monitor: MonitorRun, capsys: pytest.CaptureFixture[str]
) -> None:
    root = Path(deployment.root)
    before = {path for path in root.rglob("*") if path.is_file()}
    write(deployment, run_report, monitor)
    file = state_file(root)
    assert {path for path in root.rglob("*") if path.is_file()} - before == {file, file.with_suffix(".lock")}
    assert capsys.readouterr() == ("", "")


def test_each_place_that_fails_is_told_in_one_line_and_the_others_go_on(
    tmp_path: Path,
    folder: Path,
    run_report: Any,
    monitor: MonitorRun,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gateway = {"url": "https://127.0.0.1:9", "attempts": 1, "token": {"env": "PUSH_TOKEN"}}
    missing = {"textfile_folder": str(tmp_path / "not-there"), "pushgateway": gateway}
    monkeypatch.delenv("PUSH_TOKEN", raising=False)
    write(deployment_of(tmp_path, metrics=missing), run_report, monitor)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        f"isthmus: metrics: {tmp_path / 'not-there'}: cannot be written (No such folder); "
        "the run is not affected",
        "isthmus: metrics: secret: environment variable PUSH_TOKEN is not set. Set it, or refer to a file "
        "instead.; the run is not affected",
    ]
    monkeypatch.setenv("PUSH_TOKEN", "t0p-secret")
    write(deployment_of(tmp_path, metrics=missing | {"textfile_folder": str(folder)}), run_report, monitor)
    (line,) = capsys.readouterr().err.splitlines()
    assert "pushgateway 127.0.0.1:9: cannot be reached (ConnectionError) in 1 attempts; the run" in line
    assert len(list(folder.iterdir())) == 5


def test_a_fault_of_ours_does_not_fail_the_run_either(
    deployment: Deployment,
    run_report: Any,
    monitor: MonitorRun,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "build", lambda *_: 1 / 0)
    write(deployment, run_report, monitor)
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "isthmus: metrics: ZeroDivisionError (our fault); the run is not affected"
