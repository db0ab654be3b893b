"""`kubeflow/monitoring`: rules, dashboards, manifests against the metrics of the code, and what tools say."""

from __future__ import annotations

import json
import re
import subprocess
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.metrics.catalogue import BY_NAME
from tests.unit.kubeflow.conftest import render
from tests.unit.kubeflow.monitoring_files import (
    DASHBOARDS,
    FOLDER,
    VARIABLES,
    dashboard,
    panels,
    queries,
    rule_groups,
    rules,
    selectors,
    variable_queries,
)
from tests.unit.kubeflow.test_beam_manifests import strangers
from tests.unit.kubeflow.test_manifests import validate
from tests.unit.metrics.conftest import TOOLS, find_tool

#: Labels of what the recording rules make.
RECORDED = {
    "isthmus:drift_excess:ratio": set(BY_NAME["isthmus_drift_shift"].all_labels),
    "isthmus:privacy_epsilon_counted:ratio": set(BY_NAME["isthmus_privacy_epsilon_counted"].all_labels),
}
KNOWN = {name: set(spec.all_labels) for name, spec in BY_NAME.items()} | RECORDED
LABELS = set().union(*KNOWN.values())
NAMES = [path.stem for path in DASHBOARDS]
PANELS = ("stat", "table", "bargauge", "timeseries", "status-history", "state-timeline")
#: Of grafana-data's list of value formats.
UNITS = ("none", "short", "s", "percentunit")
#: `spec` of monitoring.coreos.com/v1 ServiceMonitor, as far as ours goes: api-reference/api.md of
#: prometheus-operator/prometheus-operator.
SERVICE_MONITOR: dict[str, Any] = {
    "selector": {"matchLabels": dict},
    "endpoints": [{"port": str, "path": str, "interval": str, "honorLabels": bool, "sampleLimit": int}],
}


def every_query() -> list[tuple[str, str]]:
    """All PromQL of the folder, with its place."""
    found = [query for path in DASHBOARDS for query in queries(path)]
    found += [(f"variable {name}", query) for path in DASHBOARDS for name, query, _ in variable_queries(path)]
    named = rules("alert") | rules("record")
    return found + [(name, rule["expr"]) for name, rule in named.items()]


def test_every_metric_that_is_named_is_one_of_the_code_with_its_labels() -> None:
    assert NAMES == ["isthmus-drift", "isthmus-operations"] and set(rules("record")) == set(RECORDED)
    used = set()
    for place, query in every_query():
        found = list(selectors(query))
        assert found, place
        for name, labels in found:
            assert name in KNOWN and labels <= KNOWN[name], (place, name, labels)
            used.add(name)
        for inside in re.findall(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)", query):
            assert set(re.split(r",\s*", inside)) <= LABELS, (place, inside)
    assert used >= {
        "isthmus_build_info",
        "isthmus_drift_distance_ratio",
        "isthmus_monitor_alerts",
        "isthmus_gate_failures_total",
        "isthmus_privacy_epsilon_spent",
        "isthmus_detector_f1_ratio",
        "isthmus_release_missing",
        "isthmus_last_success_timestamp_seconds",
    }


def test_words_of_alerts_and_legends_name_labels_that_there_are() -> None:
    for name, rule in rules("alert").items():
        assert set(rule["annotations"]) == {"summary", "description"}, name
        labels = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
        measured = {label for metric, _ in selectors(rule["expr"]) for label in KNOWN[metric]}
        assert labels <= measured, name
        # `isthmus_monitor_alerts` brings a severity of its own.
        severity = rule.get("labels", {}).get("severity")
        assert severity in ("warning", "critical") or "severity" in measured, name
    for path in DASHBOARDS:
        for panel in panels(path):
            for target in panel["targets"]:
                for label in re.findall(r"{{(\w+)}}", target["legendFormat"]):
                    assert any(label in KNOWN[name] for name, _ in selectors(target["expr"])), panel["title"]


def test_each_alert_is_tested_firing_and_silent() -> None:
    tests = yaml.safe_load((FOLDER / "rules.test.yaml").read_text())["tests"]
    cases = [case for test in tests for case in test["alert_rule_test"]]
    alerts = set(rules("alert"))
    assert {case["alertname"] for case in cases if case["exp_alerts"]} == alerts
    assert {case["alertname"] for case in cases if not case["exp_alerts"]} == alerts
    assert len(alerts) >= 15 and sum(len(group["rules"]) for group in rule_groups()) == len(alerts) + len(
        RECORDED
    )


