"""What a generator's process and the benchmark say to one another, and how its cost is measured.

A peer is a script: python SCRIPT FOLDER, in an environment of its own. FOLDER holds `train.parquet` (the
columns to learn, and for a peer that models sequences `sequence` and `step`) and `plan.json` (`model`,
`seed`, `rows` to sample, `rate_rows`, `kinds` by column: `numerical` or `categorical`, `length` of a
sequence). It writes `sampled.parquet` and `result.json`. Nothing here needs more than the standard library,
so that every environment can import it.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

#: A second sample, of `rate_rows`, is timed unless it would take longer than this.
RATE_LIMIT_CPU_S = 60.0

#: So many rows, at least, as a frame.
Sampler = Callable[[int], Any]


def cpu_s() -> float:
    """Processor seconds of this process and of the children that it has waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def peak_mb() -> float:
    """The most memory that this process, or the largest of its children, held at a time."""
    # Linux counts in KiB.
    most = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return most * 1024 / 1e6


def measured(fit: Callable[[], Sampler], rows: int, rate_rows: int) -> tuple[Any, dict[str, float]]:
    """Fits, samples, samples again; imports are done before.

    Args:
      fit: Trains, and returns what samples.
      rows: Of the first sample, which is the one that is judged.
      rate_rows: Of the second, which is only timed: nothing is left to load or to compile. Where it would
        take over `RATE_LIMIT_CPU_S`, the first one's rate stands.

    Returns:
      The first sample; and `fit_cpu_s`, `rows_per_cpu_s`, `imports_mb`, `peak_mb`.
    """
    imports_mb = peak_mb()
    began = cpu_s()
    sample = fit()
    fit_cpu_s = cpu_s() - began
    began = cpu_s()
    first = sample(rows)
    seconds, count = max(cpu_s() - began, 1e-3), rows
    if seconds * rate_rows / rows <= RATE_LIMIT_CPU_S:
        began = cpu_s()
        sample(rate_rows)
        seconds, count = max(cpu_s() - began, 1e-3), rate_rows
    cost = {"fit_cpu_s": fit_cpu_s, "rows_per_cpu_s": count / seconds}
    return first, cost | {"imports_mb": imports_mb, "peak_mb": peak_mb()}


def versions(packages: Sequence[str]) -> dict[str, str]:
    """Installed versions, Python's own among them; without the mark of a local build."""
    found = {name: metadata.version(name).split("+")[0] for name in packages}
    return {"python": ".".join(map(str, sys.version_info[:3]))} | found


def serve(
    fit: Callable[[dict[str, Any], Any], Sampler], packages: Sequence[str], settings: dict[str, Any]
) -> None:
    """A peer's whole life: reads its folder (the first argument), works, writes.

    Args:
      fit: Trains on the plan and the training frame, and returns what samples.
      packages: Whose versions are reported.
      settings: What the table says of how it was used.
    """
    import pandas as pd

    folder = Path(sys.argv[1])
    plan = json.loads((folder / "plan.json").read_text())
    train = pd.read_parquet(folder / "train.parquet")
    sampled, cost = measured(lambda: fit(plan, train), plan["rows"], plan["rate_rows"])
    sampled.to_parquet(folder / "sampled.parquet", index=False)
    result = {"cost": cost, "versions": versions(packages), "settings": settings}
    (folder / "result.json").write_text(json.dumps(result))


def categorical_as_text(frame: Any, kinds: dict[str, str]) -> Any:
    """A copy in which categorical columns are text, with "" for null: for peers that take no other."""
    frame = frame.copy()
    for name, kind in kinds.items():
        if kind == "categorical":
            known = frame[name].notna()
            frame[name] = frame[name].astype(str).where(known, "").astype(object)
    return frame
