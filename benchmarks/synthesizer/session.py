"""Makes the results that are wanting: runs what was not run, measures what was not measured."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.synthesizer import digests, runners, store
from benchmarks.synthesizer.data import Case, rows_of
from benchmarks.synthesizer.measuring import measure, real_rows
from benchmarks.synthesizer.peers import PeerError

REAL = "real"


def digests_of(case_digest: str, name: str, config: Mapping[str, Any]) -> store.Digests:
    """What a result of now would stand on."""
    made = "" if name == REAL else runners.digest_of(name, config)
    return store.Digests(made, case_digest, digests.of_code(digests.MEASURING))


def fill(
    case: Case,
    names: Sequence[str],
    seeds: Sequence[int],
    results: store.Results,
    rows: store.Rows,
    networks: bool,
    config: Mapping[str, Any],
    say: Callable[[str], None] = lambda text: print(text, file=sys.stderr, flush=True),
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
            why = store.wanting(results.read(case.name, name, seed), wanted, networks)
            if not why:
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
        found = real_rows(case, seed, networks)
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
