"""Our synthesizer beside SDV's CTGAN: fidelity, training CPU seconds and sampling rate, in one run.

Both learn the same training rows in a process of its own with one thread, CTGAN in an environment of
its own (`.venvs/ctgan`, made by this command), with default hyperparameters. The rows that they sample
are compared with the same held-out real rows by the same functions
(`components.release_evaluator.core.fidelity.fidelity_summary`; labelled rows left out on all sides).

What CTGAN gets is what its users give it: a table without time and series, labels among the columns.
Its rows are independent of one another, so they are laid on the training rows' own timestamps in the
order in which they were sampled, those that it labels anomalous last, where they cut no series.
Ours is sampled on the same timestamps. Clocks start after imports, on both sides; our training time
includes the analysis and saving the model.

Sampling is timed three times: as many rows as were trained on (the first sample, the one whose fidelity
is measured; ours loads the model in it), 100,000 rows, and 100,000 again. The first two include whatever
is compiled for them, the third compiles nothing.

Run: python -m benchmarks.synthesizer.ctgan [--data sim|smap|all] [--rows N] [--epochs 300]
     [--seeds 1] [--json OUT]

Exit status 1 where ours is behind in a column of the design's goal. The first sample's rate and peak
memory are no goals: printed, not judged.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import yaml

from benchmarks.peers.environment import REQUIREMENTS, ROOT, ctgan_python
from components.dataset import TIMESTAMP, DatasetConfig
from components.example_gen.config import SplitConfig
from components.example_gen.core.keys import Keys
from components.example_gen.core.splits import assign_rows
from components.release_evaluator.core.fidelity import fidelity_summary
from components.simulator.config import dataset_config
from components.simulator.core.fleet import simulate_locale
from components.simulator.presets import default_fleet
from components.split_io import arrow_schema

SMAP = ROOT.parent / "shared" / "data" / "smap"
#: Channel to its fleet; both are the restricted locale of their example.
SMAP_CHANNELS = {"A-2": "smap_freeze", "E-10": "smap_stuck"}
#: Rows drawn to time sampling: seconds of work on both sides, whatever the training rows.
RATE_ROWS = 100_000
#: Seed of the split, which is the same for every seed of the models.
SPLIT_SEED = 0
#: Decimals kept of a continuous value: undoes float32, so that CTGAN can learn the source's rounding.
DECIMALS = 6

#: Key, what the table calls it, whether more is better, whether the goal names it.
COLUMNS: tuple[tuple[str, str, bool, bool], ...] = (
    ("marginal_fidelity", "marginal fidelity", True, True),
    ("worst_column_fidelity", "worst column", True, True),
    ("pairwise_fidelity", "pair correlation", True, True),
    ("acf_error", "ACF error", False, True),
    ("step_change_fidelity", "step change", True, True),
    ("train_cpu_s", "training, CPU s", False, True),
    ("rows_per_cpu_s", "sampling, rows/CPU s", True, True),
    ("steady_rows_per_cpu_s", "the same again", True, True),
    # Mostly seconds that do not grow with the rows: loading, on our side compiling.
    ("first_rows_per_cpu_s", "first sample, rows/CPU s", True, False),
    ("peak_mb", "peak memory, MB", False, False),
)


@dataclasses.dataclass(frozen=True)
class Fleet:
    """Rows of one locale.

    Attributes:
      name: For the table.
      dataset: The columns.
      train: Training rows, sorted by series, then time.
      holdout: Rows that no side sees.
    """

    name: str
    dataset: DatasetConfig
    train: pa.Table
    holdout: pa.Table


def split(name: str, table: pa.Table, dataset: DatasetConfig, rows: int | None) -> Fleet:
    """Casts a source table to its flat columns and splits it as ExampleGen does.

    Args:
      name: For the table.
      table: The source's rows; timestamps as text or as Arrow timestamps.
      dataset: The columns.
      rows: Keep the first so many in time; None keeps all.
    """
    stamps = table.column(dataset.timestamp)
    if pa.types.is_string(stamps.type):
        stamps = pc.strptime(stamps, format="%Y-%m-%dT%H:%M:%SZ", unit="us")
    stamps = stamps.cast(pa.timestamp("us")).cast(pa.int64())
    names = [field.name for field in arrow_schema(dataset)][1:]
    flat = pa.table({TIMESTAMP: stamps, **{n: table.column(n) for n in names}}).cast(arrow_schema(dataset))
    flat = flat.sort_by([(TIMESTAMP, "ascending")]).slice(0, rows)
    flat = flat.sort_by([(n, "ascending") for n in (*dataset.series, TIMESTAMP)]).combine_chunks()
    series = np.zeros(flat.num_rows, np.int64)
    if dataset.series:
        frame = flat.select(dataset.series).to_pandas()
        series = frame.groupby(list(dataset.series), sort=False).ngroup().to_numpy()
    label = flat[dataset.label].fill_null(0).to_numpy() if dataset.label else None
    keys = Keys(series, flat[TIMESTAMP].to_numpy(), label)
    config = SplitConfig()
    assigned = assign_rows([keys], config, dataset.interval_s, SPLIT_SEED).of(0, flat.num_rows)
    names = list(config.fractions())
    train, holdout = (flat.filter(pa.array(assigned == names.index(name))) for name in ("train", "holdout"))
    return Fleet(name, dataset, train, holdout)


def simulated(rows: int | None) -> Fleet:
    """The restricted locale eu-west of the demonstration's fleet."""
    fleet = default_fleet("demo")
    dataset = dataset_config(fleet).model_copy(update={"schema_name": "simulated_fleet"})
    return split("simulated eu-west", simulate_locale(fleet, "eu-west", 0), dataset, rows)


