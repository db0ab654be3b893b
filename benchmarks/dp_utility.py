"""Utility of the differentially private synthesizers against epsilon, on the simulated fleet.

Run: python -m benchmarks.dp_utility [--unit record|window|series] [--methods dp_linear dp_gan]
     [--repeats 5] [--gan] [--out FILE]

Locale eu-west of the demonstration's fleet (three pumps, 14 days, five-minute rows), split as for
`benchmarks.locale_split`. Each repeat draws its noise anew from the operating system, so no seed gives
the same table twice; mean and standard deviation over the repeats are printed. The sampled rows stand on the
public grid and are compared with the holdout by `fidelity_summary`. The rows "inf" are the same fits without
noise (and with the thresholds of epsilon 100): what the models themselves can do. `dp_gan` has no unit
`window`, so there it is left out. `--gan` adds the
adversarial synthesizer, which has no guarantee, trained on the same rows. Asserts nothing.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np
import pyarrow as pa

from benchmarks.locale_split import simulated
from components.dataset import DatasetConfig
from components.release_evaluator.core.fidelity import fidelity_summary
from components.synthesizer_trainer.config import SynthesizerTrainerConfig
from components.synthesizer_trainer.core.dp.budget import plan_release
from components.synthesizer_trainer.core.dp.train import train_dp_synthesizer
from components.synthesizer_trainer.core.panel import MICROSECONDS
from components.synthesizer_trainer.core.planning import Session
from components.synthesizer_trainer.core.sampling import Synthesizer
from components.synthesizer_trainer.public_domains import public_domains
from components.synthetic_gen.core.rows import to_table

EPSILONS = (1.0, 3.0, 8.0, 20.0, float("inf"))
DELTA = 1e-6
#: What is public of the simulated locale: it knows its kinds of anomalies and its period.
KINDS = ("spike", "ramp", "oscillation", "heater_loss")
SESSIONS, DAYS = 3, 14
START = "2024-03-01T00:00:00Z"
#: Largest epsilon that a configuration may name; stands for infinity where nothing but thresholds read it.
NO_NOISE_EPSILON = 100.0
COLUMNS = {
    "marginal_fidelity": "marginal ↑",
    "worst_column_fidelity": "worst column ↑",
    "pairwise_fidelity": "pairs ↑",
    "acf_error": "ACF error ↓",
    "step_change_fidelity": "step change ↑",
    "daily_profile_error": "daily profile error ↓",
    "kinds": f"kinds of {len(KINDS)} ↑",
    "seconds": "fit, s",
}


def trainer_config(
    dataset: DatasetConfig, epsilon: float, unit: str, method: str = "dp_linear", **changes: Any
) -> SynthesizerTrainerConfig:
    """Configuration of one row of the table; bounds from the curated schema."""
    dp: dict[str, Any] = {
        "epsilon": min(epsilon, NO_NOISE_EPSILON),
        "delta": DELTA,
        "unit": unit,
        "kinds": KINDS,
        "period": {"start": START, "end": "2024-03-15T00:00:00Z"},
        **({"max_rows_per_series": 2048} if unit == "series" else {}),
        **changes,
    }
    return SynthesizerTrainerConfig(dataset=dataset, method=method, dp=dp, min_train_rows=50)


def public_grid(dataset: DatasetConfig, start_us: int) -> list[Session]:
    """`SESSIONS` series over the whole period, every interval."""
    interval_us = round(dataset.interval_s * MICROSECONDS)
    steps = np.arange(round(DAYS * 86_400 / dataset.interval_s), dtype=np.int64)
    return [Session(n, start_us, steps, start_us + steps * interval_us) for n in range(SESSIONS)]


def sample(synthesizer: Synthesizer, dataset: DatasetConfig, start_us: int, seed: int) -> pa.Table:
    """Rows on the public grid, anomalies as often as in the model."""
    sessions = synthesizer.plan_events(public_grid(dataset, start_us), {}, seed)
    return to_table(synthesizer, dataset, sessions, synthesizer.sample(sessions, seed))


def run_private(
    train: pa.Table,
    holdout: pa.Table,
    dataset: DatasetConfig,
    epsilon: float,
    unit: str,
    seed: int,
    method: str = "dp_linear",
    **changes: Any,
) -> dict[str, float]:
    """One fit, one sample, one comparison."""
    config = trainer_config(dataset, epsilon, unit, method, **changes)
    assert config.dp is not None and config.dp.period is not None
    # Calibration depends on the configuration alone: not part of a fit's time.
    plan_release(config, public_domains(config))
    noise: Callable[[int], np.ndarray] | None = np.zeros if np.isinf(epsilon) else None
    began = time.perf_counter()
    trained = train_dp_synthesizer(train, config, public_domains(config), seed, "benchmark", noise)
    seconds = time.perf_counter() - began
    start_us = config.dp.period.bounds_us()[0]
    rows = sample(Synthesizer(trained.module), dataset, start_us, seed)
    kinds = len(KINDS) - len(trained.report["withheld"]["kinds"])
    return {**fidelity_summary(holdout, rows, dataset), "kinds": float(kinds), "seconds": seconds}


def run_gan(train: pa.Table, holdout: pa.Table, dataset: DatasetConfig, seed: int) -> dict[str, float]:
    """The adversarial synthesizer with its defaults, on the same rows and grid."""
    from components.synthesizer_trainer.core.panel import build_panel
    from components.synthesizer_trainer.core.training import train_synthesizer
    from components.synthesizer_trainer.transform import analyse

    config = SynthesizerTrainerConfig(dataset=dataset, max_minutes=600)
    began = time.perf_counter()
    analysis = analyse(train, dataset, config.quantiles, "benchmark")
    panel = build_panel(train, dataset, analysis.vocabularies, analysis.kinds, "benchmark")
    trained = train_synthesizer(panel, None, config, analysis.quantiles, analysis.ranges, seed, "benchmark")
    seconds = time.perf_counter() - began
    period = trainer_config(dataset, 1.0, "record").dp
    assert period is not None and period.period is not None
    rows = sample(Synthesizer(trained.module), dataset, period.period.bounds_us()[0], seed)
    return {**fidelity_summary(holdout, rows, dataset), "kinds": float(len(panel.kinds)), "seconds": seconds}


def line(name: str, results: list[dict[str, float]]) -> str:
    """One row of the table: mean ± standard deviation of each column."""
    cells = []
    for key in COLUMNS:
        values = np.array([r[key] for r in results if key in r])
        digits = 1 if key in ("kinds", "seconds") else 3
        spread = f" ± {values.std(ddof=1):.{digits}f}" if len(values) > 1 else ""
        cells.append(f"{values.mean():.{digits}f}{spread}" if len(values) else "undefined")
    return f"| {name} | " + " | ".join(cells) + " |"


def main() -> None:
    """Prints the table as it stands in docs/differential-privacy.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--unit", choices=("record", "window", "series"), default="record")
    parser.add_argument(
        "--methods", nargs="+", choices=("dp_linear", "dp_gan"), default=["dp_linear", "dp_gan"]
    )
    parser.add_argument("--repeats", type=int, default=5, help="fits per epsilon")
    parser.add_argument("--gan", action="store_true", help="also the GAN, once")
    parser.add_argument("--out", type=Path, help="JSON with every single result")
    given = parser.parse_args()
    fleet = simulated(None)
    dataset = fleet.dataset
    print(f"{fleet.train.num_rows} training rows, {fleet.holdout.num_rows} held out; unit {given.unit}\n")
    print("| epsilon | method | " + " | ".join(COLUMNS.values()) + " |")
    print("| --- | --- |" + " --- |" * len(COLUMNS))
    found: dict[str, list[dict[str, float]]] = {}
    methods = [m for m in given.methods if m != "dp_gan" or given.unit != "window"]
    for epsilon, method in itertools.product(EPSILONS, methods):
        name = f"{epsilon:g} | {method}"
        found[name] = [
            run_private(fleet.train, fleet.holdout, dataset, epsilon, given.unit, seed, method)
            for seed in range(given.repeats)
        ]
        print(line(name, found[name]), flush=True)
    if given.gan:
        found["gan"] = [run_gan(fleet.train, fleet.holdout, dataset, 0)]
        print(line("none | gan", found["gan"]), flush=True)
    if given.out:
        given.out.write_text(json.dumps({"unit": given.unit, "delta": DELTA, "results": found}, indent=1))


if __name__ == "__main__":
    main()
