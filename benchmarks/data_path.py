"""ExampleGen plus StatisticsGen, ours against stock TFX, on the same CSV file in one run.

Both run as a TFX pipeline of two components under LocalDagRunner with a metadata store of their own,
each in a process of its own that has imported everything before the clock starts. Stock is
CsvExampleGen and StatisticsGen on Beam's DirectRunner in memory. Prints seconds, the ratio, peak
memory, and how far the two statistics are apart; exit status 1 if a goal is missed.

Run: python -m benchmarks.data_path                      # 207,328 rows x 25, both
     python -m benchmarks.data_path --rows 10_000_000 --only ours    # memory
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

import numpy as np
import pyarrow as pa
import pyarrow.csv

FEATURES = 25
#: Rows of the file on which the design's figures were measured.
ROWS = 207_328
SEED = 0
GOAL_RATIO = 25.0
GOAL_PEAK_MB = 2_000
#: Two sketches, each with rank error 0.01, may err in opposite directions.
HISTOGRAM_TOLERANCE = 0.02
#: Moments are merged over batches in both; the batches differ, so the last digits may.
MOMENT_TOLERANCE = 1e-12
_CHUNK_ROWS = 200_000


def write_csv(path: Path, rows: int) -> None:
    """Writes epoch seconds and 25 columns of normal deviates to three decimals, in chunks."""
    rng = np.random.default_rng(SEED)
    names = ["timestamp", *map(_feature, range(FEATURES))]
    with path.open("wb") as file:
        # Arrow quotes a header, and TFX's CSV decoder takes the quotes for part of the name.
        file.write((",".join(names) + "\n").encode())
        for start in range(0, rows, _CHUNK_ROWS):
            size = min(_CHUNK_ROWS, rows - start)
            time_s = 1_700_000_000 + 60 * np.arange(start, start + size)
            values = np.round(rng.normal(size=(FEATURES, size)), 3)
            table = pa.table([time_s, *values], names)
            pyarrow.csv.write_csv(table, file, pyarrow.csv.WriteOptions(include_header=False))


def _feature(index: int) -> str:
    return f"f{index:02d}"


def run_ours(root: Path, csv: Path) -> tuple[Callable[[], None], Callable[[], Path]]:
    """Our two components as a pipeline: what to time, and where its statistics are."""
    import tensorflow_data_validation  # noqa: F401  (outside the clock, as for stock)

    from components.dataset import DatasetConfig, FeatureConfig
    from components.example_gen.component import ExampleGen
    from components.example_gen.config import ExampleGenConfig, SourceConfig, SplitConfig
    from components.statistics_gen.component import StatisticsGen
    from components.statistics_gen.config import StatisticsGenConfig

    dataset = DatasetConfig(
        features=tuple(FeatureConfig(name=_feature(index)) for index in range(FEATURES)),
        targets=(_feature(0),),
        interval_s=60,
    )
    config = ExampleGenConfig(
        dataset=dataset,
        sources=(SourceConfig(pattern=str(csv)),),
        splits=SplitConfig(mode="single", name="train"),
    )
    examples = ExampleGen(config=config, locale="benchmark", span=0, seed=SEED)
    statistics = StatisticsGen(
        config=StatisticsGenConfig(dataset=dataset), examples=examples.outputs["examples"]
    )
    return _pipeline(root, [examples, statistics]), lambda: _statistics_file(root)


def run_stock(root: Path, csv: Path) -> tuple[Callable[[], None], Callable[[], Path]]:
    """TFX's own two components as a pipeline: what to time, and where its statistics are."""
    from tfx.components import CsvExampleGen, StatisticsGen
    from tfx.proto import example_gen_pb2

    one_split = example_gen_pb2.Output(
        split_config=example_gen_pb2.SplitConfig(
            splits=[example_gen_pb2.SplitConfig.Split(name="train", hash_buckets=1)]
        )
    )
    examples = CsvExampleGen(input_base=str(csv.parent), output_config=one_split)
    statistics = StatisticsGen(examples=examples.outputs["examples"])
    return _pipeline(root, [examples, statistics]), lambda: _statistics_file(root)


