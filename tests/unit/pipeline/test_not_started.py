"""What `isthmus status` says of a run that was killed: before it came to a locale, and in one."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.executor_base import read_json, write_json
from pipeline import inspect, local_runner, tables
from pipeline.config.load import load_deployment
from pipeline.local_runner import PipelineState
from pipeline.root_lock import hold_root
from tests.unit.pipeline.test_tables import shown


@pytest.fixture
def config(tmp_path):
    from pipeline import starter

    return starter.write(tmp_path / "fleet", size="small")


def interrupted(config, monkeypatch, so_far=lambda state, folder: None, **options):
    """Interrupts a run before its first locale starts; returns the deployment and the status at that moment.

    `so_far` is given the run's state and folder first, and may say that it has come further.
    """
    deployment = load_deployment(config)
    found = {}

    def killed(_, __, ___, state, folder, *____):
        so_far(state, folder)
        # Read here: nothing that the runner does after a kill may count.
        found.update(inspect.status(deployment))
        raise KeyboardInterrupt

    monkeypatch.setattr(local_runner, "start_fork_server", lambda log: None)
    monkeypatch.setattr(local_runner, "_run_pipelines", killed)
    with pytest.raises(KeyboardInterrupt):
        local_runner.run(deployment, config, **options)
    return deployment, found


def statuses_of(status):
    return {name: row["status"] for name, row in status["pipelines"].items()}


def left_by_a_kill(config, monkeypatch, **options):
    """Status of every pipeline, and the table, when the run is killed before its first locale starts."""
    _, found = interrupted(config, monkeypatch, **options)
    return statuses_of(found), shown(tables.status_table(found))


def left_in_the_middle(config, monkeypatch):
    """Interrupts a run while eu-west is at work; returns the deployment and the status while it ran."""

    def at_work(state, folder):
        state.locales["us-east"].status = "succeeded"
        state.locales["eu-west"].status = "running"
        state.save(folder)

    return interrupted(config, monkeypatch, at_work)


def test_what_a_killed_run_did_not_come_to_was_not_started(config, monkeypatch):
    statuses, table = left_by_a_kill(config, monkeypatch)
    assert statuses == dict.fromkeys(("us-east", "eu-west", "ap-south", "central"), "not started")
    assert table.count("not started") == 4 and "skipped" not in table


def test_what_was_not_asked_for_was_skipped(config, monkeypatch):
    statuses, _ = left_by_a_kill(config, monkeypatch, locales=["eu-west"])
    expected = {"us-east": "skipped", "eu-west": "not started", "ap-south": "skipped", "central": "skipped"}
    assert statuses == expected
    assert left_by_a_kill(config, monkeypatch, stage="train")[0]["central"] == "skipped"
    assert PipelineState().status == "skipped"


def test_a_run_that_nobody_is_at_any_more_was_killed(config, monkeypatch):
    deployment, before = left_in_the_middle(config, monkeypatch)
    assert before["state"] == "running" and before["pipelines"]["eu-west"]["status"] == "running"
    assert shown(tables.status_table(before)).split()[-1] == "running"
    found = inspect.status(deployment)
    assert (found["state"], found["finished_at"], found["exit_status"]) == ("killed", None, None)
    assert statuses_of(found) == {
        "us-east": "succeeded",
        "eu-west": "killed",
        "ap-south": "not started",
        "central": "not started",
    }
    assert "`isthmus run` goes on where it stopped" in " ".join(shown(tables.status_table(found)).split())


def test_a_killed_run_does_not_come_alive_with_the_next_one(config, monkeypatch):
    deployment, first = left_in_the_middle(config, monkeypatch)
    _, second = left_in_the_middle(config, monkeypatch)
    assert second["run_id"] != first["run_id"] and second["state"] == "running"
    with hold_root(Path(deployment.root)):
        assert inspect.status(deployment)["state"] == "running"
        assert inspect.status(deployment, first["run_id"])["state"] == "killed"


def test_a_run_that_ends_while_it_is_looked_at_has_finished(config, monkeypatch):
    deployment, _ = left_in_the_middle(config, monkeypatch)
    record = inspect.run_folder(deployment) / "run.json"

    def ends(_):
        write_json(record, read_json(record) | {"finished_at": "2026-11-22T00:00:00+00:00", "exit_status": 0})
        return False

    monkeypatch.setattr(inspect, "is_held", ends)
    found = inspect.status(deployment)
    assert (found["state"], found["exit_status"]) == ("finished", 0)
