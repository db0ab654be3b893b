"""Sabotaged pipelines as plain data: each is refused with its path, the honest ones pass."""

from __future__ import annotations

import dataclasses
import json

import pytest

from pipeline import border_model as kinds
from pipeline.addresses import is_address, may_meet, normal, within
from pipeline.border import check
from pipeline.border_model import BorderError, Node, Proof, Source, Zone

EXCHANGE = "/x/exchange"
CONFIG = json.dumps(
    {
        "kind": "synthetic",
        "exchange_uri": EXCHANGE,
        "dataset": {"targets": ["x"]},
        "signing_key": {"env": None, "file": "/x/keys/eu.pem"},
    }
)


def node(id: str, kind: str = "", properties=None, **inputs: Source | None) -> Node:
    if "." not in kind:
        folder = {"StatisticsGen": "statistics_gen", "SchemaGen": "schema_gen"}.get(kind or id, "")
        kind = f"components.{folder}.component.{kind or id}"
    found = {key: (source,) for key, source in inputs.items() if source is not None}
    return Node(id, kind, found, properties or {})


def eu(id: str, key: str) -> Source:
    return Source("eu", id, key)


SYNTHETIC = eu("SyntheticGen", "synthetic")


def region(**replace: Node) -> Zone:
    nodes = {
        "ExampleGen": node(
            "ExampleGen",
            kinds.EXAMPLE_GEN,
            {"config": json.dumps({"sources": [{"pattern": "/x/data/eu/span-{SPAN}/*.csv"}]})},
        ),
        "StatisticsGen": node("StatisticsGen", examples=eu("ExampleGen", "examples")),
        "SyntheticGen": node("SyntheticGen", kinds.SYNTHETIC_GEN, examples=eu("ExampleGen", "examples")),
        "SyntheticStatisticsGen": node("SyntheticStatisticsGen", "StatisticsGen", examples=SYNTHETIC),
        "ReleaseEvaluator": node(
            "ReleaseEvaluator",
            kinds.EVALUATOR,
            examples=eu("ExampleGen", "examples"),
            synthetic=SYNTHETIC,
        ),
        "Pusher": pusher(),
    }
    nodes.update(replace)
    return Zone(
        "eu",
        "restricted",
        "/x/runs/eu",
        "/x/runs/eu/metadata.sqlite",
        ("/x/data/eu/span-{SPAN}/*.csv",),
        tuple(nodes.values()),
    )


def pusher(id: str = "Pusher", **change: Source | None) -> Node:
    inputs = {
        "examples": SYNTHETIC,
        "statistics": eu("SyntheticStatisticsGen", "statistics"),
        "evaluation": eu("ReleaseEvaluator", "evaluation"),
        "blessing": eu("ReleaseEvaluator", "blessing"),
    }
    return node(id, kinds.PUSHER, {"config": CONFIG}, **{**inputs, **change})


def central(*nodes: Node, **change) -> Zone:
    honest = node("MergeGen", "c.MergeGen", {"config": json.dumps({"exchange_uri": EXCHANGE})})
    zone = Zone("central", "central", "/x/runs/central", "/x/runs/central/metadata.sqlite")
    return dataclasses.replace(zone, nodes=(honest, *nodes), **change)


US = Zone("us", "open", "/x/runs/us", "/x/runs/us/metadata.sqlite", ("/x/data/us/*.csv",))


def prove(*zones: Zone, **options) -> Proof:
    return check(zones, EXCHANGE, **options)


def reads(address: str, id: str = "Reader", kind: str = kinds.EXAMPLE_GEN) -> Node:
    return Node(id, kind, {}, {"config": json.dumps({"sources": [{"pattern": address}]})})


def monitor(synthetic: Source = SYNTHETIC, kind: str = kinds.GENERATOR_MONITOR) -> Node:
    return node("GeneratorMonitor", kind, profile=eu("ExampleGen", "examples"), synthetic=synthetic)


@pytest.mark.parametrize(
    ("change", "source"),
    [
        ({"kind": kinds.EVALUATOR}, "monitor"),
        ({"kind": kinds.DRIFT_MONITOR}, "monitor"),
        ({"synthetic": eu("ExampleGen", "examples")}, "monitor"),
        ({}, "profile"),
    ],
)
def test_what_is_said_of_drift_is_said_by_the_monitor_of_the_rows_that_are_pushed(change, source):
    honest = pusher(monitor=eu("GeneratorMonitor", "monitor"))
    assert prove(region(GeneratorMonitor=monitor(), Pusher=honest), US, central()).nodes == 8
    with pytest.raises(BorderError, match=r"eu/Pusher\.monitor → exchange: what is said of drift"):
        sabotaged = pusher(monitor=eu("GeneratorMonitor", source))
        prove(region(GeneratorMonitor=monitor(**change), Pusher=sabotaged), US, central())


