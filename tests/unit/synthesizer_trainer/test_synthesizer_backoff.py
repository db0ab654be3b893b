"""Transitions of few rows: whether a group of states is left, by age, and for which state."""

from __future__ import annotations

import numpy as np
import pytest

from components.synthesizer_trainer.core.backoff import grouped_parent
from components.synthesizer_trainer.core.chain_fit import find_spells
from components.synthesizer_trainer.core.transitions import (
    DWELL_EDGES,
    Smoothing,
    spell_bins,
    transition_probabilities,
)

REST, PULSE, GROUPS = 20, 6, np.array([0, 1, 1, 1])
SHARE = np.array([0.6, 0.3, 0.1])


def pulses(count: int, length: int = PULSE, seed: int = 0) -> np.ndarray:
    """Rests of state 0, and pulses of which every row is one of three states, whatever the row before."""
    generator = np.random.default_rng(seed)
    parts = []
    for _ in range(count):
        rest = REST + int(generator.integers(-4, 5))
        parts += [np.zeros(rest, int), 1 + generator.choice(3, length, p=SHARE)]
    return np.concatenate(parts)


def fitted(codes: np.ndarray, groups: np.ndarray | None, prior: float = 20.0) -> np.ndarray:
    ages = spell_bins(codes, np.zeros(len(codes), int), np.arange(4) == 0)
    how = Smoothing((0,), {0: prior}, groups=groups)
    return transition_probabilities([ages[:-1]], [len(DWELL_EDGES)], codes[:-1], codes[1:], 4, how)


def leaves(table: np.ndarray, age: int) -> np.ndarray:
    """Probability that a pulse of so many rows ends, by the state that it is in. Shape [3]."""
    return table[np.searchsorted(DWELL_EDGES, age, side="right") - 1, 1:, 0]


def test_a_pulse_ends_by_its_age_whichever_state_it_is_in() -> None:
    codes = pulses(25)
    table, plain = fitted(codes, GROUPS), fitted(codes, None)
    assert table.sum(-1) == pytest.approx(1)
    assert leaves(table, 2).max() < 0.03 and leaves(plain, 2).max() > 0.1
    assert leaves(table, PULSE).min() > 0.9 and leaves(plain, PULSE).min() < 0.6


def test_a_pulse_that_outlasts_all_seen_ends() -> None:
    assert leaves(fitted(pulses(25), GROUPS), 40).min() > 0.6


def test_sampled_pulses_are_as_long_as_those_seen() -> None:
    generator = np.random.default_rng(1)
    for groups, good in ((GROUPS, True), (None, False)):
        edges = np.cumsum(fitted(pulses(25), groups), axis=-1)
        state, age, lengths = 0, 1, []
        for _ in range(8_000):
            row = edges[np.searchsorted(DWELL_EDGES, age, side="right") - 1, state]
            after = min(int(np.searchsorted(row, generator.random())), 3)
            if after == 0 and state:
                lengths.append(age)
            age = age + 1 if (after > 0) == (state > 0) else 1
            state = after
        found = np.array(lengths)
        assert len(found) > 150
        assert bool(np.mean(found == PULSE) > 0.8) is good


def test_where_a_state_goes_and_where_an_age_goes_are_both_heard() -> None:
    """States 1 and 2 take turns; 3 comes at age 3 alone."""
    counts = np.zeros((4, 4, 4))
    counts[0, 1, 2] = counts[0, 2, 1] = counts[1, 1, 2] = counts[1, 2, 1] = 100
    counts[2, 1, 3] = 100
    total = counts.sum(0)
    parent = (total + 0.1) / (total + 0.1).sum(1, keepdims=True)
    found = grouped_parent(counts, total, parent, np.array([0, 1, 1, 1]))
    assert found.shape == counts.shape and found.sum(-1) == pytest.approx(1)
    assert found[1, 1, 2] > 0.9 and found[1, 2, 1] > 0.9
    # Nobody was in state 2 at age 3: the age says 3, the state says 1; and age 4, unseen, is as age 3.
    assert found[2, 2, 3] > 10 * found[1, 2, 3]
    assert found[3] == pytest.approx(found[2])


def states_of(codes: np.ndarray) -> np.ndarray:
    """Codes of two variables by state: in the pulse or not, and a flag that a state of the pulse has."""
    return np.array([[0, 0], [1, 0], [1, 1], [1, 2]])[: int(codes.max()) + 1]


def test_groups_are_those_of_the_variable_that_tells_most() -> None:
    codes = pulses(60)
    found = find_spells(states_of(codes), codes, np.zeros(len(codes), int), np.arange(1, len(codes)))
    assert found is not None and found.groups is not None
    assert found.groups.tolist() == GROUPS.tolist()
    assert found.resting.tolist() == [True, False, False, False]


def test_pulses_without_a_length_have_no_groups() -> None:
    generator = np.random.default_rng(2)
    leave = np.array([[0.95, 0.03, 0.015, 0.005], [0.2, 0.48, 0.24, 0.08]])
    codes = [0]
    for _ in range(3_000):
        codes.append(int(generator.choice(4, p=leave[min(codes[-1], 1)])))
    found = find_spells(
        states_of(np.array(codes)), np.array(codes), np.zeros(len(codes), int), np.arange(1, len(codes))
    )
    assert found is None or found.groups is None
