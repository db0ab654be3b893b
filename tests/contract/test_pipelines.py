"""The pipelines as graphs: which nodes a locale has at each stage, and that each stage compiles."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

pytestmark = pytest.mark.tfx

ONBOARD = ["ExampleGen", "StatisticsGen", "SchemaGen", "DriftMonitor", "ExampleValidator"]
RESTRICTED = [
    *ONBOARD,
    "SynthesizerTrainer",
    "SyntheticGen",
    "SyntheticStatisticsGen",
    "GeneratorMonitor",
    "ReleaseEvaluator",
    "Pusher",
]
NODES = {
    ("eu-west", "onboard"): ONBOARD,
    ("eu-west", "train"): RESTRICTED[:6],
    ("eu-west", "generate"): RESTRICTED,
    ("eu-west", "merge"): RESTRICTED,
    ("us-east", "onboard"): ONBOARD,
    ("us-east", "train"): ONBOARD,
    ("us-east", "generate"): [*ONBOARD, "Pusher"],
}


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    from pipeline import starter

    return starter.write(tmp_path_factory.mktemp("graph") / "fleet", size="small")


@pytest.fixture(scope="module")
def deployment(config):
    from pipeline.config.load import load_deployment

    return load_deployment(config)


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


def test_a_worker_tells_how_many_nodes_its_pipeline_has_before_the_first_runs(config, monkeypatch):
    from pipeline import dag_runner, worker

    told = []
    pipe = SimpleNamespace(send=told.append)
    monkeypatch.setattr(dag_runner.ObservedDagRunner, "run", lambda self, built: told.append("run"))
    monkeypatch.setenv("ISTHMUS_WORK_DIR", "")
    worker._run(worker.Job(str(config), "us-east", "onboard", ""), pipe)
    worker._run(worker.Job(str(config), "eu-west", "merge", ""), pipe)
    assert told == [("built", {"nodes": 5}), "run", ("built", {"nodes": 11}), "run"]


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


def test_a_graph_is_built_without_writing_a_ledger_and_the_worker_opens_it_before_it_runs(
    deployment, tmp_path, monkeypatch
):
    import yaml

    from components.release import keys
    from pipeline import dag_runner, governance, regional, worker
    from pipeline.config.load import load_deployment

    source = next(x for x in deployment.locales if x.name == "eu-west").source.pattern
    file = Path(source).parents[3] / "budget.yaml"
    data = yaml.safe_load(file.with_name("isthmus.yaml").read_text())
    data["root"], data["central"]["ideal"] = str(tmp_path), False
    (locale,) = [x for x in data["locales"] if x["name"] == "eu-west"]
    budget = {"epsilon": 3, "delta": 1e-6, "unit": "record"}
    locale["privacy"] = {"gate": {}, "target_epsilon": 2, "target_delta": 1e-6, "budget": budget}
    period = {"start": "2024-03-01T00:00:00Z", "end": "2024-03-07T00:00:00Z"}
    locale["synthesizer"] = {"method": "dp_linear", "dp": {"period": period, "kinds": ["spike"]}}
    data.pop("synthesizer")
    file.write_text(yaml.safe_dump(data))
    changed = load_deployment(file)
    keys.ensure_key_pair(changed.locale("eu-west").signing_key.file)
    regional.build(changed, "eu-west")
    assert governance.ledger_of(changed, "eu-west").state().budget is None
    seen = []

    def run(runner, pipeline):
        seen.append(governance.ledger_of(changed, "eu-west").state().budget.epsilon)

    monkeypatch.setattr(dag_runner.ObservedDagRunner, "run", run)
    monkeypatch.setenv("ISTHMUS_WORK_DIR", "")
    job = worker.Job(str(file), "eu-west", "train", str(tmp_path / "log"))
    worker._run(job, pipe=SimpleNamespace(send=lambda told: None))
    assert seen == [3.0]


# --- the border in the graph -------------------------------------------------------------------------


@pytest.fixture
def built(deployment):
    """Fresh pipelines of all zones: a sabotage alters them."""
    from components.release import keys
    from pipeline import central, regional

    for locale in deployment.locales:
        keys.ensure_key_pair(locale.signing_key.file)
    pipelines = {locale.name: regional.build(deployment, locale.name) for locale in deployment.locales}
    return pipelines | {"central": central.build(deployment)}


def _component(pipeline, name):
    return next(found for found in pipeline.components if found.id == name)


def test_the_projects_own_pipelines_keep_to_the_border(deployment, built):
    from pipeline.border_view import prove

    proof = prove(deployment, built)
    assert proof.nodes == 11 + 11 + 6 + 9
    # The starter's fleet is a simulation: the proof says so, once per restricted locale.
    assert len(proof.exceptions) == 2 and all("simulation" in text for text in proof.exceptions)
    strict = deployment.model_copy(update={"central": deployment.central.model_copy(update={"ideal": False})})
    with pytest.raises(Exception, match=r"eu-west → source .* → central/IdealExampleGen"):
        prove(strict, built)


def test_a_restricted_locale_may_have_an_exchange_with_endpoint_and_token_file(deployment):
    from components.release import keys
    from components.release.options import StorageOptions
    from pipeline import regional
    from pipeline.border_model import BorderError
    from pipeline.border_view import prove

    # A file exchange takes no options, so they are put in behind the validation: no store is opened here.
    options = StorageOptions(endpoint_url="https://minio.example:9000", token_file="/run/secrets/gs.json")
    exchange = deployment.exchange.model_copy(update={"storage_options": options})
    keys.ensure_key_pair(deployment.locale("eu-west").signing_key.file)
    changed = deployment.model_copy(update={"exchange": exchange})
    built = {"eu-west": regional.build(changed, "eu-west")}
    assert prove(changed, built).nodes == 11
    with pytest.raises(BorderError, match="by other options than the deployment"):
        prove(deployment, built)


def _direct_channel(deployment, built):
    from components.statistics_gen.component import StatisticsGen
    from components.statistics_gen.config import StatisticsGenConfig

    rows = _component(built["eu-west"], "ExampleGen").outputs["examples"]
    spy = StatisticsGen(StatisticsGenConfig(dataset=deployment.dataset), examples=rows).with_id("Spy")
    built["central"]._components.append(spy)


def _importer(deployment, built):
    from tfx.dsl.components.common.importer import Importer
    from tfx.types import standard_artifacts

    root = built["eu-west"].pipeline_info.pipeline_root
    uri = f"{root}/SynthesizerTrainer/model/5"
    built["central"]._components.append(
        Importer(source_uri=uri, artifact_type=standard_artifacts.Model).with_id("Importer")
    )


def _shared_root(deployment, built):
    built["central"].pipeline_info.pipeline_root = built["eu-west"].pipeline_info.pipeline_root


def _shared_store(deployment, built):
    built["us-east"].metadata_connection_config.CopyFrom(built["eu-west"].metadata_connection_config)


def _second_pusher(deployment, built):
    from components.pusher.component import Pusher
    from components.pusher.config import PusherConfig

    first = _component(built["eu-west"], "Pusher")
    config = PusherConfig.from_exec_property(first.exec_properties["config"])
    rows = _component(built["eu-west"], "ExampleGen").outputs["examples"]
    second = Pusher(config, examples=rows, locale="eu-west", span=0).with_id("Second")
    built["eu-west"]._components.append(second)


def _bucket_for_workers(deployment, built):
    built["eu-west"]._beam_pipeline_args = ["--temp_location=gs://somewhere/tmp"]


SABOTAGE = {
    _direct_channel: "eu-west/ExampleGen —examples→ central/Spy.examples",
    _importer: r"eu-west → pipeline root .* → central/Importer\.",
    _shared_root: "eu-west → pipeline root .* → central: the two share",
    _shared_store: "eu-west → metadata store .* → us-east: the two share",
    _second_pusher: "eu-west/ExampleGen —examples→ eu-west/Second.examples → exchange",
    _bucket_for_workers: "beam_pipeline_args → gs://somewhere/tmp",
}


@pytest.mark.parametrize("sabotage", SABOTAGE, ids=lambda change: change.__name__.strip("_"))
def test_a_sabotaged_tfx_pipeline_is_refused_with_its_path(deployment, built, sabotage):
    from pipeline.border_model import BorderError
    from pipeline.border_view import prove

    sabotage(deployment, built)
    with pytest.raises(BorderError, match=SABOTAGE[sabotage]):
        prove(deployment, built)
