"""SkewValidator: locale against locale, with TFDV's numbers beside ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from components import split_io
from components.dataset import DatasetConfig, FeatureConfig
from components.monitoring import MonitoringConfig
from components.schema_gen.core import complete_inferred_schema
from components.skew_validator.config import SkewValidatorConfig
from components.statistics_gen.config import StatisticsGenConfig
from components.statistics_gen.tfdv_stats import accumulate

pytestmark = pytest.mark.tfx

DATASET = DatasetConfig(
    features=(
        FeatureConfig(name="temp"),
        FeatureConfig(name="on", kind="binary"),
        FeatureConfig(name="mode", kind="categorical"),
    ),
    targets=("temp",),
    interval_s=60,
)


def _table(rows: int, seed: int, mean: float, share: float) -> pa.Table:
    rng = np.random.default_rng(seed)
    return pa.table(
        {
            "timestamp": np.arange(rows, dtype=np.int64),
            "temp": rng.normal(mean, 5, rows).astype(np.float32),
            "on": (rng.random(rows) < share).astype(np.int64),
            "mode": pa.array(rng.choice(["sun", "safe"], rows, p=[share, 1 - share])),
        }
    )


def _run(root: Path, locales: dict[str, pa.Table]) -> dict[str, Any]:
    from components.artifacts import SkewReport
    from components.skew_validator.executor import Executor
    from components.tfx_shim import artifact_utils, standard_artifacts

    statistics, schema, skew = (
        standard_artifacts.ExampleStatistics(),
        standard_artifacts.Schema(),
        SkewReport(),
    )
    for name, artifact in (("statistics", statistics), ("schema", schema), ("skew", skew)):
        artifact.uri = str(root / name)
    statistics.split_names = artifact_utils.encode_split_names(list(locales))
    for locale, table in locales.items():
        batches = [split_io.listify_batch(batch) for batch in table.to_batches()]
        path = split_io.split_path(statistics.uri, locale) / "FeatureStats.pb"
        path.parent.mkdir(parents=True)
        path.write_bytes(
            accumulate(batches, StatisticsGenConfig(dataset=DATASET)).extract(locale).SerializeToString()
        )
    (root / "schema").mkdir(parents=True)
    proto = complete_inferred_schema(schema_pb2.Schema(), DATASET, MonitoringConfig())
    (root / "schema" / "schema.pbtxt").write_text(text_format.MessageToString(proto))
    properties = {"config": SkewValidatorConfig().to_exec_property()}
    Executor().Do({"statistics": [statistics], "schema": [schema]}, {"skew": [skew]}, properties)
    return json.loads((root / "skew" / "skew.json").read_text())


def test_every_pair_and_feature_with_tfdvs_number(tmp_path: Path) -> None:
    locales = {
        "us-east": _table(4000, 1, 20, 0.2),
        "eu-west": _table(3000, 2, 21, 0.25),
        "ap-south": _table(2000, 3, 60, 0.9),
    }
    report = _run(tmp_path, locales)
    assert (report["status"], report["locales"]) == ("EVALUATED", list(locales))
    assert report["features"] == ["temp", "on", "mode"]
    assert len(report["pairs"]) == 9
    for pair in report["pairs"]:
        assert pair["tfdv_value"] == pytest.approx(pair["value"], abs=1e-12)
        far = "ap-south" in (pair["a"], pair["b"])
        assert pair["verdict"] == ("SKEW" if far else "OK")
    assert {measure: sorted(found) for measure, found in report["matrix"].items()} == {
        "jensen_shannon_divergence": ["temp"],
        "kolmogorov_smirnov": ["temp"],
        "infinity_norm": ["mode", "on"],
    }
    matrix = np.array(report["matrix"]["infinity_norm"]["on"])
    assert matrix.shape == (3, 3) and np.array_equal(matrix, matrix.T) and not matrix.diagonal().any()


def test_an_all_null_feature_and_an_empty_locale(tmp_path: Path) -> None:
    void = _table(500, 1, 20, 0.2).set_column(1, "temp", pa.nulls(500, pa.float32()))
    locales = {"us-east": _table(500, 1, 20, 0.2), "eu-west": void, "ap-south": _table(0, 1, 20, 0.2)}
    report = _run(tmp_path, locales)
    found = {(p["a"], p["b"], p["feature"]): p for p in report["pairs"]}
    assert found["us-east", "eu-west", "temp"]["reason"] == "eu-west: all 500 rows lack a value"
    assert found["us-east", "eu-west", "on"]["verdict"] == "OK"
    assert found["us-east", "ap-south", "on"]["reason"] == "feature is absent from ap-south"
    assert len(found) == 9
    assert report["matrix"]["infinity_norm"]["on"][2] == [None, None, None]


def test_one_locale_is_not_evaluated(tmp_path: Path) -> None:
    report = _run(tmp_path, {"us-east": _table(500, 1, 20, 0.2)})
    assert (report["status"], report["pairs"], report["matrix"]) == ("NOT_EVALUATED", [], {})
    assert report["reason"] == "a skew needs two locales, found 1 (us-east)"


def test_component_construction() -> None:
    from components.artifacts import SkewReport
    from components.skew_validator.component import SkewValidator
    from components.tfx_shim import Channel, standard_artifacts

    config = SkewValidatorConfig()
    statistics = Channel(type=standard_artifacts.ExampleStatistics)
    schema = Channel(type=standard_artifacts.Schema)
    component = SkewValidator(config, statistics=statistics, schema=schema)
    assert SkewValidatorConfig.from_exec_property(component.exec_properties["config"]) == config
    assert component.outputs["skew"].type is SkewReport
    with pytest.raises(TypeError):
        SkewValidator(config, statistics=schema, schema=statistics)
