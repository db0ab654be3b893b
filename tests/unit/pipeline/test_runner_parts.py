"""The runner's parts that need no TFX: the lock on a root, exit status, history, progress lines."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from components.errors import BusyError, ConfigError
from components.executor_base import write_json
from pipeline import history
from pipeline.local_runner import PipelineState, RunState, hold_root
from pipeline.progress_view import RunView
from pipeline.root_lock import is_held
from pipeline.run_state import finish, take


def make_state(**sections) -> RunState:
    locales = {name: section for name, section in sections.items() if name != "central"}
    return RunState(
        run_id="r",
        name="n",
        config="c",
        config_digest="d",
        seed=0,
        started_at="t",
        locales=locales,
        central=sections.get("central", PipelineState()),
        stage="merge",
    )


def test_two_runs_at_once_the_second_says_who_holds_the_root(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from pipeline.local_runner import hold_root\n"
        f"with hold_root(Path({str(tmp_path)!r})):\n    print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline().strip() == "held"
        with pytest.raises(BusyError, match=rf"held by process {holder.pid} since "), hold_root(tmp_path):
            pass
        assert is_held(tmp_path)
    finally:
        holder.kill()
        holder.wait()
    # Killed, not closed: the lock goes with the process.
    deadline = time.monotonic() + 10
    while True:
        try:
            with hold_root(tmp_path):
                break
        except BusyError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert (tmp_path / ".lock").exists() and not is_held(tmp_path)
    assert not is_held(tmp_path / "not there")


def test_a_root_that_cannot_be_made_is_bad_input(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"), hold_root(tmp_path / "file" / "root"):
        pass


def ended(*chosen, **sections) -> tuple[int, str]:
    state = make_state(**sections)
    finish(state, list(chosen))
    return state.exit_status, state.exit_reason


def test_exit_status_our_fault_before_bad_input(tmp_path):
    good = PipelineState(status="succeeded")
    bad_input = PipelineState(status="failed", exit_status=2)
    our_fault = PipelineState(status="failed", exit_status=3)
    assert ended("a", a=good) == (0, "")
    assert ended("a", "b", a=good, b=bad_input) == (2, "bad input: b")
    assert ended("a", "b", a=our_fault, b=bad_input) == (3, "our fault: a; bad input: b")
    # A locale that was not asked for does not count.
    assert ended("a", a=good, b=bad_input) == (0, "")


def judged(folder, verdict) -> PipelineState:
    write_json(folder / "verdict.json", {"verdict": verdict, "reasons": ["x"]})
    return PipelineState(status="succeeded", components=[{"id": "E", "outputs": {"blessing": str(folder)}}])


def test_a_negative_verdict_is_exit_status_1(tmp_path):
    negative = (1, "a verdict was negative: a NOT_BLESSED")
    assert ended("a", a=judged(tmp_path, "NOT_BLESSED")) == negative
    assert ended("a", a=judged(tmp_path, "BLESSED")) == (0, "")
    # Data that were refused as anomalous: the same kind of answer.
    refused = PipelineState(status="failed", exit_status=1, error_kind="VerdictError")
    assert ended("a", a=refused) == (1, "a verdict was negative: a refused its data")


def test_a_quorum_missed_for_want_of_a_refused_release_does_not_hide_the_verdict(tmp_path):
    unmet = PipelineState(status="failed", exit_status=2, error_kind="QuorumError")
    good, bad_input = PipelineState(status="succeeded"), PipelineState(status="failed", exit_status=2)
    refused = judged(tmp_path, "NOT_BLESSED")
    both = "a verdict was negative: a NOT_BLESSED; the quorum was not met"
    assert ended("a", "b", a=refused, b=good, central=unmet) == (1, both)
    # Without a verdict that explains it, releases are missing or altered.
    assert ended("b", b=good, central=unmet) == (2, "the quorum was not met")
    # A locale's own bad input has to be mended first; the verdict is named all the same.
    assert ended("a", "b", a=refused, b=bad_input, central=unmet) == (2, f"bad input: b; {both}")


def test_the_kind_of_a_failure_comes_from_the_worker():
    section = PipelineState(status="running")
    failed = {"seconds": 1.0, "error": "merge: 1 releases verify", "exit_status": 2}
    take(section, "failed", failed | {"error_kind": "QuorumError"})
    assert (section.status, section.error_kind) == ("failed", "QuorumError")


def test_a_failure_is_booked_to_the_component_that_was_running():
    section = PipelineState(status="running")
    take(section, "running", {"id": "ExampleGen"})
    take(section, "failed", {"seconds": 1.5, "error": "no such file", "exit_status": 2})
    assert (section.status, section.error, section.exit_status) == ("failed", "no such file", 2)
    assert section.components == [{"id": "ExampleGen", "state": "failed", "seconds": 0.0, "outputs": {}}]


def test_the_previous_release_is_the_nearest_earlier_one_that_was_pushed(tmp_path):
    for number, (span, pushed) in enumerate(((1, True), (2, True), (3, False), (5, True))):
        base = tmp_path / "eu" / str(span)
        (base / "rows" / "Split-train").mkdir(parents=True)
        (base / "rows" / "Split-train" / "data.gz").write_bytes(bytes([span]))
        write_json(base / "push" / "push.json", {"pushed": pushed, "span": span})
        components = [
            {"id": "SyntheticGen", "state": "executed", "outputs": {"synthetic": str(base / "rows")}},
            {"id": "Pusher", "state": "executed", "outputs": {"pushed": str(base / "push")}},
        ]
        section = {"status": "succeeded", "components": components}
        state = {"locales": {"eu": section}, "central": section}
        write_json(tmp_path / "runs" / str(number) / "run.json", state)
    # span 3 was refused, span 5 is the one that is made now
    uri, digest = history.previous_release(tmp_path, "eu", 5)
    assert uri == str(tmp_path / "eu" / "2" / "rows")
    (tmp_path / "eu" / "2" / "rows" / "Split-train" / "data.gz").write_bytes(b"other")
    assert history.previous_release(tmp_path, "eu", 5)[1] != digest
    assert history.previous_release(tmp_path, "eu", 1) == ("", "")
    assert history.previous_release(tmp_path, "other", 5) == ("", "")


def test_previous_statistics_are_those_of_the_nearest_earlier_span(tmp_path):
    for number, span in enumerate((1, 2, 4)):
        base = tmp_path / "eu" / str(span)
        (base / "stats" / "Split-train").mkdir(parents=True)
        (base / "stats" / "Split-train" / "FeatureStats.pb").write_bytes(bytes([span]))
        write_json(base / "q" / "ingest.json", {"span": span})
        components = [
            {"id": "ExampleGen", "outputs": {"quarantine": str(base / "q")}},
            {"id": "StatisticsGen", "outputs": {"statistics": str(base / "stats")}},
            {"id": "ExampleValidator", "state": "failed" if span == 4 else "executed", "outputs": {}},
        ]
        write_json(
            tmp_path / "runs" / f"r{number}" / "run.json",
            {"locales": {"eu": {"components": components}}, "central": {"components": []}},
        )
    assert history.previous_statistics(tmp_path, "eu", 3)[0] == str(tmp_path / "eu" / "2" / "stats")
    # Span 4 was refused: what was wrong with it must not become what is normal.
    assert history.previous_statistics(tmp_path, "eu", 9)[0] == str(tmp_path / "eu" / "2" / "stats")
    assert history.previous_statistics(tmp_path, "eu", 1) == ("", "")
    assert history.previous_statistics(tmp_path, "us", 4) == ("", "")


def test_elsewhere_than_on_a_terminal_progress_is_timestamped_lines():
    out = io.StringIO()
    with RunView(["eu"], Console(file=out, force_terminal=False, width=200)) as view:
        view.listen("eu", "started", {})
        view.listen("eu", "built", {"nodes": 9})
        view.listen("eu", "finished", {"id": "ExampleGen", "state": "cached", "seconds": 0.1})
        view.listen("eu", "failed", {"error": "no such file"})
    lines = out.getvalue().splitlines()
    assert [line.split(" ", 1)[1] for line in lines] == [
        "eu: started",
        "eu: ExampleGen cached in 0.1 s",
        "eu: failed: no such file",
    ]
    assert all(line[:4].isdigit() and "T" in line.split(" ")[0] for line in lines)


def test_a_bar_is_as_long_as_the_pipeline_that_its_worker_built():
    with RunView(["eu", "us"], Console(file=io.StringIO(), force_terminal=True, width=80)) as view:
        eu, us = view._progress.tasks
        assert (eu.total, us.total) == (None, None)
        view.listen("eu", "started", {})
        view.listen("eu", "built", {"nodes": 3})
        for node in ("ExampleGen", "StatisticsGen", "SchemaGen"):
            assert not eu.finished
            view.listen("eu", "running", {"id": node})
            view.listen("eu", "finished", {"id": node, "state": "executed", "seconds": 0.1})
        view.listen("eu", "done", {"seconds": 0.3})
        assert (eu.completed, eu.total, us.total) == (3, 3, None)
        assert eu.finished


def test_a_worker_ends_with_its_killed_parent(tmp_path):
    # Else it would go on writing below a root whose lock is free again.
    script = tmp_path / "parent.py"
    script.write_text(
        "import multiprocessing, os, sys, time\n"
        "from pipeline import worker\n"
        "def work():\n"
        "    worker.end_with_parent()\n"
        "    print(os.getpid(), flush=True)\n"
        "    time.sleep(60)\n"
        "if __name__ == '__main__':\n"
        "    multiprocessing.get_context('forkserver').Process(target=work).start()\n"
        "    time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    try:
        worker = int(parent.stdout.readline())
    finally:
        parent.kill()
        parent.wait()
    deadline = time.monotonic() + 10
    while is_running(worker):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_running(process_id):
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
    return state != "Z"  # ended, and nobody has asked yet


@pytest.mark.parametrize(
    ("asked", "stage", "centre", "ran"),
    [
        (["a"], "merge", False, ["a"]),
        (["a"], "merge", True, ["a", "central"]),
        (["a", "b"], "merge", False, ["a", "b", "central"]),
        (["a", "b"], "train", False, ["a", "b"]),
    ],
)
def test_the_centre_runs_after_all_locales_or_where_it_is_asked_for(
    tmp_path, monkeypatch, asked, stage, centre, ran
):
    from types import SimpleNamespace

    from pipeline import local_runner
    from pipeline.commands.run import _pipelines

    ended: list[str] = []
    monkeypatch.setattr(local_runner, "_preflight", lambda deployment, chosen, *rest: list(chosen))
    monkeypatch.setattr(local_runner, "_examine_border", lambda config, names, *rest: {"names": names})
    monkeypatch.setattr(local_runner, "_parallelism", lambda *given: 1)
    monkeypatch.setattr(local_runner.standing, "record_of", lambda *given: {})
    monkeypatch.setattr(local_runner, "_run_all", lambda jobs, *rest: ended.extend(job.name for job in jobs))
    monkeypatch.setattr(RunState, "save", lambda self, folder: None)
    locales = [SimpleNamespace(name=name, sharing="open") for name in ("a", "b")]
    deployment = SimpleNamespace(locales=locales, central=SimpleNamespace(ideal=False))
    state = make_state(a=PipelineState(), b=PipelineState())
    state.stage = stage
    local_runner._run_pipelines(deployment, Path("f"), asked, state, tmp_path, False, centre, None)
    assert ended == ran and state.border == {"names": ran}
    assert list(_pipelines(deployment, asked, stage, centre)) == ran
