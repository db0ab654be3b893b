"""Evidently's drift report of two Parquet files; runs in its own environment.

Run by `benchmarks.drift`: python -m benchmarks.peers.evidently_peer FOLDER, where FOLDER holds
`baseline.parquet` and `current.parquet`. Writes `evidently.json` and prints what it needed as a line of JSON.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset

#: What is no feature.
KEYS = ("timestamp", "series")


def main(folder: Path) -> None:
    """Reads, computes with the preset's defaults, writes."""
    clock, began_cpu = [time.perf_counter()], time.process_time()
    baseline, current = (
        pd.read_parquet(folder / f"{side}.parquet").drop(columns=list(KEYS))
        for side in ("baseline", "current")
    )
    clock.append(time.perf_counter())
    numeric = [name for name in baseline.columns if pd.api.types.is_numeric_dtype(baseline[name])]
    definition = DataDefinition(
        numerical_columns=numeric,
        categorical_columns=[name for name in baseline.columns if name not in set(numeric)],
    )
    found = Report([DataDriftPreset()]).run(
        Dataset.from_pandas(current, definition), Dataset.from_pandas(baseline, definition)
    )
    clock.append(time.perf_counter())
    found.save_json(str(folder / "evidently.json"))
    clock.append(time.perf_counter())
    metrics = json.loads((folder / "evidently.json").read_text())["metrics"]
    columns = [one for one in metrics if "column" in one["config"]]
    result = {
        "seconds": clock[-1] - clock[0],
        "cpu_seconds": time.process_time() - began_cpu,
        "stages": {
            "read": clock[1] - clock[0],
            "report": clock[2] - clock[1],
            "write": clock[3] - clock[2],
        },
        "measurements": len(columns),
        "report_mb": (folder / "evidently.json").stat().st_size / 1e6,
        # The preset's own rule: at or above the threshold for distances, which it takes from 1,000 rows on.
        "alerts": [
            one["config"]["column"]
            for one in columns
            if "p_value" not in one["config"]["method"] and one["value"] >= one["config"]["threshold"]
        ],
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
