"""Counters outlive processes, and count each run once."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from components.drift.findings import MonitorRun
from components.errors import DataError
from pipeline.config.model import Deployment
from pipeline.metrics import counting
from pipeline.metrics.counting import CounterState, count, hold_state, read_state, save_state, state_file
from pipeline.metrics.words import words_of
from pipeline.metrics.write import groups_of, write
from pipeline.report.collect import collect
from tests.unit.report.made_up_run import MadeUpRun

FAILURES = "isthmus_gate_failures_total"


def refuse(made_up: MadeUpRun, locale: str) -> None:
    """The gate does not bless the locale's release, so nothing is pushed."""
    verdict = made_up.file(locale, "ReleaseEvaluator", "blessing", "verdict.json")
    verdict.write_text(json.dumps({"verdict": "NOT_BLESSED", "reasons": ["too close"]}))
    push = made_up.file(locale, "Pusher", "pushed", "push.json")
    push.write_text(json.dumps({"pushed": False, "reason": "the verdict is NOT_BLESSED"}))


def run_again(made_up: MadeUpRun, run_id: str, **header: Any) -> Any:
    """The same run under another id."""
    made_up.state |= {"run_id": run_id, **header}
    made_up.run_dir = made_up.run_dir.parent / run_id
    return collect(made_up.save())


def test_counters_grow_from_run_to_run(
    made_up: MadeUpRun, deployment: Deployment, monitor: MonitorRun
) -> None:
    refuse(made_up, "eu-west")
    write(deployment, collect(made_up.run_dir), monitor)
    write(deployment, run_again(made_up, "20261122T000000-aaaaaa", exit_status=1), monitor)
    state = read_state(state_file(Path(deployment.root)))
    assert state.counters["eu-west"][FAILURES] == {"eu-west": 2}
    assert state.counters["ap-south"][FAILURES] == {"ap-south": 0}
    assert state.counters["ap-south"]["isthmus_releases_published_total"] == {"ap-south": 2}
    assert state.counters["eu-west"]["isthmus_releases_published_total"] == {"eu-west": 0}
    assert state.counters[""]["isthmus_runs_total"] == {"0": 1, "1": 1, "2": 0, "3": 0}
    assert "us-east" in state.counters and FAILURES not in state.counters["us-east"]


def test_a_run_is_counted_once(made_up: MadeUpRun, deployment: Deployment, monitor: MonitorRun) -> None:
    refuse(made_up, "eu-west")
    report = collect(made_up.run_dir)
    before = groups_of(deployment, report, monitor)
    assert not state_file(Path(deployment.root)).exists()  # looking changes nothing
    for _ in range(3):
        write(deployment, report, monitor)
    assert groups_of(deployment, report, monitor) == before
    assert read_state(state_file(Path(deployment.root))).counters["eu-west"][FAILURES] == {"eu-west": 1}


def test_what_the_cache_gave_again_is_no_new_failure(
    made_up: MadeUpRun, deployment: Deployment, monitor: MonitorRun
) -> None:
    refuse(made_up, "eu-west")
    write(deployment, collect(made_up.run_dir), monitor)
    for locale in ("eu-west", "ap-south"):
        for name in ("ReleaseEvaluator", "Pusher"):
            made_up.component(locale, name)["state"] = "cached"
    write(deployment, run_again(made_up, "20261122T000000-aaaaaa"), monitor)
    state = read_state(state_file(Path(deployment.root)))
    assert state.counters["eu-west"][FAILURES] == {"eu-west": 1}
    assert state.counters["ap-south"]["isthmus_releases_published_total"] == {"ap-south": 1}


def test_the_last_success_is_of_the_last_run_that_succeeded(
    made_up: MadeUpRun, deployment: Deployment, monitor: MonitorRun
) -> None:
    write(deployment, collect(made_up.run_dir), monitor)
    made_up.stop("eu-west", "ReleaseEvaluator", "something")
    later = {"finished_at": "2026-11-22T00:00:00+00:00", "exit_status": 3}
    report = run_again(made_up, "20261122T000000-aaaaaa", **later)
    write(deployment, report, monitor)
    success = read_state(state_file(Path(deployment.root))).last_success
    assert success == {"": 1_795_233_252, "eu-west": 1_795_233_252} | dict.fromkeys(
        ("ap-south", "us-east", "central"), 1_795_305_600
    )


def test_a_run_that_has_not_ended_is_not_counted(made_up: MadeUpRun, deployment: Deployment) -> None:
    report = run_again(made_up, "20261122T000000-aaaaaa", exit_status=None, finished_at=None)
    assert count(CounterState(), report, words_of(deployment), None) == CounterState()


def test_the_list_of_runs_is_bounded(
    made_up: MadeUpRun, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "MAX_RUNS", 3)
    state, words = CounterState(), words_of(deployment)
    for day in (1, 2, 3, 4, 5):
        state = count(state, run_again(made_up, f"2026120{day}T000000-aaaaaa"), words, 1.0)
    assert len(state.runs) == 3 and state.runs[0].startswith("20261203")
    # One that fell off the list is older than all of it, and is not counted again.
    again = count(state, run_again(made_up, "20261201T000000-aaaaaa"), words, 1.0)
    assert again == state and state.counters[""]["isthmus_runs_total"]["0"] == 5


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 2}', '{"counters": {"": {"a": {"": "NaN"}}}}'])
def test_a_file_that_is_no_state_is_refused_with_its_place(tmp_path: Path, text: str) -> None:
    file = tmp_path / "metrics.json"
    file.write_text(text)
    with pytest.raises(DataError, match=r"metrics\.json: no counters \(ValidationError\); allowed:"):
        read_state(file)


def test_a_broken_file_does_not_stop_a_run(
    deployment: Deployment, run_report: Any, monitor: MonitorRun, capsys: pytest.CaptureFixture[str]
) -> None:
    file = state_file(Path(deployment.root))
    file.write_text("gone")
    write(deployment, run_report, monitor)
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "counting begins anew; the run is not affected" in told
    assert read_state(file).counters[""]["isthmus_runs_total"]["0"] == 1


def test_two_writers_wait_for_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "runs" / "metrics.json"

    def add_one() -> None:
        for _ in range(5):
            with hold_state(file):
                state = read_state(file)
                found = state.counters.get("", {}).get("m", {"": 0})[""]
                save_state(file, CounterState(counters={"": {"m": {"": found + 1}}}))

    threads = [threading.Thread(target=add_one) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read_state(file).counters[""]["m"][""] == 15
    monkeypatch.setattr(counting, "_LOCK_S", 0.05)
    with hold_state(file), pytest.raises(DataError, match="held by another process"), hold_state(file):
        pass
