"""Prints how often the noise rule cries wolf on stationary series, and how often it sees a real shift.

Run: python -m benchmarks.drift_calibration [--comparisons 200] [--only measures,power]

Everything goes through profiles and `compare`, as in a run. Rates are of raw p-values at or below the level,
before the false-discovery control; standard errors are over comparisons, since the features of one share
their weather. `measures` takes each measure that judges for itself, on as many independent series as there
are comparisons, without profiles: 2,000 know a rate of 0.05 to 0.005. `quiet` counts alerts after the
control, over thirty spans; `stationary` counts the spans of whole fleets for which `monitor.json` would hold
an alert, whatever alerts.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

# One core: numeric libraries read these when they are imported.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402
import pyarrow as pa  # noqa: E402
from scipy.signal import lfilter  # noqa: E402

from benchmarks import noise_rule, stationary_fleet  # noqa: E402
from components.dataset import DatasetConfig, FeatureConfig  # noqa: E402
from components.drift.core.building import build_profile  # noqa: E402
from components.drift.core.compare import Compared, Rules, compare  # noqa: E402
from components.drift.core.merging import merge, select  # noqa: E402
from components.drift.core.planning import plan_profile  # noqa: E402
from components.drift.core.profile import Profile  # noqa: E402
from components.monitoring import MonitoringConfig  # noqa: E402
from components.simulator.presets import Size  # noqa: E402

LEVELS = (0.05, 0.01)
_NUMERIC = 6
_INTERVAL_S = 900
_AR1 = DatasetConfig(
    series=(),
    features=(
        *(FeatureConfig(name=f"x{place}") for place in range(_NUMERIC)),
        FeatureConfig(name="on", kind="binary"),
        FeatureConfig(name="mode", kind="categorical"),
    ),
    targets=("x0",),
    interval_s=_INTERVAL_S,
)


def ar1_table(days: float, memory_h: float, rng: np.random.Generator, shift: float = 0.0) -> pa.Table:
    """First-order autoregressive features with a daily course and weather that all share.

    Args:
      days: Length.
      memory_h: Correlation time of weather and features.
      rng: Source of the noise.
      shift: Added to `x0` over the last half, in its standard deviations.

    Returns:
      Columns of `_AR1`; four hours in a hundred lack their readings.
    """
    steps = int(days * 86_400 / _INTERVAL_S)
    keep = np.exp(-_INTERVAL_S / 3_600 / memory_h)
    warm = int(8 * memory_h * 3_600 / _INTERVAL_S) + 1
    white = rng.standard_normal((steps + warm, _NUMERIC + 3))
    noise = lfilter([np.sqrt(1 - keep**2)], [1.0, -keep], white, axis=0)[warm:]
    values = 0.8 * noise[:, 1:] + 0.6 * noise[:, :1]
    time_s = np.arange(steps, dtype=np.int64) * _INTERVAL_S
    values += np.cos(2 * np.pi * time_s / 86_400)[:, None]
    columns: dict[str, pa.Array] = {"timestamp": pa.array(time_s * 1_000_000)}
    for place in range(_NUMERIC):
        column = values[:, place]
        if place == 0 and shift:
            column[steps // 2 :] += shift * column[: steps // 2].std()
        gone = np.repeat(rng.random(-(-steps // 4)) < 0.04, 4)[:steps]
        columns[f"x{place}"] = pa.array(column.astype(np.float32), mask=gone)
    columns["on"] = pa.array((values[:, _NUMERIC] > 0.5).astype(np.int64))
    mode = np.searchsorted([-1.5, 0.0, 1.5], values[:, _NUMERIC + 1])
    columns["mode"] = pa.array(np.array(["a", "b", "c", "d"])[mode])
    return pa.table(columns)


def halves(table: pa.Table, dataset: DatasetConfig, share: float) -> tuple[Profile, Profile]:
    """Profiles of the last `share` of a table's buckets, and of those before, planned on the latter."""
    rows = round(table.num_rows * (1 - share))
    plan = plan_profile([table.slice(0, rows)], dataset)
    profile = build_profile([table], dataset, plan)
    cut = round(profile.bucket.size * (1 - share))
    return select(profile, slice(cut, None)), select(profile, slice(0, cut))


