"""Cases with a known cause: one injected into simulated spans, compared and named as monitoring does it.

A case is a truth and a way to make it. What a generator does is stood in for by other days of the same
locale (a generator without error), and by those days with one error put into one column.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from components.dataset import DatasetConfig
from components.drift.core.building import build_profile
from components.drift.core.cause import Side, name_cause
from components.drift.core.compare import Compared, Rules, compare
from components.drift.core.faults import Fault, SchemaChange, find_faults
from components.drift.core.planning import plan_profile
from components.drift.core.profile import Profile, ProfilePlan
from components.drift.findings import ALL_FEATURES, Comparison
from components.simulator.config import Channel, FaultConfig, FleetConfig, dataset_config
from components.simulator.core.fleet import simulate_locale

ALPHA = 0.05
DRAWS = 999
#: Days that stand in for synthetic rows begin this many spans later.
STAND_IN = 20
NOTHING = "(no alert)"

CHANNELS: tuple[Channel, ...] = ("temp_c", "soc", "bus_voltage_v", "current_a", "pressure_kpa", "flow_lpm")


@dataclasses.dataclass(frozen=True)
class Named:
    """What became of a case.

    Attributes:
      truth: Cause that was injected.
      named: Cause that was named, or `NOTHING`.
      what: The case in words.
      others: Causes of the other alerts: feature and name.
      off_buckets: Begin and end of a fault against the truth, in buckets; empty for other causes.
    """

    truth: str
    named: str
    what: str
    others: tuple[tuple[str, str], ...] = ()
    off_buckets: tuple[float, ...] = ()


Case = Callable[[], Named]
#: One error of a generator: synthetic rows to worse ones.
Spoil = Callable[[pa.Table], pa.Table]
#: By which the worst alert is found.
WORST = ("jensen_shannon_divergence", "infinity_norm")


def table_of(fleet: FleetConfig, locale: str, span: int) -> pa.Table:
    """A locale's span as profiles are built from: times in microseconds."""
    table = simulate_locale(fleet, locale, span)
    stamps = pc.strptime(table["timestamp"], format="%Y-%m-%dT%H:%M:%SZ", unit="us").cast(pa.int64())
    return table.set_column(table.column_names.index("timestamp"), "timestamp", stamps)


def profiles(now: pa.Table, before: pa.Table, dataset: DatasetConfig) -> tuple[Profile, Profile]:
    """Two profiles under the plan of the second."""
    plan = plan_profile([before], dataset)
    return build_profile([now], dataset, plan), build_profile([before], dataset, plan)


def rules(thresholds: bool = False, row_rate: bool = True) -> Rules:
    """The noise rule; with `thresholds` also numbers that everything exceeds."""
    numbers = {name: {"jensen_shannon_divergence": 1e-6} for name in CHANNELS} if thresholds else {}
    return Rules(alpha=ALPHA, draws=DRAWS, thresholds=numbers, row_rate=row_rate)


def drift_case(
    truth: str,
    what: str,
    fleet: FleetConfig,
    locale: str,
    span: int,
    column: str = ALL_FEATURES,
    columns: SchemaChange | None = None,
    thresholds: bool = False,
    fault: FaultConfig | None = None,
) -> Named:
    """A span against the one before it, as a region does it."""
    here = region(fleet, fleet, locale, span, columns=columns)
    found = compare(here.now, here.before, rules(thresholds))
    off = off_by(here.faults, fault, fleet, locale, span, here.now.plan) if fault else ()
    return verdict(truth, what, causes_of(found, "drift", [here.side(())]), here.faults, column, off)


@dataclasses.dataclass(frozen=True)
class Region:
    """A locale in its span, as its own pipeline sees it."""

    locale: str
    now: Profile
    before: Profile
    faults: tuple[Fault, ...]
    drift: tuple[Compared, ...] = ()
    generator: tuple[Compared, ...] = ()
    synthetic: pa.Table | None = None

    def side(self, released: Sequence[str] = ("drift", "generator")) -> Callable[[str], Side]:
        """What is known of a feature's alert."""

        def of(feature: str) -> Side:
            related = {
                name: next((e.measurements for e in getattr(self, name) if e.feature == feature), ())
                for name in released
            }
            return Side(self.locale, self.faults, **related)

        return of


def region(
    fleet: FleetConfig,
    fleet_before: FleetConfig,
    locale: str,
    span: int,
    *,
    columns: SchemaChange | None = None,
    spoil: Spoil | None = None,
    synthetic: bool = False,
) -> Region:
    """Profiles and faults of a locale; with `synthetic` also its stand-in for synthetic rows."""
    dataset = dataset_config(fleet)
    real = table_of(fleet, locale, span)
    before = table_of(fleet_before, locale, span - 1)
    now_profile, before_profile = profiles(real, before, dataset)
    faults = tuple(find_faults(now_profile, before_profile, columns=columns))
    here = Region(locale, now_profile, before_profile, faults)
    if not synthetic:
        return here
    made = stand_in(fleet, locale, span, spoil)
    plan = now_profile.plan
    return dataclasses.replace(
        here,
        drift=tuple(compare(now_profile, before_profile, rules())),
        generator=tuple(compare(now_profile, build_profile([made], dataset, plan), rules(row_rate=False))),
        synthetic=made,
    )