@pytest.mark.parametrize(
    ("kind", "rows", "key"),
    [
        (kinds.DRIFT_MONITOR, eu("ExampleGen", "examples"), "sketch"),
        (kinds.SKETCH_GEN, SYNTHETIC, "sketch"),
        (kinds.SKETCH_GEN, eu("ExampleGen", "examples"), "profile"),
    ],
)
def test_what_is_told_of_the_real_rows_is_told_by_sketch_gen(kind, rows, key):
    def zone(kind: str, rows: Source, key: str) -> Zone:
        sketch = node("SketchGen", kind, examples=rows)
        return region(SketchGen=sketch, Pusher=pusher(sketch=eu("SketchGen", key)))

    assert prove(zone(kinds.SKETCH_GEN, eu("ExampleGen", "examples"), "sketch"), US, central()).nodes == 8
    with pytest.raises(BorderError, match=r"eu/Pusher\.sketch → exchange: what is told of the real rows"):
        prove(zone(kind, rows, key), US, central())


def test_the_honest_pipelines_pass():
    proof = prove(region(), US, central())
    assert (proof.nodes, proof.channels, proof.exceptions) == (7, 9, ())


STORAGE = {"endpoint_url": "https://minio.example:9000", "token_file": "/run/secrets/gs.json", "region": None}


def with_storage(storage, **more) -> Zone:
    config = {**json.loads(CONFIG), "storage": storage, **more}
    return region(Pusher=dataclasses.replace(pusher(), properties={"config": json.dumps(config)}))


def test_endpoint_and_token_file_of_the_exchange_are_no_places_that_are_written_to():
    prove(with_storage(STORAGE), US, central(), storage=STORAGE)


@pytest.mark.parametrize(
    ("found", "said", "path"),
    [
        (STORAGE, {}, "eu/Pusher → config.storage.endpoint_url → https://minio.example:9000: the Pusher"),
        (STORAGE, {**STORAGE, "endpoint_url": "https://other"}, "by other options than the deployment"),
        ({**STORAGE, "token_file": "/x/other"}, STORAGE, "eu/Pusher → config.storage.token_file → exchange"),
        # The address of a container does not name the account.
        ({"account_name": "mine"}, {"account_name": "ours"}, "than the deployment (account_name)"),
        ({}, STORAGE, "(endpoint_url, token_file)"),
    ],
)
def test_another_way_to_the_exchange_than_the_deployments_is_refused(found, said, path):
    with pytest.raises(BorderError) as caught:
        prove(with_storage(found), US, central(), storage=said)
    assert path in str(caught.value) and "allowed: exchange.storage_options" in str(caught.value)


def test_the_same_options_elsewhere_are_places_all_the_same():
    with pytest.raises(BorderError, match=r"config\.copy\.endpoint_url → https://minio"):
        prove(with_storage(STORAGE, copy=STORAGE), US, central(), storage=STORAGE)
    spy = node("StatisticsGen", properties={"config": json.dumps({"storage": STORAGE})})
    with pytest.raises(
        BorderError, match=r"eu/StatisticsGen → config\.storage\.endpoint_url → https://minio"
    ):
        prove(region(StatisticsGen=spy), US, central(), storage={})


def test_a_push_record_may_be_awaited_by_the_centre():
    prove(region(), US, central(node("Wait", "c.Wait", pushed=eu("Pusher", "pushed"))))


def test_a_direct_channel_is_refused_with_the_whole_path():
    spy = node("SkewValidator", "c.Skew", statistics=eu("StatisticsGen", "statistics"))
    with pytest.raises(BorderError) as caught:
        prove(region(), US, central(spy))
    assert "eu/ExampleGen —examples→ eu/StatisticsGen —statistics→ central/SkewValidator.statistics" in str(
        caught.value
    )


