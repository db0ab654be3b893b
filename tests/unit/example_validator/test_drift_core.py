"""Drift reports: every feature has an outcome, and what stops a locale is said."""

from __future__ import annotations

import json

import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import anomalies_pb2

from components.example_validator.config import ExampleValidatorConfig
from components.example_validator.core import (
    WHOLE_SPAN,
    WHOLE_SPLIT,
    Baseline,
    DriftReport,
    make_report,
    refusals,
)
from components.monitoring import MonitoringConfig
from components.statistics_gen.summary import Comparator, FeatureSummary

LINF = Comparator("infinity_norm", 0.1)
CLEAN = anomalies_pb2.Anomalies()


def _mode(a: int, b: int, missing: int = 0) -> dict[str, FeatureSummary]:
    return {"mode": FeatureSummary("mode", False, a + b, missing, counts={"a": a, "b": b})}


def _report(
    span: dict[str, FeatureSummary],
    baseline: dict[str, FeatureSummary] | Baseline,
    anomalies: anomalies_pb2.Anomalies = CLEAN,
) -> DriftReport:
    base = baseline if isinstance(baseline, Baseline) else Baseline(baseline)
    return make_report({"train": span}, span, base, {"mode": LINF}, {"train": anomalies}, min_count=10)


def test_drift_and_no_drift() -> None:
    report = _report(_mode(50, 50), _mode(55, 45))
    assert (report.status, report.reason) == ("EVALUATED", "")
    (same,) = report.features
    assert same.verdict == "OK" and same.value == pytest.approx(0.05)
    (other,) = _report(_mode(90, 10), _mode(50, 50)).features
    assert other.verdict == "DRIFT" and other.value == pytest.approx(0.4)
    assert (other.n, other.n_baseline, other.threshold, other.split) == (100, 100, 0.1, WHOLE_SPAN)
    assert other.p_value is not None and other.p_value < 1e-6


def test_splits_that_differ_are_no_drift_while_the_span_is_the_same() -> None:
    splits = {"train": _mode(50, 0), "eval": _mode(0, 50)}
    found = make_report(
        splits, _mode(50, 50), Baseline(_mode(50, 50)), {"mode": LINF}, dict.fromkeys(splits, CLEAN), 10
    )
    assert [(row.verdict, row.value) for row in found.features] == [("OK", 0.0)]


@pytest.mark.parametrize(
    ("span", "baseline", "reason"),
    [
        ({}, _mode(50, 50), "absent from this span"),
        (_mode(50, 50), {}, "absent from the previous span"),
        (_mode(0, 0, 7), _mode(50, 50), "this span: all 7 rows lack a value"),
        (_mode(5, 4), _mode(50, 50), "9 values, fewer than min_count 10"),
    ],
)
def test_what_has_no_other_side_is_undefined(
    span: dict[str, FeatureSummary], baseline: dict[str, FeatureSummary], reason: str
) -> None:
    (drift,) = _report(span, baseline).features
    assert (drift.verdict, drift.value) == ("UNDEFINED", None)
    assert reason in drift.reason


def test_no_baseline_is_said() -> None:
    report = _report(_mode(50, 50), Baseline(absent="there are no statistics of a previous span"))
    assert (report.status, report.features) == ("NOT_EVALUATED", ())
    assert report.reason == "there are no statistics of a previous span"


def test_no_comparator_is_said() -> None:
    report = make_report({"train": _mode(9, 9)}, _mode(9, 9), Baseline(_mode(9, 9)), {}, {"train": CLEAN}, 1)
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
    report = _report(_mode(50, 50), _mode(50, 50), ANOMALIES)
    assert [(a.feature, a.severity, a.short) for a in report.anomalies] == [
        (WHOLE_SPLIT, "WARNING", "Low num examples"),
        ("temp", "ERROR", "Out-of-range values"),
    ]
    assert "4711" not in json.dumps(report.to_json())


def test_empty_split_is_an_error() -> None:
    missing = anomalies_pb2.Anomalies(data_missing=True)
    report = _report({}, _mode(50, 50), missing)
    assert [(a.feature, a.severity, a.short) for a in report.anomalies] == [
        (WHOLE_SPLIT, "ERROR", "Empty split")
    ]
    assert refusals(report, MonitoringConfig()) == [
        "split=train feature=(split): schema anomaly of severity ERROR: Empty split"
    ]


def test_all_null_feature_is_a_warning_even_without_baseline() -> None:
    report = _report(_mode(0, 0, 7), Baseline(absent="none"))
    assert [(a.feature, a.severity, a.description) for a in report.anomalies] == [
        ("mode", "WARNING", "All 7 rows lack a value.")
    ]
    assert refusals(report, MonitoringConfig()) == []


def test_refusals_follow_the_configuration() -> None:
    report = _report(_mode(90, 10), _mode(50, 50), ANOMALIES)
    error = "split=train feature=temp: schema anomaly of severity ERROR: Out-of-range values"
    drift = "feature=mode: drift, infinity_norm 0.4 over its threshold 0.1"
    assert refusals(report, MonitoringConfig()) == [error]
    assert refusals(report, MonitoringConfig(on_drift="fail")) == [error, drift]
    assert refusals(report, MonitoringConfig(fail_on="never")) == []


def test_config_round_trip() -> None:
    config = ExampleValidatorConfig(monitoring=MonitoringConfig(on_drift="fail", min_count=7))
    assert ExampleValidatorConfig.from_exec_property(config.to_exec_property()) == config
