"""The border's check on the compiled spec: places that tasks name, who they say they are, their pods."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from pipeline.border_model import BorderError
from pipeline.compiler.compile import compile_deployment
from tests.support.broken import Broken
from tests.support.compiled import executors, tasks
from tests.support.deployments import deployment

pytestmark = pytest.mark.tfx

EXCHANGE = "s3://exchange/releases"


@pytest.fixture(scope="module")
def whole():
    with tempfile.TemporaryDirectory() as folder:
        loaded = deployment(Path(folder))
    return loaded, compile_deployment(loaded, "single-cluster")[0][0]


@pytest.fixture
def broken(whole):
    return Broken(*whole)


def constant(value):
    return {"runtimeValue": {"constant": value}}


# --- places --------------------------------------------------------------------------------------


def test_another_exchange_for_one_task(broken):
    broken.give("eu-west-push", "exchange", constant("s3://elsewhere"))
    broken.refused("eu-west-push → exchange → s3://elsewhere")


@pytest.mark.parametrize(
    "place, word",
    [
        ("/data/pt-BR/span-1/a.csv", "pt-BR → source"),
        ("s3://isthmus-eu-west/artifacts/x", "eu-west → placement.store"),
        ("/state/pt-BR/history/span-*/statistics.json", "pt-BR → placement.state"),
    ],
)
def test_a_question_about_another_regions_files(broken, place, word):
    broken.tell("depot-3-resolve", lambda told: told["question"].update(patterns=[place]))
    broken.refused(word, "depot-3-resolve")


def test_the_centre_asks_for_a_regions_files(broken):
    broken.tell("central-resolve", lambda told: told["question"].update(ideal=["/data/eu-west/span-1/*"]))
    broken.refused("eu-west → source", "central-resolve")
    broken.tell(
        "central-resolve", lambda told: told["question"]["merge"].update(exchange_uri="/data/eu-west")
    )
    broken.refused("eu-west → source", "central-resolve")


def test_a_question_in_a_step_of_another_name(broken):
    args = broken.container("depot-3-onboard")["args"]

    def ask(told):
        told.clear()
        told["question"] = {"zone": "region", "patterns": ["/data/eu-west/span-1/*.csv"], "pii": []}

    assert "--step=onboard" in args
    broken.tell("depot-3-onboard", ask)
    broken.refused("eu-west → source", "depot-3-onboard")


def test_a_node_of_the_centre_reads_a_regions_bucket_or_rows(broken):
    def read(place):
        def change(told):
            told["properties"]["TestExampleGen"]["config"]["$json"]["sources"][0]["pattern"] = place

        return change

    broken.tell("central-merge", read("s3://isthmus-eu-west/artifacts/*"))
    broken.refused("eu-west → placement.store", "central-merge")
    broken.tell("central-merge", read("/data/eu-west/span-1/*.csv"))
    broken.refused("eu-west → source", "central/TestExampleGen")


def test_the_pusher_pushes_elsewhere(broken):
    def change(told):
        told["properties"]["Pusher"]["config"]["$json"]["exchange_uri"] = "s3://elsewhere"

    broken.tell("eu-west-push", change)
    broken.refused("eu-west/Pusher", "s3://elsewhere")


def test_it_does_so_through_a_parameter_of_its_own(broken):
    def change(told):
        told["properties"]["Pusher"]["config"]["$json"]["exchange_uri"] = {"$": "place"}

    broken.give("eu-west-push", "place", constant("s3://elsewhere"))
    broken.tell("eu-west-push", change)
    broken.refused("eu-west/Pusher", "s3://elsewhere")


@pytest.mark.parametrize("key", ["notices", "exchange"])
def test_the_notice_goes_elsewhere(broken, key):
    def change(told):
        told[key] = {**told[key], "endpoint_url": "http://x"} if key == "notices" else "s3://elsewhere"

    broken.tell("eu-west-push", change)
    broken.refused("eu-west-push", key)


@pytest.mark.parametrize(
    "options", [["--temp_location=s3://elsewhere"], ["--temp_location", "s3://elsewhere"]]
)
def test_workers_of_beam_write_elsewhere(broken, options):
    broken.tell("eu-west-generate", lambda told: told.update(beam=options))
    broken.refused("eu-west/SyntheticGen", "s3://elsewhere")


# --- who a task says it is -----------------------------------------------------------------------


def test_a_task_says_it_is_of_another_zone(broken):
    broken.give("eu-west-push", "zone", constant("pt-BR"))
    broken.refused("eu-west-push", "pt-BR")


def test_a_whole_graph_says_so(broken):
    for name in ("resolve", "onboard", "push"):
        broken.give(f"depot-3-{name}", "zone", constant("eu-west"))
    broken.refused("says that it is of zone 'eu-west'")


def test_a_zone_that_there_is_not(broken):
    for name in ("resolve", "onboard", "push"):
        broken.give(f"depot-3-{name}", "zone", constant("atlantis"))
    broken.refused("depot-3/depot-3-onboard", "zone 'atlantis'", "does not have")


def test_a_second_judge_of_the_same_name(broken):
    def twice(told):
        judge = next(node for node in told["nodes"] if node["id"] == "ReleaseEvaluator")
        told["nodes"].append({**judge, "outputs": {"blessing": ["other", judge["outputs"]["blessing"][1]]}})

    broken.tell("eu-west-generate", twice)
    broken.refused("eu-west/ReleaseEvaluator", "two nodes")


def test_two_artifacts_of_one_name(broken):
    def twice(told):
        told["nodes"][1]["outputs"]["statistics"][0] = "syntheticgen-synthetic"

    broken.tell("eu-west-generate", twice)
    broken.refused("eu-west-generate/SyntheticStatisticsGen", "two artifacts")


def test_a_node_that_runs_something_else_than_it_says(broken):
    def lie(told):
        told["nodes"][2]["executor"] = "components.pusher.executor.Executor"

    broken.tell("eu-west-onboard", lie)
    broken.refused("eu-west-onboard/SchemaGen", "components.pusher.executor.Executor")


def test_the_report_runs_nodes(broken):
    told = tasks(broken.spec)["central-merge"].told
    broken.tell("report", lambda found: found.update(told))
    broken.refused("after/report")


# --- pods ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        lambda found: found.update(command=["sh", "-c"]),
        lambda found: found.update(image="elsewhere/image:1"),
        lambda found: found.update(env=[{"name": "EXCHANGE_KEY_ID", "value": "x"}]),
        lambda found: found["args"].remove("--sharing=restricted"),
        lambda found: found["args"].insert(0, "--sharing=open"),
        lambda found: found["args"].insert(5, "--shar=open"),
        lambda found: found["args"].insert(5, "--sharing"),
        lambda found: found.update(args=[text.replace("=restricted", "=open") for text in found["args"]]),
        lambda found: found.update(args=[text.replace("=/state", "=/tmp") for text in found["args"]]),
        lambda found: found.update(args=[text for text in found["args"] if not text.startswith("--store")]),
        lambda found: found.update(args=[text.replace("isthmus-eu", "x") for text in found["args"]]),
        lambda found: found.clear(),
    ],
)
def test_a_container_that_is_not_the_zones(broken, change):
    change(broken.container("eu-west-train"))
    broken.refused("eu-west/eu-west-train")


def test_an_importer_brings_a_regions_files(broken):
    broken.pipeline["deploymentSpec"]["executors"]["exec-central-resolve"] = {
        "importer": {"artifactUri": {"constant": "s3://isthmus-eu-west/artifacts"}}
    }
    broken.refused("central-resolve")


@pytest.mark.parametrize(
    "change",
    [
        lambda found: found.pop("nodeSelector"),
        lambda found: found["nodeSelector"]["labels"].update({"topology.kubernetes.io/region": "us"}),
        lambda found: found["pvcMount"].append({"constant": "isthmus-pt-br-data", "mountPath": "/more"}),
        lambda found: found["secretAsEnv"].append(
            {"secretName": "isthmus-pt-br", "keyToEnv": [{"secretKey": "a", "envVar": "B"}]}
        ),
        lambda found: found.update(
            secretAsVolume=[{"secretName": "isthmus-pt-br-signing", "mountPath": "/secrets"}]
        ),
        lambda found: found["podMetadata"]["labels"].update({"isthmus.dev/locale": "pt-br"}),
        lambda found: found["podMetadata"]["labels"].update({"isthmus.dev/sharing": "open"}),
        lambda found: found.update(configMapAsEnv=[{"configMapName": "x"}]),
    ],
)
def test_a_pod_that_is_not_the_zones(broken, change):
    change(executors(broken.spec)["exec-eu-west-train"])
    broken.refused("eu-west/eu-west-train", "eu-west")


def test_the_executor_of_another_region(broken):
    """The centre in a pod with a region's disks and secrets."""
    broken.components["comp-central-merge"]["executorLabel"] = "exec-eu-west-train"
    broken.refused("central-merge")


def test_a_store_inside_the_exchange(tmp_path):
    def change(data):
        data["locales"][0]["placement"]["store"]["uri"] = f"{EXCHANGE}/eu-west"

    with pytest.raises(BorderError, match=r"border: eu-west → placement.store .* → exchange"):
        compile_deployment(deployment(tmp_path, change))


def test_a_store_inside_that_of_another_zone(tmp_path):
    def change(data):
        options = data["locales"][0]["placement"]["store"]["storage_options"]
        data["kubeflow"]["central"]["store"] = {"uri": "s3://isthmus-eu-west", "storage_options": options}
        data["kubeflow"]["central"]["secret_env"] += data["locales"][0]["placement"]["secret_env"][2:4]

    with pytest.raises(BorderError, match=r"border: eu-west → placement.store .* → central"):
        compile_deployment(deployment(tmp_path, change))
