"""Injects each cause one at a time, names it, and prints the confusion matrix. Asserts nothing.

Run: python -m benchmarks.causes [--seeds 1000 1001 ...] [--quiet-spans 30]

Seeds below 1000 were used while the rules were written; the reported table is of seeds from 1000 on.
"""

from __future__ import annotations

import argparse
import collections
import functools
import os
import time
from collections.abc import Iterator, Sequence

# One core: numeric libraries read these when they are imported.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402

from benchmarks import generator_errors as errors  # noqa: E402
from benchmarks.cause_cases import (  # noqa: E402
    CHANNELS,
    Case,
    Named,
    drift_case,
    generator_case,
    profiles,
    skew_case,
    table_of,
)
from components.drift.core.faults import SchemaChange, find_faults  # noqa: E402
from components.drift.findings import ALL_FEATURES  # noqa: E402
from components.simulator.config import (  # noqa: E402
    ChangeConfig,
    Channel,
    FaultConfig,
    FleetConfig,
    LocaleConfig,
    dataset_config,
)
from components.simulator.plant_config import ThermalConfig  # noqa: E402
from components.simulator.presets import default_fleet  # noqa: E402

#: Drifts and regional differences that a person would call one: parameter, factor, offset.
PLANT_CHANGES: tuple[tuple[str, float, float], ...] = (
    ("thermal.set_point_c", 1.0, 2.0),
    ("thermal.set_point_c", 1.0, -1.5),
    ("thermal.heater_w", 0.4, 0.0),
    ("thermal.ambient_mean_c", 1.0, -6.0),
    ("thermal.dissipation_w", 1.5, 0.0),
    ("battery.solar_w", 0.75, 0.0),
    ("battery.base_load_w", 1.3, 0.0),
    ("battery.capacity_ah", 0.6, 0.0),
    ("battery.resistance_ohm", 4.0, 0.0),
    ("pump.speed_mean", 0.9, 0.0),
    ("pump.speed_amplitude", 1.6, 0.0),
    ("pump.static_kpa", 1.0, 40.0),
    ("pump.network_kpa_per_lpm2", 1.5, 0.0),
)
WINDOWS = ((0.0, 1.0), (0.4, 0.7), (0.1, 0.25), (0.55, 1.0), (0.0, 0.5))
SHIFTS_S = (3600.0, -3600.0, 7200.0, -10800.0, 19800.0, 43200.0)
UNITS: dict[Channel, tuple[tuple[float, float], ...]] = {
    "temp_c": ((1.8, 32.0), (1.0, 273.15), (10.0, 0.0)),
    "soc": ((100.0, 0.0),),
    "bus_voltage_v": ((1000.0, 0.0), (0.1, 0.0)),
    "current_a": ((1000.0, 0.0), (10.0, 0.0)),
    "pressure_kpa": ((0.1450377, 0.0), (0.01, 0.0), (1000.0, 0.0)),
    "flow_lpm": ((0.06, 0.0), (0.2641721, 0.0), (1 / 60, 0.0)),
}
DATA_FAULTS = ("stuck_sensor", "unit_change", "clock_shift", "silent_gap", "schema_change")


def twins(seed: int) -> FleetConfig:
    """Two locales of the same physics and climate: what differs between them is what is injected."""
    common = {"assets": 3, "days": 7, "interval_s": 600, "asset_spread": 0.0, "sharing": "restricted"}
    still = ThermalConfig(ambient_trend_c_per_day=0.0)
    return FleetConfig(
        seed=seed, locales=tuple(LocaleConfig(name=name, thermal=still, **common) for name in ("aa", "bb"))
    )


def cases(seed: int) -> Iterator[tuple[str, Case]]:
    """What is injected with one seed: about forty cases, places and sizes drawn at random."""
    rng = np.random.default_rng(seed)
    # Six days of two assets every ten minutes, or fourteen of three every five.
    fleet, pair = default_fleet("demo" if seed % 2 else "small", seed), twins(seed)
    yield from _data_faults(fleet, rng)
    yield from _plant_changes(fleet, rng)
    for index in range(3):
        place = _place(pair, rng)  # the fleet's climate has a trend, which is a drift
        yield (
            "sampling_noise",
            functools.partial(drift_case, "sampling_noise", f"drift {index}", pair, *place, thresholds=True),
        )
    yield from _generator(pair, rng)
    yield from _skew(pair, rng)


def _place(fleet: FleetConfig, rng: np.random.Generator) -> tuple[str, int]:
    """A locale and a span."""
    return fleet.locales[rng.integers(len(fleet.locales))].name, int(rng.integers(1, 8))


