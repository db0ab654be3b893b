"""ProphetEvaluator as a component: artifacts in, artifacts out."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest

from components import split_io
from components.dataset import DatasetConfig, FeatureConfig
from components.errors import DataError
from components.prophet_evaluator.config import (
    ClassifierConfig,
    IntervalDetectorConfig,
    ProphetEvaluatorConfig,
)

pytestmark = pytest.mark.tfx

DATASET = DatasetConfig(
    series=("device",),
    label="label",
    features=(FeatureConfig(name="temp"),),
    targets=("temp",),
    interval_s=900,
)
CONFIG = ProphetEvaluatorConfig(
    dataset=DATASET,
    open_locales=("us",),
    restricted_locales=("eu",),
    interval=IntervalDetectorConfig(detect_cycle=False),
    classifier=ClassifierConfig(max_iter=10, window_rows=(4, 8), max_rows=1000),
    bootstrap_samples=100,
    max_rows_per_fit=300,
    workers=1,
)


def _table(
    seed: int, phase: float, days: int = 5, start: int = 0, locale: str = "", label: bool = True
) -> pa.Table:
    rng, n = np.random.default_rng(seed), days * 96
    seconds = start * 86_400 + np.arange(n) * 900
    temp = 2 * np.sin(2 * np.pi * (seconds / 86_400 + phase)) + rng.normal(0, 0.1, n)
    anomalous = (np.arange(n) % 60) < 6
    temp[anomalous] += 1.5
    columns = {
        "timestamp": pa.array(seconds * 1_000_000),
        "device": pa.array(["d0"] * n),
        "temp": pa.array(temp, pa.float32()),
    }
    if label:
        columns["label"] = pa.array(anomalous.astype(np.int64))
    if locale:
        columns["locale"] = pa.array([locale] * n)
    return pa.table(columns)


def _artifacts(tmp_path, test_table: pa.Table, ideal: bool):
    from components.tfx_shim import standard_artifacts

    def examples(name: str, splits: dict[str, pa.Table]):
        artifact = standard_artifacts.Examples()
        artifact.uri = str(tmp_path / name)
        for split, table in splits.items():
            split_io.write_split(artifact.uri, split, table)
        artifact.set_int_custom_property("span", 7)
        artifact.set_string_custom_property("data_digest", f"digest-of-{name}")
        return [artifact]

    inputs = {
        "examples": examples("merged", {"us": _table(1, 0.0), "eu": _table(2, 0.4)}),
        "test_examples": examples("test", {"test": test_table}),
    }
    if ideal:
        inputs["ideal_examples"] = examples("ideal", {"eu": _table(5, 0.4)})
    outputs = {}
    for key, kind in (
        ("model", standard_artifacts.Model),
        ("evaluation", standard_artifacts.ModelEvaluation),
        ("blessing", standard_artifacts.ModelBlessing),
    ):
        artifact = kind()
        artifact.uri = str(tmp_path / key)
        (tmp_path / key).mkdir()
        outputs[key] = [artifact]
    return inputs, outputs


def _test_table(label: bool = True) -> pa.Table:
    return pa.concat_tables(
        [
            _table(3, 0.0, 3, 5, "us", label),
            _table(4, 0.4, 3, 5, "eu", label),
            _table(6, 0.2, 3, 5, "far", label),
        ]
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    from components.prophet_evaluator.executor import Executor

    path = tmp_path_factory.mktemp("evaluator")
    inputs, outputs = _artifacts(path, _test_table(), ideal=True)
    Executor().Do(inputs, outputs, {"config": CONFIG.to_exec_property()})
    return path, outputs


def test_writes_the_files_of_decision_1(run):
    path, outputs = run
    report = json.loads((path / "evaluation" / "evaluation.json").read_text())
    assert list(report["scenarios"]) == sorted(["No sharing", "Naive synthetic", "Isthmus", "Ideal"])
    assert report["test"] == {"rows": 3 * 288, "anomalies": 3 * 30, "events": 15}
    assert report["input_digests"]["examples"] == "digest-of-merged"
    for scenario in report["scenarios"].values():
        for detector in ("interval", "classifier"):
            assert set(scenario[detector]["per_locale"]) == {"us", "eu", "far"}
    curves = json.loads((path / "evaluation" / "forecast.json").read_text())["series"]
    assert [curve["locale"] for curve in curves] == ["eu", "far", "us"]
    for curve in curves:
        assert (
            len(
                {
                    len(curve[name])
                    for name in ("timestamp_us", "y", "yhat", "lower", "upper", "flag", "label")
                }
            )
            == 1
        )
        png = (path / "evaluation" / "plots" / f"{curve['locale']}.png").read_bytes()
        assert png.startswith(b"\x89PNG")
    verdict = json.loads((path / "blessing" / "verdict.json").read_text())
    assert (path / "blessing" / verdict["verdict"]).read_bytes() == b""
    assert verdict["verdict"] == report["blessing"]["verdict"]
    assert {p.name for p in (path / "blessing").iterdir()} == {"verdict.json", verdict["verdict"]}
    assert outputs["blessing"][0].get_string_custom_property("verdict") == verdict["verdict"]
    assert outputs["model"][0].get_int_custom_property("span") == 7


def test_writes_every_detector_per_slice(run):
    path, _ = run
    report = json.loads((path / "evaluation" / "evaluation.json").read_text())
    found = json.loads((path / "evaluation" / "fairness.json").read_text())
    assert set(found["scenarios"]) == set(report["scenarios"])
    for name, scenario in found["scenarios"].items():
        for detector in ("interval", "classifier"):
            cuts = scenario[detector]
            assert [item["name"] for item in cuts["series"]["slices"]] == ["eu / d0", "far / d0", "us / d0"]
            for item in cuts["locale"]["slices"]:
                overall = report["scenarios"][name][detector]["per_locale"][item["name"]]
                assert item["confusion"] == overall["confusion"]
                assert item["tpr"] == overall["tpr"]  # the same resampling, to the last digit
            assert cuts["locale"]["disparities"]["equalised_odds_difference"]["value"] is not None


def test_says_what_it_met_of_missing_values(run):
    path, _ = run
    found = json.loads((path / "evaluation" / "evaluation.json").read_text())["missing_values"]
    assert found["test"] == {"temp": 0}
    assert found["training"]["No sharing"] == {"us": {"temp": 0}}
    assert set(found["training"]["Ideal"]) == {"us", "eu"}


def test_the_written_detector_predicts(run):
    from components.prophet_evaluator.core.storage import load_detector, predict

    path, _ = run
    detector = load_detector(path / "model")
    said = predict(detector, _test_table(label=False))
    assert said.num_rows == 3 * 288
    assert said["timestamp"].to_pylist()[:2] == [5 * 86_400 * 10**6, (5 * 86_400 + 900) * 10**6]
    truth = _test_table()["label"].to_numpy()
    flag = said["classifier_flag"].to_numpy()
    assert flag[truth == 1].mean() > 0.8 and flag[truth == 0].mean() < 0.1
    summary = json.loads((path / "model" / "detector.json").read_text())
    assert set(summary["training_locales"]) == {"us", "eu"}
    assert set(summary["digests"]) == {
        str(p.relative_to(path / "model")) for p in (path / "model").rglob("*") if p.is_file()
    } - {"detector.json"}


def test_same_seed_same_detector_and_report(run, tmp_path):
    from components.prophet_evaluator.executor import Executor

    path, _ = run
    inputs, outputs = _artifacts(tmp_path, _test_table(), ideal=True)
    Executor().Do(inputs, outputs, {"config": CONFIG.to_exec_property()})
    first, second = (json.loads((p / "evaluation" / "evaluation.json").read_text()) for p in (path, tmp_path))
    for report in (first, second):
        del report["seconds"], report["scenario_seconds"]
    assert first == second
    for name in ("forecast.json", "fairness.json"):
        assert (path / "evaluation" / name).read_bytes() == (tmp_path / "evaluation" / name).read_bytes()
    assert (path / "evaluation" / "plots" / "eu.png").read_bytes() == (
        tmp_path / "evaluation" / "plots" / "eu.png"
    ).read_bytes()
    digests = [json.loads((p / "model" / "detector.json").read_text())["digests"] for p in (path, tmp_path)]
    assert digests[0] == digests[1]


def test_refuses_a_test_set_without_labels(tmp_path):
    from components.prophet_evaluator.executor import Executor

    inputs, outputs = _artifacts(tmp_path, _test_table(label=False), ideal=False)
    with pytest.raises(DataError, match="label"):
        Executor().Do(inputs, outputs, {"config": CONFIG.to_exec_property()})
    assert not list((tmp_path / "blessing").iterdir())


def test_refuses_an_artifact_without_the_test_split(tmp_path):
    from components.prophet_evaluator.executor import Executor

    inputs, outputs = _artifacts(tmp_path, _test_table(), ideal=False)
    inputs["test_examples"] = inputs["examples"]
    with pytest.raises(DataError, match="no split 'test'"):
        Executor().Do(inputs, outputs, {"config": CONFIG.to_exec_property()})


@pytest.mark.parametrize("ideal", [False, True])
def test_component_carries_its_configuration(ideal):
    from components.prophet_evaluator.component import ProphetEvaluator
    from components.tfx_shim import Channel, standard_artifacts

    channel = Channel(type=standard_artifacts.Examples)
    node = ProphetEvaluator(
        config=CONFIG,
        examples=channel,
        test_examples=Channel(type=standard_artifacts.Examples),
        ideal_examples=Channel(type=standard_artifacts.Examples) if ideal else None,
        seed=5,
    )
    properties = node.exec_properties
    assert properties["seed"] == 5
    assert ProphetEvaluatorConfig.from_exec_property(properties["config"]) == CONFIG.model_copy(
        update={"seed": 5}
    )
    assert set(node.outputs) == {"model", "evaluation", "blessing"}
    assert ("ideal_examples" in node.inputs) == ideal
    assert properties["isthmus_version"]


def test_component_refuses_a_wrong_channel():
    from components.prophet_evaluator.component import ProphetEvaluator
    from components.tfx_shim import Channel, standard_artifacts

    with pytest.raises(TypeError):
        ProphetEvaluator(
            config=CONFIG,
            examples=Channel(type=standard_artifacts.Model),
            test_examples=Channel(type=standard_artifacts.Examples),
        )
