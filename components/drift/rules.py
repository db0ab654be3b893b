"""From the `monitoring` section and a schema's comparators to the rules of a comparison."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from components.dataset import DatasetConfig
from components.drift.core.rules import Rules
from components.drift.findings import ALL_FEATURES, MEASURES, Measure
from components.monitoring import MonitoringConfig

if TYPE_CHECKING:
    from components.statistics_gen.summary import Comparator, FeatureSummary


def rules_of(
    monitoring: MonitoringConfig,
    dataset: DatasetConfig,
    comparators: Mapping[str, Comparator],
    *,
    seed: int,
    tfdv: Mapping[str, Mapping[Measure, float]] | None = None,
    row_rate: bool = True,
) -> Rules:
    """The rules of one comparison.

    Args:
      monitoring: The section.
      dataset: Features, and their units.
      comparators: The schema's, by feature: they set the number for TFDV's two measures, as they do for TFDV.
      seed: Of the resamplings.
      tfdv: TFDV's own values by feature and measure.
      row_rate: Whether both sides are the same fleet, so that rows per bucket can be compared.
    """
    names = [*dataset.compared_names(), ALL_FEATURES]
    thresholds: dict[str, dict[Measure, float]] = {}
    for name in names:
        found: dict[Measure, float] = {}
        if name in comparators:
            found[comparators[name].measure] = comparators[name].threshold
        for measure in MEASURES:
            wanted = monitoring.threshold(name, measure)
            if isinstance(wanted, str):
                found.pop(measure, None)
            elif wanted is not None:
                found[measure] = wanted
        if found:
            thresholds[name] = found
    return Rules(
        alpha=monitoring.alpha,
        correction=monitoring.correction,
        draws=monitoring.draws,
        block_s=monitoring.block_s,
        thresholds=thresholds,
        min_count=monitoring.min_count,
        seed=seed,
        tfdv=tfdv or {},
        units={feature.name: feature.unit for feature in dataset.features if feature.unit},
        row_rate=row_rate,
    )


def tfdv_values(
    current: Mapping[str, FeatureSummary], baseline: Mapping[str, FeatureSummary], features: Iterable[str]
) -> dict[str, dict[Measure, float]]:
    """TFDV's own distance of each feature that both sides have, by TFDV's semantics of its statistics.

    The Jensen-Shannon divergence of numeric statistics, the L-infinity distance of counted ones
    (`components.statistics_gen.core`, which agrees with TFDV's validator to the last digits).
    """
    from components.statistics_gen.summary import Comparator, compare

    found: dict[str, dict[Measure, float]] = {}
    for name in features:
        here, there = current.get(name), baseline.get(name)
        if here is None or there is None or here.numeric != there.numeric:
            continue
        measure: Measure = "jensen_shannon_divergence" if here.numeric else "infinity_norm"
        value = compare(here, there, Comparator(measure, 1.0)).value  # type: ignore[arg-type]
        if value is not None:
            found[name] = {measure: value}
    return found
