"""TabularARGN, flat, of MOSTLY AI's engine; see `protocol`.

Every setting is the library's default: the medium model, at most 100 epochs with early stopping, rare values
protected.
Source: Tiwald et al. (2025), "TabularARGN: a flexible and efficient auto-regressive framework".
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import protocol
import torch
from mostlyai.engine import TabularARGN


def fit(plan: dict[str, Any], train: Any) -> protocol.Sampler:
    """Trains on independent rows."""
    kinds = plan["kinds"]
    model = TabularARGN(random_state=plan["seed"], device="cpu")
    model.fit(protocol.categorical_as_text(train[list(kinds)], kinds))
    return lambda rows: model.sample(n_samples=rows)[list(kinds)]


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    protocol.serve(fit, ("mostlyai-engine", "torch", "numpy"), {"hyperparameters": "defaults"})
