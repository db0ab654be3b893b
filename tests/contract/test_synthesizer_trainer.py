"""SynthesizerTrainer and its analysers: files, resume, refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from components import progress, split_io
from components.dataset import DatasetConfig, FeatureConfig
from components.errors import DataError, InsufficientDataError
from components.synthesizer_trainer.config import SynthesizerTrainerConfig

pytestmark = pytest.mark.tfx

DATASET = DatasetConfig(
    series=("asset",),
    label="label",
    features=(
        FeatureConfig(name="temp"),
        FeatureConfig(name="void"),
        FeatureConfig(name="on", kind="binary"),
        FeatureConfig(name="mode", kind="categorical"),
    ),
    targets=("temp",),
    interval_s=600,
)
SCHEMA = """
feature { name: "temp" type: FLOAT float_domain { min: 0.0 max: 24.0 } }
feature { name: "void" type: FLOAT }
feature { name: "on" type: INT }
feature { name: "mode" type: BYTES }
feature { name: "label" type: INT }
"""


def _table(rows: int = 1200, seed: int = 0) -> pa.Table:
    generator = np.random.default_rng(seed)
    turn = np.arange(rows) * 2 * np.pi / 144
    temp = 20 + 3 * np.sin(turn) + 0.3 * generator.normal(size=rows)
    label = np.zeros(rows, np.int64)
    label[400:420] = 1
    temp[400:420] += 8
    return pa.table(
        {
            "timestamp": np.arange(rows, dtype=np.int64) * 600_000_000,
            "asset": ["secret-pump"] * rows,
            "temp": pa.array(temp.astype(np.float32), mask=generator.random(rows) < 0.05),
            "void": pa.nulls(rows, pa.float32()),
            "on": (np.sin(turn) > 0).astype(np.int64),
            "mode": pa.array(np.where(np.cos(turn) > 0, "ä day", "night")),
            "label": label,
        }
    )


def _inputs(root: Path, table: pa.Table) -> dict[str, list[Any]]:
    from components.tfx_shim import artifact_utils, standard_artifacts

    examples, schema = standard_artifacts.Examples(), standard_artifacts.Schema()
    statistics = standard_artifacts.ExampleStatistics()
    examples.uri, schema.uri, statistics.uri = (str(root / n) for n in ("examples", "schema", "statistics"))
    for split, part in (("train", table), ("eval", table.slice(0, 300))):
        split_io.write_split(examples.uri, split, part)
    examples.split_names = artifact_utils.encode_split_names(["train", "eval"])
    examples.set_string_custom_property("locale", "eu-west")
    examples.set_int_custom_property("span", 4)
    Path(schema.uri).mkdir(exist_ok=True)
    (Path(schema.uri) / "schema.pbtxt").write_text(SCHEMA)
    return {"examples": [examples], "schema": [schema], "statistics": [statistics]}


def _do(root: Path, table: pa.Table, **changes: Any) -> Any:
    from components.synthesizer_trainer.executor import Executor
    from components.tfx_shim import standard_artifacts

    config = SynthesizerTrainerConfig.small(
        DATASET,
        **{
            "max_steps": 2,
            "evaluate_every": 1,
            "max_minutes": 60.0,
            "rare_events": {"min_windows": 1},
            **changes,
        },
    )
    model = standard_artifacts.Model()
    model.uri = str(root / "SynthesizerTrainer" / "model" / "1")
    properties = {"config": config.to_exec_property(), "locale": "eu-west", "seed": 5}
    Executor().Do(_inputs(root, table), {"model": [model]}, properties)
    return model


def test_the_model_and_its_report(tmp_path: Path) -> None:
    from components.synthesizer_trainer.core.planning import real_grid
    from components.synthesizer_trainer.core.sampling import Synthesizer

    heard: list[str] = []
    progress.listen(lambda stage, done, total, values: heard.append(f"{stage} {done:g}/{total:g}"))
    try:
        model = _do(tmp_path, _table())
    finally:
        progress.listen(None)
    assert "training 2/2" in heard
    assert model.get_int_custom_property("span") == 4
    report = json.loads((Path(model.uri) / "synthesizer.json").read_text())
    assert report["locale"] == "eu-west" and report["seed"] == 5 and report["kinds"] == {"anomaly": 1}
    assert report["judged_on"] == "eval" and report["training"]["steps"] == 2
    assert report["rare_events"] == {
        "min_windows": 1,
        "outcome": "every kind by itself",
        "windows": {"anomaly": 1},
        "merged": [],
    }
    # Checkpoints of a finished run are gone.
    assert not list((tmp_path / "SynthesizerTrainer" / "checkpoints").glob("*"))
    synthesizer = Synthesizer.load(model.uri)
    assert synthesizer.metadata["vocabularies"]["mode"] in (["ä day", "night"], ["night", "ä day"])
    time_us = np.arange(1200, dtype=np.int64) * 600_000_000
    grid = synthesizer.plan_events(real_grid(time_us, np.zeros(1200, int), 600.0), {"anomaly": 3.0}, 1)
    values = synthesizer.sample(grid, 1)[0]["values"]
    # The schema's upper bound is below the real anomaly's readings.
    assert np.nanmax(values[:, 0]) <= 24.0 and np.isnan(values[:, 1]).all()
    everything = b"".join(f.read_bytes() for f in Path(model.uri).rglob("*") if f.is_file())
    assert b"secret-pump" not in everything


def test_too_few_windows_of_a_kind_are_refused_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(InsufficientDataError, match=r"locale=eu-west .* fewer than 10 windows") as caught:
        _do(tmp_path, _table(), rare_events={})
    assert "anomaly 1" not in str(caught.value)
    assert not list((tmp_path / "SynthesizerTrainer").rglob("*.json"))


def test_analysers_agree_with_numpy() -> None:
    from components.synthesizer_trainer.transform import analyse

    table = _table()
    found = analyse(table, DATASET, 50, "x")
    temp = table.column("temp").to_pandas().to_numpy()
    normal = table.column("label").to_numpy() == 0
    expected = np.nanquantile(temp[normal], np.linspace(0, 1, 51))
    # The sketch's rank error is a tenth of a quantile.
    assert np.abs(found.quantiles["temp"] - expected).max() < 0.15
    assert found.ranges["temp"] == (pytest.approx(np.nanmin(temp)), pytest.approx(np.nanmax(temp)))
    assert len(found.quantiles["void"]) == 0 and "void" not in found.ranges
    assert set(found.vocabularies["mode"]) == {"ä day", "night"} and found.kinds == ("anomaly",)


def test_a_huge_vocabulary_is_refused_at_the_start(tmp_path: Path) -> None:
    table = _table()
    many = pa.array([f"id-{n}" for n in range(table.num_rows)])
    table = table.set_column(table.column_names.index("mode"), "mode", many)
    with pytest.raises(DataError, match=r"feature=mode: 1200 different values.*\(max_vocabulary\)") as caught:
        _do(tmp_path, table)
    assert "id-" not in str(caught.value)


def test_too_few_rows_are_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(InsufficientDataError, match="locale=eu-west span=4 split=train: 100 rows"):
        _do(tmp_path, _table(100))


def test_the_component_carries_its_configuration(tmp_path: Path) -> None:
    from components.synthesizer_trainer.component import SynthesizerTrainer
    from components.tfx_shim import Channel, standard_artifacts

    config = SynthesizerTrainerConfig.small(DATASET)
    component = SynthesizerTrainer(
        config,
        examples=Channel(type=standard_artifacts.Examples),
        statistics=Channel(type=standard_artifacts.ExampleStatistics),
        schema=Channel(type=standard_artifacts.Schema),
        locale="eu-west",
        seed=3,
    )
    assert SynthesizerTrainerConfig.from_exec_property(component.exec_properties["config"]) == config
    assert component.exec_properties["seed"] == 3
    assert component.outputs["model"].type is standard_artifacts.Model


def test_checkpoints_of_a_pod_lie_where_they_outlive_it(tmp_path, monkeypatch):
    from components.synthesizer_trainer.executor import _checkpoint_root

    monkeypatch.delenv("ISTHMUS_CHECKPOINTS", raising=False)
    own, uri = (
        SynthesizerTrainerConfig.model_construct(checkpoint_dir=None),
        "/run/SynthesizerTrainer/model/7",
    )
    assert _checkpoint_root(own, uri) == Path("/run/SynthesizerTrainer/checkpoints")
    monkeypatch.setenv("ISTHMUS_CHECKPOINTS", str(tmp_path))
    assert _checkpoint_root(own, uri) == tmp_path
    chosen = SynthesizerTrainerConfig.model_construct(checkpoint_dir="/data/checkpoints")
    assert _checkpoint_root(chosen, uri) == Path("/data/checkpoints")
