"""What a run's series say, and what they may not say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from components.drift.findings import MonitorRun
from components.errors import InternalError, QuorumError
from components.merge_gen.result import MergeResult
from pipeline.config.model import Deployment
from pipeline.metrics.catalogue import BY_NAME
from pipeline.metrics.render import render
from pipeline.metrics.samples import Group, Sample
from pipeline.metrics.words import OTHER, words_of
from pipeline.metrics.write import groups_of
from pipeline.report.collect import collect
from tests.unit.metrics.conftest import LOCALES, SECRETS, found, measured, report_of
from tests.unit.report.made_up_run import MadeUpRun


def values(groups: list[Group]) -> dict[tuple[str, ...], float]:
    """Zone, metric and labels to value."""
    return {(group.zone, x.metric, *x.labels): x.value for group in groups for x in group.samples}


@pytest.fixture
def told(deployment: Deployment, run_report: Any, monitor: MonitorRun) -> dict[tuple[str, ...], float]:
    """The whole made-up run."""
    return values(groups_of(deployment, run_report, monitor))


def test_the_run_as_a_whole(told: dict[tuple[str, ...], float]) -> None:
    assert told["", "isthmus_build_info", "0.1.0"] == 1
    assert told["", "isthmus_last_run_timestamp_seconds"] == 1_795_233_252  # 2026-11-21T03:54:12Z
    assert told["", "isthmus_last_success_timestamp_seconds"] == 1_795_233_252
    assert told["", "isthmus_run_duration_seconds"] == 192
    assert told["", "isthmus_run_exit_status"] == 0
    assert [told["", "isthmus_runs_total", str(code)] for code in range(4)] == [1, 0, 0, 0]


def test_a_restricted_locale(told: dict[tuple[str, ...], float]) -> None:
    def of(metric: str, *labels: str) -> float:
        return told[("eu-west", f"isthmus_{metric}", *labels)]

    assert of("zone_success") == 1 and of("zone_duration_seconds") == 81.25
    assert of("ingest_rows", "kept") == 20_151 and of("ingest_rows", "quarantined") == 9
    assert of("release_published", "eu-west") == 1 and of("release_rows", "eu-west") == 20_151
    assert of("privacy_epsilon_spent", "eu-west", "record") == 1.9342
    assert of("privacy_epsilon_counted", "eu-west", "record") == 2.4871
    assert of("privacy_epsilon_budget", "eu-west", "record") == 3
    assert of("privacy_reservations_refused_total", "eu-west") == 1
    assert of("gate_failures_total", "eu-west") == 0


def test_an_open_locale_has_no_gate_and_no_budget(told: dict[tuple[str, ...], float]) -> None:
    metrics = {key[1] for key in told if key[0] == "us-east"}
    assert "isthmus_release_rows" in metrics
    assert not {name for name in metrics if "gate" in name or "epsilon" in name}


def test_detectors_by_scenario_and_locale(told: dict[tuple[str, ...], float]) -> None:
    def of(metric: str, *labels: str) -> float:
        return told[("central", f"isthmus_detector_{metric}", *labels)]

    assert of("f1_ratio", "classifier", "isthmus", "(all)") == 0.79
    assert of("f1_ratio", "interval", "no_sharing", "eu-west") == pytest.approx(0.21)
    assert of("true_positive_ratio", "classifier", "ideal", "us-east") == 0.83
    assert of("false_positive_ratio", "classifier", "isthmus", "(all)") == 0.004
    assert of("blessed") == 1


def test_what_monitoring_found(told: dict[tuple[str, ...], float]) -> None:
    assert [told[zone, "isthmus_monitor_evaluated"] for zone in ("eu-west", "ap-south", "us-east")] == [
        1,
        0,
        0,
    ]
    assert told["eu-west", "isthmus_monitor_span"] == 4
    counts = {
        word: told["eu-west", "isthmus_monitor_findings", word] for word in ("OK", "ALERT", "UNDEFINED")
    }
    assert counts == {"OK": 2, "ALERT": 1, "UNDEFINED": 1}
    assert told["eu-west", "isthmus_monitor_alerts", "eu-west", "unit_change", "critical"] == 1
    assert told["central", "isthmus_monitor_alerts", "ap-south", "real_regional_difference", "warning"] == 1


def test_a_comparison_has_value_threshold_noise_and_probabilities(told: dict[tuple[str, ...], float]) -> None:
    hot = ("eu-west", "drift", "previous", "panel_temperature", "(span)")

    def of(metric: str, *labels: str) -> float:
        return told[("eu-west", f"isthmus_drift_{metric}", *hot, *labels)]

    assert of("alert") == 1
    assert of("distance_ratio", "jensen_shannon_divergence") == 0.41
    assert of("threshold_ratio", "jensen_shannon_divergence") == 0.2
    assert of("noise_limit_ratio", "jensen_shannon_divergence") == 0.06
    # Not a ratio: metrics of their own, and the feature's unit beside the value.
    assert of("shift", "wasserstein", "°C") == 3.5
    assert of("statistic", "population_stability_index") == 1.7
    assert of("p_value", "wasserstein") == 0.001 and of("q_value", "wasserstein") == 0.004
    assert not [key for key in told if key[1] == "isthmus_drift_distance_ratio" and "wasserstein" in key]
    # Undefined is neither 0 nor an alert.
    assert not [
        key for key in told if key[1].startswith("isthmus_drift_") and "mode" in key and "drift" in key
    ]
    skew = ("ap-south", "skew", "us-east", "mode", "(span)", "infinity_norm")
    assert told[("central", "isthmus_drift_distance_ratio", *skew)] == 0.31


def test_no_series_says_what_only_the_rows_know(
    deployment: Deployment, run_report: Any, monitor: MonitorRun
) -> None:
    text = render(groups_of(deployment, run_report, monitor)).decode()
    assert [secret for secret in SECRETS if secret in text] == []
    assert f'feature="{OTHER}"' in text and f'split="{OTHER}"' in text  # they are there, without a name


def test_locales_of_the_test_rows_are_bounded(
    made_up: MadeUpRun, deployment: Deployment, monitor: MonitorRun
) -> None:
    report = collect(made_up.run_dir)
    detection = report.central.detection.content
    assert detection is not None
    stranger = detection.scenarios[0].overall
    scenarios = tuple(
        item.model_copy(
            update={"by_locale": {"site-of-a-patient": stranger, "another": stranger, "(all)": stranger}}
        )
        for item in detection.scenarios
    )
    detection = detection.model_copy(update={"scenarios": scenarios})
    central = report.central.model_copy(
        update={"detection": report.central.detection.model_copy(update={"content": detection})}
    )
    told = values(groups_of(deployment, report.model_copy(update={"central": central}), monitor))
    locales = {key[4] for key in told if key[1] == "isthmus_detector_f1_ratio"}
    assert locales == {"(all)", OTHER}
    # A site that calls itself `(all)` does not take the place of all rows.
    assert told["central", "isthmus_detector_f1_ratio", "classifier", "isthmus", "(all)"] == 0.79


def test_missing_and_refused_releases(
    made_up: MadeUpRun, deployment: Deployment, monitor: MonitorRun
) -> None:
    file = Path(made_up.component("central", "MergeGen")["outputs"]["merge_report"]) / "merge.json"
    merge = __import__("json").loads(file.read_text())
    merge |= {
        "missing": ["ap-south"],
        "refused": [
            {"locale": "eu-west", "uri": "x", "reason": "altered"},
            {"locale": "a-stranger", "uri": "y", "reason": "unknown"},
        ],
    }
    file.write_text(__import__("json").dumps(merge))
    told = values(groups_of(deployment, collect(made_up.run_dir), monitor))
    assert told["central", "isthmus_release_missing", "ap-south"] == 1
    assert told["central", "isthmus_release_missing", "eu-west"] == 0
    assert told["central", "isthmus_release_refused", "eu-west"] == 1
    assert told["central", "isthmus_release_refused", OTHER] == 1
    assert told["central", "isthmus_releases_refused_total", "eu-west"] == 1
    assert told["central", "isthmus_releases_refused_total", "us-east"] == 0


def test_what_was_missing_where_the_merge_failed_for_it(
    made_up: MadeUpRun, deployment: Deployment, monitor: MonitorRun
) -> None:
    """Then there is no list of releases: its names are those of the merge's own error."""
    refused = ({"locale": "us-east", "uri": "x", "reason": "the signature does not fit"},)
    result = MergeResult((), refused, ("eu-west", "a-stranger"), 3, "quorum not met")
    with pytest.raises(QuorumError) as caught:
        result.require_quorum()
    made_up.stop("central", "MergeGen", str(caught.value))
    made_up.save()
    told = values(groups_of(deployment, collect(made_up.run_dir), monitor))
    missing = {name: told["central", "isthmus_release_missing", name] for name in LOCALES}
    assert missing == {"eu-west": 1, "ap-south": 0, "us-east": 0}
    assert told["central", "isthmus_release_refused", "us-east"] == 1
    assert told["central", "isthmus_releases_refused_total", "us-east"] == 1
    assert told["central", "isthmus_zone_success"] == 0
    made_up.stop("central", "MergeGen", "the exchange cannot be read")
    made_up.save()
    told = values(groups_of(deployment, collect(made_up.run_dir), monitor))
    assert not [key for key in told if key[1].startswith("isthmus_release") and key[0] == "central"]


