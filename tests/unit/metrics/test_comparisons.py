"""How many series there are at most, and which ones."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from components.drift.findings import MEASURES, Finding
from pipeline.config.metrics import MetricsSection
from pipeline.metrics.comparisons import comparison_samples, family_of
from pipeline.metrics.render import render
from pipeline.metrics.samples import Group, Sample
from pipeline.metrics.words import Words, words_of
from tests.unit.metrics.conftest import deployment_of, found, measured, report_of

FEATURES = tuple(f"channel_{number:03}" for number in range(500))
LOCALES = tuple(f"site-{number:02}" for number in range(50))


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Words:
    """Those of 500 features and 50 locales."""
    named = tuple({"name": name} for name in FEATURES)
    root = tmp_path_factory.mktemp("root")
    return words_of(deployment_of(Path(root), named, dict.fromkeys(LOCALES, "open")))


def series(words: Words, findings: list[Finding], **limits: Any) -> list[Sample]:
    return list(comparison_samples(report_of("central", *findings), words, MetricsSection(**limits)))


def features_of(samples: list[Sample], metric: str = "isthmus_drift_alert") -> list[str]:
    return [x.labels[3] for x in samples if x.metric == metric]


def left_out(samples: list[Sample]) -> dict[tuple[str, ...], float]:
    return {x.labels: x.value for x in samples if x.metric == "isthmus_drift_findings_left_out"}


def test_500_features_of_50_locales_stay_within_the_limits(words: Words) -> None:
    findings = [
        found(
            locale, feature, measured("kolmogorov_smirnov", (row * 7 % 500) / 500, threshold=0.9, p_value=0.2)
        )
        for locale in LOCALES
        for row, feature in enumerate(FEATURES)
    ]
    samples = series(words, findings)
    shown = Counter(x.labels[0] for x in samples if x.metric == "isthmus_drift_alert")
    assert shown == dict.fromkeys(LOCALES, 25)
    assert left_out(samples) == {(locale, "drift"): 475 for locale in LOCALES}
    # The rest is counted, nothing is lost: 1,250 with four series each and 50 counts of what is left out.
    assert len(samples) == 1250 * 4 + 50 and len(samples) <= MetricsSection().max_series + 50
    kept = {x.labels[3] for x in samples if x.metric == "isthmus_drift_alert"}
    assert kept == {name for row, name in enumerate(FEATURES) if row * 7 % 500 >= 475}
    assert len(render([Group("d", "central", tuple(samples))])) < 2_000_000


def test_the_limit_of_series_holds_where_that_of_features_does_not(words: Words) -> None:
    findings = [
        found(
            a,
            "channel_001",
            measured("infinity_norm", number / 50),
            comparison="skew",
            against=b,
            baseline="",
        )
        for a in LOCALES
        for number, b in enumerate(LOCALES)
        if a != b
    ]
    samples = series(words, findings, max_series=300)
    assert sum(x.metric != "isthmus_drift_findings_left_out" for x in samples) == 300
    assert sum(left_out(samples).values()) == len(findings) - 150
    assert series(words, findings, max_series=0) == [
        Sample("isthmus_drift_findings_left_out", (a, "skew"), 49) for a in LOCALES
    ]


def test_the_worst_come_first(words: Words) -> None:
    a, b, c, d, e, f = FEATURES[:6]
    findings = [
        found("site-00", a, measured("infinity_norm", 0.19, threshold=0.2)),
        found("site-00", b, measured("infinity_norm", None)),
        found("site-00", c, measured("infinity_norm", 0.3, threshold=0.2), severity="warning"),
        found("site-00", d, measured("infinity_norm", 0.25, threshold=0.2), severity="critical"),
        found("site-00", e, measured("infinity_norm", 0.8, threshold=0.2), severity="warning"),
        found(
            "site-00",
            f,
            measured(
                "infinity_norm",
                0.02,
                null={"mean": 0.01, "limit": 0.01, "draws": 9, "blocks": 9, "block_s": 1},
            ),
        ),
    ]
    for count, expected in ((1, [d]), (2, [d, e]), (3, [d, e, c]), (4, [d, e, c, f]), (5, [d, e, c, f, a])):
        assert features_of(series(words, findings, max_features=count)) == expected


def test_a_feature_that_is_kept_has_all_its_splits(words: Words) -> None:
    findings = [
        found("site-00", feature, measured("infinity_norm", value, threshold=0.2), split=split)
        for feature, value in (("channel_001", 0.5), ("channel_002", 0.4))
        for split in ("train", "eval")
    ]
    samples = series(words, findings, max_features=1)
    assert features_of(samples) == ["channel_001"] * 2 and left_out(samples) == {("site-00", "drift"): 2}


def test_what_gets_the_same_labels_is_one_series(words: Words) -> None:
    findings = [
        found("site-00", name, measured("infinity_norm", value, threshold=0.2))
        for name, value in (("secret-a", 0.3), ("secret-b", 0.6))
    ]
    samples = series(words, findings)
    assert [x.value for x in samples if x.metric == "isthmus_drift_distance_ratio"] == [0.6]
    assert left_out(samples) == {("site-00", "drift"): 1}
    twice = found("site-00", "channel_001", measured("infinity_norm", 0.3), measured("infinity_norm", 0.4))
    again = series(words, [twice])
    assert [x.value for x in again if x.metric == "isthmus_drift_distance_ratio"] == [0.3]


def test_every_measure_belongs_to_one_metric_by_its_unit() -> None:
    families = {name: family_of(measured(name, 0.1)) for name in MEASURES}
    other = {
        "anderson_darling": "statistic",
        "population_stability_index": "statistic",
        "chi_squared": "statistic",
        "maximum_mean_discrepancy": "statistic",
        "wasserstein": "shift",
    }
    assert families == {name: other.get(name, "ratio") for name in MEASURES}
    assert family_of(measured("jensen_shannon_divergence", 0.1, unit="bit")) == "ratio"
    assert family_of(measured("population_stability_index", 0.1, unit="nat")) == "statistic"
    assert family_of(measured("cadence", 0.1, unit="s")) == "shift"
