"""The table of generators: fidelity, time structure, membership and cost, generator by generator.

Run: python -m benchmarks.synthesizer [--data dense fleet smap] [--csv FILE ...] [--seeds 1] [--quick]
     [--generators NAME ...] [--config JSON] [--json OUT]

Each generator learns a data set's training rows and is sampled on the times of its whole period; what the
columns mean stands in `measures` and `networks`, how rows are divided in `data`. `real` compares the even
hours of the real rows with the odd ones. `--quick` leaves out what trains networks. Asserts nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.synthesizer.runners import ONE_THREAD

for _name, _value in ONE_THREAD.items():  # read when NumPy is first imported
    os.environ.setdefault(_name, _value)

import numpy as np  # noqa: E402
import pyarrow as pa  # noqa: E402

from benchmarks.synthesizer import data, measures, recall, runners  # noqa: E402

#: Key, title, the bound that is aimed at (None: none), whether more is better, decimals.
COLUMNS: tuple[tuple[str, str, float | None, bool, int], ...] = (
    ("marginal", "marginal", 0.965, True, 3),
    ("worst", "worst col.", 0.91, True, 3),
    ("pair", "pair corr.", 0.98, True, 3),
    ("acf", "ACF err.", 0.05, False, 3),
    ("acf_local", "local ACF", 0.14, False, 3),
    ("step", "step KS", 0.95, True, 3),
    ("tstr_ratio", "TSTR/real", 0.187 / 0.181, False, 3),
    ("auc", "GRU AUC", 0.70, False, 3),
    ("excess", "membership", 0.01, False, 3),
    ("alone", "analogue KS", 0.957, True, 3),
    ("alone_acf", "its ACF err.", 0.08, False, 3),
    ("recall_kept", "recall kept", recall.WANTED, True, 3),
    ("fit_cpu_s", "fit CPU s", 85.0, False, 1),
    ("rows_per_cpu_s", "rows/CPU s", 300_000.0, True, 0),
)


def measure(
    case: data.Case,
    rows: data.Rows,
    seed: int,
    networks: bool,
    real_tstr: float,
    release: pa.Table | None = None,
) -> dict[str, float]:
    """Everything that the table says of one generator's rows but their cost; `release` has labels."""
    period, train, holdout = (data.rows_of(t, case) for t in (case.period, case.train, case.holdout))
    out = measures.summary(period.values, period.segment, rows.values, rows.segment)
    inside, outside = (train.values, train.segment), (holdout.values, holdout.segment)
    attack, control = measures.membership(rows.values, rows.segment, inside, outside, seed)
    out |= {"excess": attack - control, "attack": attack, "control": control}
    out |= alone(case, period, rows)
    out |= recall.numbers_of(recall.kept(case, release, seed))
    if networks:
        from benchmarks.synthesizer.networks import Scale, discriminative_auc, forecast_error

        scale, test = Scale(period.values), data.rows_of(case.test, case)
        made = (rows.values, rows.segment)
        error, _ = forecast_error(scale, made, (test.values, test.segment), seed)
        out |= {"tstr": error, "tstr_ratio": error / real_tstr}
        out["auc"] = discriminative_auc(scale, (period.values, period.segment), made, seed)
    return out


def alone(case: data.Case, real: data.Rows, made: data.Rows) -> dict[str, float]:
    """The analogue column by itself, where the case names one."""
    if case.alone is None:
        return {}
    place = case.dataset.feature_names().index(case.alone)
    sides = [(rows.values[:, [place]], rows.segment) for rows in (real, made)]
    return {
        "alone": float(measures.margins(sides[0][0], sides[1][0])[0]),
        "alone_acf": float(measures.acf_errors(*sides[0], *sides[1])[0]),
    }


