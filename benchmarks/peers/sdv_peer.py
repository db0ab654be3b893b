"""SDV's CTGAN, TVAE, Gaussian copula or PAR, as its documentation shows them; see `protocol`.

Every hyperparameter is the library's default (300 epochs of CTGAN and TVAE, 128 of PAR).
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import protocol
import torch
from sdv.metadata import Metadata
from sdv.sequential import PARSynthesizer
from sdv.single_table import CTGANSynthesizer, GaussianCopulaSynthesizer, TVAESynthesizer

#: SDV names its tables.
TABLE = "rows"
ROWS = {
    "CTGAN": lambda metadata: CTGANSynthesizer(metadata, enable_gpu=False),
    "TVAE": lambda metadata: TVAESynthesizer(metadata, enable_gpu=False),
    "Gaussian copula": GaussianCopulaSynthesizer,
}


def fit(plan: dict[str, Any], train: Any) -> protocol.Sampler:
    """Trains the plan's model."""
    # SDV draws from NumPy's global state.
    np.random.seed(plan["seed"])  # noqa: NPY002
    torch.manual_seed(plan["seed"])
    columns: dict[str, dict[str, str]] = {name: {"sdtype": kind} for name, kind in plan["kinds"].items()}
    table: dict[str, Any] = {"columns": columns}
    if plan["model"] != "PAR":
        synthesizer = ROWS[plan["model"]](_metadata(table))
        synthesizer.fit({TABLE: train[list(plan["kinds"])]})
        return _later(lambda rows: synthesizer.sample(rows)[TABLE], plan["seed"])
    columns |= {"sequence": {"sdtype": "id"}, "step": {"sdtype": "numerical"}}
    table |= {"sequence_key": "sequence", "sequence_index": "step"}
    par = PARSynthesizer(_metadata(table), cuda=False)
    par.fit({TABLE: train})
    length = plan["length"]

    def sequences(rows: int) -> Any:
        made = par.sample_sequences(-(-rows // length), sequence_length=length)[TABLE]
        return made.sort_values(["sequence", "step"], kind="stable")[list(plan["kinds"])]

    return _later(sequences, plan["seed"])


def _later(sample: protocol.Sampler, seed: int) -> protocol.Sampler:
    """SDV samples from a fixed seed of its own: seed N throws away N samples before its first."""
    left = [seed]

    def sampler(rows: int) -> Any:
        while left[0] > 0:
            left[0] -= 1
            sample(rows)
        return sample(rows)

    return sampler


def _metadata(table: dict[str, Any]) -> Any:
    return Metadata.load_from_dict({"tables": {TABLE: table}, "relationships": []})


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    names = ("sdv", "ctgan", "copulas", "deepecho", "rdt", "torch", "numpy")
    protocol.serve(fit, names, {"hyperparameters": "defaults"})
