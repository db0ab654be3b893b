"""Events: what is kept of them is what they do, and nothing of what normal rows do."""

from __future__ import annotations

import numpy as np
import pytest

from components.synthesizer_trainer.core import event_fit, events
from components.synthesizer_trainer.core.transitions import kind_transitions


def _measure(event: np.ndarray, still: float = 0.0) -> tuple[np.ndarray, ...]:
    generator = np.random.default_rng(0)
    controls = 0.3 * generator.normal(size=(16, *event.shape))
    count = event.shape[1]
    return events.measure_event(
        event, controls, np.full(count, still), np.zeros((16, count)), np.full(count, 2.0)
    )


def _noise(rows: int, seed: int = 1) -> np.ndarray:
    return 0.3 * np.random.default_rng(seed).normal(size=(rows, 2))


def test_runs_of_a_kind_inside_segments() -> None:
    kind = np.array([0, 1, 1, 2, 0, 1, 1])
    segment = np.array([0, 0, 0, 0, 0, 0, 1])
    assert events.find_events(kind, segment) == [(1, 1, 3), (2, 3, 4), (1, 5, 6), (1, 6, 7)]


def _windows(text: str, gap: dict[int, int] | None = None) -> list[events.Window]:
    """Windows of a series of kinds, a digit a row; `gap` says how many rows are missing before a row."""
    kind = np.array([int(letter) for letter in text])
    step = np.ones(len(kind), np.int64)
    for row, rows in (gap or {}).items():
        step[row] += rows
    segment = np.cumsum(step > 1)
    return events.find_windows(kind, segment, np.zeros(len(kind), int), np.cumsum(step) * 60, 60)


def test_an_event_that_a_holdout_cuts_is_one_event_as_long_as_it_lasted() -> None:
    (cut,) = _windows("001111000", {4: 3})
    assert cut.kind == 1 and cut.length == 7 and cut.whole
    assert cut.rows.tolist() == [2, 3, 4, 5] and cut.place.tolist() == [0, 1, 5, 6]


def test_two_events_with_normal_rows_or_a_long_gap_between_are_two() -> None:
    assert [w.length for w in _windows("0110110")] == [2, 2]
    assert [w.length for w in _windows("0111110", {3: 10})] == [15]
    assert [w.length for w in _windows("0111110", {3: 11})] == [2, 3]
    assert [w.kind for w in _windows("0112210")] == [1, 2, 1]


def test_an_event_of_which_an_end_is_unknown_is_not_whole() -> None:
    assert [w.whole for w in _windows("0110110", {4: 2})] == [True, False]
    assert [w.whole for w in _windows("1100011")] == [False, False]
    other = events.find_windows(
        np.array([0, 1, 1, 0]), np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]), 1
    )
    assert [w.length for w in other] == [1, 1] and not any(w.whole for w in other)


def test_a_piece_of_an_event_is_no_template_for_others() -> None:
    pieces = _windows("0111101011111100", {5: 0, 6: 4, 8: 4})
    assert [(w.length, w.whole) for w in pieces] == [(4, True), (1, False), (6, False)]
    assert [w.length for w in events.templates(pieces)] == [4, 6]
    scraps = _windows("111111111" + "0110" + "1", {9: 40, 10: 9, 12: 40, 13: 40})
    assert [(w.length, w.whole) for w in scraps] == [(9, False), (2, False), (1, False)]
    assert [w.length for w in events.templates(scraps)] == [9, 2]


def test_the_course_of_an_event_is_not_bent_by_rows_that_nobody_saw() -> None:
    event = _noise(40)
    event[:, 0] += 4
    event[15:25] = np.nan
    course, wave, noise, _ = _measure(event)
    assert course[0, 0] == pytest.approx(4, abs=0.3) and np.abs(course[0, 1:]).max() < 0.5
    assert np.abs(course[1]).max() == 0 and wave[:, 0].max() == 0 and noise.max() == 0


def test_a_level_shift_on_one_feature_is_that_and_nothing_else() -> None:
    event = _noise(30)
    event[:, 0] += 4
    course, wave, noise, hold = _measure(event)
    assert course[0, 0] == pytest.approx(4, abs=0.3)
    assert np.abs(course[1]).max() == 0 and wave[:, 0].max() == 0 and not hold.any()
    assert noise.max() == 0


def test_a_ramp_is_a_straight_line() -> None:
    event = _noise(40)
    event[:, 1] += np.linspace(0, 6, 40)
    course, *_ = _measure(event)
    rebuilt = events.legendre(40) @ course[1]
    assert np.abs(rebuilt - np.linspace(0, 6, 40)).max() < 0.6


def test_a_single_row_spike_is_a_level() -> None:
    event = np.array([[5.0, 0.0]])
    course, *_ = _measure(event)
    assert course[0, 0] == pytest.approx(5, abs=0.2) and (course[0, 1:] == 0).all()


def test_an_oscillation_keeps_amplitude_and_period() -> None:
    event = _noise(60)
    event[:, 0] += 3 * np.sin(2 * np.pi * np.arange(60) / 7)
    _, wave, noise, _ = _measure(event)
    assert wave[0, 0] == pytest.approx(3, rel=0.15) and wave[0, 1] == pytest.approx(7, rel=0.05)
    assert wave[1, 0] == 0 and noise[0] == 0