def _pipeline(root: Path, components: list[Any]) -> Callable[[], None]:
    from tfx.orchestration import metadata, pipeline
    from tfx.orchestration.local.local_dag_runner import LocalDagRunner

    dag = pipeline.Pipeline(
        pipeline_name="data-path",
        pipeline_root=str(root),
        components=components,
        metadata_connection_config=metadata.sqlite_metadata_connection_config(str(root / "metadata.db")),
        beam_pipeline_args=["--runner=DirectRunner", "--direct_running_mode=in_memory"],
    )
    return lambda: LocalDagRunner().run(dag)


def _statistics_file(root: Path) -> Path:
    (path,) = root.glob("StatisticsGen/statistics/*/Split-train/FeatureStats.pb")
    return path


def child(side: str, root: Path, csv: Path) -> None:
    """Runs one side and prints what it measured as one line of JSON."""
    started = time.perf_counter()
    work, statistics = {"ours": run_ours, "stock": run_stock}[side](root, csv)
    prepared = time.perf_counter()
    before_mb = _peak_mb()
    cpu_started = time.process_time()
    work()
    result = {
        "seconds": time.perf_counter() - prepared,
        "import_seconds": prepared - started,
        "cpu_seconds": time.process_time() - cpu_started,
        "component_seconds": _component_seconds(root),
        "import_peak_mb": before_mb,
        "peak_mb": _peak_mb(),
        "statistics": str(statistics()),
    }
    print(json.dumps(result))


def _component_seconds(root: Path) -> dict[str, float]:
    """Wall seconds of each execution, as the metadata store has them."""
    from ml_metadata.metadata_store import MetadataStore
    from tfx.orchestration import metadata

    store = MetadataStore(metadata.sqlite_metadata_connection_config(str(root / "metadata.db")))
    types = {kind.id: kind.name.rsplit(".", 1)[-1] for kind in store.get_execution_types()}
    return {
        types[run.type_id]: (run.last_update_time_since_epoch - run.create_time_since_epoch) / 1e3
        for run in store.get_executions()
    }


