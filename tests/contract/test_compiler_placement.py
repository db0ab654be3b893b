"""What `placement` says arrives at the executors of every nested graph; secrets only where they are read."""

from __future__ import annotations

import pytest

from pipeline.compiler.text import to_text
from tests.support.compiled import compiled, executors, fused, tasks
from tests.support.kfp_local import check_specs

pytestmark = pytest.mark.tfx

REGION = ("resolve", "onboard", "train", "generate", "push")
CENTRE = ("resolve", "merge", "evaluate", "push")

#: Option, as the deployment says it, to what the platform spec of each step says.
OPTIONS = [
    ({"node_selector": {"a/b": "c"}}, "nodeSelector", {"labels": {"a/b": "c"}}),
    (
        {"node_affinity": [{"key": "k", "values": ["v"]}, {"key": "l", "operator": "Exists"}]},
        "nodeAffinity",
        [
            {
                "matchExpressions": [
                    {"key": "k", "operator": "In", "values": ["v"]},
                    {"key": "l", "operator": "Exists"},
                ]
            }
        ],
    ),
    (
        {
            "tolerations": [
                {"key": "k", "value": "v", "effect": "NoExecute", "toleration_seconds": 60},
                {"operator": "Exists"},
            ]
        },
        "tolerations",
        [
            {"key": "k", "operator": "Equal", "value": "v", "effect": "NoExecute", "tolerationSeconds": "60"},
            {"operator": "Exists"},
        ],
    ),
    (
        {"image_pull_secrets": ["one", "two"]},
        "imagePullSecret",
        [{"secretName": "one"}, {"secretName": "two"}],
    ),
    ({"image_pull_policy": "Always"}, "imagePullPolicy", "Always"),
    (
        {"volumes": [{"claim": "state", "mount_path": "/state"}, {"claim": "data", "mount_path": "/data"}]},
        "pvcMount",
        [{"constant": "state", "mountPath": "/state"}, {"constant": "data", "mountPath": "/data"}],
    ),
]


def changed(option):
    """Of the second locale and of the centre."""

    def change(data):
        data["locales"][1]["placement"] |= option
        data["kubeflow"]["central"] |= option

    return change


@pytest.mark.parametrize("option, key, expected", OPTIONS)
@pytest.mark.parametrize("layout", ["single-cluster", "multi-cluster"])
def test_every_option_arrives_at_every_step(option, key, expected, layout):
    found = {}
    for spec in compiled(changed(option), layout=layout):
        found |= {name: executors(spec)[leaf.executor] for name, leaf in tasks(spec).items()}
    for name in [*(f"pt-br-{step}" for step in REGION), *(f"central-{step}" for step in CENTRE)]:
        assert found[name][key] == expected, name
    others = [settings for name, settings in found.items() if name.startswith("depot-3-")]
    assert len(others) == 3 and all(settings.get(key) != expected for settings in others)


def test_resources_of_a_zone_and_of_its_steps():
    def change(data):
        data["locales"][0]["placement"]["steps"]["push"] = {"cpu": 0.5}
        data["kubeflow"]["central"] |= {"gpu": {"count": 2, "resource": "amd.com/gpu"}, "cpu": 3}

    spec = compiled(change)[0]
    labels = spec.pipeline["deploymentSpec"]["executors"]
    found = {name: labels[leaf.executor]["container"].get("resources") for name, leaf in tasks(spec).items()}
    usual = {
        "cpuLimit": 2.0,
        "cpuRequest": 2.0,
        "memoryLimit": 4.294967,
        "memoryRequest": 4.294967,
    }
    assert found["eu-west-onboard"] == usual
    assert found["eu-west-train"] == usual | {
        "memoryLimit": 17.179869,
        "memoryRequest": 17.179869,
        "accelerator": {"type": "nvidia.com/gpu", "count": "1"},
    }
    assert found["eu-west-push"] == usual | {"cpuLimit": 0.5, "cpuRequest": 0.5}
    assert found["pt-br-train"] is None
    assert found["central-merge"] == {
        "cpuLimit": 3.0,
        "cpuRequest": 3.0,
        "accelerator": {"type": "amd.com/gpu", "count": "2"},
    }


def test_labels():
    spec = compiled()[0]
    found = {
        name: executors(spec)[leaf.executor]["podMetadata"]["labels"] for name, leaf in tasks(spec).items()
    }

    def labels(locale, sharing, role):
        return {
            "app.kubernetes.io/name": "isthmus",
            "isthmus.dev/locale": locale,
            "isthmus.dev/sharing": sharing,
            "isthmus.dev/role": role,
        }

    assert found["pt-br-push"] == labels("pt-br", "restricted", "region")
    assert found["depot-3-onboard"] == labels("depot-3", "open", "region")
    assert found["central-merge"] == labels("central", "central", "centre")
    assert found["report"] == labels("central", "central", "report")