def test_added_noise_keeps_its_size() -> None:
    event = _noise(80)
    event[:, 0] += 2 * np.random.default_rng(5).normal(size=80)
    _, _, noise, _ = _measure(event)
    assert noise[0] == pytest.approx(2, rel=0.3) and noise[1] == 0


def test_a_stuck_sensor_holds_and_has_no_other_effect() -> None:
    course, wave, noise, hold = _measure(np.full((20, 2), 1.5), still=19)
    assert hold.all() and (course == 0).all() and (wave[:, 0] == 0).all() and (noise == 0).all()


def test_a_sensor_that_is_stuck_in_most_of_what_was_seen_of_an_event_holds() -> None:
    event = np.full((100, 2), 1.5)
    event[50:] = np.nan  # held out
    assert _measure(event, still=36)[3].all()
    assert not _measure(np.full((100, 2), 1.5), still=36)[3].any()


def test_normal_rows_have_no_effect() -> None:
    course, wave, noise, hold = _measure(_noise(30, seed=9))
    assert (course == 0).all() and (wave[:, 0] == 0).all() and (noise == 0).all() and not hold.any()


def test_longest_run() -> None:
    held = np.array([[1, 0], [1, 0], [0, 1], [1, 0]], bool)
    length, first = events.longest_run(held)
    assert length.tolist() == [2, 1] and first.tolist() == [0, 2]
    assert events.longest_run(held[:0])[0].tolist() == [0, 0]


def test_sampled_effects_vary_around_the_template() -> None:
    course = np.zeros((1, events.DEGREES))
    course[0, 0] = 4.0
    wave, noise = np.array([[0.0, 4.0]]), np.zeros(1)
    means = [
        events.event_effect(course, wave, noise, 25, np.random.default_rng(seed)).mean()
        for seed in range(200)
    ]
    # JITTER is the standard deviation of the size.
    assert np.mean(means) == pytest.approx(4, abs=0.2)
    assert 0.3 < np.std(means) < 1.2
    assert len(set(means)) == 200


def test_a_jump_is_no_noise() -> None:
    event = _noise(40)
    event[33:, 0] += 5  # what comes back before the label ends
    _, _, noise, _ = _measure(event)
    assert noise[0] == 0


def test_a_state_that_an_anomaly_does_not_change_keeps_its_transitions() -> None:
    generator = np.random.default_rng(3)
    normal = np.array([[[0.9, 0.1], [0.5, 0.5]], [[0.7, 0.3], [0.4, 0.6]]])
    cell, before = generator.integers(0, 2, 300), generator.integers(0, 2, 300)
    after = (generator.random(300) > normal[cell, before, 0]).astype(int)
    assert kind_transitions(normal, cell, before, after) is None
    after[before == 1] = 1  # on, and never off
    own = kind_transitions(normal, cell, before, after)
    assert own is not None and own.shape == normal.shape
    np.testing.assert_array_equal(own[:, 0], normal[:, 0])
    assert own[:, 1, 1].min() > 0.99 and own.sum(2) == pytest.approx(1.0)
    few = before[:3] * 0 + 1
    assert kind_transitions(normal, cell[:3], few, few) is None  # three rows prove nothing


def test_numbers_that_follow_another_code_than_the_shown_one() -> None:
    """A heater that is on for the first 12 rows of each event, and heats in the last 6 only."""
    inputs = np.zeros((200, 3))
    inputs[:, 2] = np.arange(200) % 2  # of another variable, which has no effect
    spans = [(50, 70), (120, 140)]
    for begin, end in spans:
        inputs[begin + 2 : end, 0] = 1
    heat = np.zeros(200)
    for _, end in spans:
        heat[end - 6 : end] = 1

    windows = [events.Window(1, np.arange(*span), np.arange(20), True) for span in spans]

    def deviation(window: events.Window, override: np.ndarray, share: float) -> np.ndarray:
        shown = inputs[window.rows]
        caused = window.place < np.ceil(share * window.length)
        shown[caused] = np.where(np.isnan(override), shown[caused], override)
        return (heat[window.rows] - shown[:, 0])[:, None] * 4.0

    indicators = ((0, 1), (0, 2), (1, 1))
    found, share = event_fit.find_override(windows, inputs, indicators, np.array([2.0]), deviation)
    np.testing.assert_array_equal(found, [0, 0, np.nan])
    assert share == 0.7
    heat = inputs[:, 0]  # a heater that works
    found, share = event_fit.find_override(windows, inputs, indicators, np.array([2.0]), deviation)
    assert np.isnan(found).all() and share == 1.0


def test_events_of_a_kind_that_overlap_on_different_series_are_one_incident() -> None:
    minutes = {  # of each window: kind, first minute, last minute
        "first": (1, 10, 20),
        "beside it": (1, 15, 30),
        "beside that one alone": (1, 25, 40),
        "another kind": (2, 12, 18),
        "when all is over": (1, 41, 50),
    }
    time_us = np.tile(np.arange(60) * 60_000_000, len(minutes))
    windows = []
    for series, (kind, begin, end) in enumerate(minutes.values()):
        place = np.arange(end - begin + 1)
        windows.append(events.Window(kind, 60 * series + begin + place, place, True))
    found = dict(zip(minutes, events.incidents(windows, time_us).tolist()))
    assert found["first"] == found["beside it"] == found["beside that one alone"]
    assert len({found["first"], found["another kind"], found["when all is over"]}) == 3
    assert events.incidents(windows[::-1], time_us)[::-1][:3].ptp() == 0  # in any order
    assert events.incidents([], time_us).shape == (0,)
