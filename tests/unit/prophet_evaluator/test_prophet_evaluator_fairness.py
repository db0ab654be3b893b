"""The test rows as the fairness report reads them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pydantic
import pytest

from components.prophet_evaluator.config import ClassifierConfig, ProphetEvaluatorConfig
from components.prophet_evaluator.core import frames
from components.prophet_evaluator.core.detector import Cache, Judgement, TargetJudgement
from components.prophet_evaluator.core.evaluate import BLESSED, NOT_BLESSED, bless, prepare_test
from components.prophet_evaluator.core.fairness import draw_sample, fairness_of
from components.prophet_evaluator.core.fitting import fit_detector
from components.prophet_evaluator.core.frames import LABEL
from components.prophet_evaluator.core.missing import missing_values

SLICES = ("locale", "series", "device", "mode", "on", {"column": "temp", "edges": (20.0, 23.0)})


def _with(config: ProphetEvaluatorConfig, **fairness) -> ProphetEvaluatorConfig:
    return ProphetEvaluatorConfig.model_validate({**config.model_dump(), "fairness": fairness})


def test_every_slice_counts_its_own_rows_whatever_their_order(toy_config, toy_test):
    config = _with(toy_config, slices=SLICES, min_rows=1, min_events=1)
    order = np.random.default_rng(0).permutation(toy_test.num_rows)
    table = toy_test.take(pa.array(order))
    test = prepare_test(table, config)
    truth = test[LABEL].to_numpy()
    blank = np.zeros(len(test))
    # A detector that says exactly what the label says: every TPR is 1 and every FPR 0.
    target = TargetJudgement(blank, blank, blank, blank, truth * 2, blank)
    judged = {"Isthmus": Judgement({"temp": target}, None, None)}
    sample, events = draw_sample(test, config)
    report = fairness_of(test, table, judged, sample, config)
    assert events == 8
    cuts = report["scenarios"]["Isthmus"]["interval"]
    frame = toy_test.to_pandas()
    groups = {
        "locale": frame["locale"],
        "series": frame["locale"] + " / " + frame["device"],
        "device": frame["device"],
        "mode": frame["mode"],
        "on": frame["on"].astype(str),
    }
    for column, names in groups.items():
        counted = frame.groupby(names)["label"].agg(["size", "sum"])
        found = {item["name"]: item for item in cuts[column]["slices"]}
        assert set(found) == set(counted.index)
        for name, row in counted.iterrows():
            assert found[name]["rows"] == row["size"]
            assert found[name]["confusion"] == {
                "tp": row["sum"], "fp": 0, "fn": 0, "tn": row["size"] - row["sum"]
            }  # fmt: skip
    bins = {item["name"]: item for item in cuts["temp"]["slices"]}
    high = frame["temp"] >= 23
    assert bins[">= 23"]["rows"] == high.sum()
    assert bins[">= 23"]["confusion"]["tp"] == frame["label"][high].sum()


def test_a_data_set_without_series_has_no_slices_by_series(toy_config, toy_test):
    dataset = toy_config.dataset.model_copy(update={"series": ()})
    config = toy_config.model_copy(update={"dataset": dataset})
    table = toy_test.filter(pa.compute.equal(toy_test["device"], "d0"))
    test = prepare_test(table, config)
    blank = np.zeros(len(test))
    target = TargetJudgement(blank, blank, blank, blank, blank, blank)
    judged = {"Isthmus": Judgement({"temp": target}, None, None)}
    report = fairness_of(test, table, judged, draw_sample(test, config)[0], config)
    cuts = report["scenarios"]["Isthmus"]["interval"]
    assert cuts["series"]["status"] == "NOT_APPLICABLE"
    assert cuts["locale"]["status"] == "OK"


def test_a_limit_makes_a_better_detector_not_blessed(toy_config):
    report = {
        "scenarios": {"Isthmus": {}, "No sharing": {}},
        "deciding_detector": "interval",
        "differences": [
            {"detector": "interval", "scenario": "Isthmus", "value": 0.3, "lower": 0.2, "upper": 0.4}
        ],
    }
    odds = {"equalised_odds_difference": {"value": 0.4, "lower": 0.1, "upper": 0.6}}
    fairness = {"scenarios": {"Isthmus": {"interval": {"locale": {"disparities": odds}}}}}
    assert bless(report, toy_config, fairness)[0] == BLESSED
    for limit, verdict in ((0.3, NOT_BLESSED), (0.5, BLESSED)):
        config = _with(toy_config, slices=["locale"], gate={"max_equalised_odds_difference": limit})
        found, reasons = bless(report, config, fairness)
        assert found == verdict
        assert "equalised odds difference is 0.400" in reasons[1]
    # Without a report there is nothing to pass the limit with.
    assert bless(report, config)[0] == NOT_BLESSED


def test_missing_values_are_counted_where_they_were_met(toy_config, toy_test):
    index = toy_test.schema.get_field_index("temp")
    gone = np.arange(toy_test.num_rows) % 100 == 0
    holes = pa.compute.if_else(
        pa.array(gone), pa.scalar(None, pa.float32()), toy_test["temp"].combine_chunks()
    )
    mode = pa.array([None if i < 7 else "a" for i in range(toy_test.num_rows)])
    table = toy_test.set_column(index, "temp", holes)
    table = table.set_column(table.schema.get_field_index("mode"), "mode", mode)
    test = prepare_test(table, toy_config)
    found = missing_values(test, {"Isthmus": {"us": test[:0], "eu": test}}, toy_config.dataset)
    expected = {"temp": int(gone.sum()), "load": 0, "on": 0, "mode": 7}
    assert found["test"] == expected
    assert found["training"] == {"Isthmus": {"us": dict.fromkeys(expected, 0), "eu": expected}}


def test_a_row_without_the_target_is_not_flagged_and_does_not_break_its_neighbours(toy_config, toy_test):
    """What `evaluation.json` says of missing values, seen on a detector."""
    config = toy_config.model_copy(update={"classifier": ClassifierConfig(enabled=False)})
    rows = toy_test.filter(pa.compute.equal(toy_test["locale"], "us"))
    frame = frames.prepare(rows.drop(["locale"]), config.dataset, "us")
    detector = fit_detector({"us": frame}, config, {}, Cache(), False)
    holes = frame.copy()
    labelled = np.flatnonzero(frame[LABEL].to_numpy() == 1)[:4]
    holes.loc[labelled, "temp"] = np.nan
    said = detector.judge(holes)
    assert not said.interval_flag[labelled].any()
    assert np.isfinite(np.delete(said.interval_score, labelled)).all()


def test_the_evaluators_configuration_checks_the_columns(toy_config):
    with pytest.raises(pydantic.ValidationError, match="found 'voltage'; allowed: device, load, locale"):
        _with(toy_config, slices=["voltage"])