SABOTAGE = {
    "an evaluation straight to the centre": (
        region(),
        central(node("Spy", "c.Spy", evaluation=eu("ReleaseEvaluator", "evaluation"))),
        "ReleaseEvaluator —evaluation→ central/Spy.evaluation",
    ),
    "an output that is called pushed but is no Pusher's": (
        region(),
        central(node("Spy", "c.Spy", pushed=eu("StatisticsGen", "pushed"))),
        "StatisticsGen —pushed→ central/Spy.pushed",
    ),
    "a channel from nowhere": (
        region(),
        central(node("Spy", "c.Spy", x=Source("elsewhere", "Node", "x"))),
        "elsewhere/Node —x→ central/Spy.x",
    ),
    "an importer with the locale's address": (
        region(),
        central(Node("Importer", "tfx.Importer", {}, {"source_uri": "/x/runs/eu/artifacts/Trainer/model/3"})),
        "eu → pipeline root /x/runs/eu → central/Importer.source_uri",
    ),
    "an importer with the locale's address as file URI": (
        region(),
        central(Node("Importer", "tfx.Importer", {}, {"source_uri": "file:///x/runs/us/../eu/artifacts"})),
        "central/Importer.source_uri",
    ),
    "the raw source at the centre": (
        region(),
        central(reads("/x/data/eu/span-0/data.csv")),
        "eu → source /x/data/eu/span-0/data.csv → central/Reader.config.sources.pattern",
    ),
    "the raw source by a wider pattern": (region(), central(reads("/x/data/*/span-0/*.csv")), "raw rows"),
    "a shared root": (region(), central(root="/x/runs/eu"), "share a pipeline root"),
    "a root inside the other": (region(), central(root="/x/runs/eu/central"), "share a pipeline root"),
    "a shared metadata store": (
        region(),
        central(metadata="/x/runs/eu/metadata.sqlite"),
        "share a metadata store",
    ),
    "a second Pusher without a gate": (
        region(Second=pusher("Second", blessing=None, evaluation=None)),
        central(),
        "nothing → eu/Second.blessing → exchange: the Pusher has no gate",
    ),
    "a Pusher of real rows": (
        region(Pusher=pusher(examples=eu("ExampleGen", "examples"))),
        central(),
        "eu/ExampleGen —examples→ eu/Pusher.examples → exchange: the Pusher does not push synthetic rows",
    ),
    "statistics of the real rows": (
        region(Pusher=pusher(statistics=eu("StatisticsGen", "statistics"))),
        central(),
        "the statistics are not those of the rows that are pushed",
    ),
    "a gate that judged other rows": (
        region(
            Other=node("Other", kinds.SYNTHETIC_GEN, examples=eu("ExampleGen", "examples")),
            Pusher=pusher(examples=eu("Other", "synthetic"), statistics=None),
        ),
        central(),
        "the gate judged other rows",
    ),
    "a gate without real rows": (
        region(
            ReleaseEvaluator=node(
                "ReleaseEvaluator", kinds.EVALUATOR, examples=SYNTHETIC, synthetic=SYNTHETIC
            )
        ),
        central(),
        "compared with no real rows",
    ),
    "a Pusher that is set up for an open locale": (
        region(
            Pusher=dataclasses.replace(
                pusher(), properties={"config": json.dumps({"kind": "open", "exchange_uri": EXCHANGE})}
            )
        ),
        central(),
        "not set up for a restricted locale",
    ),
    "a component that nobody knows": (
        region(Mail=node("Mail", "addons.Mailer", x=eu("ExampleGen", "examples"))),
        central(),
        "eu/Mail → wherever addons.Mailer writes",
    ),
    "a node that writes elsewhere": (
        region(StatisticsGen=node("StatisticsGen", properties={"checkpoint_dir": "s3://bucket/models"})),
        central(),
        "eu/StatisticsGen → checkpoint_dir → s3://bucket/models",
    ),
    "the exchange inside the root": (dataclasses.replace(region(), root="/x"), central(), "inside the other"),
}


@pytest.mark.parametrize("name", SABOTAGE)
def test_a_sabotaged_pipeline_is_refused_with_its_path(name):
    locale, centre, path = SABOTAGE[name]
    with pytest.raises(BorderError) as caught:
        prove(locale, US, centre)
    assert path in str(caught.value) and "allowed" in str(caught.value) and "\n" not in str(caught.value)


def test_an_open_locale_over_the_files_of_a_restricted_one():
    spy = dataclasses.replace(US, sources=("/x/data/*/span-*/*.csv",))
    with pytest.raises(BorderError, match="open locale reads the files"):
        prove(region(), spy, central())


def test_ideal_is_an_exception_for_one_node_and_it_is_said():
    ideal = reads("/x/data/eu/span-{SPAN}/*.csv", kinds.IDEAL_NODE)
    with pytest.raises(BorderError, match=r"or central\.ideal: true where the operator holds them"):
        prove(region(), US, central(ideal))
    (sentence,) = prove(region(), US, central(ideal), ideal=True).exceptions
    assert "raw rows of eu" in sentence and "simulation" in sentence
    for other in (reads("/x/data/eu/span-0/a.csv"), reads("/x/runs/eu/artifacts", kinds.IDEAL_NODE)):
        with pytest.raises(BorderError):
            prove(region(), US, central(other), ideal=True)


def test_a_link_hides_nothing(tmp_path):
    (tmp_path / "eu").mkdir()
    (tmp_path / "innocent").symlink_to(tmp_path / "eu")
    zone = dataclasses.replace(region(), sources=(f"{tmp_path}/eu/*.csv",), nodes=())
    with pytest.raises(BorderError, match="raw rows"):
        prove(zone, US, central(reads(f"{tmp_path}/innocent/a.csv")))


def test_addresses():
    assert [is_address(text) for text in ("/a", "s3://b/c", "../x", "~/x", "m/s", "N/A", "/", "a b")] == [
        True,
        True,
        True,
        True,
        False,
        False,
        False,
        False,
    ]
    assert normal("s3://bucket/a/../b/") == "s3://bucket/b" and normal("file:///a/./b") == "/a/b"
    assert within("/a/b", "/a") and within("/a", "/a") and not within("/ab", "/a")
    assert may_meet("/d/{YYYY}/x-*.csv", "/d/2024/*-1.csv") and not may_meet("/d/a-*.csv", "/d/b-*.csv")
    assert may_meet("/d/**/x.csv", "/d/e") and not may_meet("/d/*.csv", "/d/*.parquet")
    assert may_meet("/d", "/d/e/f.csv") and not may_meet("s3://a/d", "gs://a/d")
