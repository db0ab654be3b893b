"""Slices and disparities against hand counts, Fairlearn's numbers and properties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from components.errors import DataError
from components.fairness.core.measures import Sample, judge_slices
from components.fairness.core.slicing import MISSING, Slices, by_bins, by_value
from components.prophet_evaluator.core import metrics

LABEL = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0])
FLAG = np.array([1, 1, 1, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 1])
GROUP = np.array(["a"] * 10 + ["b"] * 8 + ["c"] * 6)


def _sample(label, segment=None, replicates=200, confidence=0.95, block_s=5.0) -> Sample:
    segment = np.zeros(len(label), np.int64) if segment is None else segment
    stamps = np.arange(len(label)) * 1_000_000
    units, n_events = metrics.resampling_units(label, segment, stamps, block_s)
    rng = np.random.default_rng(5)
    weights = metrics.bootstrap_weights(int(units.max(initial=-1)) + 1, n_events, replicates, rng)
    return Sample(label, segment, units, weights, confidence)


def _segments(group) -> np.ndarray:
    return np.unique(group, return_inverse=True)[1].reshape(-1)


def test_the_numbers_of_fairlearn():
    """fairlearn 0.12.0 on the same rows: MetricFrame.by_group and the four functions, run and copied."""
    qualities, found = judge_slices(_sample(LABEL, _segments(GROUP)), FLAG, by_value(GROUP))
    rates = {name: [q.rates[name].value for q in qualities] for name in ("selection_rate", "tpr", "fpr")}
    assert rates["selection_rate"] == pytest.approx([0.4, 0.375, 0.5])
    assert rates["tpr"] == pytest.approx([0.75, 1 / 3, 1.0])
    assert rates["fpr"] == pytest.approx([1 / 6, 0.4, 0.25])
    assert found["demographic_parity_difference"].metric.value == pytest.approx(0.125)
    assert found["disparate_impact_ratio"].metric.value == pytest.approx(0.75)
    assert found["equalised_odds_difference"].metric.value == pytest.approx(0.6666666666666667)
    assert found["equalised_odds_difference"].extremes == ("b", "c")
    assert found["fpr_difference"].extremes == ("a", "b")


def test_the_numbers_of_fairlearn_on_random_rows():
    """fairlearn 0.12.0, the same generator and seed: 0.1639..., 0.5558..., 0.2736..."""
    rng, n = np.random.default_rng(3), 400
    label = (rng.random(n) < 0.2).astype(int)
    group = rng.integers(0, 4, n)
    flag = (rng.random(n) < 0.1 + 0.5 * label + 0.05 * group).astype(int)
    _, found = judge_slices(_sample(label), flag, by_value(group))
    assert found["demographic_parity_difference"].metric.value == pytest.approx(0.16391941391941395)
    assert found["disparate_impact_ratio"].metric.value == pytest.approx(0.5558312655286848)
    assert found["equalised_odds_difference"].metric.value == pytest.approx(0.27368421052631586)


def test_a_slice_without_positives_is_undefined_and_named_where_fairlearn_says_0():
    label = LABEL.copy()
    label[18:20] = 0
    qualities, found = judge_slices(_sample(label, _segments(GROUP)), FLAG, by_value(GROUP))
    assert qualities[2].rates["tpr"].value is None
    assert qualities[2].rates["tpr"].reason == "no row is labelled anomalous"
    odds = found["equalised_odds_difference"]
    assert odds.left_out == ("c",)
    assert odds.metric.value == pytest.approx(0.75 - 1 / 3)  # Fairlearn: 0.75, with c's TPR as 0


def test_the_interval_of_equalised_odds_is_of_the_larger_difference_and_of_the_slices_compared():
    # Slices a and b: every anomaly is found, every sixth block of b is a false alarm; c has no anomaly.
    label = np.tile(np.repeat([1, 0], [5, 25]), 30)
    group = np.repeat(["a", "b", "c"], 300)
    label[600:] = 0
    flag = label.copy()
    flag[300:600:30] = flag[310:600:30] = flag[311:600:30] = 1
    _, found = judge_slices(_sample(label, _segments(group)), flag, by_value(group))
    odds, fpr = found["equalised_odds_difference"], found["fpr_difference"]
    assert odds.left_out == ("c",) and fpr.left_out == ()
    assert found["tpr_difference"].metric.to_json() == {"value": 0.0, "lower": 0.0, "upper": 0.0}
    assert 0 < odds.metric.lower < odds.metric.value < odds.metric.upper
    assert odds.metric == fpr.metric


@pytest.mark.parametrize(
    ("rows", "events", "rate", "reason"),
    [
        (4, 1, "tpr", "3 anomalous rows, at least 4 are needed (fairness.min_rows)"),
        (1, 2, "tpr", "1 labelled events, at least 2 are needed (fairness.min_events)"),
        (1, 2, "f1", "1 labelled events, at least 2 are needed (fairness.min_events)"),
        (9, 1, "selection_rate", "8 rows, at least 9 are needed (fairness.min_rows)"),
        (6, 1, "fpr", "5 normal rows, at least 6 are needed (fairness.min_rows)"),
    ],
)
def test_too_few_rows_or_events_are_undefined(rows, events, rate, reason):
    found = judge_slices(_sample(LABEL, _segments(GROUP)), FLAG, by_value(GROUP), rows, events)[0][1]
    assert found.rates[rate].value is None
    assert found.rates[rate].reason == reason
    # The false positive rate of normal rows needs no event.
    assert (
        judge_slices(_sample(LABEL, _segments(GROUP)), FLAG, by_value(GROUP), 1, 9)[0][1].rates["fpr"].value
    )


@pytest.mark.parametrize("group", [np.array(["one"] * 24), GROUP])
def test_one_slice_has_no_disparity(group):
    qualities, found = judge_slices(_sample(LABEL), FLAG, by_value(group))
    for disparity in found.values():
        if len(qualities) == 1:
            assert disparity.metric.value is None
            assert "two are needed" in disparity.metric.reason
            assert disparity.to_json()["status"] == "UNDEFINED"
        else:
            assert disparity.metric.value is not None


def test_a_detector_that_flags_nothing_has_no_ratio_and_no_difference():
    _, found = judge_slices(_sample(LABEL), np.zeros(24, int), by_value(GROUP))
    assert found["disparate_impact_ratio"].metric.value is None
    assert "no row of any slice is flagged" in found["disparate_impact_ratio"].metric.reason
    assert found["demographic_parity_difference"].metric.value == 0


def test_intervals_are_of_blocks_and_not_of_rows():
    """Errors in bursts of 50 rows: rows drawn one by one would give an interval a seventh as wide."""
    rng = np.random.default_rng(0)
    bursts = np.repeat(rng.random(80) < 0.3, 50)
    label = np.zeros(4000, int)
    group = np.repeat(["a", "b"], 2000)
    wide, narrow = (
        judge_slices(_sample(label, _segments(group), 500, block_s=size), bursts, by_value(group))[0][
            0
        ].rates["fpr"]
        for size in (50.0, 1.0)
    )
    assert wide.value == narrow.value
    assert (wide.upper - wide.lower) / (narrow.upper - narrow.lower) == pytest.approx(50**0.5, rel=0.2)


def test_intervals_of_a_difference_are_paired_over_slices():
    """Rows that all slices share a block with move together: equal slices differ by exactly 0."""
    rng = np.random.default_rng(1)
    half = (rng.random(500) < 0.3).astype(int)
    truth = (np.arange(500) % 50 < 10).astype(int)
    label, flag = np.repeat(truth, 2), np.repeat(half, 2)
    found = judge_slices(_sample(label, block_s=10.0), flag, Slices(("a", "b"), np.tile([0, 1], 500)))[1]
    for name in ("fpr_difference", "tpr_difference", "demographic_parity_difference"):
        assert (found[name].metric.value, found[name].metric.lower, found[name].metric.upper) == (0, 0, 0)


def test_coverage_of_the_interval_on_independent_blocks():
    """Nominal 90 %: over 200 samples of 120 blocks the true FPR is inside 84 to 96 % of the intervals."""
    inside = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        flag = np.repeat(rng.random(240) < 0.25, 5)
        label = np.zeros(1200, int)
        sample = _sample(label, replicates=200, confidence=0.9)
        fpr = judge_slices(sample, flag, Slices(("a", "b"), np.repeat([0, 1], 600)))[0][0].rates["fpr"]
        inside += fpr.lower <= 0.25 <= fpr.upper
    assert 168 <= inside <= 192


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(np.int8, 60, elements=st.integers(0, 1)),
    hnp.arrays(np.int8, 60, elements=st.integers(0, 1)),
    hnp.arrays(np.int8, 60, elements=st.integers(0, 3)),
)
def test_properties(label, flag, group):
    sample = _sample(label, replicates=50)
    qualities, found = judge_slices(sample, flag, by_value(group))
    assert (
        np.sum([q.counts for q in qualities], axis=0).tolist()
        == metrics.confusion_counts(label, flag).tolist()
    )
    for name, disparity in found.items():
        if disparity.metric.value is None:
            assert disparity.metric.reason
            continue
        assert 0 <= disparity.metric.value <= 1
        if disparity.metric.lower is not None:
            assert 0 <= disparity.metric.lower <= disparity.metric.upper <= 1
        if name == "equalised_odds_difference":
            parts = [found[part].metric.value for part in ("tpr_difference", "fpr_difference")]
            assert disparity.metric.value == max(parts)
    # Naming the slices otherwise changes nothing but the names.
    again = judge_slices(sample, flag, by_value(3 - group))[1]
    assert {name: item.metric for name, item in again.items()} == {
        name: item.metric for name, item in found.items()
    }


def test_values_of_any_type_become_names():
    slices = by_value(np.array(["b", None, "a", "", float("nan"), "b"], dtype=object))
    assert slices.names == (MISSING, "a", "b")
    assert slices.codes.tolist() == [2, 0, 1, 0, 0, 2]
    assert by_value(np.array([1, 0, 1])).names == ("0", "1")
    assert by_value(np.array([1.0, np.nan])).names == (MISSING, "1")
    assert by_value(np.array([None, None], dtype=object)).names == (MISSING,)
    assert by_value(np.zeros(0)).names == ()


def test_bins_hold_infinities_and_name_what_is_missing():
    slices = by_bins(np.array([-np.inf, 0, 19.9, 20, 80, np.inf, np.nan]), (20, 80))
    assert slices.names == ("< 20", "20 to < 80", ">= 80", MISSING)
    assert slices.codes.tolist() == [0, 0, 0, 1, 2, 2, 3]
    assert by_bins(np.array([1.0]), (20, 80)).names == ("< 20", "20 to < 80", ">= 80")
    assert len(set(by_bins(np.array([1.0]), (1_000_001, 1_000_002)).names)) == 3
    with pytest.raises(DataError, match="at least one edge"):
        by_bins(np.zeros(3), ())


def test_an_empty_bin_is_listed_and_undefined():
    slices = by_bins(np.where(GROUP == "a", 1.0, 9.0), (5, 100))
    qualities, found = judge_slices(_sample(LABEL), FLAG, slices)
    assert qualities[2].to_json()["rows"] == 0
    assert {value.reason for value in qualities[2].rates.values()} == {
        "there are no rows",
        "no row is labelled anomalous",
        "no row is labelled normal",
        "the detector flags no row",
    }
    assert found["equalised_odds_difference"].left_out == (">= 100",)
    assert found["equalised_odds_difference"].metric.value is not None