def _pick(rng: np.random.Generator, values: Sequence):  # type: ignore[no-untyped-def,type-arg]
    return values[rng.integers(len(values))]


def _fault(kind: str, locale: str, span: int, rng: np.random.Generator) -> FaultConfig:
    column = _pick(rng, CHANNELS)
    windows = WINDOWS[1:4] if kind == "silent_gap" else WINDOWS
    if kind == "silent_gap":  # at an edge of the span a gap is a shorter span
        windows = ((0.4, 0.7), (0.1, 0.25), (0.5, 0.55))
    begin, end = (0.0, 1.0) if kind == "schema_change" else _pick(rng, windows)
    return FaultConfig.model_validate(
        {
            "kind": kind,
            "locale": locale,
            "span": span,
            "column": column,
            "begin": begin,
            "end": end,
            "seconds": _pick(rng, SHIFTS_S),
            "unit": _pick(rng, UNITS[column]),
            "assets": _pick(rng, (None, 1)) if kind in ("stuck_sensor", "unit_change") else None,
        }
    )


def _data_faults(fleet: FleetConfig, rng: np.random.Generator) -> Iterator[tuple[str, Case]]:
    for kind in DATA_FAULTS:
        for number in range(4):
            locale, span = _place(fleet, rng)
            fault = _fault(kind, locale, span, rng)
            column = ALL_FEATURES if kind in ("clock_shift", "silent_gap") else fault.column
            renamed = kind == "schema_change" and number % 2
            change = SchemaChange((fault.column,), (f"{fault.column}_v2",)) if renamed else None
            hit = fleet.model_copy(update={"faults": (fault,)})
            what = f"{locale} span {span} {fault.column} {fault.begin:g}-{fault.end:g} {_size(fault)}"
            case = functools.partial(
                drift_case, kind, what, hit, locale, span, column, columns=change, fault=fault
            )
            yield kind, case


def _size(fault: FaultConfig) -> str:
    if fault.kind == "unit_change":
        return f"unit {fault.unit} assets {fault.assets or 'all'}"
    return f"{fault.seconds:g} s" if fault.kind == "clock_shift" else ""


def _change(locale: str, span: int, rng: np.random.Generator) -> ChangeConfig:
    parameter, factor, offset = _pick(rng, PLANT_CHANGES)
    return ChangeConfig(locale=locale, span=span, parameter=parameter, factor=factor, offset=offset)


def _plant_changes(fleet: FleetConfig, rng: np.random.Generator) -> Iterator[tuple[str, Case]]:
    for _ in range(5):
        locale, span = _place(fleet, rng)
        change = _change(locale, span, rng)
        changed = fleet.model_copy(update={"changes": (change,)})
        what = f"{locale} span {span} {change.parameter} x {change.factor:g} + {change.offset:g}"
        yield "drift_in_time", functools.partial(drift_case, "drift_in_time", what, changed, locale, span)


def _errors(rng: np.random.Generator) -> Iterator[tuple[str, str, functools.partial]]:  # type: ignore[type-arg]
    """Each error of a generator once: words, column, function."""
    for error, size in (
        (errors.shifted_mean, _pick(rng, (0.6, -0.6, 1.0))),
        (errors.wrong_variance, _pick(rng, (0.4, 1.8))),
        (errors.wrong_marginal, _pick(rng, (1.5, 3.0))),
        (errors.lost_mode, _pick(rng, (0.3, 0.45))),
        (errors.mixed_up_columns, _pick(rng, ("pressure_kpa", "flow_lpm"))),
    ):
        choices = ("temp_c", "bus_voltage_v", "pressure_kpa", "flow_lpm", "current_a", "soc")
        column = _pick(rng, [name for name in choices if name != size])
        key = "other" if isinstance(size, str) else "size"
        yield (
            f"{error.__name__} {column} {size}",
            column,
            functools.partial(error, column=column, **{key: size}),
        )


def _generator(pair: FleetConfig, rng: np.random.Generator) -> Iterator[tuple[str, Case]]:
    truth = "generator_error"
    for what, column, spoil in _errors(rng):
        locale, span = _place(pair, rng)
        yield truth, functools.partial(generator_case, truth, what, pair, locale, span, column, spoil)
    truth = "sampling_noise"
    yield truth, functools.partial(generator_case, truth, "honest", pair, "aa", 1, ALL_FEATURES, None, True)