def test_a_zone_that_did_not_run_keeps_what_it_had(
    made_up: MadeUpRun, deployment: Deployment, monitor: MonitorRun
) -> None:
    made_up.state["locales"]["us-east"] |= {"status": "skipped", "components": []}
    made_up.stop("ap-south", "ReleaseEvaluator", "something")
    made_up.save()
    groups = groups_of(deployment, collect(made_up.run_dir), monitor)
    assert [group.zone for group in groups] == ["", "eu-west", "ap-south", "central"]
    told = values(groups)
    assert told["ap-south", "isthmus_zone_success"] == 0
    assert told["ap-south", "isthmus_zone_failures_total"] == 1
    assert ("ap-south", "isthmus_zone_last_success_timestamp_seconds") not in told
    assert told["ap-south", "isthmus_release_published", "ap-south"] == 0
    assert ("ap-south", "isthmus_release_rows", "ap-south") not in told


def test_a_drift_never_names_a_span(deployment: Deployment) -> None:
    words = words_of(deployment)
    item = found("eu-west", "mode", measured("infinity_norm", 0.1))
    assert words.against(item) == "previous"
    skew = item.model_copy(update={"comparison": "skew", "baseline": "", "against": "mars"})
    assert words.against(skew) == OTHER
    generator = item.model_copy(update={"comparison": "generator", "baseline": "", "against": "synthetic"})
    assert words.against(generator) == "synthetic"
    drift = item.model_copy(update={"baseline": "", "against": "span 17"})
    assert words.against(drift) == OTHER
    alone = drift.model_copy(update={"against": "the span by itself"})
    assert words.against(alone) == "itself"


