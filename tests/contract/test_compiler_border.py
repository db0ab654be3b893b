"""The border's check on the compiled spec: whatever breaks it by hand is refused, with the path."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from pipeline.compiler.border import prove
from pipeline.compiler.compile import compile_deployment
from tests.support.broken import Broken
from tests.support.compiled import fused, replaced
from tests.support.deployments import deployment, many

pytestmark = pytest.mark.tfx

RAW, EXCHANGE = "examplegen-examples", "s3://exchange/releases"


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


def output(task, key):
    return {"taskOutputParameter": {"producerTask": task, "outputParameterKey": key}}


def artifact(task, key):
    return {"taskOutputArtifact": {"producerTask": task, "outputArtifactKey": key}}


def down(name, kind="Parameter"):
    return {f"componentInput{kind}": name}


def exported(found, kind, key, inner, output_key):
    """A region's graph hands an output of one of its tasks out; `regions` hands it on."""
    named = {"artifacts": "outputArtifactKey", "parameters": "outputParameterKey"}[kind]
    for graph, task, name in (("eu-west", inner, output_key), ("regions", "eu-west", key)):
        chosen = {"producerSubtask": task, named: name}
        how = {"artifactSelectors": [chosen]} if kind == "artifacts" else {"valueFromParameter": chosen}
        found.dag(graph).setdefault("outputs", {}).setdefault(kind, {})[key] = how


def brought(found, kind, key, inner, output_key):
    """The same, into the graph of the centre."""
    exported(found, kind, key, inner, output_key)
    task = {"artifacts": artifact, "parameters": output}[kind]
    word = {"artifacts": "Artifact", "parameters": "Parameter"}[kind]
    found.give("after", key, task("regions", key), kind)
    found.give("central", key, down(key, word), kind)
    return down(key, word)


def test_what_is_compiled_passes(whole):
    loaded, spec = whole
    proof = prove(loaded, [spec])
    assert proof.nodes == 11 + 11 + 6 + 8 and proof.channels > 30


@pytest.mark.parametrize("fuse", ["none", "region"])
def test_so_does_every_fusion(fuse, tmp_path):
    loaded = deployment(tmp_path, fused(fuse))
    for layout in ("single-cluster", "multi-cluster"):
        assert prove(loaded, compile_deployment(loaded, layout)[0]).nodes == 36


def test_regions_that_share_their_components_pass(tmp_path):
    loaded = deployment(tmp_path, replaced(many(3, alike=True)))
    assert prove(loaded, compile_deployment(loaded)[0]).nodes == 3 * 11 + 8


# --- artifacts -----------------------------------------------------------------------------------


def test_raw_rows_reach_the_centre_through_outputs_of_graphs(broken):
    source = brought(broken, "artifacts", "rows", "eu-west-onboard", RAW)
    broken.give("central-evaluate", "mergegen-examples", source, "artifacts")
    broken.refused("eu-west/ExampleGen —examples→", "central/ProphetEvaluator.examples")


def test_they_do_so_beside_what_a_node_takes(broken):
    source = brought(broken, "artifacts", "rows", "eu-west-onboard", RAW)
    broken.give("central-evaluate", "more", source, "artifacts")
    broken.refused("regions/eu-west/eu-west-onboard", RAW, "after/central/central-evaluate.more")


def test_one_of_several_outputs(broken):
    source = brought(broken, "artifacts", "rows", "eu-west-push", "pusher-pushed")
    selectors = broken.dag("eu-west")["outputs"]["artifacts"]["rows"]["artifactSelectors"]
    selectors.append({"producerSubtask": "eu-west-onboard", "outputArtifactKey": RAW})
    broken.give("central-evaluate", "mergegen-examples", source, "artifacts")
    broken.refused("regions/eu-west", "central-evaluate.mergegen-examples", "cannot be told")


def test_another_region_takes_them(broken):
    exported(broken, "artifacts", "rows", "eu-west-onboard", RAW)
    broken.give("pt-br", "rows", artifact("eu-west", "rows"), "artifacts")
    broken.give("pt-br-train", RAW, down("rows", "Artifact"), "artifacts")
    broken.refused("eu-west/ExampleGen —examples→", "pt-BR/SynthesizerTrainer.examples")


def test_the_blessing_of_another_region(broken):
    exported(broken, "artifacts", "yes", "eu-west-generate", "releaseevaluator-blessing")
    broken.give("pt-br", "yes", artifact("eu-west", "yes"), "artifacts")
    broken.give("pt-br-push", "releaseevaluator-blessing", down("yes", "Artifact"), "artifacts")
    broken.refused("pt-BR/Pusher.blessing", "the Pusher has no gate")


def test_the_pusher_takes_real_rows(broken):
    broken.give("eu-west-push", "syntheticgen-synthetic", artifact("eu-west-onboard", RAW), "artifacts")
    broken.refused("eu-west/ExampleGen —examples→ eu-west/Pusher.examples", "does not push synthetic rows")