def generator_case(
    truth: str,
    what: str,
    fleet: FleetConfig,
    locale: str,
    span: int,
    column: str,
    spoil: Spoil | None,
    thresholds: bool = False,
) -> Named:
    """Real against synthetic rows inside a region."""
    dataset = dataset_config(fleet)
    here = region(fleet, fleet, locale, span)
    made = build_profile([stand_in(fleet, locale, span, spoil)], dataset, here.now.plan)
    found = compare(here.now, made, rules(thresholds, row_rate=False))
    return verdict(truth, what, causes_of(found, "generator", [here.side(())]), here.faults, column)


def skew_case(
    truth: str,
    what: str,
    fleet: FleetConfig,
    span: int,
    column: str,
    *,
    fleet_before: FleetConfig | None = None,
    spoil: Spoil | None = None,
    thresholds: bool = False,
) -> Named:
    """Synthetic rows of the fleet's first locale against those of its second, as the centre has them."""
    dataset = dataset_config(fleet)
    first, second = (locale.name for locale in fleet.locales[:2])
    past = fleet_before or fleet
    sides = [
        region(fleet, past, name, span, spoil=spoil if name == first else None, synthetic=True)
        for name in (first, second)
    ]
    made = [side.synthetic for side in sides]
    found = compare(*profiles(made[0], made[1], dataset), rules(thresholds, row_rate=False))
    causes = causes_of(found, "skew", [side.side() for side in sides])
    return verdict(truth, what, causes, sides[0].faults, column)


def stand_in(fleet: FleetConfig, locale: str, span: int, spoil: Spoil | None) -> pa.Table:
    """Synthetic rows of a span: those of a later one, moved to its time, with one error or none."""
    later = fleet.model_copy(
        update={"faults": tuple(f.model_copy(update={"span": f.span + STAND_IN}) for f in fleet.faults)}
    )
    table = table_of(later, locale, span + STAND_IN)
    stamps = pc.subtract(table["timestamp"], STAND_IN * fleet.locale(locale).days * 86_400_000_000)
    table = table.set_column(table.column_names.index("timestamp"), "timestamp", stamps)
    return spoil(table) if spoil else table


def causes_of(
    found: Sequence[Compared],
    comparison: Comparison,
    sides: Sequence[Callable[[str], Side]],
) -> list[tuple[Compared, str]]:
    """Each alert with its cause."""
    return [
        (
            entry,
            name_cause(
                comparison,
                entry.feature,
                entry.measurements,
                [side(entry.feature) for side in sides],
                alpha=ALPHA,
                time_line=entry.time_line,
            ).name,
        )
        for entry in found
        if entry.verdict == "ALERT"
    ]


def verdict(
    truth: str,
    what: str,
    causes: Sequence[tuple[Compared, str]],
    faults: Sequence[Fault],
    column: str,
    off: tuple[float, ...] = (),
) -> Named:
    """The case's name: of the column's alert, else of its fault, else of the worst alert."""

    def far(entry: Compared) -> float:
        return max((m.value or 0.0 for m in entry.measurements if m.measure in WORST), default=0.0)

    own = [name for entry, name in causes if entry.feature == column]
    worst = [name for _, name in sorted(causes, key=lambda pair: -far(pair[0]))]
    mine = [fault.name for fault in faults if fault.feature in (column, ALL_FEATURES)]
    name = (own + mine + worst + [fault.name for fault in faults] + [NOTHING])[0]
    return Named(truth, name, what, tuple((e.feature, n) for e, n in causes), off)


def off_by(
    faults: Sequence[Fault],
    truth: FaultConfig,
    fleet: FleetConfig,
    locale: str,
    span: int,
    plan: ProfilePlan,
) -> tuple[float, ...]:
    """How far the found begin and end lie from the truth, in buckets; empty where it was not found."""
    where = fleet.locale(locale)
    start = pd.Timestamp(fleet.start_date).timestamp() + span * where.days * 86_400
    length = where.days * 86_400
    for fault in faults:
        if fault.name == truth.kind:
            begin = pd.Timestamp(fault.begin).timestamp()
            end = pd.Timestamp(fault.end).timestamp() if fault.end else start + length
            late = truth.seconds if truth.kind == "clock_shift" else 0.0
            apart = (
                begin - max(start, start + truth.begin * length + late),
                end - min(start + length, start + truth.end * length + late),
            )
            return tuple(each / plan.bucket_s for each in apart)
    return ()
