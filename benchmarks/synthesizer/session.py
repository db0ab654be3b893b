"""Makes the results that are wanting: runs what was not run, measures what was not measured.

The long range is completed by itself, from the rows that a result was measured on: a result that lacks
nothing else is neither made nor measured anew for it.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.synthesizer import digests, long_range, runners, store
from benchmarks.synthesizer.data import Case, rows_of
from benchmarks.synthesizer.measuring import measure, real_rows
from benchmarks.synthesizer.peers import PeerError

REAL = "real"
Say = Callable[[str], None]


def digests_of(case_digest: str, name: str, config: Mapping[str, Any]) -> store.Digests:
    """What a result of now would stand on."""
    made = "" if name == REAL else runners.digest_of(name, config)
    measured, lasting = (digests.of_code(paths) for paths in (digests.MEASURING, digests.LONG_RANGE))
    return store.Digests(made, case_digest, measured, lasting)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def fill(
    case: Case,
    names: Sequence[str],
    seeds: Sequence[int],
    results: store.Results,
    rows: store.Rows,
    networks: bool,
    config: Mapping[str, Any],
    say: Say = _say,
) -> list[str]:
    """Makes what is missing or stale, seed by seed; every result is on disk before the next is begun.

    Args:
      case: The data set.
      names: Generators; real rows against real ones come by themselves.
      seeds: Of models, samples and measures.
      results: Where results are.
      rows: Where rows are kept.
      networks: With the measures that train networks.
      config: Of ours.
      say: Told what is done.

    Returns:
      A line for each generator that failed.
    """
    data, failed = digests.of_case(case), []
    standing = {name: digests_of(data, name, config) for name in (REAL, *names)}
    for seed in seeds:
        for name, wanted in standing.items():
            found = results.read(case.name, name, seed)
            why = store.wanting(found, wanted, networks)
            if found and not why:
                _complete(case, found, wanted, results, rows, say)
                continue
            began = time.monotonic()
            try:
                result = _make(case, name, seed, results, rows, networks, config, wanted)
            except PeerError as error:
                say(f"{case.name}, {name}, seed {seed}: {error}")
                failed.append(f"{case.name}: {name}, seed {seed}")
                continue
            results.write(result)
            say(f"{case.name}, {name}, seed {seed} ({why}): {time.monotonic() - began:.0f} s")
    return failed


def complete(
    case: Case,
    names: Sequence[str],
    results: store.Results,
    rows: store.Rows,
    say: Say = _say,
) -> None:
    """Measures the long range of every result of this data that lacks it; runs no generator.

    A result of other code than today's is completed as well: what counts is that the rows kept are of the
    code that it names, since its other measures are of them too. It stays stale.

    Args:
      case: The data set.
      names: Generators; real rows come by themselves.
      results: Where results are.
      rows: Where rows are kept.
      say: Told what is done, and of which results the rows are gone.
    """
    data = digests.of_case(case)
    for name, found in results.all().get(case.name, {}).items():
        wanted = digests_of(data, name, {})
        for result in found if name in (REAL, *names) else ():
            if result.digests.data == data:
                _complete(case, result, wanted, results, rows, say)
            else:
                say(f"{case.name}, {name}, seed {result.seed}: measured on other data")


def _complete(
    case: Case,
    result: store.Result,
    wanted: store.Digests,
    results: store.Results,
    rows: store.Rows,
    say: Say,
) -> None:
    if result.digests.long_range == wanted.long_range:
        return
    title = f"{case.name}, {result.generator}, seed {result.seed}"
    if result.generator == REAL:
        found = long_range.reference(case)
    else:
        made = rows.read(case.name, result.generator, result.seed, result.digests)
        if made is None:
            say(f"{title}: long range not measured, the rows are not kept")
            if result.digests.long_range:  # numbers of another measure are none of this column
                _write_long_range(results, result, {}, "")
            return
        found = long_range.measure(case, made.sampled, made.release)
    _write_long_range(results, result, found, wanted.long_range)
    say(f"{title}: long range measured")


def _write_long_range(
    results: store.Results, result: store.Result, found: dict[str, float], digest: str
) -> None:
    standing = dataclasses.replace(result.digests, long_range=digest)
    measures = long_range.without(result.measures) | found
    results.write(dataclasses.replace(result, measures=measures, digests=standing))


def _make(
    case: Case,
    name: str,
    seed: int,
    results: store.Results,
    rows: store.Rows,
    networks: bool,
    config: Mapping[str, Any],
    wanted: store.Digests,
) -> store.Result:
    counts = {"train": case.train.num_rows, "period": case.period.num_rows}
    place, told = store.machine(), {"versions": {}, "settings": {}}
    if name == REAL:
        found = real_rows(case, seed, networks) | long_range.reference(case)
        return store.Result(
            case.name, name, seed, counts, found, **told, machine=place, day=store.today(), digests=wanted
        )
    made = rows.read(case.name, name, seed, wanted)
    if made is None:
        made = runners.run(name, case, seed, config)
        rows.write(case.name, name, seed, wanted, made)
    truth = results.read(case.name, REAL, seed)
    real_tstr = truth.measures.get("tstr", 1.0) if truth else 1.0
    found = measure(case, rows_of(made.sampled, case), seed, networks, real_tstr, made.release)
    found |= long_range.measure(case, made.sampled, made.release)
    told = {key: made.result[key] for key in ("versions", "settings")}
    return store.Result(
        case.name,
        name,
        seed,
        counts,
        found | made.result["cost"],
        **told,
        machine=place,
        day=store.today(),
        digests=wanted,
    )