def test_every_metric_of_the_list_is_made_and_no_other(
    deployment: Deployment, run_report: Any, monitor: MonitorRun
) -> None:
    noisy = found(
        "eu-west",
        "bus_voltage",
        measured("wasserstein", 1.0, unit="V", threshold=0.5, null=_null(0.4)),
        measured("chi_squared", 9.0, threshold=8.0, null=_null(7.0)),
    )
    more = monitor.model_copy(update={"reports": (*monitor.reports[1:], report_of("eu-west", noisy))})
    groups = groups_of(deployment, run_report, monitor) + groups_of(deployment, run_report, more)
    assert {x.metric for group in groups for x in group.samples} == set(BY_NAME)


def _null(limit: float) -> dict[str, float]:
    return {"mean": 0.1, "limit": limit, "draws": 99, "blocks": 20, "block_s": 60}


@pytest.mark.parametrize(
    ("zone", "samples", "said"),
    [
        ("", (Sample("isthmus_nothing", (), 1),), "not in the list"),
        ("", (Sample("isthmus_run_exit_status", ("a",), 1),), "not in the list"),
        ("eu", (Sample("isthmus_run_exit_status", (), 1),), "does not belong"),
        ("eu", (Sample("isthmus_zone_success", (), 1),) * 2, "twice"),
    ],
)
def test_a_group_refuses_what_prometheus_would(zone: str, samples: tuple[Sample, ...], said: str) -> None:
    with pytest.raises(InternalError, match=said):
        Group("d", zone, samples)
