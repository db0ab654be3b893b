"""Runs one generator on one case and returns its rows with what they cost."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.peers.environment import ROOT
from benchmarks.synthesizer.baseline import CopulaVar
from benchmarks.synthesizer.data import Case, Rows, rows_of
from components.synthesizer_trainer.core.panel import series_numbers

#: Rows drawn to time sampling.
RATE_ROWS = 100_000
#: One thread each, so that processor seconds compare.
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "ARROW")} | {
    f"TF_NUM_{name}_THREADS": "1" for name in ("INTRAOP", "INTEROP")
}


@dataclasses.dataclass(frozen=True)
class Made:
    """What a generator made, on the period's times.

    Attributes:
      rows: Normal rows.
      cost: `fit_cpu_s`, `rows_per_cpu_s`, `peak_mb` as far as known.
      release: Rows with labels, anomalies amplified as a deployment does it by default; None where the
        generator knows no labels.
    """

    rows: Rows
    cost: dict[str, float]
    release: pa.Table | None = None


def ours(case: Case, seed: int, config: Mapping[str, Any]) -> Made:
    """The project's synthesizer, in a process of its own with one thread.

    Args:
      case: The data set.
      seed: Of the model and of the sample.
      config: What differs from the default `SynthesizerTrainerConfig`.

    Raises:
      SystemExit: the process failed; ends with its last words.
    """
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", "PYTHONWARNINGS": "ignore"}
    with tempfile.TemporaryDirectory(prefix="synthesizer-") as name:
        folder = Path(name)
        pq.write_table(case.train, folder / "ours.parquet")
        pq.write_table(case.period, folder / "ours_times.parquet")
        found = case.dataset.schema_name
        schema = str(ROOT / "schemas" / found / "schema.pbtxt") if found else None
        plan = {"dataset": case.dataset.model_dump(mode="json"), "schema": schema}
        plan |= {"seed": seed, "rate_rows": RATE_ROWS, "config": dict(config)}
        (folder / "ours.json").write_text(json.dumps(plan))
        command = [sys.executable, "-m", "benchmarks.peers.ours_peer", str(folder)]
        done = subprocess.run(
            command, cwd=ROOT, env=os.environ | ONE_THREAD | quiet, capture_output=True, text=True
        )
        if done.returncode:
            raise SystemExit(f"the synthesizer failed on {case.name}:\n{done.stderr[-3000:]}")
        result = json.loads((folder / "ours_result.json").read_text())
        rows = rows_of(pq.read_table(folder / "ours_synthetic.parquet"), case)
        release = pq.read_table(folder / "ours_release.parquet") if case.dataset.label else None
    cost = {
        "fit_cpu_s": result["train_cpu_s"],
        "rows_per_cpu_s": result["rate_rows"] / result["steady_cpu_s"],
        "peak_mb": result["peak_mb"],
        "best_step": result["best_step"],
    }
    return Made(rows, cost, release)


def baseline(case: Case, seed: int, config: Mapping[str, Any]) -> Made:
    """Copula and VAR(2) with residual bootstrap, in this process; `config` is not looked at."""
    train, period = rows_of(case.train, case), rows_of(case.period, case)
    began = time.process_time()
    model = CopulaVar(train.values, train.segment)
    fit_cpu_s = time.process_time() - began
    rng = np.random.default_rng(seed)
    series = series_numbers(case.period, case.dataset)
    if case.dataset.label:
        series = series[case.period[case.dataset.label].fill_null(0).to_numpy() == 0]
    values = np.empty_like(period.values)
    for one in np.unique(series):
        values[series == one] = model.sample(int((series == one).sum()), rng)
    began = time.process_time()
    model.sample(RATE_ROWS, rng)
    rate = RATE_ROWS / (time.process_time() - began)
    made = dataclasses.replace(period, values=values)
    return Made(made, {"fit_cpu_s": fit_cpu_s, "rows_per_cpu_s": rate})


#: By the name that the table and `--generators` use. A peer comes in here, run in an environment of its
#: own as `benchmarks/peers` does it.
RUNNERS: dict[str, Callable[[Case, int, Mapping[str, Any]], Made]] = {
    "copula + VAR(2)": baseline,
    "ours": ours,
}
