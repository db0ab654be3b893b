"""ReleaseEvaluator: the executor's files, the blessing, and the component's contract."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from components import split_io
from components.dataset import DatasetConfig, FeatureConfig
from components.errors import DataError
from components.release_evaluator.config import AttackConfig, GateConfig, ReleaseEvaluatorConfig

pytestmark = pytest.mark.tfx

DATASET = DatasetConfig(
    series=("device",),
    features=(FeatureConfig(name="a"), FeatureConfig(name="b"), FeatureConfig(name="on", kind="binary")),
    targets=("a",),
    interval_s=60,
)
CONFIG = ReleaseEvaluatorConfig(
    dataset=DATASET, gate=GateConfig(attacks=AttackConfig(bootstrap_samples=200, max_candidates=4_000))
)


def _table(seed: int, rows: int = 2400) -> pa.Table:
    rng = np.random.default_rng(seed)
    wave = np.sin(2 * np.pi * np.arange(rows) / 200)
    return pa.table(
        {
            "timestamp": np.arange(rows, dtype=np.int64) * 60_000_000,
            "device": ["d"] * rows,
            "a": (wave + 0.3 * rng.normal(size=rows)).astype(np.float32),
            "b": (wave**2 + 0.3 * rng.normal(size=rows)).astype(np.float32),
            "on": (rng.random(rows) < 0.2).astype(np.int64),
        }
    )


def _examples(root: Path, splits: dict[str, pa.Table]) -> Any:
    from components.tfx_shim import artifact_utils, standard_artifacts

    artifact = standard_artifacts.Examples()
    artifact.uri = str(root)
    for name, table in splits.items():
        split_io.write_split(root, name, table)
    artifact.split_names = artifact_utils.encode_split_names(list(splits))
    artifact.set_string_custom_property("locale", "eu-west")
    artifact.set_int_custom_property("span", 4)
    return artifact


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, dict[str, pa.Table]]:
    table = _table(0)
    held = np.repeat(np.random.default_rng(1).permutation(48) < 12, 50)
    splits = {"train": table.filter(pa.array(~held)), "holdout": table.filter(pa.array(held))}
    return _examples(tmp_path_factory.mktemp("real"), splits), splits


def _run(
    root: Path, real: Any, synthetic: pa.Table, config: ReleaseEvaluatorConfig = CONFIG
) -> tuple[Any, Any]:
    from components.release_evaluator.executor import Executor
    from components.tfx_shim import standard_artifacts

    evaluation, blessing = standard_artifacts.ModelEvaluation(), standard_artifacts.ModelBlessing()
    evaluation.uri, blessing.uri = str(root / "evaluation"), str(root / "blessing")
    Executor().Do(
        {"examples": [real], "synthetic": [_examples(root / "synthetic", {"train": synthetic})]},
        {"evaluation": [evaluation], "blessing": [blessing]},
        {"config": config.to_exec_property()},
    )
    return evaluation, blessing


def _markers(blessing: Any) -> list[str]:
    return sorted(path.name for path in Path(blessing.uri).iterdir())


def test_an_honest_release_is_blessed(tmp_path: Path, real: tuple[Any, Any]) -> None:
    evaluation, blessing = _run(tmp_path, real[0], _table(7))
    verdict = json.loads((Path(blessing.uri) / "verdict.json").read_text())
    assert verdict == {"verdict": "BLESSED", "reasons": []}
    assert _markers(blessing) == ["BLESSED", "verdict.json"]
    assert (Path(blessing.uri) / "BLESSED").read_bytes() == b""
    assert blessing.get_int_custom_property("blessed") == 1
    found = json.loads((Path(evaluation.uri) / "evaluation.json").read_text())
    assert found["gate"]["verdict"] == "BLESSED" and found["n_train"] == 1800 and found["n_holdout"] == 600
    assert set(found["metrics"][0]) >= {"name", "value", "status", "direction", "range", "interval", "n"}
    plots = json.loads((Path(evaluation.uri) / "plots.json").read_text())
    assert set(plots["features"]) == {"a", "b", "on"}
    density = np.array(plots["features"]["a"]["real"])
    assert (density * np.diff(plots["features"]["a"]["edges"])).sum() == pytest.approx(1, abs=1e-4)
    assert evaluation.get_string_custom_property("locale") == "eu-west"
    assert evaluation.get_int_custom_property("span") == 4


def test_a_generator_that_returns_its_training_rows_is_refused_without_an_error(
    tmp_path: Path, real: tuple[Any, Any]
) -> None:
    _, blessing = _run(tmp_path, real[0], real[1]["train"])
    assert _markers(blessing) == ["NOT_BLESSED", "verdict.json"]
    verdict = json.loads((Path(blessing.uri) / "verdict.json").read_text())
    assert any(
        reason.startswith("membership_distance_risk_windows: low bound") for reason in verdict["reasons"]
    )
    assert blessing.get_int_custom_property("blessed") == 0


def test_a_rerun_leaves_one_marker(tmp_path: Path, real: tuple[Any, Any]) -> None:
    _run(tmp_path, real[0], real[1]["train"])
    _, blessing = _run(tmp_path, real[0], _table(7))
    assert _markers(blessing) == ["BLESSED", "verdict.json"]


def test_a_missing_holdout_blesses_nothing(tmp_path: Path) -> None:
    alone = _examples(tmp_path / "alone", {"train": _table(0)})
    with pytest.raises(DataError):
        _run(tmp_path, alone, _table(7))
    assert not (tmp_path / "blessing").exists()


def test_component_contract() -> None:
    from components.release_evaluator.component import ReleaseEvaluator
    from components.tfx_shim import Channel, standard_artifacts

    examples = Channel(type=standard_artifacts.Examples)
    made = ReleaseEvaluator(CONFIG, examples, examples, locale="eu-west", span=4).with_id("evaluator.eu-west")
    assert made.outputs["evaluation"].type is standard_artifacts.ModelEvaluation
    assert made.outputs["blessing"].type is standard_artifacts.ModelBlessing
    assert "schema" not in made.inputs
    properties = made.spec.exec_properties
    assert ReleaseEvaluatorConfig.from_exec_property(properties["config"]) == CONFIG
    assert properties["locale"] == "eu-west" and properties["span"] == 4 and properties["seed"] == CONFIG.seed
    schema = Channel(type=standard_artifacts.Schema)
    assert (
        "schema"
        in ReleaseEvaluator(config=CONFIG, examples=examples, synthetic=examples, schema=schema).inputs
    )
    with pytest.raises(TypeError):
        ReleaseEvaluator(CONFIG, schema, examples)
