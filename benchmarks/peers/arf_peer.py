"""An adversarial random forest (arfpy), as its documentation shows it; see `protocol`.

Every hyperparameter is the library's default (30 trees). It takes no nulls: those of a number become the
column's median, those of a category a value of their own.
Source: Watson et al. (2023), "Adversarial random forests for density estimation and generative modeling".
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import protocol
from arfpy import arf


def fit(plan: dict[str, Any], train: Any) -> protocol.Sampler:
    """Grows the forests and fits the densities of their leaves."""
    np.random.seed(plan["seed"])  # noqa: NPY002
    kinds = plan["kinds"]
    frame = protocol.categorical_as_text(train[list(kinds)], kinds)
    numbers = [name for name, kind in kinds.items() if kind == "numerical"]
    frame[numbers] = frame[numbers].fillna(frame[numbers].median())
    forest = arf.arf(x=frame, verbose=False)
    forest.forde()

    def sample(rows: int) -> Any:
        made = forest.forge(n=rows)
        return made.astype({name: "float64" if name in numbers else str for name in kinds})

    return sample


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    protocol.serve(fit, ("arfpy", "scikit-learn", "numpy"), {"hyperparameters": "defaults"})