def test_the_operator_gets_the_same_rules() -> None:
    (rule,) = yaml.safe_load_all((FOLDER / "prometheus-rule.yaml").read_text())
    assert (rule["apiVersion"], rule["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
    assert rule["spec"] == {"groups": rule_groups()}


@pytest.mark.parametrize("path", DASHBOARDS, ids=NAMES)
def test_a_dashboard_is_whole(path: Path) -> None:
    board = dashboard(path)
    assert board["uid"] == path.stem and board["title"].startswith("Isthmus: ") and "id" not in board
    everything = board["panels"]
    assert len({panel["id"] for panel in everything}) == len(everything)
    for panel in panels(path):
        assert panel["type"] in PANELS and panel["title"] and panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references) > 0
        for item in (panel, *panel["targets"]):
            assert item["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        for target in panel["targets"]:
            assert target["instant"] != target["range"]
            assert (target["format"] == "table") == (panel["type"] == "table")
    for one, other in combinations([panel["gridPos"] for panel in everything], 2):
        apart = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        assert apart or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
    assert all(0 <= panel["gridPos"]["x"] <= 24 - panel["gridPos"]["w"] for panel in everything)
    declared = {f"${variable['name']}" for variable in board["templating"]["list"]}
    text = json.dumps(board)
    assert set(re.findall(r"\$(?!__)\w+", text)) <= declared and declared <= {"$datasource", *VARIABLES}
    for name, _, label in variable_queries(path):
        assert label == name, "the variable is the label's value"


@pytest.mark.parametrize("path", DASHBOARDS, ids=NAMES)
def test_rows_of_several_queries_can_meet_and_columns_have_room(path: Path) -> None:
    """Grafana joins rows on every label, the metric's name too; a status history refuses many columns."""
    for panel in panels(path):
        if panel["type"] == "table" and len(panel["targets"]) > 1:
            kept = [re.findall(r"max by \(([^)]*)\)", target["expr"]) for target in panel["targets"]]
            assert kept == [kept[0]] * len(kept) and len(kept[0]) == 1, panel["title"]
            assert panel["transformations"][0]["id"] == "merge"
        if panel["type"] == "status-history":
            assert panel["maxDataPoints"] <= 100


@pytest.mark.kubeflow
def test_the_folder_renders_and_its_objects_are_valid(tmp_path: Path) -> None:
    found = {item["kind"]: item for item in render(FOLDER)}
    assert set(found) == {"Namespace", "ConfigMap", "NetworkPolicy", "PrometheusRule", "ServiceMonitor"}
    plain = [found[kind] for kind in ("Namespace", "ConfigMap", "NetworkPolicy")]
    done = validate(plain, tmp_path, "1.32")
    assert done.returncode == 0, done.stdout + done.stderr
    assert strangers(found["NetworkPolicy"], "V1NetworkPolicy") == []
    for item in found.values():
        where = item["metadata"].get("namespace", item["metadata"]["name"])
        assert where == "isthmus-monitoring"
    boards = found["ConfigMap"]
    assert boards["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert boards["data"] == {path.name: path.read_text() for path in DASHBOARDS}
    assert len(json.dumps(boards)) < 1_000_000  # what etcd takes of one object
    spec = found["ServiceMonitor"]["spec"]
    (endpoint,) = spec["endpoints"]
    (known,) = SERVICE_MONITOR["endpoints"]
    assert set(spec) <= set(SERVICE_MONITOR) and set(endpoint) <= set(known)
    assert all(isinstance(endpoint[key], kind) for key, kind in known.items())
    assert endpoint["honorLabels"] is True


@pytest.mark.kubeflow
def test_promtool_takes_the_rules_and_their_tests() -> None:
    tool = find_tool("promtool")
    for words in (["check", "rules", "rules.yaml"], ["test", "rules", "rules.test.yaml"]):
        done = subprocess.run([tool, *words], cwd=FOLDER, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0 and "SUCCESS" in done.stdout + done.stderr, done.stdout + done.stderr


@pytest.mark.kubeflow
def test_a_rule_that_is_wrong_fails_its_tests(tmp_path: Path) -> None:
    tool = find_tool("promtool")
    text = (FOLDER / "rules.yaml").read_text()
    (tmp_path / "rules.yaml").write_text(
        text.replace("isthmus_run_exit_status >= 2", "isthmus_run_exit_status >= 3")
    )
    tests = yaml.safe_load((FOLDER / "rules.test.yaml").read_text())
    tests["tests"] = tests["tests"][:1]
    (tmp_path / "rules.test.yaml").write_text(yaml.safe_dump(tests))
    done = subprocess.run(
        [tool, "test", "rules", "rules.test.yaml"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode != 0 and "IsthmusRunFailed, time: 25m" in done.stdout + done.stderr


@pytest.mark.kubeflow
def test_every_query_of_the_dashboards_parses(tmp_path: Path) -> None:
    """As rules, since `promtool` parses PromQL there; a broken one among them is found."""
    tool = find_tool("promtool")
    made = [{"record": f"test:{row}", "expr": query} for row, (_, query) in enumerate(every_query())]
    for extra, expected in (([], 0), ([{"record": "test:broken", "expr": "sum by (isthmus_build_info"}], 1)):
        file = tmp_path / "queries.yaml"
        file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": made + extra}]}))
        done = subprocess.run([tool, "check", "rules", str(file)], capture_output=True, text=True, timeout=60)
        assert done.returncode == expected, done.stdout + done.stderr
    assert len(made) > 60


@pytest.mark.kubeflow
def test_grafana_s_own_models_know_all_of_the_dashboards(tmp_path: Path) -> None:
    python = TOOLS / "grafana" / "bin" / "python"
    if not python.exists():
        pytest.skip("no Python from 3.11, which Grafana's models need; `make monitoring-tools` looks for one")
    script = FOLDER.parent / "tools" / "check_dashboards.py"
    wrong = dashboard(DASHBOARDS[0])
    wrong["panels"][1]["gridpos"] = wrong["panels"][1].pop("gridPos")
    wrong["panels"][1]["options"]["colour"] = "red"
    (tmp_path / "wrong.json").write_text(json.dumps(wrong))
    for files, status, said in (
        (DASHBOARDS, 0, "2 dashboards: nothing is lost"),
        ([tmp_path / "wrong.json"], 1, "panels[1].options.colour: not known to Grafana"),
    ):
        command = [str(python), str(script), *map(str, files)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == status and said in done.stdout, done.stdout + done.stderr
        assert status == 0 or "panels[1].gridpos" in done.stdout
