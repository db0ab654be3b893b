"""The table of generators: fidelity, time structure, membership and cost, ours beside its peers.

Run: python -m benchmarks.synthesizer [--data dense fleet smap] [--csv FILE ...] [--seeds 5] [--quick]
     [--generators NAME ...] [--config JSON] [--results DIR] [--complete] [--table print|docs] [--plots]

Each generator learns a data set's training rows and is sampled on the times of its whole period; what the
columns mean stands in `measures`, `networks` and `long_range`, how rows are divided in `data`, what a peer
gets in `peers`. Peers' environments are made where they are not there (`benchmarks/peers`). `real` compares
the even hours of the real rows with the odd ones, of the long range another span. `--quick` leaves out what
trains networks.

Every result is a file below `--results`, written as soon as it is measured: a run that was cut short goes on
where it was, and one after a change makes only what the change made stale. `--complete` runs no generator: it
measures the long range of results that lack it, where the rows that they stand on are kept, be they of
today's code or not. `--table` shows what is there without running anything; `docs` writes it into
docs/synthesizer.md. `--plots` draws the pictures of docs/images from the rows that were kept. Exit status 1
where a generator failed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from benchmarks.synthesizer.peers import ONE_THREAD

for _name, _value in ONE_THREAD.items():  # read when NumPy is first imported
    os.environ.setdefault(_name, _value)

from benchmarks.peers.environment import ROOT  # noqa: E402
from benchmarks.synthesizer import (  # noqa: E402
    data,
    digests,
    measures,
    recall,
    runners,
    session,
    store,
    table,
)

#: Committed; of data sets that anyone can make or fetch.
RESULTS = ROOT / "benchmarks" / "synthesizer" / "results"
#: Not committed: rows that were made, and results of a user's own data.
KEPT = ROOT / "runs" / "synthesizer"
PAGE = ROOT / "docs" / "synthesizer.md"


def show(found: table.Found, name: str, stale: frozenset[str] = frozenset()) -> None:
    """Prints a data set's tables."""
    for text in table.tables(name, found, stale):
        print(f"\n{text}", flush=True)
    measures = {one: [run.measures for run in found[one]] for one in table.ordered(found)}
    if kinds := recall.render(name, measures):
        print(f"\n{kinds}", flush=True)
    if note := table.copying_note({name: found}):
        print(f"\n{note}", flush=True)


def main() -> int:
    """Makes what is wanting and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", nargs="*", choices=("dense", "fleet", "smap"), default=None)
    parser.add_argument("--csv", nargs="*", type=Path, default=[], help="dense telemetry of your own")
    parser.add_argument("--interval-s", type=float, default=60.0, help="cadence of the CSV files")
    parser.add_argument("--timestamp", default="timestamp", help="time column of the CSV files")
    parser.add_argument("--smap-root", type=Path, default=data.SMAP)
    parser.add_argument("--generators", nargs="*", choices=tuple(runners.RUNNERS), default=None)
    parser.add_argument("--seeds", type=int, default=5, help="how many, from 0")
    parser.add_argument("--config", type=json.loads, default={}, help="of ours, as JSON")
    parser.add_argument("--quick", action="store_true", help="without the measures that train networks")
    parser.add_argument("--results", type=Path, help="folder of the results; default: of shipped data "
                        "benchmarks/synthesizer/results, with --csv runs/synthesizer/results")  # fmt: skip
    parser.add_argument("--complete", action="store_true", help="only measure the long range of kept rows")
    parser.add_argument("--table", choices=("print", "docs"), help="only show what is there")
    parser.add_argument("--plots", action="store_true", help="only draw what is there")
    options = parser.parse_args()
    results = store.Results(options.results or (KEPT / "results" if options.csv else RESULTS))
    rows = store.Rows(KEPT / "rows")
    if options.table == "docs":
        table.into_page(PAGE, table.document(results.all()))
        return 0
    if options.table == "print":
        for name, found in results.all().items():
            show(found, name)
        return 0
    if options.plots:
        from benchmarks.synthesizer import plots

        return plots.main(rows)
    shipped = options.data if options.data is not None else [] if options.csv else ["dense", "fleet", "smap"]
    names = tuple(options.generators if options.generators is not None else runners.RUNNERS)
    cases = [data.named(path, options.interval_s, options.timestamp) for path in options.csv]
    for case in cases:
        if len(measures.varying(data.numbers(case.period, case))) < 2:
            parser.error(f"{case.name}: fewer than two columns vary in the rows before the test rows")
    cases += data.shipped(tuple(shipped), 0, options.smap_root)
    failed = []
    for case in cases:
        if options.complete:
            session.complete(case, names, results, rows)
            continue
        seeds = range(options.seeds)
        failed += session.fill(case, names, seeds, results, rows, not options.quick, options.config)
        found, own = results.all().get(case.name, {}), digests.of_case(case)
        stale = frozenset(
            name
            for name, runs in found.items()
            if any(store.wanting(run, session.digests_of(own, name, options.config), False) for run in runs)
        )
        print(f"\n{case.train.num_rows:,} training rows of {case.period.num_rows:,}", flush=True)
        show(found, case.name, stale)
    for line in failed:
        print(f"failed: {line}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
