"""A fleet of the simulator in which nothing changes, watched span after span as DriftMonitor does it.

The only steps left out are TFX's: rows come from the simulator instead of ExampleGen, and earlier profiles
from memory instead of the disk. Baseline, bins, rules, thresholds, faults, causes and the report are the
component's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc
from tensorflow_metadata.proto.v0 import schema_pb2

from components.dataset import DatasetConfig
from components.drift.core.building import build_profile
from components.drift.core.planning import plan_profile
from components.drift.core.profile import Profile
from components.drift.core.rules import Rules
from components.drift.findings import MonitorReport
from components.drift.judging import report
from components.drift.rules import rules_of
from components.drift_monitor.baselines import BaselineSource
from components.drift_monitor.core import find_drift
from components.drift_monitor.spans import OpenedBaseline, SpanRecord
from components.monitoring import MonitoringConfig
from components.schema_gen.core import set_comparators
from components.simulator.config import FleetConfig, dataset_config
from components.simulator.core.fleet import simulate_locale
from components.simulator.presets import Size, default_fleet
from components.statistics_gen.summary import Comparator, comparators


def stationary(size: Size, seed: int, *, events: bool) -> FleetConfig:
    """The default fleet without its season's trend; with `events`, its anomalies come at a constant rate."""
    fleet = default_fleet(size, seed)
    locales = []
    for locale in fleet.locales:
        thermal = locale.thermal.model_copy(update={"ambient_trend_c_per_day": 0.0})
        update = {"thermal": thermal, "events": locale.events if events else {}}
        locales.append(locale.model_copy(update=update))
    return FleetConfig(locales=tuple(locales), seed=seed, anomalies=fleet.anomalies)


def profiles_of(
    fleet: FleetConfig, locale: str, spans: int, monitoring: MonitoringConfig | None = None
) -> list[Profile]:
    """Profiles of a locale's first spans, on the bins of the very first, as spans inherit them."""
    monitoring, dataset = monitoring or MonitoringConfig(), dataset_config(fleet)
    tables = [_with_times(simulate_locale(fleet, locale, span)) for span in range(spans)]
    plan = plan_profile(tables[:1], dataset, bins=monitoring.bins, bucket_s=monitoring.bucket_s, seed=0)
    return [build_profile([table], dataset, plan) for table in tables]


def watch(
    fleet: FleetConfig, locale: str, profiles: Sequence[Profile], monitoring: MonitoringConfig
) -> Iterator[MonitorReport]:
    """The `monitor.json` of each span from the second on, against the one before it.

    Args:
      fleet: Names of columns.
      locale: Whose spans they are.
      profiles: `profiles_of`.
      monitoring: The section.
    """
    dataset = dataset_config(fleet)
    numbers = _comparators(dataset, monitoring)

    def rules_for(baseline: OpenedBaseline) -> Rules:
        return rules_of(monitoring, dataset, numbers, seed=0)

    for span in range(1, len(profiles)):
        source = BaselineSource(kind="previous", profiles=("memory",))
        records = [SpanRecord(span=at, dataset_digest=dataset.digest()) for at in (span - 1, span)]
        before = OpenedBaseline(source, f"span {span - 1}", profiles[span - 1], records[0])
        found = find_drift(profiles[span], records[1], [before], rules_for, monitoring, locale)
        sharing = fleet.locale(locale).sharing
        yield report(found, zone=locale, sharing=sharing, span=span, monitoring=monitoring)


def least_q(found: MonitorReport, alpha: float) -> float:
    """The level from which on a span alerts: its least q-value; 0 where a number or a fault alerts anyway.

    p- and q-values do not depend on the level, so that one run answers for every level.
    """
    judged = [item for finding in found.findings for item in finding.measurements]
    q_values = [item.q_value for item in judged if item.q_value is not None]
    for finding in found.findings:
        by_noise = any(item.q_value is not None and item.q_value <= alpha for item in finding.measurements)
        others = [item for item in finding.measurements if item.verdict == "ALERT" and item.q_value is None]
        if finding.verdict == "ALERT" and (others or not by_noise):
            return 0.0
    return min(q_values, default=1.0)


def alerts_of(found: MonitorReport) -> list[str]:
    """Each alert in words: where, what, by which measures, why. Empty for a quiet span."""
    return [
        f"{found.zone} span {found.span} {finding.feature}: "
        + ", ".join(
            f"{item.measure} {item.rule} q {item.q_value or 0:.3g}"
            for item in finding.measurements
            if item.verdict == "ALERT"
        )
        + f" ({finding.cause.name if finding.cause else '?'}) {finding.reason}"
        for finding in found.findings
        if finding.verdict == "ALERT"
    ]


def _comparators(dataset: DatasetConfig, monitoring: MonitoringConfig) -> dict[str, Comparator]:
    """The numbers of the schema, as SchemaGen writes them."""
    schema = schema_pb2.Schema(feature=[{"name": name} for name in dataset.feature_names()])  # type: ignore[list-item]
    set_comparators(schema, dataset, monitoring)
    return comparators(schema, "drift")


def _with_times(table: pa.Table) -> pa.Table:
    times = pc.cast(table["timestamp"], pa.timestamp("us", "UTC"))
    return table.set_column(table.schema.get_field_index("timestamp"), "timestamp", times)
