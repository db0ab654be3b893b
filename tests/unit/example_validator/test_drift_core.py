"""Drift reports: every feature of every split has an outcome, and what stops a locale is said."""

from __future__ import annotations

import json

import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import anomalies_pb2

from components.example_validator.config import ExampleValidatorConfig
from components.example_validator.core import WHOLE_SPLIT, Baseline, DriftReport, make_report, refusals
from components.monitoring import MonitoringConfig
from components.statistics_gen.summary import Comparator, FeatureSummary

LINF = Comparator("infinity_norm", 0.1)
CLEAN = anomalies_pb2.Anomalies()


def _mode(a: int, b: int, missing: int = 0) -> dict[str, FeatureSummary]:
    return {"mode": FeatureSummary("mode", False, a + b, missing, counts={"a": a, "b": b})}


def _report(
    current: dict[str, dict[str, FeatureSummary]],
    baseline: dict[str, dict[str, FeatureSummary]] | Baseline,
    anomalies: anomalies_pb2.Anomalies = CLEAN,
) -> DriftReport:
    base = baseline if isinstance(baseline, Baseline) else Baseline(baseline)
    return make_report(current, base, {"mode": LINF}, dict.fromkeys(current, anomalies), min_count=10)


def test_drift_and_no_drift() -> None:
    report = _report(
        {"train": _mode(50, 50), "eval": _mode(90, 10)}, {"train": _mode(55, 45), "eval": _mode(50, 50)}
    )
    assert (report.status, report.reason) == ("EVALUATED", "")
    found = {drift.split: drift for drift in report.features}
    assert found["train"].verdict == "OK" and found["train"].value == pytest.approx(0.05)
    assert found["eval"].verdict == "DRIFT" and found["eval"].value == pytest.approx(0.4)
    assert (found["eval"].n, found["eval"].n_baseline, found["eval"].threshold) == (100, 100, 0.1)
    assert found["eval"].p_value is not None and found["eval"].p_value < 1e-6


@pytest.mark.parametrize(
    ("current", "baseline", "reason"),
    [
        ({"train": {}}, {"train": _mode(50, 50)}, "absent from this span's split 'train'"),
        ({"train": _mode(50, 50)}, {"train": {}}, "absent from the previous span's split 'train'"),
        ({"train": _mode(50, 50)}, {"eval": _mode(50, 50)}, "absent from the previous span's split 'train'"),
        ({"train": _mode(0, 0, 7)}, {"train": _mode(50, 50)}, "all 7 rows lack a value"),
        ({"train": _mode(5, 4)}, {"train": _mode(50, 50)}, "9 values, fewer than min_count 10"),
    ],
)
def test_what_has_no_other_side_is_undefined(
    current: dict[str, dict[str, FeatureSummary]], baseline: dict[str, dict[str, FeatureSummary]], reason: str
) -> None:
    drift = next(d for d in _report(current, baseline).features if d.split == "train")
    assert (drift.verdict, drift.value) == ("UNDEFINED", None)
    assert reason in drift.reason


def test_a_split_of_the_previous_span_only_is_listed() -> None:
    report = _report({"train": _mode(50, 50)}, {"train": _mode(50, 50), "holdout": _mode(50, 50)})
    assert [(d.split, d.verdict) for d in report.features] == [("train", "OK"), ("holdout", "UNDEFINED")]


def test_no_baseline_is_said() -> None:
    report = _report({"train": _mode(50, 50)}, Baseline(absent="there are no statistics of a previous span"))
    assert (report.status, report.features) == ("NOT_EVALUATED", ())
    assert report.reason == "there are no statistics of a previous span"


def test_no_comparator_is_said() -> None:
    report = make_report({"train": _mode(9, 9)}, Baseline({"train": _mode(9, 9)}), {}, {"train": CLEAN}, 1)
    assert (report.status, report.reason) == ("NOT_EVALUATED", "the schema carries no drift comparator")


ANOMALIES = text_format.Parse(
    """
    dataset_anomaly_info { severity: WARNING
      reason { type: DATASET_LOW_NUM_EXAMPLES short_description: "Low num examples" description: "12 < 13" } }
    anomaly_info { key: "temp" value {
      path { step: "temp" } severity: ERROR
      reason { type: FLOAT_TYPE_BIG_FLOAT short_description: "Out-of-range values"
               description: "Unexpectedly high value: 4711.5" }
      reason { type: COMPARATOR_JENSEN_SHANNON_DIVERGENCE_HIGH short_description: "High JSD" } } }
    anomaly_info { key: "drifted" value {
      path { step: "drifted" } severity: ERROR
      reason { type: COMPARATOR_L_INFTY_HIGH short_description: "High Linfty" } } }
    """,
    anomalies_pb2.Anomalies(),
)


def test_anomalies_are_told_without_values_and_without_comparators() -> None:
    report = _report({"train": _mode(50, 50)}, {"train": _mode(50, 50)}, ANOMALIES)
    assert [(a.feature, a.severity, a.short) for a in report.anomalies] == [
        (WHOLE_SPLIT, "WARNING", "Low num examples"),
        ("temp", "ERROR", "Out-of-range values"),
    ]
    assert "4711" not in json.dumps(report.to_json())


def test_empty_split_is_an_error() -> None:
    missing = anomalies_pb2.Anomalies(data_missing=True)
    report = _report({"train": {}}, {"train": _mode(50, 50)}, missing)
    assert [(a.feature, a.severity, a.short) for a in report.anomalies] == [
        (WHOLE_SPLIT, "ERROR", "Empty split")
    ]
    assert refusals(report, MonitoringConfig()) == [
        "split=train feature=(split): schema anomaly of severity ERROR: Empty split"
    ]


def test_all_null_feature_is_a_warning_even_without_baseline() -> None:
    report = _report({"train": _mode(0, 0, 7)}, Baseline(absent="none"))
    assert [(a.feature, a.severity, a.description) for a in report.anomalies] == [
        ("mode", "WARNING", "All 7 rows lack a value.")
    ]
    assert refusals(report, MonitoringConfig()) == []


def test_refusals_follow_the_configuration() -> None:
    report = _report({"train": _mode(90, 10)}, {"train": _mode(50, 50)}, ANOMALIES)
    error = "split=train feature=temp: schema anomaly of severity ERROR: Out-of-range values"
    drift = "split=train feature=mode: drift, infinity_norm 0.4 over its threshold 0.1"
    assert refusals(report, MonitoringConfig()) == [error]
    assert refusals(report, MonitoringConfig(on_drift="fail")) == [error, drift]
    assert refusals(report, MonitoringConfig(fail_on="never")) == []


def test_config_round_trip() -> None:
    config = ExampleValidatorConfig(monitoring=MonitoringConfig(on_drift="fail", min_count=7))
    assert ExampleValidatorConfig.from_exec_property(config.to_exec_property()) == config
