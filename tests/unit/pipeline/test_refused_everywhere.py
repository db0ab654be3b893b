"""A run of which no locale is fit to start is told all the same, and ends as before."""

from __future__ import annotations

import json

import pytest
import yaml

from components.errors import DataError
from pipeline import local_runner, starter
from pipeline.commands.run import run_once
from pipeline.config.load import load_deployment
from pipeline.monitoring import after_run
from tests.support.http_sink import HttpSink


def test_files_that_cannot_be_read_are_told_and_the_error_is_raised(tmp_path, monkeypatch):
    config = starter.write(tmp_path / "fleet", size="small")
    for file in (config.parent / "data").glob("*/span-0/*.csv"):
        file.write_bytes(b"\xff\xfe\x00,no text\n1,2\n")
    with HttpSink() as hook:
        data = yaml.safe_load(config.read_text())
        data["alerts"] = {"webhook": [{"name": "hook", "url": f"{hook.url}/hook"}]}
        config.write_text(yaml.safe_dump(data, sort_keys=False))
        monkeypatch.setattr(local_runner, "start_fork_server", lambda log: None)
        # Pages take matplotlib, and are looked at elsewhere.
        monkeypatch.setattr(after_run, "FOLLOWERS", {"alerts": after_run.FOLLOWERS["alerts"]})
        deployment = load_deployment(config)
        with pytest.raises(DataError, match="the header is not UTF-8 text"):
            run_once(deployment, config, [], "onboard", small=True)
        notices = [notice for got in hook.got for notice in json.loads(got.body)["notices"]]
    names = sorted(locale.name for locale in deployment.locales)
    assert sorted((n["locale"], n["cause"], n["items"][0]["feature"]) for n in notices) == [
        (name, "span_refused", "(all)") for name in names
    ]
    folder = local_runner.latest_run(config.parent / "runs")
    monitor = json.loads((folder / "monitor.json").read_text())
    assert sorted(report["zone"] for report in monitor["reports"]) == names
    assert json.loads((folder / "run.json").read_text())["exit_status"] == 2


def test_before_a_run_has_begun_there_is_nothing_to_tell(tmp_path, monkeypatch):
    config = starter.write(tmp_path / "fleet", size="small")
    told = []
    monkeypatch.setattr("pipeline.monitoring.after_run.after_run", lambda *given: told.append(given))
    with pytest.raises(Exception, match="unknown locale"):
        run_once(load_deployment(config), config, ["nowhere"], "onboard", small=True)
    assert told == []