def variables(settings):
    """Environment variables that a pod has from Secrets."""
    return {key["envVar"] for secret in settings.get("secretAsEnv", ()) for key in secret["keyToEnv"]}


def secrets(layout, *changes):
    """Task to its environment variables and the Secrets that it mounts."""
    found = {}
    for spec in compiled(*changes, layout=layout):
        for name, leaf in tasks(spec).items():
            settings = executors(spec)[leaf.executor]
            mounted = {item["secretName"] for item in settings.get("secretAsVolume", ())}
            found[f"{spec.name}/{name}"] = variables(settings) | mounted
    return found


@pytest.mark.parametrize("fuse", ["none", "cheap"])
def test_least_privilege(fuse):
    found = secrets("multi-cluster", fused(fuse))
    store, exchange = {"EU_WEST_KEY_ID", "EU_WEST_SECRET"}, {"EXCHANGE_KEY_ID", "EXCHANGE_SECRET"}
    first, trainer = ("onboard", "train") if fuse == "cheap" else ("examplegen", "synthesizertrainer")
    last = "push" if fuse == "cheap" else "pusher"
    west = "golden-eu-west/eu-west-"
    # It opens the budget's ledger, which it signs and holds against what is published.
    opening = exchange | {"EU_WEST_SIGNING_KEY"}
    assert found[f"{west}resolve"] == store | opening | {"EU_WEST_PSEUDONYMS"}
    assert found[f"{west}{first}"] == store | {"EU_WEST_PSEUDONYMS"}
    # It signs what it reserves in the budget's ledger.
    assert found[f"{west}{trainer}"] == store | {"EU_WEST_SIGNING_KEY"}
    assert found[f"{west}{last}"] == store | exchange | {"EU_WEST_SIGNING_KEY"}
    brazil = "golden-pt-br/pt-br-"
    assert found[f"{brazil}{last}"] == exchange | {"isthmus-pt-br-signing"}
    silent = [name for name in found if name.startswith(brazil) and name != f"{brazil}{last}"]
    assert silent and all(found[name] == set() for name in silent)
    assert found["golden-depot-3/depot-3-resolve"] == set()


def test_the_report_gets_what_reaches_the_exchange_and_no_key():
    found = secrets("multi-cluster")
    reports = {name: given for name, given in found.items() if name.endswith("/report")}
    assert len(reports) == 4
    for name, given in reports.items():
        assert {"EXCHANGE_KEY_ID", "EXCHANGE_SECRET"} <= given, name
        assert not [one for one in given if "SIGNING" in one.upper() or "PSEUDONYMS" in one], name


def test_a_token_file_goes_where_it_is_read():
    def change(data):
        data["exchange"] = {
            "uri": "gs://exchange",
            "storage_options": {"token_file": "/secrets/exchange/token.json"},
        }
        mounted = {"secret": "exchange-token", "mount_path": "/secrets/exchange"}
        for placement in [
            *(locale["placement"] for locale in data["locales"]),
            data["kubeflow"]["central"],
        ]:
            placement["secret_volumes"] = [*placement.get("secret_volumes", ()), mounted]

    having = {name for name, given in secrets("single-cluster", change).items() if "exchange-token" in given}
    assert having == {
        "golden/" + name
        for name in (
            "eu-west-push",
            "eu-west-resolve",
            "verdict",
            "pt-br-push",
            "depot-3-push",
            "central-resolve",
            "central-merge",
            "report",
        )
    } | {"golden/central-push"}


def test_a_secret_that_no_step_names_goes_to_all():
    """A client library may look for it by itself."""

    def change(data):
        data["locales"][1]["placement"]["secret_env"].append(
            {"env": "AWS_REGION", "secret": "isthmus-pt-br", "key": "region"}
        )

    found = secrets("single-cluster", change)
    assert {name for name, given in found.items() if "AWS_REGION" in given} == {
        f"golden/pt-br-{step}" for step in REGION
    }


@pytest.mark.kubeflow
def test_a_current_kfp_kubernetes_knows_every_option(tmp_path):
    everything = {key: value for option, _, _ in OPTIONS for key, value in option.items()}
    file = tmp_path / "all.yaml"
    file.write_text(to_text(compiled(changed(everything))[0]))
    assert check_specs([file]) == {file: []}
