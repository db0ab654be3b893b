"""The baseline in a process of its own, so that its cost is measured as a peer's is; see `protocol`.

Run: python -m benchmarks.peers.copula_var_peer FOLDER, in the project's own environment. FOLDER holds
`train.npz` (`values` [N, F], `segment` [N]) and `plan.json` (`seed`, `lengths` of the series to sample,
`rate_rows`); writes `sampled.npy` [sum of lengths, F] and `result.json`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.peers import protocol
from benchmarks.synthesizer.baseline import CopulaVar


def main(folder: Path) -> None:
    """Fits and samples a series of each length."""
    plan = json.loads((folder / "plan.json").read_text())
    with np.load(folder / "train.npz") as read:
        values, segment = read["values"], read["segment"]
    rng = np.random.default_rng(plan["seed"])
    lengths = list(plan["lengths"])

    def fit() -> protocol.Sampler:
        model = CopulaVar(values, segment)

        def sample(rows: int) -> npt.NDArray[np.float64]:
            wanted = lengths if rows == sum(lengths) else [rows]
            return np.concatenate([model.sample(length, rng) for length in wanted])

        return sample

    sampled, cost = protocol.measured(fit, sum(lengths), plan["rate_rows"])
    np.save(folder / "sampled.npy", sampled)
    result = {"cost": cost, "versions": protocol.versions(("numpy", "scipy")), "settings": {}}
    (folder / "result.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