def fleet_spans(size: Size, seed: int, spans: int, *, events: bool) -> list[Profile]:
    """Profiles of consecutive spans of a locale of the simulator without its season's trend."""
    fleet = stationary_fleet.stationary(size, seed, events=events)
    return stationary_fleet.profiles_of(fleet, fleet.locales[seed % len(fleet.locales)].name, spans)


@dataclass
class Rates:
    """Share of p-values at or below each level, by measure."""

    below: dict[str, list[list[float]]] = field(default_factory=lambda: defaultdict(list))
    undefined: int = 0
    tests: int = 0
    alerts: int = 0
    comparisons: int = 0

    def add(self, compared: list[Compared]) -> None:
        """Counts one comparison."""
        found: dict[str, list[float]] = defaultdict(list)
        self.comparisons += 1
        self.alerts += any(entry.verdict == "ALERT" for entry in compared)
        for entry in compared:
            for one in entry.measurements:
                if one.rule != "noise":
                    continue
                self.tests += 1
                if one.p_value is None:
                    self.undefined += 1
                elif one.q_value is not None:
                    found[one.measure].append(one.p_value)
                    found["all of them"].append(one.p_value)
        for measure, p_values in found.items():
            below = [float((np.array(p_values) <= level).mean()) for level in LEVELS]
            self.below[measure].append(below)

    def lines(self, case: str) -> Iterator[str]:
        """Rows of a Markdown table."""
        for measure, rates in sorted(self.below.items()):
            table = np.array(rates)
            error = table.std(axis=0) / np.sqrt(max(len(rates) - 1, 1))
            cells = [f"{mean:.3f} ± {se:.3f}" for mean, se in zip(table.mean(axis=0), error)]
            yield f"| {case} | {measure} | {len(rates)} | " + " | ".join(cells) + " |"
        undefined = self.undefined / max(self.tests, 1)
        yield (
            f"| {case} | *any alert after the control* | {self.comparisons} | "
            f"{self.alerts / max(self.comparisons, 1):.3f} | undefined {undefined:.2f} |"
        )


def _ar1(comparisons: int) -> Iterator[tuple[str, Rates]]:
    for days, share in ((12, 1 / 2), (28, 1 / 2), (28, 1 / 4), (70, 1 / 5)):
        for memory_h in (1.0, 4.0, 12.0, 24.0):
            rates = Rates()
            for number in range(comparisons):
                rng = np.random.default_rng([number, int(days), int(memory_h)])
                pair = halves(ar1_table(days, memory_h, rng), _AR1, share)
                rates.add(compare(*pair, Rules(seed=number, draws=499)))
            first = days * share
            yield f"AR(1) {memory_h:g} h, {days - first:g} d then {first:g} d", rates


@dataclass
class Alone:
    """P-values of one measure on independent series."""

    measure: str
    p_values: list[float] = field(default_factory=list)
    short: list[bool] = field(default_factory=list)

    def lines(self, case: str) -> Iterator[str]:
        """Row of a Markdown table."""
        cells = []
        for level in LEVELS:
            rate = float(np.mean(np.array(self.p_values) <= level))
            cells.append(f"{rate:.3f} ± {np.sqrt(rate * (1 - rate) / len(self.p_values)):.3f}")
        short = f" (too short: {np.mean(self.short):.2f})" if any(self.short) else ""
        yield f"| {case}{short} | {self.measure} | {len(self.p_values)} | " + " | ".join(cells) + " |"


