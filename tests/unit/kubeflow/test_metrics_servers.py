"""A run's metrics in the real programs: Pushgateway, node_exporter, Prometheus with our rules."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.drift.findings import MonitorRun
from pipeline.metrics.write import groups_of, write
from pipeline.report.collect import collect
from tests.unit.kubeflow.monitoring_files import DASHBOARDS, FOLDER, queries, variable_queries
from tests.unit.metrics.conftest import deployment_of, find_tool, found, measured, monitor, report_of  # noqa: F401
from tests.unit.report.made_up_run import MadeUpRun

pytestmark = pytest.mark.kubeflow
_PATIENCE_S = 30.0


def free_port() -> int:
    with socket.socket() as found_one:
        found_one.bind(("127.0.0.1", 0))
        return int(found_one.getsockname()[1])


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


def wait(what: Any) -> Any:
    """The first truthy answer, within some seconds."""
    end = time.monotonic() + _PATIENCE_S
    while True:
        try:
            answer = what()
        except (urllib.error.URLError, ConnectionError):
            answer = None
        if answer:
            return answer
        assert time.monotonic() < end, "no answer in time"
        time.sleep(0.1)


class Servers:
    """The three programs, on this machine's loopback only."""

    def __init__(self, folder: Path) -> None:
        self.collector = folder / "collector"
        self.collector.mkdir()
        self.push, self.node, self.prometheus = (f"http://127.0.0.1:{free_port()}" for _ in range(3))
        config = yaml.safe_load((FOLDER / "scrape-config.example.yaml").read_text())
        for job, url in zip(config["scrape_configs"], (self.node, self.push)):
            job["static_configs"] = [{"targets": [url.removeprefix("http://")]}]
        config["global"] = {"scrape_interval": "300ms", "evaluation_interval": "300ms"}
        self.config = folder / "prometheus.yml"
        self.config.write_text(yaml.safe_dump(config))
        shutil.copy(FOLDER / "rules.yaml", folder / "rules.yaml")
        self.processes = [
            self._start(folder, "prometheus-pushgateway", self.push, "--web.listen-address"),
            self._start(
                folder,
                "prometheus-node-exporter",
                self.node,
                "--web.listen-address",
                "--collector.disable-defaults",
                "--collector.textfile",
                f"--collector.textfile.directory={self.collector}",
            ),
            self._start(
                folder,
                "prometheus",
                self.prometheus,
                "--web.listen-address",
                f"--config.file={self.config}",
                f"--storage.tsdb.path={folder / 'data'}",
                "--query.lookback-delta=1m",
            ),
        ]

    def _start(self, folder: Path, name: str, url: str, listen: str, *more: str) -> subprocess.Popen[bytes]:
        log = (folder / f"{name}.log").open("wb")
        address = url.removeprefix("http://")
        return subprocess.Popen([find_tool(name), f"{listen}={address}", *more], stdout=log, stderr=log)

    def ask(self, query: str) -> list[dict[str, Any]]:
        """The result of an instant query."""
        answer = get(f"{self.prometheus}/api/v1/query?{urllib.parse.urlencode({'query': query})}")
        told = json.loads(answer)
        assert told["status"] == "success", told
        return list(told["data"]["result"])

    def close(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(timeout=20)


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    for name in ("prometheus", "prometheus-pushgateway", "prometheus-node-exporter"):
        find_tool(name)
    folder = tmp_path / "servers"
    folder.mkdir()
    running = Servers(folder)
    try:
        wait(lambda: get(f"{running.push}/-/ready"))
        wait(lambda: get(f"{running.node}/metrics"))
        wait(lambda: get(f"{running.prometheus}/-/ready"))
        yield running
    finally:
        running.close()


def with_nulls(found_before: MonitorRun) -> MonitorRun:
    """What monitoring found, with measures that only noise judges, so that no query is without a series."""
    null = {"mean": 0.1, "limit": 0.4, "draws": 99, "blocks": 20, "block_s": 60}
    more = found(
        "eu-west",
        "pump_pressure",
        measured("anderson_darling", 6.0, null=null, p_value=0.001, q_value=0.002, rule="noise"),
        measured("wasserstein", 1.0, unit="kPa", threshold=0.5),
        measured("chi_squared", 9.0, threshold=8.0),
    )
    first, *others = found_before.reports
    return found_before.model_copy(update={"reports": (report_of("eu-west", *first.findings, more), *others)})


def test_a_run_is_seen_by_prometheus_both_ways_and_every_query_has_an_answer(
    tmp_path: Path,
    servers: Servers,
    monitor: MonitorRun,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    made_up, told = MadeUpRun(tmp_path), with_nulls(monitor)
    for metrics in ({"pushgateway": {"url": servers.push}}, {"textfile_folder": str(servers.collector)}):
        write(deployment_of(tmp_path, metrics=metrics), collect(made_up.run_dir), told)
    assert capsys.readouterr().err == ""
    groups = groups_of(deployment_of(tmp_path), collect(made_up.run_dir), told)
    expected = sum(len(group.samples) for group in groups)
    for job in ("node", "isthmus"):  # honor_labels: the job of a push is its own
        query = f'count({{__name__=~"isthmus_.*", job="{job}"}}) == {expected}'
        assert wait(lambda query=query: servers.ask(query))
    (scraped,) = servers.ask("node_textfile_scrape_error")
    assert scraped["value"][1] == "0"
    # One way only from here on, or each series would be there twice.
    for file in servers.collector.iterdir():
        file.unlink()
    wait(lambda: not servers.ask('isthmus_build_info{job="node"}'))
    wait(lambda: servers.ask("isthmus:drift_excess:ratio"))
    silent = [place for path in DASHBOARDS for place, query in queries(path) if not servers.ask(query)]
    assert silent == []
    for path in DASHBOARDS:
        for name, selector, label in variable_queries(path):
            values = {item["metric"].get(label) for item in servers.ask(selector)}
            assert values and None not in values, name

    def firing() -> set[str]:
        return {item["metric"]["alertname"] for item in servers.ask('ALERTS{alertstate="firing"}')}

    assert wait(lambda: "IsthmusDrift" in firing())
    assert not firing() & {"IsthmusRunFailed", "IsthmusReleaseMissing", "IsthmusMetricsAbsent"}


def test_a_later_run_replaces_the_zones_that_took_part_only(
    tmp_path: Path,
    servers: Servers,
    monitor: MonitorRun,  # noqa: F811
) -> None:
    deployment = deployment_of(tmp_path, metrics={"pushgateway": {"url": servers.push}})
    made_up = MadeUpRun(tmp_path)
    write(deployment, collect(made_up.run_dir), monitor)
    made_up.state["locales"]["us-east"] |= {"status": "skipped", "components": []}
    made_up.state["locales"]["eu-west"]["seconds"] = 7.5
    made_up.save()
    quiet = monitor.model_copy(update={"reports": (report_of("eu-west"),)})
    write(deployment, collect(made_up.run_dir), quiet)
    text = get(f"{servers.push}/metrics")
    lines = [line for line in text.splitlines() if line.startswith("isthmus_")]
    durations = {line for line in lines if line.startswith("isthmus_zone_duration_seconds")}
    assert {line.rsplit(" ", 1)[1] for line in durations if 'zone="eu-west"' in line} == {"7.5"}
    assert {line.rsplit(" ", 1)[1] for line in durations if 'zone="us-east"' in line} == {"81.25"}
    # What is green again is gone, not stale.
    assert not [line for line in lines if line.startswith("isthmus_monitor_alerts")]


def test_promtool_finds_nothing_to_say(tmp_path: Path, monitor: MonitorRun) -> None:  # noqa: F811
    from pipeline.metrics.render import render

    text = render(
        groups_of(deployment_of(tmp_path), collect(MadeUpRun(tmp_path).run_dir), with_nulls(monitor))
    )
    tool = find_tool("promtool")
    done = subprocess.run([tool, "check", "metrics"], input=text, capture_output=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    broken = text.replace(b"isthmus_gate_failures_total", b"isthmus_gate_failures")
    done = subprocess.run([tool, "check", "metrics"], input=broken, capture_output=True, timeout=30)
    assert done.returncode != 0 and b"_total" in done.stderr  # it can find something
