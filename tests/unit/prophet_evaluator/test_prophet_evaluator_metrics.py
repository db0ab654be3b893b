"""Metrics of the central detector against numbers derived by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import DataError
from components.prophet_evaluator.core import metrics

# Rows:   0  1  2  3  4  5  6  7  8  9
LABEL = [0, 1, 1, 0, 0, 1, 0, 0, 1, 1]
FLAG = [0, 1, 0, 1, 0, 0, 0, 0, 1, 1]
# tp: rows 1, 8, 9; fp: row 3; fn: rows 2, 5; tn: rows 0, 4, 6, 7.
COUNTS = [3, 1, 2, 4]
SERIES = [0, 0, 0, 0, 0, 0, 0, 0, 0, 1]


def test_confusion_counts_by_hand():
    assert metrics.confusion_counts(np.array(LABEL), np.array(FLAG)).tolist() == COUNTS


def test_confusion_counts_refuses_other_shapes():
    with pytest.raises(DataError, match="must be equal"):
        metrics.confusion_counts(np.zeros(3), np.zeros(4))


@pytest.mark.parametrize(
    ("name", "value"),
    # 2*3/(2*3+1+2), 3/4, 3/5, 1/5, 7/10
    [("f1", 2 / 3), ("precision", 0.75), ("tpr", 0.6), ("fpr", 0.2), ("accuracy", 0.7)],
)
def test_rates_by_hand(name, value):
    assert metrics.rate(np.array(COUNTS), name) == pytest.approx(value)


@pytest.mark.parametrize(
    ("counts", "name", "reason"),
    [
        ([0, 3, 0, 5], "f1", "no row is labelled anomalous"),
        ([0, 0, 2, 5], "precision", "flags no row"),
        ([0, 3, 0, 5], "tpr", "no row is labelled anomalous"),
        ([1, 0, 1, 0], "fpr", "no row is labelled normal"),
        ([0, 0, 0, 0], "accuracy", "no rows"),
    ],
)
def test_undefined_rates_say_why(counts, name, reason):
    found = metrics.rates(np.array([counts], float), np.ones((10, 1)), 0.95)[name]
    assert found.value is None
    assert reason in found.reason
    assert found.to_json() == {"value": None, "status": "UNDEFINED", "reason": found.reason}


def test_f1_is_zero_where_anomalies_are_all_missed():
    assert metrics.rate(np.array([0, 0, 5, 5]), "f1") == 0


def test_event_ids_end_at_the_series():
    # Row 9 follows anomalous row 8 but belongs to another series: a fourth event.
    assert metrics.event_ids(np.array(LABEL), np.array(SERIES)).tolist() == [
        -1,
        0,
        0,
        -1,
        -1,
        1,
        -1,
        -1,
        2,
        3,
    ]
    assert metrics.event_ids(np.zeros(0), np.zeros(0)).tolist() == []


def test_event_recall_counts_events_not_rows():
    # Events {1,2} (row 1 flagged), {5} (missed), {8}, {9}.
    assert metrics.event_recall(np.array(LABEL), np.array(FLAG), np.array(SERIES)) == (3, 4)


def test_resampling_units_keep_events_whole_and_blocks_within_a_series():
    stamps = np.arange(10) * 1_000_000
    units, n_events = metrics.resampling_units(np.array(LABEL), np.array(SERIES), stamps, 4.0)
    assert n_events == 4
    # Normal rows 0, 3 lie in block 0 (seconds 0-3), rows 4, 6, 7 in block 1.
    assert units.tolist() == [4, 0, 0, 4, 5, 1, 5, 5, 2, 3]


def test_unit_counts_add_up_to_the_confusion():
    units = np.array([4, 0, 0, 4, 5, 1, 5, 5, 2, 3])
    counts = metrics.unit_counts(np.array(LABEL), np.array(FLAG), units, 6)
    assert counts.sum(axis=0).tolist() == COUNTS
    assert counts[0].tolist() == [1, 0, 1, 0]
    assert counts[4].tolist() == [0, 1, 0, 1]


def test_bootstrap_keeps_the_number_of_events():
    weights = metrics.bootstrap_weights(6, 4, 50, np.random.default_rng(0))
    assert weights[:, :4].sum(axis=1).tolist() == [4] * 50
    assert weights[:, 4:].sum(axis=1).tolist() == [2] * 50
    again = metrics.bootstrap_weights(6, 4, 50, np.random.default_rng(0))
    assert (weights == again).all()


def test_paired_difference_of_a_detector_to_itself_is_exactly_zero():
    counts = np.array([[3.0, 0, 1, 0], [0, 2, 0, 9], [1, 0, 2, 0]])
    weights = metrics.bootstrap_weights(3, 2, 100, np.random.default_rng(0))
    found = metrics.paired_difference(counts, counts, weights, 0.95)
    assert (found.value, found.lower, found.upper) == (0.0, 0.0, 0.0)


def test_paired_difference_bounds_are_those_of_the_replicates():
    # Two events of one row each; one detector finds both, the other only the first.
    better, worse = np.array([[1.0, 0, 0, 0], [1, 0, 0, 0]]), np.array([[1.0, 0, 0, 0], [0, 0, 1, 0]])
    weights = np.array([[2.0, 0], [1, 1], [0, 2]])
    # F1 of the better one is always 1; of the other 1, 2/3, 0: differences 0, 1/3, 1.
    found = metrics.paired_difference(better, worse, weights, 0.9999)
    assert found.value == pytest.approx(1 / 3)
    assert found.lower == pytest.approx(0, abs=1e-3)
    assert found.upper == pytest.approx(1, abs=1e-3)


def test_paired_difference_without_anomalies_is_undefined():
    counts = np.array([[0.0, 1, 0, 3]])
    found = metrics.paired_difference(counts, counts, np.ones((5, 1)), 0.95)
    assert found.value is None and "anomalous" in found.reason


def test_bounds_need_half_of_the_replicates():
    assert metrics.quantile_bounds(np.array([np.nan, np.nan, 1.0]), 0.9) == (None, None)
    assert metrics.quantile_bounds(np.array([]), 0.9) == (None, None)
    assert metrics.quantile_bounds(np.array([1.0, 1.0, np.nan]), 0.9) == (1.0, 1.0)


def test_pr_auc_by_hand():
    # Descending scores 0.9 (1), 0.8 (0), 0.7 (1): recall steps 0.5 at precision 1 and 0.5 at 2/3.
    found = metrics.pr_auc(np.array([1, 0, 1]), np.array([0.9, 0.8, 0.7]))
    assert found.value == pytest.approx(0.5 + 0.5 * 2 / 3)


def test_pr_auc_is_undefined_for_one_class():
    assert metrics.pr_auc(np.array([0, 0]), np.array([0.1, 0.2])).value is None
    assert metrics.pr_auc(np.array([0, 1]), np.array([0.1, np.nan])).value is None


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_rates_lie_in_the_unit_interval_or_are_undefined(rows):
    label, flag = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    counts = metrics.confusion_counts(label, flag)
    assert counts.sum() == len(rows)
    for name in metrics.RATES:
        value = metrics.rate(counts, name)
        assert np.isnan(value) or 0 <= value <= 1
