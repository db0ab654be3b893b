"""A drift report over many features, ours beside Evidently's, on the same two Parquet files in one run.

Ours plans bins from the baseline's rows, builds both profiles in a process each (two cores), writes and reads
them, compares them with every measure and its null of sampling noise, and writes all measurements as JSON.
Evidently (version in `peers/evidently_requirements.txt`, an environment of its own, made once) reads the
files with pandas and runs its `DataDriftPreset`, which takes one distance per column, and writes its JSON.
Imports are outside the clock on both sides, reading the files is inside. Prints seconds, processor seconds,
peak memory and the ratio; exit status 1 if ours misses the goals of time and memory, or does not name every
column that was moved.

Run: python -m benchmarks.drift                                        # 500 features x 1,000,000 rows x 2
     python -m benchmarks.drift --features 100 --rows 200_000          # moderate
     python -m benchmarks.drift --only ours
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.peers.environment import EVIDENTLY_REQUIREMENTS, evidently_python
from benchmarks.peers.memory import watch_memory

FEATURES, ROWS = 500, 1_000_000
SERIES = 20
INTERVAL_S = 60
#: One feature in so many has categories.
CATEGORICAL = 25
WORDS = tuple(f"word-{number}" for number in range(8))
#: One feature in so many is moved on the second side, by so many standard deviations (or shares).
MOVED, BY = 20, 0.5
GOAL_S, GOAL_MB = 60.0, 2_000.0
SIDES = ("baseline", "current")
_GROUP_ROWS = 32_768


def names(features: int) -> tuple[list[str], list[str]]:
    """Numeric and categorical feature names."""
    every = [f"f{number:04d}" for number in range(features)]
    return [n for i, n in enumerate(every) if i % CATEGORICAL], every[::CATEGORICAL]


def is_moved(name: str) -> bool:
    """Whether the feature is moved on the second side."""
    return int(name[1:]) % MOVED == 3


def write_side(path: Path, features: int, rows: int, side: int) -> None:
    """Writes rows of `SERIES` series in turn, a minute apart: normal deviates, and words."""
    rng = np.random.default_rng(side)
    numeric, words = names(features)
    moved = side * BY
    writer = None
    for start in range(0, rows, _GROUP_ROWS):
        row = np.arange(start, min(start + _GROUP_ROWS, rows))
        time_s = 1_700_000_000 + (row // SERIES + side * rows // SERIES) * INTERVAL_S
        columns: dict[str, Any] = {"timestamp": time_s * 1_000_000}
        columns["series"] = pa.DictionaryArray.from_arrays(
            (row % SERIES).astype(np.int32), [f"asset-{number}" for number in range(SERIES)]
        )
        for name in numeric:
            values = rng.standard_normal(len(row), np.float32)
            columns[name] = values + np.float32(moved) if is_moved(name) else values
        for name in words:
            columns[name] = pa.DictionaryArray.from_arrays(
                np.minimum(rng.geometric(0.4, len(row)) - 1, len(WORDS) - 1).astype(np.int32), list(WORDS)
            )
        table = pa.table(columns)
        writer = writer or pq.ParquetWriter(path, table.schema, compression="none", use_dictionary=words)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def _dataset(features: int) -> Any:
    from components.dataset import DatasetConfig, FeatureConfig

    numeric, words = names(features)
    return DatasetConfig(
        series=("series",),
        features=tuple(
            FeatureConfig(name=name, kind="continuous" if name in set(numeric) else "categorical")
            for name in sorted(numeric + words)
        ),
        targets=(numeric[0],),
        interval_s=INTERVAL_S,
    )


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    yield from pq.ParquetFile(path).iter_batches(_GROUP_ROWS, use_threads=False)


def _build(folder: Path, side: str, features: int, plan: Any) -> None:
    """Builds and writes the profile of one side."""
    from components.drift.core.building import build_profile
    from components.drift.core.profile_file import write_profile

    profile = build_profile(_batches(folder / f"{side}.parquet"), _dataset(features), plan)
    write_profile(folder / side, profile)


def run_ours(folder: Path, features: int, draws: int) -> dict[str, Any]:
    """Our report. Returns seconds by stage, and which features alert."""
    from components.drift.core.building import build_profile
    from components.drift.core.compare import Rules, compare
    from components.drift.core.planning import plan_profile
    from components.drift.core.profile_file import read_profile

    del build_profile  # imported for the processes that are forked below
    dataset = _dataset(features)
    clock, began_cpu = [time.perf_counter()], _cpu_seconds()
    plan = plan_profile(_batches(folder / "baseline.parquet"), dataset)
    clock.append(time.perf_counter())
    with multiprocessing.get_context("fork").Pool(2) as pool:
        pool.starmap(_build, [(folder, side, features, plan) for side in SIDES])
    clock.append(time.perf_counter())
    baseline, current = (read_profile(folder / side) for side in SIDES)
    found = compare(current, baseline, Rules(draws=draws))
    clock.append(time.perf_counter())
    report = [
        {
            "feature": one.feature,
            "verdict": one.verdict,
            "measurements": [m.model_dump(mode="json") for m in one.measurements],
        }
        for one in found
    ]
    (folder / "ours.json").write_text(json.dumps(report))
    clock.append(time.perf_counter())
    stages = dict(zip(("plan", "profiles", "compare", "write"), np.diff(clock).tolist(), strict=True))
    return {
        "seconds": clock[-1] - clock[0],
        "cpu_seconds": _cpu_seconds() - began_cpu,
        "stages": stages,
        "measurements": sum(len(one["measurements"]) for one in report),
        "report_mb": (folder / "ours.json").stat().st_size / 1e6,
        "buckets": len(baseline.bucket),
        "alerts": [one["feature"] for one in report if one["verdict"] == "ALERT"],
    }


def _cpu_seconds() -> float:
    """Processor time of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def measure(side: str, folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Runs one side in a process of its own and prints what it needed."""
    if side == "ours":
        command = [sys.executable, "-m", "benchmarks.drift", "--child", "--folder", str(folder)]
        command += ["--features", str(arguments.features), "--draws", str(arguments.draws)]
    else:
        command = [str(evidently_python()), "-m", "benchmarks.peers.evidently_peer", str(folder)]
    log = folder / f"{side}.log"
    with log.open("w") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        most = watch_memory(process)
        output = process.communicate()[0]
    if process.returncode:
        how = f"was ended by signal {-process.returncode}" if process.returncode < 0 else "failed"
        print(f"{side} {how} at {most:,.0f} MB; the end of its log:\n{log.read_text()[-1500:]}")
        return {"failed": process.returncode, "peak_mb": most}
    result: dict[str, Any] = json.loads(output.strip().splitlines()[-1])
    result["peak_mb"] = most
    print(
        f"{side:>9}: {result['seconds']:7.1f} s wall, {result['cpu_seconds']:7.1f} s CPU, "
        f"peak {result['peak_mb']:,.0f} MB, {result['measurements']:,} measurements, "
        f"report {result['report_mb']:.1f} MB, {len(result['alerts'])} columns named"
    )
    print("           " + ", ".join(f"{name} {value:.1f} s" for name, value in result["stages"].items()))
    return result


def _measure_all(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    for number, side in enumerate(SIDES):
        write_side(folder / f"{side}.parquet", arguments.features, arguments.rows, number)
    size = sum((folder / f"{side}.parquet").stat().st_size for side in SIDES) / 1e6
    numeric, words = names(arguments.features)
    print(
        f"{len(numeric)} numeric and {len(words)} categorical features x {arguments.rows:,} rows x 2 sides, "
        f"{size:,.0f} MB Parquet, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )
    figures: dict[str, Any] = {
        "features": arguments.features,
        "rows": arguments.rows,
        "cores": os.cpu_count(),
    }
    for side in ("ours", "evidently"):
        if arguments.only in (None, side):
            figures[side] = measure(side, folder, arguments)
    missed = []
    moved = {name for name in numeric + words if is_moved(name)}
    for side in ("ours", "evidently"):
        if "alerts" in figures.get(side, {}):
            alerts = set(figures[side]["alerts"]) & set(numeric + words)
            print(
                f"{side:>9}: {len(alerts & moved)} of {len(moved)} moved columns named, "
                f"{len(alerts - moved)} of {len(numeric + words) - len(moved)} others"
            )
    if "ours" in figures:
        ours = figures["ours"]
        if "failed" in ours:
            missed.append("ours failed")
        else:
            missed += [f"{ours['seconds']:.1f} s, goal {GOAL_S:g} s"] if ours["seconds"] >= GOAL_S else []
            missed += [f"{ours['peak_mb']:.0f} MB, goal {GOAL_MB:g}"] if ours["peak_mb"] >= GOAL_MB else []
            missed += [] if moved <= set(ours["alerts"]) else ["a moved column is not named"]
    if all("seconds" in figures.get(side, {}) for side in ("ours", "evidently")):
        for key, unit in (("seconds", "wall"), ("cpu_seconds", "CPU"), ("peak_mb", "memory")):
            figures[f"ratio_{key}"] = figures["evidently"][key] / figures["ours"][key]
            print(f"Evidently / ours, {unit}: {figures[f'ratio_{key}']:.1f}")
    figures["missed"] = missed
    print(f"missed: {'; '.join(missed)}" if missed else "goals met")
    return figures


def main() -> int:
    """Makes the files, runs what was asked for, and prints. Returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--features", type=int, default=FEATURES)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--draws", type=int, default=999, help="of our null of sampling noise")
    parser.add_argument("--only", choices=("ours", "evidently"))
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(run_ours(arguments.folder, arguments.features, arguments.draws)))
        return 0
    versions = dict(
        line.split("==") for line in EVIDENTLY_REQUIREMENTS.read_text().splitlines() if "==" in line
    )
    print(f"Evidently {versions['evidently']} with pandas {versions['pandas']}, numpy {versions['numpy']}")
    with tempfile.TemporaryDirectory(prefix="isthmus-drift-") as folder:
        figures = _measure_all(Path(folder), arguments)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")
    return 1 if figures["missed"] else 0


if __name__ == "__main__":
    sys.exit(main())
