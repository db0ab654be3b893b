"""Metrics and alerts in a compiled spec: the report is told of them, and gets their secrets alone."""

from __future__ import annotations

import json

import pytest

from components.errors import ConfigError
from pipeline.compiler.compile import compile_deployment
from pipeline.compiler.text import to_text
from tests.support.compiled import compiled, executors, tasks
from tests.support.deployments import Change, Data, deployment

pytestmark = pytest.mark.tfx

SLACK = {"slack": [{"name": "chat", "url": {"env": "SLACK_WEBHOOK"}}]}
GATEWAY = {"pushgateway": {"url": "https://push.example", "token": {"file": "/secrets/push/token"}}}


def placements(data: Data) -> dict[str, Data]:
    return {locale["name"]: locale["placement"] for locale in data["locales"]} | {
        "central": data["kubeflow"]["central"]
    }


def telling(data: Data) -> None:
    """Slack and a Pushgateway, with secrets and a state in every zone."""
    data["alerts"], data["metrics"] = dict(SLACK), dict(GATEWAY)
    for name, placement in placements(data).items():
        secret = f"isthmus-told-{name.lower().replace('_', '-')}"
        placement["secret_env"] = [
            *placement.get("secret_env", []),
            {"env": "SLACK_WEBHOOK", "secret": secret, "key": "slack"},
        ]
        placement["secret_volumes"] = [
            *placement.get("secret_volumes", []),
            {"secret": f"{secret}-push", "mount_path": "/secrets/push"},
        ]
        placement.setdefault("volumes", []).append({"claim": f"told-{secret}", "mount_path": "/remembered"})
        placement.setdefault("state", "/remembered")


def variables(found: Data) -> set[str]:
    return {key["envVar"] for item in found.get("secretAsEnv", []) for key in item["keyToEnv"]}


def volumes(found: Data) -> set[str]:
    return {item["mountPath"] for item in found.get("secretAsVolume", [])}


@pytest.mark.parametrize("layout", ["single-cluster", "multi-cluster"])
def test_only_the_report_gets_the_secrets_of_who_is_told(layout):
    specs = compiled(telling, layout=layout)
    reports = 0
    for spec in specs:
        for name, leaf in tasks(spec).items():
            found = executors(spec)[leaf.executor]
            told = "SLACK_WEBHOOK" in variables(found), "/secrets/push" in volumes(found)
            beside = layout == "multi-cluster" or name.startswith("central-") or leaf.is_report
            if leaf.step == "report":
                reports += 1
                assert told == (True, True), name
            elif leaf.step == "verdict":
                assert told == (False, False) and "telling" not in leaf.told
            elif beside:
                assert told == (False, False), name
    assert reports == (1 if layout == "single-cluster" else 4)


@pytest.mark.parametrize("layout", ["single-cluster", "multi-cluster"])
def test_each_report_tells_of_the_zones_of_its_spec(layout):
    found = {}
    for spec in compiled(telling, layout=layout):
        pushes = {leaf.told.get("findings") for leaf in tasks(spec).values() if leaf.step == "push"}
        (report,) = (leaf for leaf in tasks(spec).values() if leaf.step == "report")
        content = report.told["telling"]
        assert pushes == {content["through"]}
        assert content["metrics"]["textfile_folder"] is None
        found[content["host"]] = [name for name, _ in report.told["zones"]]
    one = {"central": ["eu-west", "pt-BR", "depot_3", "central"]}
    assert found == one if layout == "single-cluster" else {name: [name] for name in one["central"]}


def test_where_nobody_is_told_the_spec_says_nothing_of_it():
    for layout in ("single-cluster", "multi-cluster"):
        for spec in compiled(layout=layout):
            text = to_text(spec)
            assert '"telling"' not in text and '"findings"' not in text


def test_a_text_file_is_nothing_for_a_pod(tmp_path):
    def change(data: Data) -> None:
        telling(data)
        data["metrics"]["textfile_folder"] = "/var/lib/node_exporter"

    specs, warnings = compile_deployment(deployment(tmp_path, change))
    (words,) = (line for line in warnings if "textfile" in line)
    assert "nothing is written there by pods" in words and "metrics.pushgateway" in words
    assert "node_exporter" not in to_text(specs[0])
    only = compile_deployment(
        deployment(tmp_path, lambda data: data.update(metrics={"textfile_folder": "/var/lib/x"}))
    )
    assert [line for line in only[1] if "textfile" in line] == [words]
    assert '"telling"' not in to_text(only[0][0])


def without(key: str, zone: str = "central") -> Change:
    def change(data: Data) -> None:
        telling(data)
        placement = placements(data)[zone]
        placement[key] = [
            item
            for item in placement[key]
            if item.get("env") != "SLACK_WEBHOOK" and item.get("mount_path") != "/secrets/push"
        ]

    return change


def stateless(zone: str) -> Change:
    def change(data: Data) -> None:
        telling(data)
        placements(data)[zone].pop("state")

    return change


def state(place: str) -> Change:
    def change(data: Data) -> None:
        telling(data)
        data["alerts"]["state"] = place

    return change


def channel(**more: str) -> Change:
    def change(data: Data) -> None:
        telling(data)
        data["alerts"]["webhook"] = [{"name": "hook", "url": "https://hook.example/x", **more}]

    return change


REFUSED = [
    (channel(ca_file="keys/ca.pem"), "single-cluster", ["alerts.webhook.ca_file", "a path of this machine"]),
    (state("s3://isthmus-eu-west/artifacts/told"), "single-cluster", ["eu-west", "bucket of a restricted"]),
    (without("secret_env"), "single-cluster", ["central: ", "alerts.slack.url", "SLACK_WEBHOOK, which no"]),
    (without("secret_volumes"), "single-cluster", ["metrics.pushgateway.token", "/secrets/push/token"]),
    (without("secret_env", "depot_3"), "multi-cluster", ["depot_3: ", "SLACK_WEBHOOK, which no secret"]),
    (stateless("central"), "single-cluster", ["kubeflow.central.state: found none", "what was told"]),
    (stateless("depot_3"), "multi-cluster", ["locale depot_3: placement.state: found none"]),
    (state("/home/me/alerts"), "single-cluster", ["alerts.state: found /home/me/alerts, a path of this"]),
]


@pytest.mark.parametrize("change, layout, words", REFUSED)
def test_what_a_report_could_not_do_is_refused_in_one_line(tmp_path, change, layout, words):
    with pytest.raises(ConfigError) as caught:
        compile_deployment(deployment(tmp_path, change), layout)
    message = str(caught.value)
    assert "\n" not in message
    assert [word for word in words if word not in message] == [], message


def test_what_is_not_refused(tmp_path):
    compile_deployment(deployment(tmp_path, stateless("depot_3")), "single-cluster")
    for place in ("s3://told/alerts", "/remembered/alerts"):
        specs, _ = compile_deployment(deployment(tmp_path, state(place)), "single-cluster")
        (report,) = (leaf for leaf in tasks(specs[0]).values() if leaf.step == "report")
        assert json.loads(json.dumps(report.told["telling"]))["alerts"]["state"] == place
