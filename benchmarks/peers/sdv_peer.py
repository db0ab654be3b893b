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
        for _ in range(
            plan["seed"]
        ):  # SDV samples from a fixed seed of its own: another one begins later in it
            synthesizer.sample(1)
        return lambda rows: synthesizer.sample(rows)[TABLE]
    columns |= {"sequence": {"sdtype": "id"}, "step": {"sdtype": "numerical"}}
    table |= {"sequence_key": "sequence", "sequence_index": "step"}
    par = PARSynthesizer(_metadata(table), cuda=False)
    par.fit({TABLE: train})
    length = plan["length"]
    for _ in range(plan["seed"]):
        par.sample_sequences(1, sequence_length=2)

    def sequences(rows: int) -> Any:
        made = par.sample_sequences(-(-rows // length), sequence_length=length)[TABLE]
        return made.sort_values(["sequence", "step"], kind="stable")[list(plan["kinds"])]

    return sequences


def _metadata(table: dict[str, Any]) -> Any:
    return Metadata.load_from_dict({"tables": {TABLE: table}, "relationships": []})


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    names = ("sdv", "ctgan", "copulas", "deepecho", "rdt", "torch", "numpy")
    protocol.serve(fit, names, {"hyperparameters": "defaults"})
