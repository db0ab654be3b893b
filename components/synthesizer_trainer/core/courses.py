"""Which way a number of few values last moved: a sawtooth falls on where it fell, and rises on where it rose.

A thermostat's temperature passes each level twice, on its way up and on its way down, and the level says
nothing of which. So where the last move foretells the next one and mostly is the same way, its direction is a
variable of the number's chain: shown nowhere, it tells the two ways apart.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from components.synthesizer_trainer.core.chains import Variable
from components.synthesizer_trainer.core.flicker import MEMORY_P, foretold
from components.synthesizer_trainer.core.stretches import MIN_LEVELS

#: Share of the moves from inner values that go on the same way: noise about a value turns back.
MIN_ONWARD = 0.6
#: Fewest such moves.
MIN_MOVES = 20


def directions(codes: np.ndarray, segment: np.ndarray) -> np.ndarray:
    """Whether a number last moved up; before the first move of a segment, whether it will. Shape [N], int32.

    Args:
      codes: Of values in order. Shape [N], int.
      segment: Shape [N].
    """
    moves = np.flatnonzero((codes[1:] != codes[:-1]) & (segment[1:] == segment[:-1])) + 1
    if not len(moves):
        return np.zeros(len(codes), np.int32)
    rows = np.arange(len(codes))
    last = np.searchsorted(moves, rows, side="right") - 1
    before = (last < 0) | (segment[moves[np.maximum(last, 0)]] != segment)
    last = np.minimum(np.where(before, last + 1, last), len(moves) - 1)
    return np.asarray((codes[moves] > codes[moves - 1])[last].astype(np.int32))


def find_courses(variables: Sequence[Variable], segment: np.ndarray, pairs: np.ndarray) -> list[Variable]:
    """A course for each number that goes on as it went.

    Args:
      variables: The discrete variables.
      segment: Shape [N].
      pairs: Normal rows t whose row t - 1 is a normal neighbour. Shape [n], int.
    """
    found = []
    for variable in variables:
        codes, last = variable.codes, len(variable.levels) - 1
        if not variable.number or last + 1 < MIN_LEVELS:
            continue
        course = directions(codes, segment)
        moves = pairs[codes[pairs] != codes[pairs - 1]]
        # The first move of a segment has none before it.
        later = np.r_[False, segment[moves[1:]] == segment[moves[:-1]]] if len(moves) else np.zeros(0, bool)
        own = moves[later & (codes[moves - 1] > 0) & (codes[moves - 1] < last)]
        if len(own) < MIN_MOVES or (course[own] == course[own - 1]).mean() < MIN_ONWARD:
            continue
        if foretold(course[own], course[own - 1], codes[own - 1]) < MEMORY_P:
            found.append(Variable(variable.feature, "course", np.array([0.0, 1.0]), course))
    return found
