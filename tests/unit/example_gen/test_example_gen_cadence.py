"""The median step of the series against the configured interval."""

from __future__ import annotations

import numpy as np
import pytest

from components.errors import DataError
from components.example_gen.core.cadence import MAX_STEPS, Cadence


def judge(*series_of_steps_s, interval_s=60.0, piece=None):
    cadence = Cadence(interval_s)
    stamps = [
        np.concatenate([[0], np.cumsum(np.asarray(s) * 1e6)]).astype(np.int64) for s in series_of_steps_s
    ]
    number = np.repeat(np.arange(len(stamps)), [len(s) for s in stamps])
    joined = np.concatenate(stamps)
    size = piece or len(joined)
    for start in range(0, len(joined), size):
        cadence.add(number[start : start + size], joined[start : start + size])
    return cadence


def regular(step_s, steps=200):
    return np.full(steps, float(step_s))


def with_gaps(step_s, missing, seed=0, steps=4_000):
    kept = np.flatnonzero(np.random.default_rng(seed).random(steps) >= missing)
    return np.diff(kept) * float(step_s)


def test_the_right_interval_passes_and_is_reported():
    assert judge(regular(60), regular(60)).require("here") == 60.0


@pytest.mark.parametrize("found, configured", [(60, 300), (300, 60), (60, 120), (60, 70), (1, 60), (60, 54)])
def test_a_wrong_interval_is_refused_with_both_values_and_the_key(found, configured):
    with pytest.raises(DataError) as error:
        judge(regular(found), regular(found), interval_s=configured).require("locale=eu span=3")
    assert str(error.value) == (
        f"locale=eu span=3: the rows come every {found} s (median step, 2 of 2 series), "
        f"expected {configured} by dataset.interval_s. Set dataset.interval_s: {found}, "
        "or mend the timestamps (timestamp_format)."
    )


@pytest.mark.parametrize("missing", [0.1, 0.5, 0.8, 0.9])
def test_missing_samples_are_not_another_cadence(missing):
    # At 80 % missing the median step is 4 intervals: still the same cadence.
    assert judge(with_gaps(60, missing)).require("here") >= 60


def test_an_interval_that_is_too_short_is_seen_through_missing_samples():
    # True cadence 600 s, configured 60: no step is ever one configured interval.
    with pytest.raises(DataError, match="every 600 s"):
        judge(with_gaps(600, 0.3)).require("here")


def test_jitter_of_the_clock_is_not_another_cadence():
    jitter = np.random.default_rng(1).normal(0, 2, 500)
    assert judge(60 + jitter).require("here") == pytest.approx(60, abs=1)


def test_an_irregular_series_passes_within_a_factor_of_two():
    steps = np.random.default_rng(2).exponential(60, 2_000)  # median 60 ln 2 = 41.6 s
    assert judge(steps).require("here") == pytest.approx(41.6, abs=3)
    with pytest.raises(DataError, match=r"expected 300 by dataset"):
        judge(steps, interval_s=300).require("here")


def test_one_odd_series_among_many_is_no_reason_to_refuse():
    assert judge(regular(60), regular(60), regular(600)).require("here") == 60.0
    with pytest.raises(DataError, match="2 of 3 series"):
        judge(regular(60), regular(600), regular(600)).require("here")


def test_too_few_steps_say_nothing():
    assert judge(regular(600, steps=7)).require("here") is None
    with pytest.raises(DataError):
        judge(regular(600, steps=8)).require("here")


@pytest.mark.parametrize("piece", [1, 7, 64, 1_000])
def test_pieces_do_not_matter(piece):
    parts = [regular(60, 9), with_gaps(60, 0.6, steps=300), regular(20, 65), regular(60, 1)]
    whole, cut = judge(*parts), judge(*parts, piece=piece)
    assert whole.require("here") == cut.require("here")
    assert (whole.medians_s, whole.disagree_s) == (cut.medians_s, cut.disagree_s)


@pytest.mark.parametrize("piece", [None, 1_000])
def test_of_a_long_series_only_the_beginning_is_held(piece):
    # 1 s for the first half of the window, 60 s from there on: only the window counts.
    steps = np.concatenate([regular(1, MAX_STEPS // 2 + 1), regular(60, 3 * MAX_STEPS)])
    assert judge(steps, interval_s=1, piece=piece).require("here") == 1.0
