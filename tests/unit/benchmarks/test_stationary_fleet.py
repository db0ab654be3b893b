"""A fleet in which nothing changes stays quiet: thirty spans, judged as DriftMonitor judges them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

# The benchmarks are no installed package.
sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from benchmarks import stationary_fleet
from components.drift.core.discovery import q_values
from components.drift.core.profile import Profile
from components.monitoring import MonitoringConfig

#: Not one of the measured fleets of the page on drift.
SEED = 500


def as_if_rows_were_independent(current: Profile, baseline: Profile) -> float:
    """Least q-value of the chi-squared tests of all features' counts, each row taken for itself."""
    found = []
    for place in range(len(current.plan.features)):
        columns = current.plan.columns(place)
        table = np.stack([side.counts[:, columns].sum(axis=0) for side in (current, baseline)])
        found.append(stats.chi2_contingency(table[:, table.sum(axis=0) > 0]).pvalue)
    return float(q_values(np.maximum(found, 1e-300)).min())


@pytest.mark.slow
def test_a_stationary_fleet_over_thirty_spans_alerts_no_more_often_than_alpha_allows() -> None:
    monitoring = MonitoringConfig()
    fleet = stationary_fleet.stationary("demo", SEED, events=False)
    said, wolf, spans = [], 0, 0
    for locale in fleet.locales[:2]:
        profiles = stationary_fleet.profiles_of(fleet, locale.name, 31)
        for found in stationary_fleet.watch(fleet, locale.name, profiles, monitoring):
            assert found.status == "EVALUATED"
            spans += 1
            said += [stationary_fleet.alerts_of(found)] if stationary_fleet.alerts_of(found) else []
            pair = profiles[found.span], profiles[found.span - 1]
            wolf += as_if_rows_were_independent(*pair) <= monitoring.alpha
    # At most alpha of the spans, each by chance alone: more than this happens to one fleet in a thousand.
    allowed = stats.binom.ppf(0.999, spans, monitoring.alpha)
    assert spans == 60 and len(said) <= allowed <= 4, said
    # The same spans with the memory of the series ignored.
    assert wolf > 10 * allowed


def test_a_span_that_alerts_is_told_with_the_level_from_which_on() -> None:
    fleet = stationary_fleet.stationary("small", SEED, events=False)
    name = fleet.locales[0].name
    first, second = stationary_fleet.profiles_of(fleet, name, 2)
    fewer = MonitoringConfig(draws=99)
    (quiet,) = stationary_fleet.watch(fleet, name, [first, second], fewer)
    assert not stationary_fleet.alerts_of(quiet) and stationary_fleet.least_q(quiet, 0.01) > 0.01
    # A number that everything exceeds alerts at every level.
    strict = MonitoringConfig(draws=99, measures={"jensen_shannon_divergence": 0.0})
    (loud,) = stationary_fleet.watch(fleet, name, [first, second], strict)
    assert len(stationary_fleet.alerts_of(loud)) >= 6
    assert stationary_fleet.least_q(loud, 0.01) == 0