def smap(root: Path, rows: int | None) -> list[Fleet]:
    """The SMAP channels that are there; says which are not."""
    fleets = []
    for channel, folder in SMAP_CHANNELS.items():
        path = root / folder / "train" / f"{channel}.csv"
        if not path.exists():
            print(f"skipped SMAP {channel}: {path.name} is not under {os.path.relpath(root)}/{folder}/train")
            continue
        example = yaml.safe_load((ROOT / "examples" / f"{folder}.yaml").read_text())
        dataset = DatasetConfig.model_validate(example["dataset"])
        fleets.append(split(f"SMAP {channel}", pyarrow.csv.read_csv(path), dataset, rows))
    return fleets


def ctgan_table(table: pa.Table, dataset: DatasetConfig) -> tuple[pa.Table, dict[str, str]]:
    """What CTGAN learns: features and labels, and SDV's type of each column."""
    numeric = dataset.feature_names("continuous", "integer")
    labels = [name for name in (dataset.label, dataset.label_kind) if name]
    columns = {name: table.column(name) for name in (*dataset.feature_names(), *labels)}
    for name in dataset.feature_names("continuous"):
        columns[name] = pc.round(columns[name].cast(pa.float64()), DECIMALS)
    return pa.table(columns), {name: "numerical" if name in numeric else "categorical" for name in columns}


def lay_out(sampled: pa.Table, train: pa.Table, dataset: DatasetConfig) -> pa.Table:
    """Puts independent rows on the training rows' series and timestamps, anomalous ones last.

    Args:
      sampled: As many rows as `train`.
      train: Gives time and series.
      dataset: The columns.
    """
    if dataset.label:
        anomalous = sampled.column(dataset.label).to_pandas().fillna(0).to_numpy().astype(np.int64) == 1
        sampled = sampled.take(pa.array(np.argsort(anomalous, kind="stable")))
    kept = {name: train.column(name) for name in (TIMESTAMP, *dataset.series)}
    drawn = {name: sampled.column(name) for name in sampled.column_names}
    names = [field.name for field in arrow_schema(dataset)]
    return pa.table(kept | drawn).select(names).cast(arrow_schema(dataset), safe=False)


def run_side(command: list[str], folder: Path, result: str) -> dict[str, float]:
    """Runs one side in a process with one thread; what it measured.

    Raises:
      SystemExit: the process failed; ends with its last words.
    """
    one = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "ARROW")}
    one |= {f"TF_NUM_{name}_THREADS": "1" for name in ("INTRAOP", "INTEROP")}
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [*command, str(folder)], cwd=ROOT, env=os.environ | one | quiet, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
    measured: dict[str, float] = json.loads((folder / result).read_text())
    measured["rows_per_cpu_s"] = measured["rate_rows"] / measured["rate_cpu_s"]
    measured["steady_rows_per_cpu_s"] = measured["rate_rows"] / measured["steady_cpu_s"]
    measured["first_rows_per_cpu_s"] = measured["first_rows"] / measured["first_cpu_s"]
    return measured


def measure(fleet: Fleet, epochs: int, seed: int, python: Path) -> dict[str, dict[str, float]]:
    """Both sides on one fleet with one seed: `ours`, `ctgan`; `train` is the fidelity of real rows."""
    dataset = fleet.dataset
    with tempfile.TemporaryDirectory(prefix="synthesizer-") as name:
        folder = Path(name)
        common = {"seed": seed, "rate_rows": RATE_ROWS}
        pq.write_table(fleet.train, folder / "ours.parquet")
        schema = ROOT / "schemas" / str(dataset.schema_name) / "schema.pbtxt"
        plan = {"dataset": dataset.model_dump(mode="json"), "schema": str(schema), **common}
        (folder / "ours.json").write_text(json.dumps(plan))
        ours = run_side([sys.executable, "-m", "benchmarks.peers.ours_peer"], folder, "ours_result.json")
        ours |= fidelity_summary(fleet.holdout, pq.read_table(folder / "ours_synthetic.parquet"), dataset)

        learned, sdtypes = ctgan_table(fleet.train, dataset)
        pq.write_table(learned, folder / "train.parquet")
        plan = {"epochs": epochs, "rows": fleet.train.num_rows, "sdtypes": sdtypes, **common}
        (folder / "ctgan.json").write_text(json.dumps(plan))
        script = ROOT / "benchmarks" / "peers" / "ctgan_peer.py"
        ctgan = run_side([str(python), str(script)], folder, "ctgan_result.json")
        sampled = lay_out(pq.read_table(folder / "ctgan.parquet"), fleet.train, dataset)
        ctgan |= fidelity_summary(fleet.holdout, sampled, dataset)
    return {"ours": ours, "ctgan": ctgan, "train": fidelity_summary(fleet.holdout, fleet.train, dataset)}


