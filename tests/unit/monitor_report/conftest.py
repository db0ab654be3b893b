"""The made-up run of monitoring and its files, written once."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.drift.findings import MonitorRun
from pipeline.monitor_report import pictures
from pipeline.monitor_report.render import write, write_own
from tests.support.made_up_monitoring import make_history, make_run


@pytest.fixture(scope="session")
def run() -> MonitorRun:
    return make_run()


@pytest.fixture(scope="session")
def history() -> list[MonitorRun]:
    return make_history()


@pytest.fixture(scope="session")
def written(run: MonitorRun, history: list[MonitorRun], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder with everything that `write` puts there, and eu-west's own in `own`."""
    folder = tmp_path_factory.mktemp("monitored")
    write(run, folder, history=history)
    write_own(run, "eu-west", folder / "own", history=history)
    return folder


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of the words: pictures take seconds to draw."""
    monkeypatch.setattr(pictures.Pictures, "of", lambda self, finding: [])
