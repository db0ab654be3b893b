"""The gate's logic on hand-made metrics, and its configuration."""

from __future__ import annotations

import math

import pydantic
import pytest

from components.dataset import DatasetConfig, FeatureConfig
from components.release_evaluator.config import GateCheck, GateConfig, ReleaseEvaluatorConfig
from components.release_evaluator.core.catalogue import METRICS
from components.release_evaluator.core.gate import judge
from components.release_evaluator.core.metrics import Interval, Metric, rounded, wilson_interval

NAME = "membership_auc_rows"
UPPER = GateConfig(checks=(GateCheck(metric=NAME, of="high", rule="max", threshold=0.7, reason="why"),))
VALUE = GateConfig(checks=(GateCheck(metric=NAME, rule="max", threshold=0.6, reason="why"),))
LOWER = GateConfig(checks=(GateCheck(metric="spread_ratio", of="low", rule="min", threshold=0.5),))


def metric(name=NAME, status="OK", value=0.5, interval=None, reason=""):
    return Metric(name, METRICS[name], status, value, reason, interval)


def interval(low, high):
    return Interval(low, high, 0.95, "test")


@pytest.mark.parametrize(
    ("gate", "metrics", "verdict", "reason"),
    [
        (VALUE, [metric()], "BLESSED", "why"),
        (VALUE, [metric(value=0.6)], "BLESSED", "why"),
        (VALUE, [metric(value=0.61)], "NOT_BLESSED", "value 0.61 is not <= 0.6 (why)"),
        (VALUE, [], "NOT_BLESSED", "the metric is missing"),
        (VALUE, [metric("nndr_rows")], "NOT_BLESSED", "the metric is missing"),
        (
            VALUE,
            [metric(status="UNDEFINED", value=None, reason="no rows")],
            "NOT_BLESSED",
            "UNDEFINED: no rows",
        ),
        (VALUE, [metric(value=math.nan)], "NOT_BLESSED", "the value is not finite"),
        (VALUE, [metric(value=None)], "NOT_BLESSED", "the value is not finite"),
        (VALUE, [metric(status="NOT_APPLICABLE", value=None, reason="x")], "BLESSED", "not applicable: x"),
        (UPPER, [metric()], "NOT_BLESSED", "the metric has no interval"),
        (UPPER, [metric(interval=interval(0.4, 0.69))], "BLESSED", "why"),
        (UPPER, [metric(interval=interval(0.4, 0.71))], "NOT_BLESSED", "high bound 0.71 is not <= 0.7 (why)"),
        (UPPER, [metric(interval=interval(0.4, math.inf))], "NOT_BLESSED", "the value is not finite"),
        (
            LOWER,
            [metric("spread_ratio", interval=interval(0.49, 1))],
            "NOT_BLESSED",
            "low bound 0.49 is not >= 0.5 ()",
        ),
        (LOWER, [metric("spread_ratio", interval=interval(0.5, 1))], "BLESSED", ""),
    ],
)
def test_a_rule_holds_or_fails_closed(gate, metrics, verdict, reason):
    result = judge(metrics, gate)
    assert result.verdict == verdict
    assert result.checks[0].reason == reason
    assert result.reasons == (() if verdict == "BLESSED" else (f"{gate.checks[0].metric}: {reason}",))


def test_one_failed_rule_of_many_refuses():
    gate = GateConfig(checks=VALUE.checks + LOWER.checks)
    result = judge([metric()], gate)
    assert result.verdict == "NOT_BLESSED"
    assert [check.passed for check in result.checks] == [True, False]


def test_a_gate_without_rules_is_no_gate():
    with pytest.raises(pydantic.ValidationError, match="at least 1 item"):
        GateConfig(checks=())


def test_unknown_metric_names_the_nearest():
    with pytest.raises(
        pydantic.ValidationError, match=r"no metric 'membership_auc_row'.*did you mean 'membership_auc_row"
    ):
        GateCheck(metric="membership_auc_row", rule="max", threshold=0.6)


def test_default_gate_covers_every_kind_of_leak():
    metrics = {check.metric for check in GateConfig().checks}
    assert {"rare_window_replay_excess", "window_diversity", "marginal_fidelity"} < metrics
    for unit in ("rows", "windows"):
        assert {f"exact_copy_excess_{unit}", f"membership_auc_{unit}", f"dcr_share_{unit}"} < metrics
    assert all(check.reason for check in GateConfig().checks)


def test_thresholds_change_one_rule_only():
    before = GateConfig()
    after = before.with_thresholds({"marginal_fidelity": 0.9, "membership_auc_rows.high": 0.65})
    changed = [(a, b) for a, b in zip(before.checks, after.checks) if a != b]
    assert [(b.metric, b.of, b.threshold) for _, b in changed] == [
        ("marginal_fidelity", "value", 0.9),
        ("membership_auc_rows", "high", 0.65),
    ]
    with pytest.raises(ValueError, match="no rule 'membership_auc_rows'"):
        before.with_thresholds({"membership_auc_rows": 0.6})


def test_config_survives_its_exec_property():
    dataset = DatasetConfig(features=(FeatureConfig(name="a"),), targets=("a",), interval_s=60)
    config = ReleaseEvaluatorConfig(dataset=dataset, gate=VALUE, window_rows=8, seed=3)
    assert ReleaseEvaluatorConfig.from_exec_property(config.to_exec_property()) == config


def test_wilson_interval_by_hand():
    # z = 1.96, p = 0, n = 10: high = z^2 / (n + z^2) = 3.8415 / 13.8415
    found = wilson_interval(0, 10, 0.95)
    assert found.low == 0
    assert found.high == pytest.approx(3.8415 / 13.8415, abs=1e-4)


def test_rounding_keeps_six_digits_and_no_nan():
    assert rounded(0.123456789) == 0.123457
    assert rounded(None) is None and rounded(math.inf) is None