def compare(runs: list[dict[str, dict[str, float]]]) -> list[dict[str, Any]]:
    """One row per column: means over the seeds, how many times ours is better, and whether it is ahead.

    A column that is undefined on a side is not ahead. The factor is ours over CTGAN where more is
    better, else CTGAN over ours: above 1 is ahead, whatever the column.
    """
    rows = []
    for key, title, more, goal in COLUMNS:
        found = {side: [run[side].get(key, np.nan) for run in runs] for side in ("ours", "ctgan", "train")}
        ours, ctgan, train = (float(np.mean(values)) for values in found.values())
        better, worse = (ours, ctgan) if more else (ctgan, ours)
        row = {"column": title, "key": key, "more_is_better": more, "goal": goal, "by_seed": found}
        row |= {"ours": ours, "ctgan": ctgan, "real_train": train, "ahead": bool(better > worse)}
        rows.append(row | {"factor": better / worse if worse else np.inf})
    return rows


def render(name: str, rows: list[dict[str, Any]]) -> str:
    """The table of one fleet, as text."""
    lines = [f"{name:<26}{'ours':>12}{'CTGAN':>12}{'real train':>12}{'factor':>10}  ahead"]
    for row in rows:
        values = "".join(f"{_number(row[side]):>12}" for side in ("ours", "ctgan", "real_train"))
        word = ("yes" if row["ahead"] else "NO") + ("" if row["goal"] else " (not a goal)")
        lines.append(f"{row['column']:<26}{values}{_number(row['factor']):>10}  {word}")
    return "\n".join(lines)


def _number(value: float) -> str:
    if np.isnan(value):
        return "-"
    return f"{value:.3f}" if value < 10 else f"{value:,.1f}" if value < 1000 else f"{value:,.0f}"


def versions() -> str:
    """What was compared, in a line."""
    ours = {name: metadata.version(name) for name in ("tensorflow", "tensorflow-transform", "numpy")}
    pinned = dict(line.split("==") for line in REQUIREMENTS.read_text().split() if "==" in line)
    peers = {name: pinned[name] for name in ("sdv", "ctgan", "torch", "numpy")}
    listed = [" ".join(f"{name} {version}" for name, version in side.items()) for side in (ours, peers)]
    return f"ours: {listed[0]} | CTGAN: {listed[1]}"


def main() -> int:
    """Prints the tables; 0 where ours is ahead in every column of the goal, else 1."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", choices=("sim", "smap", "all"), default="all")
    parser.add_argument(
        "--rows", type=int, help="source rows of each data set, the first in time; default all"
    )
    parser.add_argument("--epochs", type=int, default=300, help="of CTGAN; 300 is SDV's default")
    parser.add_argument("--seeds", type=int, default=1, help="how many, from 0; the table shows means")
    parser.add_argument("--json", type=Path, help="also write everything measured here")
    parser.add_argument("--smap-root", type=Path, default=SMAP, help="folder of the SMAP fleets")
    options = parser.parse_args()
    fleets = [simulated(options.rows)] if options.data != "smap" else []
    fleets += smap(options.smap_root, options.rows) if options.data != "sim" else []
    if not fleets:
        print("nothing to measure: no data set is there")
        return 1
    python = ctgan_python()
    print(versions())
    print(
        f"seeds 0..{options.seeds - 1}, CTGAN {options.epochs} epochs, one thread each; "
        "factor > 1: ours is better"
    )
    report, behind = [], []
    for fleet in fleets:
        runs = [measure(fleet, options.epochs, seed, python) for seed in range(options.seeds)]
        rows = compare(runs)
        title = {
            "fleet": fleet.name,
            "train_rows": fleet.train.num_rows,
            "holdout_rows": fleet.holdout.num_rows,
        }
        print(f"\n{title['train_rows']:,} training rows, {title['holdout_rows']:,} held out")
        print(render(fleet.name, rows), flush=True)
        report.append(title | {"columns": rows, "runs": runs})
        behind += [f"{fleet.name}: {row['column']}" for row in rows if row["goal"] and not row["ahead"]]
    print(
        f"\nbehind CTGAN in: {'; '.join(behind)}"
        if behind
        else "\nahead of CTGAN in every column of the goal"
    )
    if options.json:
        facts = {
            "versions": versions(),
            "epochs": options.epochs,
            "seeds": options.seeds,
            "rate_rows": RATE_ROWS,
        }
        options.json.write_text(json.dumps({**facts, "fleets": report}, indent=1))
    return 1 if behind else 0


if __name__ == "__main__":
    sys.exit(main())
