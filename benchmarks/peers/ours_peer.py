"""Trains Isthmus's synthesizer and samples from it, without TFX around it.

Run by `benchmarks.synthesizer`: python -m benchmarks.peers.ours_peer FOLDER, where FOLDER holds
`ours.parquet` (the training rows) and `ours.json` (`dataset`, `schema` or null, `seed`, `rate_rows`, and
as `config` what differs from the default configuration). Rows are sampled at the times and series of
`ours_times.parquet` where that is there, else at those of the training rows. Writes
`ours_synthetic.parquet`, `ours_release.parquet` (anomalies amplified by the default of
`SyntheticGenConfig`) and `ours_result.json`.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import tensorflow as tf
import tensorflow_transform.beam  # noqa: F401  (outside the clock, as the peer's imports are)

from benchmarks.peers.memory import own_peak_mb
from components.dataset import DatasetConfig
from components.synthesizer_trainer.config import SynthesizerTrainerConfig
from components.synthesizer_trainer.core.panel import build_panel
from components.synthesizer_trainer.core.planning import Session
from components.synthesizer_trainer.core.sampling import Synthesizer
from components.synthesizer_trainer.core.training import train_synthesizer
from components.synthesizer_trainer.schema_bounds import feature_bounds
from components.synthesizer_trainer.transform import analyse
from components.synthetic_gen.config import SyntheticGenConfig
from components.synthetic_gen.core.grid import grid_from_rows
from components.synthetic_gen.core.rows import to_table

PLACE = "benchmark"


def main(folder: Path) -> None:
    """Fits with the component's default configuration, saves, loads and samples."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    plan = json.loads((folder / "ours.json").read_text())
    dataset, seed = DatasetConfig.model_validate(plan["dataset"]), plan["seed"]
    # No wall-clock limit: on a busy machine it would change what is measured.
    config = SynthesizerTrainerConfig(dataset=dataset, max_minutes=600, **plan.get("config", {}))
    table = pq.read_table(folder / "ours.parquet")
    imports_mb = own_peak_mb()

    began, began_cpu = time.perf_counter(), time.process_time()
    analysis = analyse(table, dataset, config.quantiles, PLACE)
    panel = build_panel(table, dataset, analysis.vocabularies, analysis.kinds, PLACE)
    # No eval rows for early stopping: both sides see the training rows and nothing else.
    trained = train_synthesizer(
        panel,
        None,
        config,
        analysis.quantiles,
        analysis.ranges,
        seed,
        PLACE,
        bounds=feature_bounds(Path(plan["schema"])) if plan["schema"] else None,
    )
    trained.save(str(folder / "model"))
    train_s, train_cpu_s = time.perf_counter() - began, time.process_time() - began_cpu

    began_cpu = time.process_time()
    synthesizer = Synthesizer.load(str(folder / "model"))
    times = folder / "ours_times.parquet"
    grid = grid_from_rows(pq.read_table(times) if times.exists() else table, dataset, PLACE)
    sampled = _sample(synthesizer, dataset, grid, seed)
    first_cpu_s = time.process_time() - began_cpu
    began_cpu = time.process_time()
    count = _sample(synthesizer, dataset, repeat(grid, plan["rate_rows"]), seed + 1).num_rows
    rate_cpu_s = time.process_time() - began_cpu
    began_cpu = time.process_time()
    _sample(synthesizer, dataset, repeat(grid, plan["rate_rows"]), seed + 2)
    steady_cpu_s = time.process_time() - began_cpu

    pq.write_table(sampled, folder / "ours_synthetic.parquet")
    factors = SyntheticGenConfig(dataset=dataset).amplification(synthesizer.kinds)
    pq.write_table(_sample(synthesizer, dataset, grid, seed, factors), folder / "ours_release.parquet")
    result = {
        "train_s": train_s,
        "train_cpu_s": train_cpu_s,
        "first_rows": sampled.num_rows,
        "first_cpu_s": first_cpu_s,
        "rate_rows": count,
        "rate_cpu_s": rate_cpu_s,
        "steady_cpu_s": steady_cpu_s,
        "imports_mb": imports_mb,
        "peak_mb": own_peak_mb(),
        "steps": trained.report["training"]["steps"],
        "best_step": trained.report["training"]["best_step"],
    }
    (folder / "ours_result.json").write_text(json.dumps(result))


def repeat(grid: list[Session], rows: int) -> list[Session]:
    """Sessions like those of the grid, again and again under new numbers, until `rows` rows are reached."""
    sessions: list[Session] = []
    count = 0
    while count < rows:
        session = dataclasses.replace(grid[len(sessions) % len(grid)], number=len(sessions))
        sessions.append(session)
        count += len(session.keep)
    return sessions


def _sample(
    synthesizer: Synthesizer,
    dataset: DatasetConfig,
    grid: list[Session],
    seed: int,
    amplification: Mapping[str, float] | None = None,
) -> Any:
    sessions = synthesizer.plan_events(grid, dict(amplification or {}), seed)
    return to_table(synthesizer, dataset, sessions, synthesizer.sample(sessions, seed))


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main(Path(sys.argv[1]))
