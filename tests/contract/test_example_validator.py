"""ExampleValidator: files, drift with TFDV's numbers, what stops a locale, and never silence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2

from components import split_io
from components.dataset import DatasetConfig, FeatureConfig
from components.errors import VerdictError
from components.example_validator.config import ExampleValidatorConfig
from components.monitoring import MonitoringConfig
from components.schema_gen.core import complete_inferred_schema
from components.statistics_gen.config import StatisticsGenConfig
from components.statistics_gen.summary import Comparator, compare, summarise
from components.statistics_gen.tfdv_stats import accumulate

pytestmark = pytest.mark.tfx

DATASET = DatasetConfig(
    features=(FeatureConfig(name="temp"), FeatureConfig(name="on", kind="binary")),
    targets=("temp",),
    interval_s=60,
)


DEFAULTS = MonitoringConfig()


def _table(rows: int, seed: int, *, mean: float = 20.0, share: float = 0.2, value: int = 1) -> pa.Table:
    rng = np.random.default_rng(seed)
    return pa.table(
        {
            "timestamp": np.arange(rows, dtype=np.int64),
            "temp": rng.normal(mean, 5, rows).astype(np.float32),
            "on": value * (rng.random(rows) < share).astype(np.int64),
        }
    )


def _statistics(table: pa.Table) -> Any:
    batches = [split_io.listify_batch(batch) for batch in table.to_batches()]
    return accumulate(batches, StatisticsGenConfig(dataset=DATASET)).extract()


def _write_statistics(root: Path, tables: dict[str, pa.Table]) -> Any:
    from components.tfx_shim import artifact_utils, standard_artifacts

    artifact = standard_artifacts.ExampleStatistics()
    artifact.uri = str(root)
    artifact.split_names = artifact_utils.encode_split_names(list(tables))
    for split, table in tables.items():
        path = split_io.split_path(root, split) / "FeatureStats.pb"
        path.parent.mkdir(parents=True)
        path.write_bytes(_statistics(table).SerializeToString())
    if tables:
        (root / "span").mkdir()
        whole = _statistics(pa.concat_tables(list(tables.values())))
        (root / "span" / "FeatureStats.pb").write_bytes(whole.SerializeToString())
    return artifact


def _run(
    root: Path,
    current: dict[str, pa.Table],
    previous: dict[str, pa.Table] | None = None,
    monitoring: MonitoringConfig = DEFAULTS,
    by_channel: bool = True,
) -> dict[str, Any]:
    from components.artifacts import DriftReport
    from components.example_validator.executor import Executor
    from components.tfx_shim import standard_artifacts

    schema, anomalies, drift = (
        standard_artifacts.Schema(),
        standard_artifacts.ExampleAnomalies(),
        DriftReport(),
    )
    for name, artifact in (("schema", schema), ("anomalies", anomalies), ("drift", drift)):
        artifact.uri = str(root / name)
    (root / "schema").mkdir(parents=True)
    proto = complete_inferred_schema(schema_pb2.Schema(), DATASET, monitoring)
    (root / "schema" / "schema.pbtxt").write_text(text_format.MessageToString(proto))
    inputs = {"statistics": [_write_statistics(root / "statistics", current)], "schema": [schema]}
    properties: dict[str, Any] = {
        "config": ExampleValidatorConfig(monitoring=monitoring).to_exec_property(),
        "locale": "eu-west",
        "span": 7,
        "previous_statistics_uri": "",
        "fingerprint": "",
    }
    if previous is not None:
        artifact = _write_statistics(root / "previous", previous)
        if by_channel:
            inputs["previous_statistics"] = [artifact]
        else:
            properties["previous_statistics_uri"] = artifact.uri
    Executor().Do(inputs, {"anomalies": [anomalies], "drift": [drift]}, properties)
    return json.loads((root / "drift" / "drift.json").read_text())


@pytest.mark.parametrize("by_channel", [True, False])
def test_drift_has_tfdvs_numbers(tmp_path: Path, by_channel: bool) -> None:
    current, previous = {"train": _table(4000, 1)}, {"train": _table(3000, 2, mean=30, share=0.5)}
    report = _run(tmp_path, current, previous, by_channel=by_channel)
    assert (report["status"], report["anomalies"]) == ("EVALUATED", [])
    diff = anomalies_pb2.Anomalies.FromString(
        (tmp_path / "anomalies" / "span" / "SchemaDiff.pb").read_bytes()
    )
    tfdv = {info.path.step[0]: info.drift_measurements[0] for info in diff.drift_skew_info}
    assert set(tfdv) == {"temp", "on"}
    for row in report["features"]:
        # TFDV adds in another order: the last digits.
        assert row["value"] == pytest.approx(tfdv[row["feature"]].value, abs=1e-12)
        assert row["threshold"] == tfdv[row["feature"]].threshold
        assert (row["verdict"], row["n"], row["n_baseline"]) == ("DRIFT", 4000, 3000)
        assert row["p_value"] < 1e-6


def _skewed(name: str) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(11)
    normal = rng.normal(size=5000)
    return {
        "overlap": (normal, rng.normal(0.5, 2, 3000)),
        "disjoint": (normal, rng.normal(100, 1, 3000)),
        "nested": (normal, rng.uniform(-0.1, 0.1, 3000)),
        "same constant": (np.full(500, 3.0), np.full(200, 3.0)),
        "other constant": (np.full(500, 3.0), np.full(200, 4.0)),
        "constant inside": (np.full(500, 0.3), normal),
        "constant at the edge": (np.full(500, 0.0), np.linspace(0, 1, 101)),
        "skewed": (rng.lognormal(size=4000), rng.lognormal(0.3, 1.2, 4000)),
        "few values": (rng.integers(0, 4, 900).astype(float), rng.integers(0, 5, 900).astype(float)),
    }[name]


@pytest.mark.parametrize(
    "name",
    [
        "overlap",
        "disjoint",
        "nested",
        "same constant",
        "other constant",
        "constant inside",
        "constant at the edge",
        "skewed",
        "few values",
    ],
)
def test_jensen_shannon_divergence_is_what_tfdvs_validator_reports(name: str) -> None:
    from components.example_validator.tfdv_validation import validate

    schema = schema_pb2.Schema()
    feature = schema.feature.add(name="x", type=schema_pb2.FLOAT)
    feature.drift_comparator.jensen_shannon_divergence.threshold = 0.0
    sides = [
        accumulate(
            [split_io.listify_batch(pa.RecordBatch.from_pydict({"x": x.astype(np.float32)}))]
        ).extract()
        for x in _skewed(name)
    ]
    theirs = validate(sides[0], schema, previous=sides[1]).drift_skew_info[0].drift_measurements[0].value
    one, two = (summarise(side)["x"] for side in sides)
    ours = compare(one, two, Comparator("jensen_shannon_divergence", 0.0))
    assert ours.value == pytest.approx(theirs, abs=1e-12)


def test_an_error_is_raised_after_everything_is_written(tmp_path: Path) -> None:
    with pytest.raises(VerdictError) as error:
        _run(tmp_path, {"train": _table(500, 1), "eval": _table(500, 2, value=2)}, {"train": _table(500, 1)})
    text = str(error.value)
    assert text.startswith("locale=eu-west span=7 split=eval feature=on: schema anomaly of severity ERROR: ")
    assert "Out-of-range values" in text and "Mend the source or the schema" in text
    report = json.loads((tmp_path / "drift" / "drift.json").read_text())
    assert [(a["split"], a["feature"], a["severity"]) for a in report["anomalies"]] == [
        ("eval", "on", "ERROR")
    ]
    assert (tmp_path / "anomalies" / "Split-eval" / "SchemaDiff.pb").is_file()
    verdicts = {row["feature"]: row["verdict"] for row in report["features"]}
    assert verdicts == {"temp": "OK", "on": "OK"}


def test_fail_on_never_only_reports(tmp_path: Path) -> None:
    report = _run(tmp_path, {"train": _table(500, 2, value=2)}, monitoring=MonitoringConfig(fail_on="never"))
    assert report["anomalies"][0]["severity"] == "ERROR"


def test_on_drift_fail_stops(tmp_path: Path) -> None:
    with pytest.raises(VerdictError, match="feature=temp: drift, jensen_shannon_divergence"):
        _run(
            tmp_path,
            {"train": _table(500, 1)},
            {"train": _table(500, 1, mean=40)},
            monitoring=MonitoringConfig(on_drift="fail"),
        )


def test_missing_baseline_is_said(tmp_path: Path) -> None:
    report = _run(tmp_path, {"train": _table(500, 1)})
    assert (report["status"], report["features"]) == ("NOT_EVALUATED", [])
    assert report["reason"] == "there are no statistics of a previous span"
    report = _run(tmp_path / "gone", {"train": _table(500, 1)}, {}, by_channel=False)
    assert report["status"] == "NOT_EVALUATED" and "no statistics of a whole span under" in report["reason"]


def test_empty_split_stops(tmp_path: Path) -> None:
    with pytest.raises(VerdictError, match=r"split=eval feature=\(split\): .*Empty split"):
        _run(tmp_path, {"train": _table(500, 1), "eval": _table(0, 1)})


def test_empty_previous_split_and_all_null(tmp_path: Path) -> None:
    void = _table(500, 1).set_column(1, "temp", pa.nulls(500, pa.float32()))
    report = _run(tmp_path, {"train": void}, {"train": _table(0, 1)})
    assert [(a["feature"], a["severity"], a["short"]) for a in report["anomalies"]] == [
        ("temp", "WARNING", "All values missing")
    ]
    assert {row["verdict"] for row in report["features"]} == {"UNDEFINED"}
    assert "absent from the previous span" in report["features"][0]["reason"]
    report = _run(tmp_path / "second", {"train": void}, {"train": _table(500, 1)})
    reasons = {row["feature"]: row["reason"] for row in report["features"]}
    assert reasons["temp"] == "this span: all 500 rows lack a value"
    assert reasons["on"] == ""


def test_component_construction() -> None:
    from components.artifacts import DriftReport
    from components.example_validator.component import ExampleValidator
    from components.tfx_shim import Channel, standard_artifacts

    config = ExampleValidatorConfig()
    statistics = Channel(type=standard_artifacts.ExampleStatistics)
    schema = Channel(type=standard_artifacts.Schema)
    one = ExampleValidator(config, statistics, schema, locale="eu-west", span=7)
    assert ExampleValidatorConfig.from_exec_property(one.exec_properties["config"]) == config
    assert (one.exec_properties["locale"], one.exec_properties["span"]) == ("eu-west", 7)
    assert one.outputs["drift"].type is DriftReport
    assert "previous_statistics" not in one.inputs
    two = ExampleValidator(config, statistics, schema, statistics, locale="eu-west", span=7)
    assert "previous_statistics" in two.inputs
    with pytest.raises(TypeError):
        ExampleValidator(config, schema, statistics, locale="eu-west", span=7)