def _peak_mb() -> float:
    """Largest resident set of this process so far; Linux counts in kibibytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def measure(side: str, root: Path, csv: Path) -> dict[str, Any]:
    """Runs one side in a process of its own."""
    log = root.with_suffix(".log")
    command = [
        sys.executable,
        "-m",
        "benchmarks.data_path",
        "--child",
        side,
        "--root",
        str(root),
        "--csv",
        str(csv),
    ]
    with log.open("w") as errors:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=errors, text=True, check=False)
    if done.returncode:
        sys.exit(f"{side} failed, the end of its log:\n{log.read_text()[-3000:]}")
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    print(
        f"{side:>5}: {result['seconds']:7.1f} s wall, {result['cpu_seconds']:7.1f} s CPU, "
        f"peak {result['peak_mb']:,.0f} MB (imports alone {result['import_seconds']:.1f} s, "
        f"{result['import_peak_mb']:,.0f} MB)"
    )
    print(
        "       " + ", ".join(f"{name} {value:.1f} s" for name, value in result["component_seconds"].items())
    )
    return result


def compare(ours: Path, stock: Path) -> dict[str, float]:
    """Largest differences between two statistics files over the feature columns.

    Args:
      ours: Our `FeatureStats.pb`.
      stock: TFX's.

    Returns:
      `counts`, `extremes`: absolute; `moments`: relative to the standard deviation; `histograms`,
      `quantiles`: share of the rows.
    """
    from tensorflow_metadata.proto.v0 import statistics_pb2

    one, two = (
        {
            (feature.path.step[0] if feature.path.step else feature.name): feature.num_stats
            for feature in statistics_pb2.DatasetFeatureStatisticsList.FromString(path.read_bytes())
            .datasets[0]
            .features
        }
        for path in (ours, stock)
    )
    largest = dict.fromkeys(("counts", "extremes", "moments", "histograms", "quantiles"), 0.0)

    def note(what: str, difference: float) -> None:
        largest[what] = max(largest[what], abs(difference))

    for name in map(_feature, range(FEATURES)):
        a, b = one[name], two[name]
        for key in ("num_non_missing", "num_missing", "tot_num_values"):
            note("counts", getattr(a.common_stats, key) - getattr(b.common_stats, key))
        note("counts", a.num_zeros - b.num_zeros)
        note("extremes", a.min - b.min)
        note("extremes", a.max - b.max)
        note("moments", (a.mean - b.mean) / b.std_dev)
        note("moments", (a.std_dev - b.std_dev) / b.std_dev)
        rows = b.common_stats.num_non_missing
        for histogram, other in zip(a.histograms, b.histograms):
            if histogram.type == statistics_pb2.Histogram.STANDARD:
                for bucket, twin in zip(histogram.buckets, other.buckets):
                    note("histograms", (bucket.sample_count - twin.sample_count) / rows)
        note("quantiles", _quantile_gap(a, b))
    return largest


def _quantile_gap(a: Any, b: Any) -> float:
    """Largest gap between the two quantile functions, as a share of the rows (Kolmogorov-Smirnov)."""
    from tensorflow_metadata.proto.v0 import statistics_pb2

    from components.statistics_gen.core import StepCdf

    cdfs = []
    for side in (a, b):
        (histogram,) = (h for h in side.histograms if h.type == statistics_pb2.Histogram.QUANTILES)
        knots = [histogram.buckets[0].low_value, *(bucket.high_value for bucket in histogram.buckets)]
        cdfs.append(StepCdf(np.array(knots), np.linspace(0, 1, len(knots))))
    x = np.union1d(cdfs[0].knots, cdfs[1].knots)
    return float(np.max(np.abs(cdfs[0].interpolate(x)[0] - cdfs[1].interpolate(x)[0])))


def main() -> int:
    """Makes the file, runs what was asked for, and prints. Returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--only", choices=("ours", "stock"))
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--child", choices=("ours", "stock"), help=argparse.SUPPRESS)
    parser.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--csv", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child, arguments.root, arguments.csv)
        return 0
    with tempfile.TemporaryDirectory(prefix="isthmus-data-path-") as folder:
        figures = _measure_all(Path(folder), arguments.rows, arguments.only)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")
    return 0 if figures["goals_met"] else 1


def _measure_all(folder: Path, rows: int, only: str | None) -> dict[str, Any]:
    csv = folder / "data" / "data.csv"
    csv.parent.mkdir()
    write_csv(csv, rows)
    print(
        f"{rows:,} rows x {FEATURES} features and a time, {csv.stat().st_size / 1e6:,.0f} MB CSV, "
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )
    figures: dict[str, Any] = {"rows": rows, "cores": os.cpu_count()}
    for side in ("ours", "stock"):
        if only in (None, side):
            figures[side] = measure(side, folder / side, csv)
    met = "ours" not in figures or figures["ours"]["peak_mb"] < GOAL_PEAK_MB
    if only is None:
        figures["ratio"] = figures["stock"]["seconds"] / figures["ours"]["seconds"]
        figures["differences"] = compare(*(Path(figures[side]["statistics"]) for side in ("ours", "stock")))
        print(f"ratio: {figures['ratio']:.1f} (goal {GOAL_RATIO:g})")
        for what, value in figures["differences"].items():
            print(f"  largest difference of {what}: {value:.3g}")
        met &= figures["ratio"] >= GOAL_RATIO and _equal(figures["differences"])
    figures["goals_met"] = bool(met)
    print("goals met" if met else "a goal is missed")
    return figures


def _equal(differences: dict[str, float]) -> bool:
    """Counts and extremes exactly, moments but for rounding, histograms to the sketches' error."""
    return (
        differences["counts"] == differences["extremes"] == 0
        and differences["moments"] <= MOMENT_TOLERANCE
        and max(differences["histograms"], differences["quantiles"]) <= HISTOGRAM_TOLERANCE
    )


if __name__ == "__main__":
    sys.exit(main())
