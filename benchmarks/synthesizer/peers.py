"""What a peer gets of a data set, and how its rows are laid on the data set's times.

A peer of independent rows learns the features and labels, without time and series; its rows are laid on the
period's times in the order in which it made them, those that it labels anomalous last, where they cut no
series. A peer that models sequences learns windows of `LENGTH` rows of one unbroken span, as its
documentation has it for one long series; the windows that it makes are laid end to end.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.peers.environment import ROOT, environment_python
from benchmarks.synthesizer.data import BLOCK_ROWS, Case
from benchmarks.synthesizer.measures import starts
from components.dataset import TIMESTAMP, DatasetConfig
from components.split_io import arrow_schema
from components.synthesizer_trainer.core.panel import segments, series_numbers

#: Rows of a sequence: the length of the hours that stay together when one in five is held out.
LENGTH = BLOCK_ROWS
#: Decimals kept of a continuous value: undoes float32, so that a peer can learn the source's rounding.
DECIMALS = 6
#: Rows drawn to time sampling.
RATE_ROWS = 100_000
#: One thread each, so that processor seconds compare.
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "ARROW", "RAYON")} | {
    f"TF_NUM_{name}_THREADS": "1" for name in ("INTRAOP", "INTEROP")
}
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", "PYTHONWARNINGS": "ignore"}


class PeerError(Exception):
    """A generator's process failed; its last words."""


@dataclasses.dataclass(frozen=True)
class Peer:
    """A generator of others.

    Attributes:
      script: In `benchmarks/peers`.
      environment: Its name, and its list's (`NAME_requirements.txt`).
      stride: Rows from one training window's beginning to the next; 0 for one that makes independent rows.
    """

    script: str
    environment: str
    stride: int = 0


#: By the name that the table uses, which is also what the script is told as `model`.
PEERS = {
    "Gaussian copula": Peer("sdv_peer.py", "sdv"),
    "TVAE": Peer("sdv_peer.py", "sdv"),
    "CTGAN": Peer("sdv_peer.py", "sdv"),
    "PAR": Peer("sdv_peer.py", "sdv", stride=LENGTH),
    "ARF": Peer("arf_peer.py", "arfpy"),
    "TabularARGN": Peer("argn_peer.py", "mostlyai"),
    "DoppelGANger": Peer("dgan_peer.py", "gretel", stride=6),
}


def column_kinds(dataset: DatasetConfig) -> dict[str, str]:
    """`numerical` or `categorical` of what a peer learns: features, then labels."""
    numeric = dataset.feature_names("continuous", "integer")
    labels = [name for name in (dataset.label, dataset.label_kind) if name]
    names = (*dataset.feature_names(), *labels)
    return {name: "numerical" if name in numeric else "categorical" for name in names}


def learned(case: Case, stride: int) -> pa.Table:
    """The training rows as a peer gets them.

    Args:
      case: The data set.
      stride: 0 for rows without time; else windows, with `sequence` and `step`, that begin so far apart.
    """
    table, dataset = case.train, case.dataset
    columns = {name: table.column(name) for name in column_kinds(dataset)}
    for name in dataset.feature_names("continuous"):
        columns[name] = pc.round(columns[name].cast(pa.float64()), DECIMALS)
    flat = pa.table(columns)
    if not stride:
        return flat
    stamps = table[TIMESTAMP].to_numpy().astype(np.int64)
    segment = segments(stamps, series_numbers(table, dataset), dataset.interval_s)
    first = np.concatenate(
        [(rows := np.flatnonzero(segment == one))[starts(segment[rows], LENGTH)][::stride]
         for one in np.unique(segment)]
    )  # fmt: skip
    flat = flat.take(pa.array((first[:, None] + np.arange(LENGTH)).ravel()))
    flat = flat.append_column("sequence", pa.array(np.repeat(np.arange(len(first)), LENGTH)))
    return flat.append_column("step", pa.array(np.tile(np.arange(LENGTH), len(first))))


def restored(column: pa.ChunkedArray, real: pa.ChunkedArray) -> pa.ChunkedArray:
    """A made column in the type of the real one; text that stands for no value of it becomes null."""
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        if pa.types.is_integer(real.type):
            column = pc.round(column.cast(pa.float64()))
        return column.cast(real.type, safe=False)
    if pa.types.is_string(real.type) or pa.types.is_large_string(real.type):
        return pc.if_else(pc.is_in(column, real.unique()), column, None).cast(real.type)
    numeric = pc.if_else(pc.match_substring_regex(column, r"^-?[0-9.]+$"), column, None)
    return numeric.cast(pa.float64()).cast(real.type, safe=False)


def lay_out(made: pa.Table, case: Case, sequences: bool) -> pa.Table:
    """Puts made rows on the period's series and timestamps.

    Args:
      made: At least as many rows as the period has.
      case: The data set.
      sequences: Whether the order of rows means something; else anomalous ones go last.
    """
    dataset, period = case.dataset, case.period
    names = list(column_kinds(dataset))
    made = pa.table({name: restored(made[name], case.train[name]) for name in names}).slice(0, len(period))
    if dataset.label and not sequences:
        anomalous = made[dataset.label].fill_null(0).to_numpy() == 1
        made = made.take(pa.array(np.argsort(anomalous, kind="stable")))
    kept = {name: period[name] for name in (TIMESTAMP, *dataset.series)}
    order = [field.name for field in arrow_schema(dataset)]
    return pa.table(kept | {n: made[n] for n in names}).select(order).cast(arrow_schema(dataset), safe=False)


def run_process(command: list[str], folder: Path) -> None:
    """Runs a generator's process with one thread.

    Raises:
      PeerError: it failed.
    """
    done = subprocess.run(
        [*command, str(folder)], cwd=ROOT, env=os.environ | ONE_THREAD | QUIET, capture_output=True, text=True
    )
    if done.returncode:
        raise PeerError(f"{Path(command[-1]).name} ended with {done.returncode}:\n{done.stderr[-2000:]}")


def run_peer(
    name: str, case: Case, seed: int, folder: Path, python: Path | None = None
) -> tuple[pa.Table, dict[str, Any]]:
    """Runs a peer in its environment, which is made where it is not there.

    Args:
      name: In `PEERS`.
      case: The data set.
      seed: Of the model and of the sample.
      folder: An empty one.
      python: Instead of its environment's.

    Returns:
      Its rows at the period's times, and its `result.json`: `cost`, `versions`, `settings`.

    Raises:
      PeerError: it failed, or made too few rows.
    """
    peer = PEERS[name]
    pq.write_table(learned(case, peer.stride), folder / "train.parquet")
    plan = {"model": name, "seed": seed, "rows": case.period.num_rows, "rate_rows": RATE_ROWS}
    plan |= {"kinds": column_kinds(case.dataset), "length": LENGTH}
    (folder / "plan.json").write_text(json.dumps(plan))
    script = ROOT / "benchmarks" / "peers" / peer.script
    run_process([str(python or environment_python(peer.environment)), str(script)], folder)
    made = pq.read_table(folder / "sampled.parquet")
    if made.num_rows < case.period.num_rows:
        raise PeerError(f"{name} made {made.num_rows} rows of {case.period.num_rows}")
    return lay_out(made, case, peer.stride > 0), json.loads((folder / "result.json").read_text())