def _skew(pair: FleetConfig, rng: np.random.Generator) -> Iterator[tuple[str, Case]]:
    for _ in range(4):
        change = _change("bb", 0, rng)
        other = pair.model_copy(update={"changes": (change,)})
        what = f"skew {change.parameter}"
        truth = "real_regional_difference"
        yield truth, functools.partial(skew_case, truth, what, other, 2, ALL_FEATURES)
    for what, column, spoil in list(_errors(rng))[:: int(rng.integers(1, 3))][:3]:
        truth = "generator_error"
        yield truth, functools.partial(skew_case, truth, f"skew {what}", pair, 2, column, spoil=spoil)
    for _ in range(2):
        change = _change("aa", 2, rng)
        moved = pair.model_copy(update={"changes": (change,)})
        what, truth = f"skew {change.parameter} from span 2", "drift_in_time"
        yield truth, functools.partial(skew_case, truth, what, moved, 2, ALL_FEATURES, fleet_before=pair)
    for kind in ("unit_change", "stuck_sensor"):
        fault = _fault(kind, "aa", 2, rng)
        hit = pair.model_copy(update={"faults": (fault,)})
        what = f"skew {fault.column} {fault.begin:g}-{fault.end:g} {_size(fault)}"
        yield kind, functools.partial(skew_case, kind, what, hit, 2, fault.column, fleet_before=pair)
    truth = "sampling_noise"
    yield truth, functools.partial(skew_case, truth, "skew", pair, 2, ALL_FEATURES, thresholds=True)


def false_faults(seed: int, spans: int) -> list[str]:
    """Faults found where none is: each span against the one before, every locale."""
    fleet = default_fleet("small", seed)
    dataset = dataset_config(fleet)
    found = []
    for locale in fleet.locales:
        tables = [table_of(fleet, locale.name, span) for span in range(spans + 1)]
        for span in range(1, spans + 1):
            pair = profiles(tables[span], tables[span - 1], dataset)
            for fault in find_faults(*pair):
                found.append(f"{locale.name} span {span}: {fault.name} of {fault.feature} {fault.evidence}")
    return found


def table(results: Sequence[Named]) -> str:
    """The confusion matrix in words: rows are what was injected, columns what was named."""
    counts = collections.Counter((each.truth, each.named) for each in results)
    truths = sorted({truth for truth, _ in counts})
    names = truths + sorted({name for _, name in counts} - set(truths))
    lines = ["injected".ljust(26) + "".join(f"{number + 1:>5}" for number in range(len(names)))]
    for number, truth in enumerate(truths):
        row = "".join(f"{counts[truth, name] or '.':>5}" for name in names)
        lines.append(f"{number + 1:>2} {truth:<23}{row}")
    lines += [f"{len(truths) + n + 1:>2} {name}" for n, name in enumerate(names[len(truths) :])]
    right = sum(each.truth == each.named for each in results)
    lines.append(f"{right} of {len(results)} right: {100 * right / max(1, len(results)):.1f} %")
    return "\n".join(lines)


def main() -> None:
    """Names all cases of the seeds, then looks for faults where there are none."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="*", default=list(range(1000, 1008)))
    parser.add_argument("--quiet-spans", type=int, default=30, help="stationary spans a locale and seed")
    options = parser.parse_args()
    begun = time.perf_counter()
    results = [case() for seed in options.seeds for _, case in cases(seed)]
    for each in results:
        if each.truth != each.named:
            print(f"wrong: {each.truth} was named {each.named}: {each.what}; alerts: {each.others}")
    print(table(results))
    alerts = [(each.truth, name) for each in results for _, name in each.others]
    right = sum(truth == name for truth, name in alerts)
    stray = collections.Counter((truth, name) for truth, name in alerts if truth != name)
    for (truth, name), count in stray.most_common():
        print(f"  {count} alerts beside an injected {truth} were named {name}")
    print(f"all alerts of all cases: {right} of {len(alerts)} named as injected")
    off = np.abs([part for each in results for part in each.off_buckets])
    if len(off):
        print(f"begins and ends of faults: {np.mean(off <= 1):.0%} within a bucket, worst {off.max():.1f}")
    print(f"{time.perf_counter() - begun:.0f} s")
    found = [line for seed in options.seeds[:2] for line in false_faults(seed, options.quiet_spans)]
    pairs = len(options.seeds[:2]) * options.quiet_spans * 3
    print("\n".join(found))
    print(f"{len(found)} faults in {pairs} fault-free pairs of spans")


if __name__ == "__main__":
    main()