def _measures(comparisons: int) -> Iterator[tuple[str, Alone]]:
    for days in ((6, 6), (14, 14)):
        for memory_h in (0.0, 1.0, 4.0, 12.0, 24.0):
            for measure in noise_rule.SIMULATED:
                alone = Alone(measure)
                for seed in range(-(-comparisons // noise_rule.AT_ONCE)):
                    found, short = noise_rule.p_values(measure, days, memory_h, noise_rule.AT_ONCE, seed)
                    alone.p_values += found.tolist()
                    alone.short += short.tolist()
                yield f"{memory_h:g} h, {days[0]} d then {days[1]} d", alone


def _fleet(comparisons: int) -> Iterator[tuple[str, Rates]]:
    for events in (False, True):
        for window in (1, 3):
            rates = Rates()
            for seed in range(max(comparisons // 10, 1)):
                spans = fleet_spans("small", seed, 10 + window, events=events)
                for span in range(window, len(spans)):
                    baseline = merge(spans[span - window : span])
                    rates.add(compare(spans[span], baseline, Rules(seed=seed * 100 + span, draws=499)))
            with_events = "with" if events else "without"
            yield f"simulator {with_events} anomalies, {window} x 6 d then 6 d", rates


def _quiet(comparisons: int) -> Iterator[tuple[str, Rates]]:
    rates = Rates()
    for seed in range(max(comparisons // 30, 1)):
        spans = fleet_spans("demo", 1_000 + seed, 31, events=False)
        for span in range(1, 31):
            rates.add(compare(spans[span], spans[span - 1], Rules(seed=span)))
    yield "simulator, thirty spans of 14 d, each against the one before", rates


def _power(comparisons: int) -> Iterator[tuple[str, Rates]]:
    for days, memory_h in ((12, 1.0), (12, 4.0), (28, 1.0), (28, 4.0), (28, 12.0)):
        rates, seen = Rates(), []
        for number in range(comparisons // 2):
            rng = np.random.default_rng([number, int(days), int(memory_h), 1])
            compared = compare(*halves(ar1_table(days, memory_h, rng, 1.0), _AR1, 0.5), Rules(seed=number))
            seen.append(compared[0].verdict == "ALERT")
            rates.add(compared[1:])
        yield f"x0 shifted by 1 sd, AR(1) {memory_h:g} h, 2 x {days / 2:g} d: seen {np.mean(seen):.2f}", rates


@dataclass
class Watched:
    """Spans of whole fleets, and how many of them alert at each level."""

    least: list[float] = field(default_factory=list)

    def lines(self, case: str) -> Iterator[str]:
        """Rows of a Markdown table."""
        counts = [sum(q <= level for q in self.least) for level in LEVELS]
        cells = [f"{count} = {count / len(self.least):.3f}" for count in counts]
        yield f"| {case} | *spans that alert* | {len(self.least)} | " + " | ".join(cells) + " |"


def _stationary(comparisons: int) -> Iterator[tuple[str, Watched]]:
    for events in (False, True):
        for seed in range(1_000, 1_000 + max(comparisons // 90, 1)):
            fleet, watched = stationary_fleet.stationary("demo", seed, events=events), Watched()
            for locale in fleet.locales:
                profiles = stationary_fleet.profiles_of(fleet, locale.name, 31)
                for found in stationary_fleet.watch(fleet, locale.name, profiles, MonitoringConfig()):
                    watched.least.append(stationary_fleet.least_q(found, MonitoringConfig().alpha))
            with_events = "with" if events else "without"
            yield f"fleet {seed} {with_events} anomalies, three locales, thirty spans of 14 d", watched


_CASES = {
    "measures": _measures,
    "ar1": _ar1,
    "fleet": _fleet,
    "quiet": _quiet,
    "power": _power,
    "stationary": _stationary,
}


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--comparisons", type=int, default=200, help="a case")
    parser.add_argument("--only", default=",".join(_CASES), help=f"of {', '.join(_CASES)}")
    arguments = parser.parse_args()
    print("| case | measure | comparisons | at 0.05 | at 0.01 |\n| --- | --- | --- | --- | --- |")
    for name in arguments.only.split(","):
        begin = time.perf_counter()
        for case, rates in _CASES[name](arguments.comparisons):
            print(*rates.lines(case), sep="\n", flush=True)
        print(f"| ({name}: {time.perf_counter() - begin:.0f} s) | | | | |", flush=True)


if __name__ == "__main__":
    main()
