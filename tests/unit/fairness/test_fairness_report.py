"""Content of `fairness.json`, the gate, and the configuration's rules."""

from __future__ import annotations

import json

import numpy as np
import pydantic
import pytest

from components.dataset import DatasetConfig, FeatureConfig
from components.fairness.config import FairnessConfig, FairnessGateConfig
from components.fairness.core.measures import Sample
from components.fairness.core.report import fairness_report, judge_gate

DATASET = DatasetConfig(
    series=("site", "device"),
    label="label",
    features=(FeatureConfig(name="soc"), FeatureConfig(name="mode", kind="categorical")),
    targets=("soc",),
    interval_s=60,
)
#: a: TPR 3/4, FPR 1/6, selection 0.4; b: TPR 1/4, FPR 2/6, selection 0.3.
LABEL = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0] * 2)
FLAG = np.array([1, 1, 1, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0])
COLUMNS = {"locale": np.repeat(["a", "b"], 10), "series": np.repeat(["a / 1", "b / 1"], 10)}


def _sample() -> Sample:
    units = np.repeat([0, 2, 1, 3], [4, 6, 4, 6])
    return Sample(LABEL, np.repeat([0, 1], 10), units, np.ones((20, 4)), 0.95)


def _report(config: FairnessConfig) -> dict:
    flags = {("Isthmus", "interval"): FLAG, ("No sharing", "interval"): 1 - FLAG}
    return fairness_report(flags, COLUMNS, _sample(), config)


def test_every_detector_and_cut_is_there_and_is_json():
    found = _report(FairnessConfig(min_rows=1, min_events=1))
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert set(found["scenarios"]) == {"Isthmus", "No sharing"}
    cut = found["scenarios"]["Isthmus"]["interval"]["locale"]
    assert [item["name"] for item in cut["slices"]] == ["a", "b"]
    assert cut["slices"][0]["confusion"] == {"tp": 3, "fp": 1, "fn": 1, "tn": 5}
    assert cut["slices"][0]["events"] == 1
    assert cut["disparities"]["equalised_odds_difference"]["value"] == 0.5
    assert cut["disparities"]["disparate_impact_ratio"]["value"] == pytest.approx(0.75)
    assert cut["disparities"]["disparate_impact_ratio"]["below_four_fifths"] is True
    other = found["scenarios"]["No sharing"]["interval"]["locale"]["disparities"]
    assert other["disparate_impact_ratio"]["value"] == pytest.approx(6 / 7)
    assert other["disparate_impact_ratio"]["below_four_fifths"] is False


def test_a_column_that_is_not_there_and_too_many_slices_say_so():
    config = FairnessConfig(slices=("locale", "device", "series"), max_slices=2)
    columns = {**COLUMNS, "series": np.arange(20)}
    found = fairness_report({("Isthmus", "interval"): FLAG}, columns, _sample(), config)
    cuts = found["scenarios"]["Isthmus"]["interval"]
    assert cuts["device"]["status"] == "NOT_APPLICABLE"
    assert "no column" in cuts["device"]["reason"]
    assert cuts["series"]["status"] == "UNDEFINED"
    assert cuts["series"]["reason"] == "20 slices, at most 2 are judged (fairness.max_slices)"
    assert cuts["locale"]["status"] == "OK"


@pytest.mark.parametrize(
    ("limits", "passed", "words"),
    [
        ({}, True, None),
        (
            {"max_equalised_odds_difference": 0.5},
            True,
            "equalised odds difference is 0.500; required",
        ),
        ({"max_equalised_odds_difference": 0.49}, False, "is 0.500; required: at most 0.49"),
        ({"min_disparate_impact_ratio": 0.8}, False, "is 0.750; required: at least 0.8"),
        ({"min_disparate_impact_ratio": 0.75}, True, "is 0.750; required: at least 0.75"),
        ({"max_demographic_parity_difference": 0.05}, False, "is 0.100; required"),
    ],
)
def test_the_gate(limits, passed, words):
    config = FairnessConfig(slices=("locale",), min_rows=1, min_events=1, gate=FairnessGateConfig(**limits))
    verdict, reasons = judge_gate(_report(config), "interval", config)
    assert verdict is passed
    assert len(reasons) == len(limits)
    assert words is None or words in reasons[0]


@pytest.mark.parametrize(
    ("judge_by", "value", "passed"),
    [("worst", 0.6, False), ("worst", 0.8, True), ("best", 0.25, True), ("best", 0.2, False)],
)
def test_the_gate_may_look_at_a_bound(judge_by, value, passed):
    config = FairnessConfig(
        slices=("locale",), gate={"judge_by": judge_by, "max_equalised_odds_difference": value}
    )
    disparity = {"value": 0.5, "lower": 0.22, "upper": 0.7}
    cut = {"disparities": {"equalised_odds_difference": disparity}}
    report = {"scenarios": {"Isthmus": {"interval": {"locale": cut}}}}
    assert judge_gate(report, "interval", config)[0] is passed
    lower = FairnessConfig(slices=("locale",), gate={"judge_by": judge_by, "min_disparate_impact_ratio": 0.5})
    cut["disparities"] = {"disparate_impact_ratio": {"value": 0.6, "lower": 0.4, "upper": 0.9}}
    assert judge_gate(report, "interval", lower)[0] is (judge_by == "best")


@pytest.mark.parametrize("detector", ["interval", "classifier"])
def test_what_is_undefined_or_missing_does_not_pass_the_gate(detector):
    config = FairnessConfig(slices=("locale",), min_rows=30, gate={"max_equalised_odds_difference": 0.9})
    passed, reasons = judge_gate(_report(config), detector, config)
    assert not passed
    assert "UNDEFINED" in reasons[0]
    assert detector != "interval" or "two are needed" in reasons[0]


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"slices": ["locale", "locale"]}, "named twice"),
        ({"slices": [{"column": "soc", "edges": [2, 2]}]}, "edges must rise"),
        ({"gate": {"slices": ["mode"]}}, "allowed: one of fairness.slices"),
        ({"slices": [], "gate": {"max_equalised_odds_difference": 0.1}}, "fairness.slices is empty"),
        ({"gate": {"max_equalised_odds_difference": 2}}, "less than or equal to 1"),
        ({"slices": "locale"}, "tuple"),
    ],
)
def test_the_configuration_refuses(section, words):
    with pytest.raises(pydantic.ValidationError, match=words):
        FairnessConfig.model_validate(section)


@pytest.mark.parametrize(
    ("slices", "words"),
    [
        (["soc"], "is continuous and has no edges"),
        (["label"], "found 'label'; allowed: device, locale, mode, series, site, soc"),
        ([{"column": "mode", "edges": [1]}], "not numeric"),
        ([{"column": "site", "edges": [1]}], "not numeric"),
        (["locale", "series", "site", "mode", {"column": "soc", "edges": [20, 80]}], None),
    ],
)
def test_the_slices_must_be_columns_of_test_rows(slices, words):
    config = FairnessConfig.model_validate({"slices": slices})
    if words is None:
        config.check_columns(DATASET, "locale")
    else:
        with pytest.raises(ValueError, match=words):
            config.check_columns(DATASET, "locale")
