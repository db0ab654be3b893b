"""SchemaGen: curated and inferred schemas, and that TFDV acts on every comparator they carry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from components import split_io
from components.dataset import DatasetConfig, FeatureConfig
from components.errors import ConfigError
from components.monitoring import ComparatorConfig, MonitoringConfig
from components.schema_gen.config import SchemaGenConfig
from components.statistics_gen.config import StatisticsGenConfig
from components.statistics_gen.tfdv_stats import accumulate

pytestmark = pytest.mark.tfx

DATASET = DatasetConfig(
    series=("asset",),
    label="label",
    features=(
        FeatureConfig(name="temp"),
        FeatureConfig(name="count", kind="integer"),
        FeatureConfig(name="on", kind="binary"),
        FeatureConfig(name="mode", kind="categorical"),
    ),
    targets=("temp",),
    interval_s=60,
)


def _table(rows: int, seed: int, *, shift: float = 0.0, modes: tuple[str, ...] = ("sun", "safe")) -> pa.Table:
    rng = np.random.default_rng(seed)
    return pa.table(
        {
            "timestamp": np.arange(rows, dtype=np.int64),
            "asset": pa.array(["a-1"] * rows),
            "temp": (rng.normal(20 + 10 * shift, 5, rows)).astype(np.float32),
            "count": rng.poisson(3 + 10 * shift, rows),
            "on": (rng.random(rows) < 0.2 + shift / 2).astype(np.int64),
            "mode": pa.array(rng.choice(modes, rows, p=[0.5 + shift / 3, 0.5 - shift / 3])),
            "label": (rng.random(rows) < 0.05 + shift / 2).astype(np.int64),
        }
    )


def _statistics(table: pa.Table) -> Any:
    batches = [split_io.listify_batch(batch) for batch in table.to_batches()]
    return accumulate(batches, StatisticsGenConfig(dataset=DATASET)).extract()


def _run(root: Path, config: SchemaGenConfig, tables: dict[str, pa.Table]) -> schema_pb2.Schema:
    from components.schema_gen.executor import Executor
    from components.tfx_shim import artifact_utils, standard_artifacts

    statistics, schema = standard_artifacts.ExampleStatistics(), standard_artifacts.Schema()
    statistics.uri, schema.uri = str(root / "statistics"), str(root / "schema")
    statistics.split_names = artifact_utils.encode_split_names(list(tables))
    for split, table in tables.items():
        path = split_io.split_path(statistics.uri, split) / "FeatureStats.pb"
        path.parent.mkdir(parents=True)
        path.write_bytes(_statistics(table).SerializeToString())
    Executor().Do({"statistics": [statistics]}, {"schema": [schema]}, {"config": config.to_exec_property()})
    return text_format.Parse((root / "schema" / "schema.pbtxt").read_text(), schema_pb2.Schema())


def test_inferred_over_all_splits(tmp_path: Path) -> None:
    tables = {
        "empty": _table(0, 3),
        "train": _table(500, 1),
        "eval": _table(100, 2, modes=("sun", "eclipse")),
    }
    schema = _run(tmp_path, SchemaGenConfig(dataset=DATASET), tables)
    assert [feature.name for feature in schema.feature] == [
        "timestamp",
        "asset",
        "temp",
        "count",
        "on",
        "mode",
        "label",
    ]
    assert sorted(schema.string_domain[0].value) == ["eclipse", "safe", "sun"]
    assert len(schema.string_domain) == 1


def test_schema_accepts_the_rows_it_was_inferred_from(tmp_path: Path) -> None:
    import tensorflow_data_validation as tfdv

    tables = {"train": _table(500, 1), "eval": _table(100, 2)}
    schema = _run(tmp_path, SchemaGenConfig(dataset=DATASET), tables)
    for table in tables.values():
        assert not tfdv.validate_statistics(_statistics(table), schema).anomaly_info


def test_no_comparator_is_silently_ignored(tmp_path: Path) -> None:
    """TFDV measures a drift and a skew for every feature that carries a comparator, and sees the change."""
    import tensorflow_data_validation as tfdv

    tight = ComparatorConfig(jensen_shannon_divergence=0.05, infinity_norm=0.05)
    config = SchemaGenConfig(dataset=DATASET, monitoring=MonitoringConfig(drift=tight, skew=tight))
    schema = _run(tmp_path, config, {"train": _table(3000, 1)})
    watched = {
        f.name for f in schema.feature if f.HasField("drift_comparator") and f.HasField("skew_comparator")
    }
    assert watched == {"temp", "count", "on", "mode", "label"}
    moved = _statistics(_table(3000, 2, shift=1.0))
    found = tfdv.validate_statistics(
        _statistics(_table(3000, 1)), schema, previous_statistics=moved, serving_statistics=moved
    )
    measured = {info.path.step[0]: info for info in found.drift_skew_info}
    assert set(measured) == watched
    for name, info in measured.items():
        assert info.drift_measurements[0].value > 0.05, name
        assert info.skew_measurements[0].value > 0.05, name
    assert set(found.anomaly_info) == watched


def test_curated_schema_is_used(tmp_path: Path) -> None:
    dataset = DatasetConfig(
        label="label",
        features=(
            FeatureConfig(name="feature_0"),
            *(FeatureConfig(name=f"feature_{i}", kind="binary") for i in range(1, 25)),
        ),
        targets=("feature_0",),
        interval_s=60,
        schema_name="smap",
    )
    schema = _run(tmp_path, SchemaGenConfig(dataset=dataset), {"train": _table(10, 1)})
    found = {feature.name: feature for feature in schema.feature}
    assert found["feature_0"].float_domain.max == 1.5
    assert found["feature_7"].drift_comparator.infinity_norm.threshold == pytest.approx(0.1)
    with pytest.raises(ConfigError, match="lacks"):
        config = SchemaGenConfig(dataset=DATASET.model_copy(update={"schema_name": "smap"}))
        _run(tmp_path / "second", config, {"train": _table(10, 1)})


def test_component_construction() -> None:
    from components.schema_gen.component import SchemaGen
    from components.tfx_shim import Channel, standard_artifacts

    config = SchemaGenConfig(dataset=DATASET.model_copy(update={"schema_name": "smap"}))
    component = SchemaGen(config, statistics=Channel(type=standard_artifacts.ExampleStatistics))
    assert SchemaGenConfig.from_exec_property(component.exec_properties["config"]) == config
    assert len(component.exec_properties["fingerprint"]) == 64
    assert component.outputs["schema"].type is standard_artifacts.Schema
    with pytest.raises(TypeError):
        SchemaGen(config, statistics=Channel(type=standard_artifacts.Examples))
