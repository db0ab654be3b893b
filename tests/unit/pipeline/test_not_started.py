"""What `isthmus status` says of a run that was killed before it came to a locale."""

from __future__ import annotations

import pytest

from pipeline import inspect, local_runner, tables
from pipeline.config.load import load_deployment
from pipeline.local_runner import PipelineState
from tests.unit.pipeline.test_tables import shown


@pytest.fixture
def config(tmp_path):
    from pipeline import starter

    return starter.write(tmp_path / "fleet", size="small")


def left_by_a_kill(config, monkeypatch, **options):
    """Status of every pipeline, and the table, when the run is killed before its first locale starts."""
    deployment = load_deployment(config)
    found = {}

    def killed(*_):
        # Read here: nothing that the runner does after a kill may count.
        found.update(inspect.status(deployment))
        raise KeyboardInterrupt

    monkeypatch.setattr(local_runner, "start_fork_server", lambda log: None)
    monkeypatch.setattr(local_runner, "_run_pipelines", killed)
    with pytest.raises(KeyboardInterrupt):
        local_runner.run(deployment, config, **options)
    return {name: row["status"] for name, row in found["pipelines"].items()}, shown(
        tables.status_table(found)
    )


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
