"""ExampleGen as TFX sees it: its spec, its executor, and a run with a cached second one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.tfx

artifacts = pytest.importorskip("components.artifacts")
from tfx.types import artifact_utils, standard_artifacts  # noqa: E402

from components import split_io  # noqa: E402
from components.dataset import DatasetConfig, FeatureConfig  # noqa: E402
from components.errors import DataError  # noqa: E402
from components.example_gen.component import ExampleGen  # noqa: E402
from components.example_gen.config import ExampleGenConfig  # noqa: E402
from components.example_gen.core.spans import resolve_sources  # noqa: E402
from components.example_gen.executor import NEWEST_SPAN, Executor  # noqa: E402
from components.version import __version__  # noqa: E402

DATASET = DatasetConfig(
    timestamp="time", label="label", features=(FeatureConfig(name="x"),), targets=("x",), interval_s=60
)


@pytest.fixture
def config(tmp_path: Path) -> ExampleGenConfig:
    for span in (3, 4):
        rows = [f"{1_700_000_000 + 60 * row},{row + span},{int(row % 50 == 0)}" for row in range(1_000)]
        rows[7] = rows[7].replace(f",{7 + span},", ",inf,")
        (tmp_path / f"span-{span}.csv").write_text("\n".join(["time,x,label", *rows]) + "\n")
    return ExampleGenConfig(dataset=DATASET, sources=({"pattern": f"{tmp_path}/span-{{SPAN}}.csv"},))


def do(root: Path, config: ExampleGenConfig, **changes: Any) -> tuple[Any, Any]:
    examples, quarantine = standard_artifacts.Examples(), artifacts.Quarantine()
    examples.uri, quarantine.uri = str(root / "examples"), str(root / "quarantine")
    properties = {
        "config": config.to_exec_property(),
        "locale": "eu-west",
        "span": 3,
        "seed": 5,
        "fingerprint": "",
        "isthmus_version": __version__,
    }
    Executor().Do({}, {"examples": [examples], "quarantine": [quarantine]}, {**properties, **changes})
    return examples, quarantine


def test_component_carries_its_configuration(config: ExampleGenConfig) -> None:
    node = ExampleGen(config, locale="eu-west", span=3, seed=5, fingerprint="f").with_id("ExampleGen")
    properties = node.exec_properties
    assert ExampleGenConfig.from_exec_property(properties["config"]) == config
    assert {key: properties[key] for key in ("locale", "span", "seed", "fingerprint", "isthmus_version")} == {
        "locale": "eu-west", "span": 3, "seed": 5, "fingerprint": "f", "isthmus_version": __version__
    }  # fmt: skip
    assert node.outputs["examples"].type is standard_artifacts.Examples
    assert node.outputs["quarantine"].type is artifacts.Quarantine
    with pytest.raises(TypeError):
        ExampleGen(config)  # type: ignore[call-arg]


def test_executor_writes_splits_quarantine_and_lineage(tmp_path: Path, config: ExampleGenConfig) -> None:
    examples, quarantine = do(tmp_path / "one", config)
    assert artifact_utils.decode_split_names(examples.split_names) == ["train", "eval", "holdout"]
    assert examples.get_int_custom_property("span") == 3
    assert examples.get_string_custom_property("locale") == "eu-west"
    report = json.loads((Path(quarantine.uri) / "ingest.json").read_text())
    assert examples.get_string_custom_property("data_digest") == report["data_digest"]
    assert (report["rows_read"], report["rows_kept"], report["rows_quarantined"]) == (1_000, 999, 1)
    assert quarantine.get_int_custom_property("rows_quarantined") == 1
    tables = {
        name: split_io.read_table(examples.uri, name, dataset=DATASET)
        for name in split_io.list_splits(examples.uri)
    }
    values = sorted(value for table in tables.values() for value in table["x"].to_pylist())
    assert values == [row + 3 for row in range(1_000) if row != 7]
    assert all(1 in table["label"].to_pylist() for table in tables.values())


def test_executor_writes_what_it_did_with_missing_values(tmp_path: Path, config: ExampleGenConfig) -> None:
    plain, nothing = do(tmp_path / "plain", config)
    assert not (Path(nothing.uri) / "quality.json").exists()
    counted = ExampleGenConfig(**{**config.model_dump(), "quality": {}})
    examples, quarantine = do(tmp_path / "counted", counted)
    found = json.loads((Path(quarantine.uri) / "quality.json").read_text())
    assert found["missingness"][0]["columns"]["x"]["missing"] == {"train": 0, "eval": 0, "holdout": 0}
    assert found["imputation"][0]["policies"]["x"] == "none"
    # Counting changes nothing of what is stored.
    assert examples.get_string_custom_property("data_digest") == plain.get_string_custom_property(
        "data_digest"
    )


def test_executor_twice_is_the_same_and_the_seed_counts(tmp_path: Path, config: ExampleGenConfig) -> None:
    first, again, other = (
        do(tmp_path / name, config, seed=seed)[0] for name, seed in (("a", 5), ("b", 5), ("c", 6))
    )
    digests = [artifact.get_string_custom_property("data_digest") for artifact in (first, again, other)]
    assert digests[0] == digests[1] != digests[2]
    files = [split_io.shard_paths(artifact.uri, "holdout")[0].read_bytes() for artifact in (first, again)]
    assert files[0] == files[1]


def test_executor_refuses_other_files_than_planned_and_a_span_that_is_not(
    tmp_path: Path, config: ExampleGenConfig
) -> None:
    span, _, fingerprint = resolve_sources([source.pattern for source in config.sources])
    assert span == 4
    assert do(tmp_path, config, span=4, fingerprint=fingerprint)[0].get_int_custom_property("span") == 4
    with pytest.raises(DataError, match="locale=eu-west span=3: the source's files have changed"):
        do(tmp_path, config, fingerprint=fingerprint)
    with pytest.raises(DataError, match=r"span 9 does not exist\. Spans there, newest first: 4, 3"):
        do(tmp_path, config, span=9)


def test_a_test_set_takes_the_newest_span(tmp_path: Path, config: ExampleGenConfig) -> None:
    single = ExampleGenConfig(**{**config.model_dump(), "splits": {"mode": "single", "name": "test"}})
    examples, _ = do(tmp_path, single, span=NEWEST_SPAN)
    assert artifact_utils.decode_split_names(examples.split_names) == ["test"]
    assert examples.get_int_custom_property("span") == 4


def test_a_pipeline_runs_and_is_cached_until_the_files_change(
    tmp_path: Path, config: ExampleGenConfig
) -> None:
    from tfx.orchestration import metadata, pipeline
    from tfx.orchestration.local.local_dag_runner import LocalDagRunner

    def run() -> int:
        span, _, fingerprint = resolve_sources([source.pattern for source in config.sources])
        node = ExampleGen(config, locale="eu-west", span=span, seed=5, fingerprint=fingerprint)
        LocalDagRunner().run(
            pipeline.Pipeline(
                pipeline_name="test",
                pipeline_root=str(tmp_path / "root"),
                components=[node],
                enable_cache=True,
                metadata_connection_config=metadata.sqlite_metadata_connection_config(str(tmp_path / "m.db")),
            )
        )
        return len(list((tmp_path / "root" / "ExampleGen" / "examples").iterdir()))

    assert [run(), run()] == [1, 1]
    path = tmp_path / "span-4.csv"
    path.write_text(path.read_text().replace(",4,1", ",5,1", 1))
    assert run() == 2
