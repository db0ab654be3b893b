"""A small trained synthesizer, with the artifacts that SyntheticGen gets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from components import split_io
from components.dataset import DatasetConfig, FeatureConfig
from components.synthesizer_trainer.config import SynthesizerTrainerConfig
from components.synthetic_gen.config import SyntheticGenConfig

DATASET = DatasetConfig(
    series=("site", "asset"),
    label="label",
    label_kind="kind",
    features=(
        FeatureConfig(name="temp"),
        FeatureConfig(name="void", kind="categorical"),
        FeatureConfig(name="on", kind="binary"),
        FeatureConfig(name="mode", kind="categorical"),
    ),
    targets=("temp",),
    interval_s=600,
)
SCHEMA = """
feature { name: "temp" type: FLOAT float_domain { min: -100.0 max: 100.0 } }
feature { name: "void" type: BYTES }
feature { name: "on" type: INT int_domain { min: 0 max: 1 } }
feature { name: "mode" type: BYTES domain: "modes" }
feature { name: "label" type: INT }
feature { name: "kind" type: BYTES }
string_domain { name: "modes" value: "day" value: "night" }
"""
ROWS = 700


def table() -> pa.Table:
    parts = []
    for number in range(3):
        generator = np.random.default_rng(number)
        turn = np.arange(ROWS) * 2 * np.pi / 144
        temp = 20 + 3 * np.sin(turn) + 0.3 * generator.normal(size=ROWS)
        label = np.zeros(ROWS, np.int64)
        label[300:330] = 1
        temp[300:330] += 8
        parts.append(
            pa.table(
                {
                    "timestamp": np.arange(ROWS, dtype=np.int64) * 600_000_000 + number,
                    "site": ["secret-site"] * ROWS,
                    "asset": [f"secret-{number}"] * ROWS,
                    "temp": temp.astype(np.float32),
                    "void": pa.nulls(ROWS, pa.string()),
                    "on": (np.sin(turn) > 0).astype(np.int64),
                    "mode": np.where(np.cos(turn) > 0, "day", "night"),
                    "label": label,
                    "kind": np.where(label == 1, "shift", ""),
                }
            )
        )
    return pa.concat_tables(parts)


def train(root: Path) -> dict[str, list[Any]]:
    """Examples, schema and a model of them below `root`, by channel."""
    from components.synthesizer_trainer.executor import Executor
    from components.tfx_shim import artifact_utils, standard_artifacts

    examples, schema = standard_artifacts.Examples(), standard_artifacts.Schema()
    model = standard_artifacts.Model()
    examples.uri, schema.uri, model.uri = (str(root / n) for n in ("examples", "schema", "trainer/model/1"))
    split_io.write_split(examples.uri, "train", table())
    examples.split_names = artifact_utils.encode_split_names(["train"])
    Path(schema.uri).mkdir()
    (Path(schema.uri) / "schema.pbtxt").write_text(SCHEMA)
    # Three windows of one kind: enough for a test.
    config = SynthesizerTrainerConfig.small(DATASET, max_steps=0, rare_events={"min_windows": 1})
    properties = {"config": config.to_exec_property(), "locale": "eu-west", "seed": 5}
    Executor().Do({"examples": [examples], "schema": [schema]}, {"model": [model]}, properties)
    return {"model": [model], "schema": [schema], "examples": [examples]}


def generate(inputs: dict[str, list[Any]], uri: Path, args: list[str], seed: int = 9, **changes: Any) -> Any:
    """Runs SyntheticGen's executor with Beam's options as given; the Examples it made."""
    from components.synthetic_gen.executor import Executor
    from components.tfx_shim import BaseBeamExecutor, standard_artifacts

    config = SyntheticGenConfig(dataset=DATASET, **changes)
    output = standard_artifacts.Examples()
    output.uri = str(uri)
    context = BaseBeamExecutor.Context(beam_pipeline_args=list(args), tmp_dir=str(uri.parent), unique_id="1")
    properties = {"config": config.to_exec_property(), "locale": "eu-west", "span": 2, "seed": seed}
    Executor(context).Do(inputs, {"synthetic": [output]}, properties)
    return output
