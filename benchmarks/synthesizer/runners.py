"""Runs one generator on one case and returns its rows with what they cost."""

from __future__ import annotations

import dataclasses
import json
import sys
import tempfile
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.peers.environment import ROOT, requirements_of
from benchmarks.synthesizer import digests
from benchmarks.synthesizer.data import Case, rows_of
from benchmarks.synthesizer.peers import ONE_THREAD, PEERS, RATE_ROWS, run_peer, run_process
from components.synthesizer_trainer.core.panel import series_numbers

__all__ = ["BASELINE", "ONE_THREAD", "OURS", "RUNNERS", "Made", "digest_of", "run"]

OURS, BASELINE = "ours", "copula + VAR(2)"


@dataclasses.dataclass(frozen=True)
class Made:
    """What a generator made, on the period's times.

    Attributes:
      sampled: Rows that the table judges.
      release: Rows with labels, of ours with anomalies amplified as a deployment does it by default; None
        where the generator knows no labels.
      result: `cost` (`fit_cpu_s`, `rows_per_cpu_s`, `peak_mb`, ...), `versions`, `settings`.
    """

    sampled: pa.Table
    release: pa.Table | None
    result: dict[str, Any]


def ours(case: Case, seed: int, config: Mapping[str, Any], folder: Path) -> Made:
    """The project's synthesizer, in a process of its own with one thread.

    Args:
      case: The data set.
      seed: Of the model and of the sample.
      config: What differs from the default `SynthesizerTrainerConfig`.
      folder: An empty one.

    Raises:
      PeerError: the process failed.
    """
    pq.write_table(case.train, folder / "ours.parquet")
    pq.write_table(case.period, folder / "ours_times.parquet")
    found = case.dataset.schema_name
    schema = str(ROOT / "schemas" / found / "schema.pbtxt") if found else None
    plan = {"dataset": case.dataset.model_dump(mode="json"), "schema": schema}
    plan |= {"seed": seed, "rate_rows": RATE_ROWS, "config": dict(config)}
    (folder / "ours.json").write_text(json.dumps(plan))
    run_process([sys.executable, "-m", "benchmarks.peers.ours_peer"], folder)
    result = json.loads((folder / "ours_result.json").read_text())
    cost = {
        "fit_cpu_s": result["train_cpu_s"],
        "rows_per_cpu_s": result["rate_rows"] / result["steady_cpu_s"],
        "imports_mb": result["imports_mb"],
        "peak_mb": result["peak_mb"],
        "best_step": result["best_step"],
    }
    names = ("tensorflow", "tensorflow-transform", "numpy")
    told = {name: metadata.version(name) for name in names} | {"python": sys.version.split()[0]}
    return Made(
        pq.read_table(folder / "ours_synthetic.parquet"),
        pq.read_table(folder / "ours_release.parquet") if case.dataset.label else None,
        {"cost": cost, "versions": told, "settings": dict(config) or {"configuration": "defaults"}},
    )


def baseline(case: Case, seed: int, config: Mapping[str, Any], folder: Path) -> Made:
    """Copula and VAR(2) with residual bootstrap, in a process of its own; `config` is not looked at.

    Raises:
      PeerError: the process failed.
    """
    train, calm = rows_of(case.train, case), case.period
    if case.dataset.label:
        calm = calm.filter(pa.array(calm[case.dataset.label].fill_null(0).to_numpy() == 0))
    series = series_numbers(calm, case.dataset)
    np.savez(folder / "train.npz", values=train.values, segment=train.segment)
    lengths = [int((series == one).sum()) for one in np.unique(series)]
    plan = {"seed": seed, "lengths": lengths, "rate_rows": RATE_ROWS}
    (folder / "plan.json").write_text(json.dumps(plan))
    run_process([sys.executable, "-m", "benchmarks.peers.copula_var_peer"], folder)
    made = np.load(folder / "sampled.npy")
    table = calm
    for place, feature in enumerate(case.dataset.features):
        values: Any = made[:, place]
        if feature.kind == "categorical":
            vocabulary = np.array(sorted(set(case.period[feature.name].drop_null().to_pylist())), object)
            values = vocabulary[np.round(values).astype(np.int64)]
        column = pa.array(values).cast(calm[feature.name].type, safe=False)
        table = table.set_column(table.column_names.index(feature.name), feature.name, column)
    return Made(table, None, json.loads((folder / "result.json").read_text()))


def _peer(name: str) -> Callable[[Case, int, Mapping[str, Any], Path], Made]:
    def runner(case: Case, seed: int, config: Mapping[str, Any], folder: Path) -> Made:
        sampled, result = run_peer(name, case, seed, folder)
        return Made(sampled, sampled if case.dataset.label else None, result)

    return runner


#: By the name that the table and `--generators` use.
RUNNERS: dict[str, Callable[[Case, int, Mapping[str, Any], Path], Made]] = {
    BASELINE: baseline,
    **{name: _peer(name) for name in PEERS},
    OURS: ours,
}


def run(name: str, case: Case, seed: int, config: Mapping[str, Any]) -> Made:
    """Runs a generator in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="synthesizer-") as folder:
        return RUNNERS[name](case, seed, config, Path(folder))


def digest_of(name: str, config: Mapping[str, Any]) -> str:
    """Digest of what makes a generator's rows: another one, and its results are stale."""
    protocol = "benchmarks/peers/protocol.py"
    if name == OURS:
        own = ("components/synthesizer_trainer", "components/synthetic_gen", "benchmarks/peers/ours_peer.py")
        return digests.of_code(own, {"config": dict(config), "rate_rows": RATE_ROWS})
    if name == BASELINE:
        own = ("benchmarks/synthesizer/baseline.py", "benchmarks/peers/copula_var_peer.py", protocol)
        return digests.of_code(own, {"rate_rows": RATE_ROWS})
    if name not in PEERS:
        return ""
    peer = PEERS[name]
    listed = requirements_of(peer.environment).relative_to(ROOT).as_posix()
    own = (f"benchmarks/peers/{peer.script}", protocol, listed)
    return digests.of_code(own, dataclasses.asdict(peer) | {"rate_rows": RATE_ROWS})