def real_rows(case: data.Case, seed: int, networks: bool) -> dict[str, float]:
    """Real against real: even against odd hours, and what a forecaster learns from the training rows."""
    period = data.rows_of(case.period, case)
    halves = []
    for parity in (0, 1):
        own = period.hour == parity
        row = np.flatnonzero(own)
        # Two hours of one parity are never neighbours.
        breaks = np.diff(row) > 1
        segment = np.cumsum(np.r_[True, breaks | (np.diff(period.segment[own]) != 0)]) - 1
        halves.append(data.Rows(period.values[own], segment.astype(np.int64), period.hour[own]))
    even, odd = halves
    out = measures.summary(even.values, even.segment, odd.values, odd.segment)
    out |= alone(case, even, odd)
    # Other real rows in place of a release: what a generator could reach that knows the process.
    out |= recall.numbers_of(recall.kept(case, case.again, seed))
    if networks:
        from benchmarks.synthesizer.networks import Scale, discriminative_auc, forecast_error

        scale = Scale(period.values)
        train, test = data.rows_of(case.train, case), data.rows_of(case.test, case)
        sides = (train.values, train.segment), (test.values, test.segment)
        out["tstr"], out["persistence"] = forecast_error(scale, *sides, seed)
        out["tstr_ratio"] = 1.0
        out["auc"] = discriminative_auc(scale, (even.values, even.segment), (odd.values, odd.segment), seed)
    return out


def render(case: data.Case, found: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """Markdown: a row per generator, means over the seeds, bold where the bound is met."""
    used = [column for column in COLUMNS if any(column[0] in run for runs in found.values() for run in runs)]
    arrows = " | ".join(f"{title} {'↑' if more else '↓'}" for _, title, _, more, _ in used)
    lines = [f"| {case.name} | {arrows} |", "| --- |" + " --- |" * len(used)]
    for name, runs in found.items():
        cells = []
        for key, _, bound, more, decimals in used:
            values = [run[key] for run in runs if key in run]
            if not values:
                cells.append("")
                continue
            mean = float(np.mean(values))
            text = f"{mean:,.{decimals}f}"
            spread = f" ± {np.std(values, ddof=1):,.{decimals}f}" if len(values) > 1 else ""
            met = bound is not None and (mean >= bound if more else mean <= bound)
            cells.append((f"**{text}**" if met and name != "real" else text) + spread)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    bounds = [f"{'≥' if more else '≤'} {bound:,.{d}f}" if bound else "" for _, _, bound, more, d in used]
    lines.append("| *wanted* | " + " | ".join(bounds) + " |")
    return "\n".join(lines)


def run(
    case: data.Case, names: Sequence[str], seeds: int, networks: bool, config: Mapping[str, Any]
) -> dict[str, list[dict[str, float]]]:
    """Measures of real rows and of each generator, by seed."""
    found: dict[str, list[dict[str, float]]] = {"real": []}
    for seed in range(seeds):
        truth = real_rows(case, seed, networks)
        found["real"].append(truth)
        for name in names:
            made = runners.RUNNERS[name](case, seed, config)
            row = measure(case, made.rows, seed, networks, truth.get("tstr", 1.0), made.release)
            row |= made.cost
            found.setdefault(name, []).append(row)
    return found


def main() -> int:
    """Prints a table per data set."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", nargs="*", choices=("dense", "fleet", "smap"), default=None)
    parser.add_argument("--csv", nargs="*", type=Path, default=[], help="dense telemetry of your own")
    parser.add_argument("--interval-s", type=float, default=60.0, help="cadence of the CSV files")
    parser.add_argument("--timestamp", default="timestamp", help="time column of the CSV files")
    parser.add_argument("--smap-root", type=Path, default=data.SMAP)
    parser.add_argument("--generators", nargs="*", choices=tuple(runners.RUNNERS), default=None)
    parser.add_argument("--seeds", type=int, default=1, help="how many, from 0; the table shows means")
    parser.add_argument("--config", type=json.loads, default={}, help="of ours, as JSON")
    parser.add_argument("--quick", action="store_true", help="without the measures that train networks")
    parser.add_argument("--json", type=Path, help="also write everything measured here")
    options = parser.parse_args()
    shipped = options.data if options.data is not None else [] if options.csv else ["dense", "fleet", "smap"]
    names = tuple(options.generators if options.generators is not None else runners.RUNNERS)
    cases = [data.named(path, options.interval_s, options.timestamp) for path in options.csv]
    cases += data.shipped(tuple(shipped), 0, options.smap_root)
    report = {}
    for case in cases:
        found = run(case, names, options.seeds, not options.quick, options.config)
        print(f"\n{case.train.num_rows:,} training rows of {case.period.num_rows:,}", flush=True)
        print(render(case, found), flush=True)
        if kinds := recall.render(case, found):
            print(f"\n{kinds}", flush=True)
        report[case.name] = found
    if options.json:
        options.json.write_text(json.dumps(report, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
