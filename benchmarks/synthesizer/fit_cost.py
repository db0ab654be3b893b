"""What a fit of the synthesizer costs by size, and the coefficients of `isthmus profile`'s estimate.

Run: python -m benchmarks.synthesizer.fit_cost [--sizes NAME ...] [--fit] [--json OUT]

Each size is made up, and trained in a process of its own on one thread with the default configuration,
imports, analysis and saving included. Prints processor seconds and peak memory beside the estimate; exit
status 1 where one of them is more than twice the other. `--fit` also fits the coefficients anew to the sizes
that were run and prints them for `components/profiler/core/cost.py`; the sizes named `other-...` are left out
of the fit, to try it.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.peers.environment import ROOT
from benchmarks.peers.memory import own_peak_mb
from benchmarks.synthesizer.runners import ONE_THREAD
from components.dataset import DatasetConfig, FeatureConfig
from components.profiler.core.cost import CPU, MEMORY, Size, estimate, fit_coefficients
from components.synthesizer_trainer.config import SynthesizerTrainerConfig

INTERVAL_S = 300.0
#: Rows, numeric features, flags, series, and what differs from the default configuration.
SIZES: dict[str, tuple[int, int, int, int, dict[str, Any]]] = {
    "small": (2_000, 4, 2, 1, {}),
    "fleet": (8_000, 10, 4, 4, {}),
    "server": (8_000, 25, 0, 1, {}),
    "wide": (8_000, 45, 6, 2, {}),
    "flags": (8_000, 3, 24, 2, {}),
    "long": (60_000, 8, 2, 12, {}),
    "core-only": (20_000, 20, 4, 3, {"max_steps": 0}),
    "more-steps": (6_000, 10, 2, 2, {"max_steps": 480, "patience": 50}),
    "short-steps": (6_000, 10, 2, 2, {"max_steps": 80}),
    "long-series": (60_000, 10, 2, 1, {}),
    "large": (120_000, 12, 2, 10, {}),
    "other-narrow": (30_000, 5, 3, 6, {}),
    "other-wide": (5_000, 32, 8, 5, {}),
    "other-large": (300_000, 10, 2, 4, {}),
    "other-both": (40_000, 40, 10, 4, {}),
}


def simulate(
    rows: int, numeric: int, flags: int, series: int, seed: int = 0
) -> tuple[pa.Table, DatasetConfig]:
    """Made-up telemetry: autocorrelated numbers with a daily course, of which every third is skewed; flags.

    Args:
      rows: In all.
      numeric: Number columns.
      flags: Columns of 0 and 1.
      series: The rows are dealt to so many.
      seed: Same seed, same rows.

    Returns:
      Rows in the form of decision 1, and the columns.
    """
    from scipy.signal import lfilter

    rng = np.random.default_rng(seed)
    each = rows // series
    stamp = np.tile(np.arange(each, dtype=np.int64) * int(INTERVAL_S * 1e6), series) + 1_700_000_000_000_000
    day = 2 * np.pi * stamp / 86_400e6

    def smooth() -> np.ndarray:
        decay = np.exp(-1 / rng.uniform(3, 200))
        noise = rng.standard_normal((series, each)) * np.sqrt(1 - decay**2)
        return np.asarray(lfilter([1], [1, -decay], noise, axis=1)).ravel()

    hidden = [smooth() for _ in range(3)]
    columns: dict[str, pa.Array] = {
        "timestamp": pa.array(stamp),
        "unit": pa.array(np.repeat([f"unit-{n}" for n in range(series)], each)),
    }
    for index in range(numeric):
        value = hidden[index % 3] + smooth() + rng.uniform(0, 1) * np.sin(day + index)
        columns[f"x{index}"] = pa.array((np.exp(value) if index % 3 == 2 else value).astype(np.float32))
    for index in range(flags):
        columns[f"flag{index}"] = pa.array((smooth() + hidden[index % 3] > 0.8).astype(np.int64))
    features = [FeatureConfig(name=f"x{n}") for n in range(numeric)]
    features += [FeatureConfig(name=f"flag{n}", kind="binary") for n in range(flags)]
    dataset = DatasetConfig(
        series=("unit",), features=tuple(features), targets=("x0",), interval_s=INTERVAL_S
    )
    return pa.table(columns), dataset


def size_of(name: str) -> Size:
    """A size in the terms of the estimate."""
    rows, numeric, flags, series, changes = SIZES[name]
    config = SynthesizerTrainerConfig(dataset=simulate(series, numeric, flags, series)[1], **changes)
    return Size.of(config, rows // series * series, numeric, flags, rows // series)


def measure(name: str) -> dict[str, float]:
    """Processor seconds, wall-clock seconds and peak memory (MB) of one size, in a process of its own.

    Raises:
      SystemExit: the process failed; ends with its last words.
    """
    rows, numeric, flags, series, changes = SIZES[name]
    table, dataset = simulate(rows, numeric, flags, series)
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", "PYTHONWARNINGS": "ignore"}
    with tempfile.TemporaryDirectory(prefix="fit-cost-") as folder:
        pq.write_table(table, Path(folder) / "rows.parquet")
        plan = {"dataset": dataset.model_dump(mode="json"), "config": changes}
        (Path(folder) / "plan.json").write_text(json.dumps(plan))
        command = [sys.executable, "-m", "benchmarks.synthesizer.fit_cost", "--worker", folder]
        done = subprocess.run(
            command, cwd=ROOT, env=os.environ | ONE_THREAD | quiet, capture_output=True, text=True
        )
        if done.returncode:
            raise SystemExit(f"the fit of '{name}' failed:\n{done.stderr[-3000:]}")
        found: dict[str, float] = json.loads((Path(folder) / "result.json").read_text())
    return found


def work(folder: Path) -> None:
    """Trains and saves what `measure` wrote down; the process's own cost goes to `result.json`."""
    import tensorflow as tf

    from components.synthesizer_trainer.core.panel import build_panel
    from components.synthesizer_trainer.core.training import train_synthesizer
    from components.synthesizer_trainer.transform import analyse

    began = time.perf_counter()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    plan = json.loads((folder / "plan.json").read_text())
    dataset = DatasetConfig.model_validate(plan["dataset"])
    # No wall-clock limit: on a busy machine it would change what is measured.
    config = SynthesizerTrainerConfig(dataset=dataset, **{"max_minutes": 600, **plan["config"]})
    table = pq.read_table(folder / "rows.parquet")
    analysis = analyse(table, dataset, config.quantiles, "benchmark")
    panel = build_panel(table, dataset, analysis.vocabularies, analysis.kinds, "benchmark")
    trained = train_synthesizer(panel, None, config, analysis.quantiles, analysis.ranges, 0, "benchmark")
    trained.save(str(folder / "model"))
    result = {
        "cpu_s": time.process_time(),
        "wall_s": time.perf_counter() - began,
        "peak_mb": own_peak_mb(),
        "steps": trained.report["training"]["steps"],
        "core_s": trained.report["seconds"]["linear_core"],
        "parameters": trained.report["network_parameters"],
    }
    (folder / "result.json").write_text(json.dumps(result))


