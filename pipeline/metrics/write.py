"""Writes and sends the metrics of a run. A run never fails for them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from components.drift.findings import MonitorRun
from components.errors import DataError, IsthmusError
from pipeline.config.model import Deployment
from pipeline.metrics.build import build, seconds_of
from pipeline.metrics.counting import CounterState, count, hold_state, read_state, save_state, state_file
from pipeline.metrics.pushgateway import push
from pipeline.metrics.samples import Group
from pipeline.metrics.textfile import write_textfiles
from pipeline.metrics.words import words_of
from pipeline.report.model import RunReport


def write(deployment: Deployment, run_report: RunReport, monitor: MonitorRun) -> None:
    """Counts a run and sends its metrics where the section `metrics` says.

    What cannot be done is told in one line on standard error; nothing is raised.

    Args:
      deployment: The deployment.
      run_report: The run's report.
      monitor: What monitoring found.
    """
    section, made = deployment.metrics, list[Group]()

    def make() -> None:
        made.extend(
            build(words_of(deployment), section, run_report, monitor, _counted(deployment, run_report))
        )

    if not _told(make):
        return
    if section.textfile_folder is not None:
        folder = Path(section.textfile_folder)
        _told(lambda: write_textfiles(folder, made))
    if section.pushgateway is not None:
        gateway = section.pushgateway
        _told(lambda: push(gateway, made))


def groups_of(deployment: Deployment, run_report: RunReport, monitor: MonitorRun) -> list[Group]:
    """The metrics of a run without counting it or sending anything, for `isthmus metrics`.

    A run that was counted has the counters as they are now; another is shown as if it were counted.

    Raises:
      DataError: the file of the counters is not readable.
    """
    words = words_of(deployment)
    state = read_state(state_file(Path(deployment.root)))
    state = count(state, run_report, words, seconds_of(run_report.run.finished_at))
    return build(words, deployment.metrics, run_report, monitor, state)


def _counted(deployment: Deployment, run_report: RunReport) -> CounterState:
    file = state_file(Path(deployment.root))
    finished = seconds_of(run_report.run.finished_at)
    with hold_state(file):
        try:
            before = read_state(file)
        except DataError as error:
            _tell(f"{error}; counting begins anew")
            before = CounterState()
        after = count(before, run_report, words_of(deployment), finished)
        if after != before:
            save_state(file, after)
    return after


def _told(do: Callable[[], object]) -> bool:
    """Whether it was done; if not, one line says why."""
    try:
        do()
    except IsthmusError as error:
        _tell(str(error))
    except OSError as error:
        _tell(f"{error.filename or 'a file'}: cannot be written ({error.strerror or type(error).__name__})")
    except Exception as error:  # the run is done and its verdicts stand, whatever is wrong here
        _tell(f"{type(error).__name__} (our fault)")  # its text could quote what it stumbled over
    else:
        return True
    return False


def _tell(words: str) -> None:
    print(f"isthmus: metrics: {words}; the run is not affected", file=sys.stderr)
