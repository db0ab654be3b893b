"""DoppelGANger of gretel-synthetics; see `protocol`.

It learns many short sequences: the training rows are cut into overlapping windows, whose rows it makes in
steps of six. Batches of 100 instead of 1,024, because its documentation wants them smaller than the number of
sequences; every other hyperparameter is the library's default (400 epochs). It fills nulls of numbers itself.
Source: Lin et al. (2020), "Using GANs for sharing networked time series data".
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
from gretel_synthetics.timeseries_dgan.config import DfStyle, DGANConfig
from gretel_synthetics.timeseries_dgan.dgan import DGAN

#: Rows that one step of its recurrent network makes.
SAMPLE_LEN = 6
BATCH = 100


def fit(plan: dict[str, Any], train: Any) -> protocol.Sampler:
    """Trains on the windows."""
    np.random.seed(plan["seed"])  # noqa: NPY002
    torch.manual_seed(plan["seed"])
    kinds, length = plan["kinds"], plan["length"]
    model = DGAN(DGANConfig(max_sequence_len=length, sample_len=SAMPLE_LEN, batch_size=BATCH, cuda=False))
    model.train_dataframe(
        protocol.categorical_as_text(train, kinds),
        feature_columns=list(kinds),
        example_id_column="sequence",
        time_column="step",
        discrete_columns=[name for name, kind in kinds.items() if kind == "categorical"],
        df_style=DfStyle.LONG,
    )
    return lambda rows: model.generate_dataframe(-(-rows // length))[list(kinds)]


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    told = {"sample_len": SAMPLE_LEN, "batch_size": BATCH, "other hyperparameters": "defaults"}
    protocol.serve(fit, ("gretel-synthetics", "torch", "numpy"), told)