def main() -> int:
    """Prints a table of the sizes; 1 where an estimate is out by more than a factor of two."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--sizes", nargs="*", choices=tuple(SIZES), default=tuple(SIZES))
    parser.add_argument("--fit", action="store_true", help="print new coefficients")
    parser.add_argument("--json", type=Path, help="also write what was measured here, size by size")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.worker)
        return 0
    found: dict[str, dict[str, float]] = {}
    worst = 1.0
    print("| size | rows | numbers | flags | steps | CPU s | estimate | peak MB | estimate |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name in options.sizes:
        found[name] = measured = measure(name)
        size, expected = size_of(name), estimate(size_of(name))
        for key, own in (("cpu_s", expected.cpu_s), ("peak_mb", expected.peak_mb)):
            worst = max(worst, measured[key] / own, own / measured[key])
        print(
            f"| {name} | {size.rows:,} | {size.numeric} | {size.discrete} | {measured['steps']:.0f}, "
            f"expected {size.steps} | {measured['cpu_s']:.1f} | {expected.cpu_s:.1f} | "
            f"{measured['peak_mb']:,.0f} | {expected.peak_mb:,.0f} |",
            flush=True,
        )
        if options.json:
            told = {key: {**dataclasses.asdict(size_of(key)), **value} for key, value in found.items()}
            options.json.write_text(json.dumps(told, indent=1))
    print(f"largest ratio of estimate and measurement: {worst:.2f}")
    if options.fit:
        chosen = [name for name in found if not name.startswith("other-")]
        # By the steps that were made, which the estimate can only guess.
        sizes = [dataclasses.replace(size_of(name), steps=int(found[name]["steps"])) for name in chosen]
        for key, terms in (("cpu_s", CPU), ("peak_mb", MEMORY)):
            print(key, fit_coefficients(sizes, [found[name][key] for name in chosen], tuple(terms)))
    return int(worst > 2.0)


if __name__ == "__main__":
    sys.exit(main())
