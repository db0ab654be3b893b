"""What ours owes to one division of the period into training hours and holdout: several, and their mean.

Run: python -m benchmarks.synthesizer.divisions [--data dense fleet history smap others] [--count 8]
  [--json OUT]

The table divides each period once. Which rare rows come to lie in held-out hours is chance then, and
neither more seeds nor a longer release average it out. Here the held-out hours are chosen anew, ours is
trained anew, and what needs no network is measured, as the table has it. `unseen` is the share of held-out
normal rows whose flags and categories stand together in no training row: a generator that invents no state
samples none of these. `pair, rare merged` is the pair correlation of the training rows themselves, once joint
states of all flags and categories that few rows have are kept back (the synthesizer does so chain by chain):
who keeps them back surpasses it by chance at best. `history` and `others` are sources that the table does not
have. (Of the dense server another seed is another server.)

Where a data set has labelled events that are none of the period's, a second table has the anomaly recall
kept, by kind.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.synthesizer.peers import ONE_THREAD

for _name, _value in ONE_THREAD.items():  # read when NumPy is first imported
    os.environ.setdefault(_name, _value)

import numpy as np  # noqa: E402

from benchmarks.synthesizer import data, measures, recall, runners  # noqa: E402
from benchmarks.synthesizer.intervals import interval  # noqa: E402
from benchmarks.synthesizer.measuring import measure  # noqa: E402
from components.synthesizer_trainer.config import SynthesizerTrainerConfig  # noqa: E402
from components.synthesizer_trainer.core.chains import joint_states  # noqa: E402

#: Name of each column, and the measure's.
MEASURES = {
    "marginal": "marginal",
    "worst column": "worst",
    "pair": "pair",
    "ACF": "acf",
    "local ACF": "acf_local",
    "step KS": "step",
    "analogue's margin": "alone",
    "analogue's ACF": "alone_acf",
    "membership": "excess",
    "by row": "excess_row",
    "recall kept": "recall_kept",
}
COLUMNS = (*MEASURES, "unseen", "pair, rare merged")
DATA = ("dense", "fleet", "history", "smap", "others")


def unseen(train: data.Rows, holdout: data.Rows, discrete: Sequence[int]) -> float:
    """Share of the held-out rows whose discrete columns stand together in no training row, in [0, 1].

    Args:
      train: The training rows.
      holdout: The held-out rows.
      discrete: Places of the columns.
    """
    both = np.concatenate([rows.values[:, discrete] for rows in (train, holdout)])
    state = np.unique(np.nan_to_num(both, nan=-1.0), axis=0, return_inverse=True)[1].reshape(-1)
    known = np.isin(state[len(train.values) :], state[: len(train.values)])
    return float(1 - known.mean())


def rare_merged(rows: data.Rows, discrete: Sequence[int], least: int) -> data.Rows:
    """Rows whose discrete columns stand together in few rows take those of the nearest state that has more.

    Args:
      rows: The training rows.
      discrete: Places of the columns.
      least: Rows that a state needs to stand.
    """
    if not discrete:
        return rows
    levels, codes = zip(
        *(np.unique(rows.values[:, place], return_inverse=True, equal_nan=True) for place in discrete)
    )
    joint = np.stack([own.reshape(-1) for own in codes], axis=1)
    states, index = joint_states(joint, least, len(joint))
    values = rows.values.copy()
    for place, own, column in zip(discrete, levels, states.T):
        values[:, place] = own[column[index]]
    return dataclasses.replace(rows, values=values)


def one(case: data.Case, seed: int) -> dict[str, float]:
    """Ours, trained on a case's training rows and sampled once; what depends on the division.

    Recall is there of the worst kind, and by kind under `KIND/PART` (`recall.numbers_of`).

    Raises:
      PeerError: the training failed.
    """
    made = runners.run(runners.OURS, case, seed, {})
    rows = data.rows_of(made.sampled, case)
    found = measure(case, rows, seed, networks=False, real_tstr=1.0, release=made.release)
    kinds = [feature.kind for feature in case.dataset.features]
    discrete = [place for place, kind in enumerate(kinds) if kind in ("binary", "categorical")]
    train, holdout, period = (data.rows_of(table, case) for table in (case.train, case.holdout, case.period))
    least = SynthesizerTrainerConfig.model_fields["min_state_count"].default
    merged = rare_merged(train, discrete, least)
    known = {column: found[name] for column, name in MEASURES.items() if name in found}
    kinds_of_anomaly = {name: value for name, value in found.items() if "/" in name}
    known["unseen"] = unseen(train, holdout, discrete)
    known["pair, rare merged"] = measures.pair_fidelity(period.values, merged.values)
    return known | kinds_of_anomaly


def render(found: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """Markdown: a row per data set, means over the divisions with their 95 % t intervals, and the range."""
    lines = ["| data | divisions | " + " | ".join(COLUMNS) + " |", "| --- |" + " --- |" * (1 + len(COLUMNS))]
    for name, runs in found.items():
        cells = []
        for column in COLUMNS:
            values = [run[column] for run in runs if column in run]
            mean = interval(values)
            if mean is None:  # no analogue column, or no labelled events
                cells.append("–")
                continue
            half = "" if mean.half is None else f" ± {mean.half:.3f}"
            cells.append(f"{mean.mean:.3f}{half} ({min(values):.3f} to {max(values):.3f})")
        lines.append(f"| {name} | {len(runs)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> int:
    """Trains, measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", nargs="*", choices=DATA, default=["smap"])
    parser.add_argument("--count", type=int, default=8, help="divisions, from seed 0")
    parser.add_argument("--smap-root", type=Path, default=data.SMAP)
    parser.add_argument("--json", type=Path, help="also write what was measured")
    options = parser.parse_args()
    found: dict[str, list[dict[str, float]]] = {}
    for seed in range(options.count):
        for case in data.shipped(tuple(options.data), seed, options.smap_root):
            run = one(case, seed)
            found.setdefault(case.name, []).append(run)
            told = ", ".join(f"{column} {run[column]:.4f}" for column in COLUMNS if column in run)
            print(f"{case.name}, division {seed}: {told}", file=sys.stderr, flush=True)
    print(render(found))
    for name, runs in found.items():
        if table := recall.render(name, {"ours": runs}):
            print(f"\n{table}")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
