"""The corrected test of a gain, and the score."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.stats import ttest_rel

from components.tuner.core.choosing import compare
from components.tuner.core.scoring import MEASURES, Outcome, score


def test_without_shared_rows_it_is_the_paired_t_test():
    ours, theirs = [0.9, 0.93, 0.91, 0.95], [0.88, 0.9, 0.92, 0.9]
    wanted = ttest_rel(ours, theirs, alternative="greater")
    found = compare(ours, theirs, 0.0)
    assert found.p_value == pytest.approx(wanted.pvalue) and found.pairs == 4
    assert found.least == pytest.approx(wanted.confidence_interval(0.95).low)


def test_shared_rows_make_it_harder():
    ours, theirs = [0.9, 0.93, 0.91], [0.88, 0.9, 0.9]
    assert compare(ours, theirs, 0.25).p_value > compare(ours, theirs, 0.0).p_value
    # By hand: differences 0.02, 0.03, 0.01; variance 1e-4 times (1/3 + 1/3).
    assert compare(ours, theirs, 0.25).least == pytest.approx(0.02 - 2.91999 * np.sqrt(2e-4 / 3), abs=1e-6)


@pytest.mark.parametrize(("gain", "better"), [(0.01, True), (0.0, False), (-0.01, False)])
def test_equal_differences_have_no_noise(gain, better):
    found = compare([0.5 + gain, 0.5 + gain], [0.5, 0.5], 0.25)
    assert found.better is better and found.least == pytest.approx(gain)


def test_a_pair_alone_is_refused():
    with pytest.raises(ValueError, match="2 pairs"):
        compare([0.9], [0.8], 0.25)


def test_no_gain_is_found_in_noise_more_often_than_said():
    """Pairs whose shared part has the correlation that the correction assumes, at a level of 5 %."""
    rng = np.random.default_rng(5)
    shared, own = rng.standard_normal((2000, 1)) / np.sqrt(3), rng.standard_normal((2000, 3))
    found = sum(compare(row, np.zeros(3), 0.25).better for row in shared + own)
    # 100 expected of 2,000; five standard deviations are 49.
    assert found <= 149


def test_the_score_is_the_mean_with_errors_turned_round():
    measures = dict.fromkeys(MEASURES, 0.9) | {"acf_error": 0.3}
    found = Outcome("done", measures=measures)
    assert score(found, tuple(MEASURES)) == pytest.approx((4 * 0.9 + 0.7) / 5)
    assert score(found, ("acf_error",)) == pytest.approx(0.7)
    with pytest.raises(ValueError, match="no measure"):
        score(found, ())


def test_an_outcome_survives_json():
    found = Outcome("done", {"acf_error": 0.1}, None, ("a", "b"), "", 1.5, 1.25, 40, "patience")
    assert Outcome.from_json(json.loads(json.dumps(found.to_json()))) == found
    with pytest.raises((TypeError, KeyError)):
        Outcome.from_json({"status": "done"})
