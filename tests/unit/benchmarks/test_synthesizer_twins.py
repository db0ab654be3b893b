"""Held-out channels that carry the signal of a channel that was trained on."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

# The benchmarks are no installed package.
sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from benchmarks.synthesizer import twins


def _known() -> tuple[np.ndarray, np.ndarray]:
    """Rows with two events, of 40 and of 30 rows. Shapes [500, 3] and [500]."""
    generator = np.random.default_rng(5)
    values = np.c_[generator.normal(size=500).cumsum(), generator.integers(0, 2, (500, 2))]
    labelled = np.zeros(500, bool)
    labelled[100:140] = labelled[300:330] = True
    return values, labelled


def test_an_event_that_was_trained_on_is_found_wherever_it_stands_and_however_it_is_scaled() -> None:
    values, labelled = _known()
    other, begins = np.full((90, 3), 50.0), np.zeros(90, bool)
    other[20:60], begins[20:60] = values[100:140], True
    other[20:60, 0] *= 1.001
    other[30:34, 1] = 7.0  # four rows are others
    assert twins.shares(other, begins, values, labelled) == [0.9]
    assert twins.is_twin(other, begins, values, labelled)


def test_rows_that_are_the_same_without_their_order_are_no_twin() -> None:
    values, labelled = _known()
    backwards = values[100:140][::-1]
    (share,) = twins.shares(backwards, np.ones(40, bool), values, labelled)
    assert share < twins.SHARE
    assert not twins.is_twin(backwards, np.ones(40, bool), values, labelled)


def test_the_same_rows_without_a_label_are_no_known_event() -> None:
    values, labelled = _known()
    normal = values[200:240]
    (share,) = twins.shares(normal, np.ones(40, bool), values, labelled)
    assert share < twins.SHARE
    assert twins.shares(normal, np.zeros(40, bool), values, labelled) == []
    assert twins.shares(normal, np.ones(40, bool), values, np.zeros(500, bool)) == [0.0]


def test_missing_values_are_the_same_where_both_lack_them() -> None:
    values, labelled = _known()
    values[100:140, 1] = np.nan
    event = values[100:140]
    assert twins.shares(event, np.ones(40, bool), values, labelled) == [1.0]
    filled = np.where(np.isnan(event), 0.0, event)
    assert not twins.is_twin(filled, np.ones(40, bool), values, labelled)


def test_each_event_has_a_share_of_its_own() -> None:
    values, labelled = _known()
    both = np.concatenate([values[300:330], np.full((5, 3), 50.0), np.full((10, 3), -50.0)])
    assert twins.shares(both, np.r_[np.ones(30, bool), np.zeros(5, bool), np.ones(10, bool)],
                        values, labelled) == [1.0, 0.0]  # fmt: skip


def test_rows_of_other_columns_are_refused() -> None:
    values, labelled = _known()
    with pytest.raises(ValueError, match="rows of 2 columns and of 3"):
        twins.shares(values[:, :2], labelled, values, labelled)
