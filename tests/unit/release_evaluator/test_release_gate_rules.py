"""The gate's logic on hand-made metrics, and its configuration."""

from __future__ import annotations

import math

import pydantic
import pytest

from components.dataset import DatasetConfig, FeatureConfig
from components.release_evaluator.config import (
    AttackConfig,
    GateCheck,
    GateConfig,
    ReleaseEvaluatorConfig,
)
from components.release_evaluator.core.catalogue import METRICS
from components.release_evaluator.core.gate import judge
from components.release_evaluator.core.metrics import Evidence, Interval, Metric, rounded, wilson_interval

NAME = "membership_distance_risk_rows"
UPPER = GateConfig(checks=(GateCheck(metric=NAME, of="high", rule="max", threshold=0.7, reason="why"),))
VALUE = GateConfig(checks=(GateCheck(metric=NAME, rule="max", threshold=0.6, reason="why"),))
LOWER = GateConfig(checks=(GateCheck(metric="spread_ratio", of="low", rule="min", threshold=0.5),))


def metric(name=NAME, status="OK", value=0.5, interval=None, reason="", **more):
    return Metric(name, METRICS[name], status, value, reason, interval, **more)


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
            [metric(status="UNDEFINED", value=None, reason="3 records", too_few=True)],
            "NOT_BLESSED",
            "REFUSED_TOO_FEW_RECORDS: 3 records",
        ),
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
    # A rule on privacy that holds beside it: without any, nothing is blessed.
    other = GateCheck(metric="dcr_share_rows", rule="max", threshold=0.6)
    beside = GateConfig(checks=(*gate.checks, other))
    result = judge([*metrics, metric("dcr_share_rows")], beside)
    assert result.verdict == verdict
    assert result.checks[0].reason == reason
    assert result.reasons == (() if verdict == "BLESSED" else (f"{gate.checks[0].metric}: {reason}",))


@pytest.mark.parametrize("gate", [VALUE, LOWER])
def test_nothing_is_blessed_without_a_judged_rule_on_privacy(gate):
    nothing = metric(status="NOT_APPLICABLE", value=None, reason="x")
    result = judge([nothing, metric("spread_ratio", interval=interval(0.6, 1))], gate)
    assert result.verdict == "NOT_BLESSED" and all(check.passed for check in result.checks)
    assert result.reasons == (
        "gate: no rule on privacy was judged; a release of which nothing was measured is refused",
    )


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
        pydantic.ValidationError, match=r"no metric 'linkability_rsk'.*did you mean 'linkability_risk"
    ):
        GateCheck(metric="linkability_rsk", rule="max", threshold=0.6)


def test_default_gate_covers_every_kind_of_leak():
    metrics = {check.metric for check in GateConfig().checks}
    assert {"window_diversity", "marginal_fidelity"} < metrics
    # ratios of distances are reported, for they have no interval; everything else on privacy is judged
    reported = {f"{name}_{unit}" for name in ("dcr_ratio", "nndr") for unit in ("rows", "windows")}
    assert {name for name, spec in METRICS.items() if spec.group == "privacy"} - metrics == reported
    assert all(check.reason for check in GateConfig().checks)
    # every risk has a rule that asks for certainty, so that too few records cannot pass
    certain = {check.metric for check in GateConfig().checks if check.of == "high" and check.rule == "max"}
    risks = {name for name in METRICS if name.endswith(("_risk", "_risk_rows", "_risk_windows"))}
    assert risks - certain == {"attribute_inference_worst_risk"}


def test_thresholds_change_one_rule_only():
    before = GateConfig()
    after = GateConfig(thresholds={"marginal_fidelity": 0.9, "membership_relative_risk_rows.high": 0.65})
    changed = [b for a, b in zip(before.rules(), after.rules()) if a != b]
    # the same bound has a `min` rule too, on a release that knows holdout: it stays
    assert [(rule.metric, rule.of, rule.rule, rule.threshold) for rule in changed] == [
        ("marginal_fidelity", "value", "min", 0.9),
        ("membership_relative_risk_rows", "high", "max", 0.65),
    ]
    with pytest.raises(pydantic.ValidationError, match=r"no rule 'linkability_risk'.*'linkability_risk.low'"):
        GateConfig(thresholds={"linkability_risk": 0.6})


def test_a_wide_interval_is_too_few_records_and_a_high_value_is_a_leak():
    gate = GateConfig(
        checks=(GateCheck(metric="linkability_risk", of="high", rule="max", threshold=0.1, reason="why"),)
    )
    seen = Evidence(0.0, 0.0, None, 400, 100, (40.0, 10.0), "rate")
    wide = metric("linkability_risk", value=0.0, interval=interval(-0.2, 0.2), control=0.0, evidence=seen)
    result = judge([wide], gate).checks[0]
    assert result.outcome == "REFUSED_TOO_FEW_RECORDS" and not result.passed
    # z^2 (1 - t) / t = 3.84 * 9 = 34.6 independent train records, 40 / 10 to one of holdout; there are 40 and
    # 10: the records of holdout are 10 to one independent one
    assert result.required == 90
    assert "400 records of train and 100 of holdout" in result.reason and "REFUSED_TOO_FEW" in result.reason
    leak = metric("linkability_risk", value=0.15, interval=interval(0.05, 0.2), control=0.0, evidence=seen)
    assert judge([leak], gate).checks[0].outcome == "REFUSED"


def test_config_survives_its_exec_property_and_refuses_unknown_secrets():
    dataset = DatasetConfig(features=(FeatureConfig(name="a"),), targets=("a",), interval_s=60)
    gate = GateConfig(
        thresholds={"linkability_risk.high": 0.3},
        attacks=AttackConfig(window_rows=8, secrets=("a",), public_categories={"mode": ("sun",)}),
    )
    config = ReleaseEvaluatorConfig(dataset=dataset, gate=gate, seed=3)
    assert ReleaseEvaluatorConfig.from_exec_property(config.to_exec_property()) == config
    unknown = GateConfig(attacks=AttackConfig(secrets=("b",)))
    with pytest.raises(pydantic.ValidationError, match=r"gate.attacks.secrets: found 'b'; allowed: a"):
        ReleaseEvaluatorConfig(dataset=dataset, gate=unknown)


def test_wilson_interval_by_hand():
    # z = 1.96, p = 0, n = 10: high = z^2 / (n + z^2) = 3.8415 / 13.8415
    found = wilson_interval(0, 10, 0.95)
    assert found.low == 0
    assert found.high == pytest.approx(3.8415 / 13.8415, abs=1e-4)


def test_rounding_keeps_six_digits_and_no_nan():
    assert rounded(0.123456789) == 0.123457
    assert rounded(None) is None and rounded(math.inf) is None
