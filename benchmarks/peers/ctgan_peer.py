"""Trains SDV's CTGAN and samples from it, in its own environment; knows nothing of Isthmus.

Run by `benchmarks.synthesizer.ctgan`: python ctgan_peer.py FOLDER, where FOLDER holds `train.parquet` (only
the columns to learn) and `ctgan.json` (`epochs`, `seed`, `rows`, `rate_rows`, `sdtypes` by column).
Writes `ctgan.parquet` (`rows` rows) and `ctgan_result.json`.
"""

from __future__ import annotations

import json
import resource
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sdv.metadata import Metadata
from sdv.single_table import CTGANSynthesizer

#: SDV names its tables.
TABLE = "rows"


def main(folder: Path) -> None:
    """Fits and samples as SDV's documentation shows, with its default hyperparameters."""
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    plan = json.loads((folder / "ctgan.json").read_text())
    # SDV draws from NumPy's global state.
    np.random.seed(plan["seed"])  # noqa: NPY002
    torch.manual_seed(plan["seed"])
    rows = pd.read_parquet(folder / "train.parquet")
    columns = {name: {"sdtype": kind} for name, kind in plan["sdtypes"].items()}
    metadata = Metadata.load_from_dict({"tables": {TABLE: {"columns": columns}}, "relationships": []})
    imports_mb = _peak_mb()

    began, began_cpu = time.perf_counter(), time.process_time()
    synthesizer = CTGANSynthesizer(metadata, epochs=plan["epochs"], enable_gpu=False)
    synthesizer.fit({TABLE: rows})
    train_s, train_cpu_s = time.perf_counter() - began, time.process_time() - began_cpu

    began_cpu = time.process_time()
    sampled = synthesizer.sample(plan["rows"])[TABLE]
    first_cpu_s = time.process_time() - began_cpu
    began_cpu = time.process_time()
    count = len(synthesizer.sample(plan["rate_rows"])[TABLE])
    rate_cpu_s = time.process_time() - began_cpu
    began_cpu = time.process_time()
    synthesizer.sample(plan["rate_rows"])
    steady_cpu_s = time.process_time() - began_cpu

    sampled.to_parquet(folder / "ctgan.parquet", index=False)
    result = {
        "train_s": train_s,
        "train_cpu_s": train_cpu_s,
        "first_rows": len(sampled),
        "first_cpu_s": first_cpu_s,
        "rate_rows": count,
        "rate_cpu_s": rate_cpu_s,
        "steady_cpu_s": steady_cpu_s,
        "imports_mb": imports_mb,
        "peak_mb": _peak_mb(),
    }
    (folder / "ctgan_result.json").write_text(json.dumps(result))


def _peak_mb() -> float:
    # Linux counts in KiB.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


if __name__ == "__main__":
    main(Path(sys.argv[1]))
