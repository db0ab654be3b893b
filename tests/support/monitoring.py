"""Spans of a made-up sensor, as the artifacts that the monitoring components take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from components import split_io
from components.dataset import DatasetConfig, FeatureConfig
from components.monitoring import MonitoringConfig
from components.schema_gen.core import complete_inferred_schema
from components.statistics_gen.config import StatisticsGenConfig
from components.statistics_gen.tfdv_stats import accumulate

DATASET = DatasetConfig(
    series=("asset",),
    label="label",
    features=(
        FeatureConfig(name="temp", unit="degC"),
        FeatureConfig(name="on", kind="binary"),
        FeatureConfig(name="mode", kind="categorical"),
    ),
    targets=("temp",),
    interval_s=600,
)
STEP_US = 600_000_000
DAYS = 12
ROWS_A_DAY = 144


def rows(seed: int, *, span: int = 0, mean: float = 20.0, share: float = 0.3, days: int = DAYS) -> pa.Table:
    """Rows of two assets over `days` days, from day `span * DAYS` on; temperatures follow the day."""
    rng = np.random.default_rng(seed)
    count = days * ROWS_A_DAY
    step = span * DAYS * ROWS_A_DAY + np.arange(count)
    tables = []
    for asset in ("pump-1", "pump-2"):
        course = 3 * np.sin(2 * np.pi * step / ROWS_A_DAY)
        tables.append(
            pa.table(
                {
                    "timestamp": step * STEP_US,
                    "asset": [asset] * count,
                    "temp": (mean + course + rng.normal(0, 1, count)).astype(np.float32),
                    "on": (rng.random(count) < share).astype(np.int64),
                    "mode": rng.choice(["sun", "safe"], count, p=[share, 1 - share]),
                    "label": (rng.random(count) < 0.05).astype(np.int64),
                }
            )
        )
    return pa.concat_tables(tables)


def examples(root: Path, splits: dict[str, pa.Table]) -> Any:
    """An Examples artifact."""
    from components.tfx_shim import artifact_utils, standard_artifacts

    artifact = standard_artifacts.Examples()
    artifact.uri = str(root)
    artifact.split_names = artifact_utils.encode_split_names(list(splits))
    for split, table in splits.items():
        split_io.write_split(root, split, table)
    return artifact


def statistics(root: Path, splits: dict[str, pa.Table]) -> Any:
    """An ExampleStatistics artifact, of each split and of all rows."""
    from components.tfx_shim import artifact_utils, standard_artifacts

    artifact = standard_artifacts.ExampleStatistics()
    artifact.uri = str(root)
    artifact.split_names = artifact_utils.encode_split_names(list(splits))
    folders = {split_io.split_path(root, split): table for split, table in splits.items()}
    folders[root / "span"] = pa.concat_tables(list(splits.values()))
    for folder, table in folders.items():
        batches = [split_io.listify_batch(batch) for batch in table.to_batches()]
        found = accumulate(batches, StatisticsGenConfig(dataset=DATASET)).extract()
        folder.mkdir(parents=True)
        (folder / "FeatureStats.pb").write_bytes(found.SerializeToString())
    return artifact


def schema(root: Path, monitoring: MonitoringConfig) -> Any:
    """A Schema artifact with the comparators of a `monitoring` section."""
    from components.tfx_shim import standard_artifacts

    artifact = standard_artifacts.Schema()
    artifact.uri = str(root)
    root.mkdir(parents=True)
    proto = complete_inferred_schema(schema_pb2.Schema(), DATASET, monitoring)
    (root / "schema.pbtxt").write_text(text_format.MessageToString(proto))
    return artifact


def split_in_time(table: pa.Table) -> dict[str, pa.Table]:
    """Two splits in alternating blocks of twelve hours, as ExampleGen deals them."""
    block = table.column("timestamp").to_numpy() // (72 * STEP_US) % 4 == 0
    return {"train": table.filter(pa.array(~block)), "eval": table.filter(pa.array(block))}