def test_the_statistics_of_real_rows(broken):
    source = artifact("eu-west-onboard", "statisticsgen-statistics")
    broken.give("eu-west-push", "syntheticstatisticsgen-statistics", source, "artifacts")
    broken.refused("eu-west/Pusher.statistics", "not those of the rows")


def test_a_graph_that_hands_something_out(broken):
    exported(broken, "artifacts", "rows", "eu-west-onboard", RAW)
    broken.refused("comp-", "hands something out")


def test_the_pipeline_hands_something_out(broken):
    broken.pipeline["root"]["outputDefinitions"] = {"artifacts": {"rows": {}}}
    broken.refused("root → outputs")


def test_an_artifact_of_nobody(broken):
    broken.give("central-evaluate", "mergegen-examples", down("rows", "Artifact"), "artifacts")
    broken.refused("unknown", "central-evaluate.mergegen-examples", "cannot be told")


# --- parameters ----------------------------------------------------------------------------------


def test_a_value_of_a_region_reaches_the_centre(broken):
    source = brought(broken, "parameters", "fact", "eu-west-resolve", "fingerprint")
    broken.give("central-merge", "fact", source)
    broken.refused("eu-west/eu-west-resolve —fingerprint→", "central-merge.fact")


@pytest.mark.parametrize("how", ["valueFromOneof", "final status"])
def test_a_value_that_nobody_can_follow(broken, how):
    if how == "final status":
        broken.give("after", "fact", {"taskFinalStatus": {"producerTask": "regions"}})
        broken.give("central", "fact", down("fact"))
        broken.give("central-merge", "fact", down("fact"))
    else:
        source = brought(broken, "parameters", "fact", "eu-west-resolve", "fingerprint")
        broken.dag("eu-west")["outputs"]["parameters"]["fact"] = {
            "valueFromOneof": {
                "parameterSelectors": [
                    {"producerSubtask": "eu-west-resolve", "outputParameterKey": "fingerprint"}
                ]
            }
        }
        broken.give("central-merge", "fact", source)
    broken.refused("central-merge.fact", "cannot be told")


def test_the_report_takes_an_output(broken):
    source = output("central", "digest")
    broken.dag("central")["outputs"] = {
        "parameters": {
            "digest": {
                "valueFromParameter": {"producerSubtask": "central-merge", "outputParameterKey": "digest"}
            }
        }
    }
    broken.give("report", "fact", source)
    broken.refused("central-merge —digest→", "report.fact", "the report takes an output")


def test_the_report_takes_a_regions_output(broken):
    exported(broken, "parameters", "fact", "eu-west-resolve", "fingerprint")
    broken.give("after", "fact", output("regions", "fact"))
    broken.give("report", "fact", down("fact"))
    broken.refused("eu-west/eu-west-resolve —fingerprint→ after/report.fact")


def test_an_iterator_puts_a_value_in_place_of_a_parameter(broken):
    broken.task("eu-west")["parameterIterator"] = {
        "itemInput": "exchange",
        "items": {"raw": '["s3://elsewhere"]'},
    }
    broken.refused("comp-regions/eu-west → parameterIterator")


def test_an_expression_picks_from_a_value(broken):
    broken.task("central-merge")["inputs"]["parameters"]["seed"]["parameterExpressionSelector"] = "x"
    broken.refused("central-merge.seed", "parameterExpressionSelector")


def test_a_condition(broken):
    broken.task("eu-west")["triggerPolicy"] = {"condition": "inputs.parameter_values['seed'] > 1"}
    broken.refused("comp-regions/eu-west → condition")


def test_a_default_stands_in_for_what_a_task_is_not_given(broken):
    broken.components["comp-eu-west-push"]["inputDefinitions"]["parameters"]["exchange"]["defaultValue"] = "x"
    broken.refused("comp-eu-west-push → exchange")


@pytest.mark.parametrize("name", ["template", "own", "zone"])
@pytest.mark.parametrize("source", [down("exchange"), output("eu-west-resolve", "fingerprint"), None])
def test_what_is_told_comes_with_the_run(broken, name, source):
    if source is None:
        broken.task("eu-west-push")["inputs"]["parameters"].pop(name)
    else:
        broken.give("eu-west-push", name, source)
    broken.refused(f"eu-west-push.{name}")


@pytest.mark.parametrize("name", ["exchange", "image"])
def test_exchange_and_image_are_made_by_a_task(broken, name):
    broken.give("eu-west-push", name, output("eu-west-resolve", "statistics_baseline"))
    broken.refused("eu-west-push", "exchange or image")


def test_a_parameter_of_the_pipeline_under_another_name(broken):
    broken.give("eu-west-push", "fingerprint", down("exchange"))
    broken.refused("eu-west-push.fingerprint", "exchange")
