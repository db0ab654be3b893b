"""The pipelines as graphs: which nodes a locale has at each stage, and that each stage compiles."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.tfx

ONBOARD = ["ExampleGen", "StatisticsGen", "SchemaGen", "ExampleValidator"]
RESTRICTED = [
    *ONBOARD,
    "SynthesizerTrainer",
    "SyntheticGen",
    "SyntheticStatisticsGen",
    "ReleaseEvaluator",
    "Pusher",
]
NODES = {
    ("eu-west", "onboard"): ONBOARD,
    ("eu-west", "train"): RESTRICTED[:5],
    ("eu-west", "generate"): RESTRICTED,
    ("eu-west", "merge"): RESTRICTED,
    ("us-east", "onboard"): ONBOARD,
    ("us-east", "train"): ONBOARD,
    ("us-east", "generate"): [*ONBOARD, "Pusher"],
}


@pytest.fixture(scope="module")
def deployment(tmp_path_factory):
    from pipeline import starter
    from pipeline.config.load import load_deployment

    return load_deployment(starter.write(tmp_path_factory.mktemp("graph") / "fleet", size="small"))


@pytest.mark.parametrize(("locale", "stage"), NODES)
def test_a_stage_has_its_nodes_and_compiles(deployment, locale, stage):
    from tfx.dsl.compiler import compiler

    from pipeline import regional

    built = regional.build(deployment, locale, stage=stage)
    assert sorted(component.id for component in built.components) == sorted(NODES[locale, stage])
    compiled = compiler.Compiler().compile(built)
    assert len(compiled.nodes) == len(NODES[locale, stage])
    # A root and a metadata store of its own: nothing is shared between locales.
    assert f"/{locale}/" in built.pipeline_info.pipeline_root


def test_no_region_and_not_the_centre_share_an_artifact_root(deployment):
    from components.release import keys
    from pipeline import central, regional

    for locale in deployment.locales:
        keys.ensure_key_pair(locale.signing_key.file)
    pipelines = [regional.build(deployment, locale.name) for locale in deployment.locales]
    pipelines.append(central.build(deployment))
    roots = [built.pipeline_info.pipeline_root for built in pipelines]
    assert len(set(roots)) == len(roots) == 4


def test_an_open_locale_waits_for_its_verdict_before_it_pushes(deployment):
    from pipeline import regional

    (pusher,) = [c for c in regional.build(deployment, "us-east").components if c.id == "Pusher"]
    assert "ExampleValidator" in {node.id for node in pusher.upstream_nodes}
