"""Markov chains of everything that is not a number: flags, modes, categories, holds and nulls.

Variables that move together share a chain over their joint states. A chain's next state depends on
its present one and on up to two covariates (`chain_fit`): the time it has been in its state (which makes
it semi-Markov), the time since one of its variables came to rest or ceased to (a pulse that is noisy while
it lasts, yet lasts a set time), the phase of a cycle, the level of a numeric feature (a thermostat), the
state of another chain. Anomaly kinds have transitions of their own, shrunk to the normal ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

#: Bins of a numeric covariate, equally likely.
LEVEL_BINS = 20
#: Largest number of table entries of the normal block; of all blocks, twice as many and one block more.
MAX_TABLE = 400_000


@dataclass(frozen=True)
class Variable:
    """One discrete variable.

    Attributes:
      feature: Index of the feature it belongs to.
      role: `level` (the feature's value itself), `hold` (the numeric value repeats), `null`, `course` (the
        number last moved up: `courses`).
      levels: Values in source units by code, for `level`; (0, 1) otherwise.
      codes: Code of every row. Shape [N], int32.
      number: Its levels are a number's few values, which have an order.
    """

    feature: int
    role: str
    levels: np.ndarray
    codes: np.ndarray
    number: bool = False


@dataclass(frozen=True)
class Chain:
    """A group of variables over their joint states.

    Attributes:
      variables: Indices of the variables.
      states: Code of each variable in each state. Shape [state, variable], int32.
      codes: State of every training row. Shape [N], int32.
      covariates: Columns of the covariate vector, at most two.
      sizes: Number of bins of each.
      cumulative: P(next <= s | kind block, bin, state). Shape [blocks, bins, state, state], float64.
      block: Block of every kind, 0 is normal. Shape [kinds + 1], int32.
      frequency: Stationary share of every state. Shape [state].
      resting: Which states its spells take for rest. Shape [state], bool.
      event_block: Block of each event's stretch (`stretches`), 0 where no variable of the chain has one; no
        event at all in a chain that was not fitted to any. Shape [E], int32.
    """

    variables: tuple[int, ...]
    states: np.ndarray
    codes: np.ndarray
    covariates: tuple[int, ...]
    sizes: tuple[int, ...]
    cumulative: np.ndarray
    block: np.ndarray
    frequency: np.ndarray
    resting: np.ndarray
    event_block: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))


def chain_of(chains: Sequence[Chain], variable: int) -> int:
    """Which of the chains a variable, by its index, is in."""
    return next(place for place, chain in enumerate(chains) if variable in chain.variables)


def most_blocks(entries: int, max_table: int = MAX_TABLE) -> int:
    """How many blocks of so many entries a chain may have: twice the largest table, and one block more."""
    return 2 * max_table // entries + 1


def joint_states(
    codes: np.ndarray, min_count: int, limit: int, ordered: Sequence[int] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """The joint states of several variables; rare ones merge with the nearest frequent one.

    Near is what differs in few variables; of these, what has numbers closest.

    Args:
      codes: Shape [N, variables], int.
      min_count: Rows that a state needs to stand.
      limit: States at most (the most frequent).
      ordered: Which variables are numbers: their codes have an order.

    Returns:
      States, shape [S, variables], and the state of every row, shape [N], int32.
    """
    found, inverse, counts = np.unique(codes, axis=0, return_inverse=True, return_counts=True)
    inverse = inverse.reshape(-1)
    order = np.argsort(-counts, kind="stable")
    keep = order[:limit]
    keep = keep[counts[keep] >= min_count] if (counts[keep] >= min_count).any() else keep[:1]
    states = found[keep]
    distance = (found[:, None, :] != states[None, :, :]).sum(-1).astype(float)
    for column in ordered:
        far = np.abs(found[:, None, column] - states[None, :, column])
        distance += far / (len(ordered) * (codes[:, column].max(initial=0) + 1.0))
    # Of equally near states the most frequent one comes first.
    target = distance.argmin(1)
    return states.astype(np.int32), target[inverse].astype(np.int32)


def group_variables(variables: list[Variable], limit: int, min_count: int) -> list[tuple[int, ...]]:
    """Groups variables that change at the same moments (Cramer's V above 0.15), greedily.

    Variables that only agree in level (two functions of the time of day) stay apart: covariates carry
    that. A group stays below `limit` joint states.
    """
    changes = [np.diff(v.codes, prepend=v.codes[:1]) != 0 for v in variables]
    groups = _with_courses(variables)
    strength: dict[tuple[int, int], float] = {}
    for a in range(len(variables)):
        for b in range(a):
            strength[b, a] = cramers_v(changes[a].astype(int), changes[b].astype(int))
    member = {index: group for group in groups for index in group}
    for (a, b), value in sorted(strength.items(), key=lambda item: -item[1]):
        if value < 0.15:
            break
        first, second = member[a], member[b]
        if first == second:
            continue
        merged = tuple(sorted(first + second))
        codes = np.stack([variables[i].codes for i in merged], axis=1)
        counts = np.unique(codes, axis=0, return_counts=True)[1]
        if (counts >= min_count).sum() > limit:
            continue
        groups = [group for group in groups if group not in (first, second)] + [merged]
        for index in merged:
            member[index] = merged
    return sorted(groups)


def _with_courses(variables: list[Variable]) -> list[tuple[int, ...]]:
    """Every variable by itself, but for a number and its course."""
    course = {v.feature: index for index, v in enumerate(variables) if v.role == "course"}
    return [
        (index, course[v.feature]) if v.role == "level" and v.feature in course else (index,)
        for index, v in enumerate(variables)
        if v.role != "course"
    ]


def cramers_v(a: np.ndarray, b: np.ndarray) -> float:
    """Cramer's V of two code vectors, in [0, 1]; 0 where either is constant."""
    rows, columns = int(a.max()) + 1, int(b.max()) + 1
    table = np.bincount(a * columns + b, minlength=rows * columns).reshape(rows, columns).astype(float)
    table = table[table.sum(1) > 0][:, table.sum(0) > 0]
    small = min(table.shape) - 1
    if small == 0:
        return 0.0
    expected = table.sum(1, keepdims=True) * table.sum(0) / table.sum()
    return float(np.sqrt(((table - expected) ** 2 / expected).sum() / table.sum() / small))


def phase_candidates(phases: np.ndarray, bins: tuple[int, ...]) -> dict[int, tuple[np.ndarray, int]]:
    """The first covariate columns: the cycles' phases, [N, cycles], in so many bins each."""
    return {column: (phases[:, column], count) for column, count in enumerate(bins)}
