"""Markov chains of everything that is not a number: flags, modes, categories, holds and nulls.

Variables that move together share a chain over their joint states. A chain's next state depends on
its present one and on up to two covariates chosen by cross-validated likelihood: the time it has
been in its state (which makes it semi-Markov), the phase of a cycle, the level of a numeric feature
(a thermostat), the state of another chain. Anomaly kinds have transitions of their own, shrunk to
the normal ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from components.synthesizer_trainer.core.calendar import PHASE_BINS

#: Lower edges of the dwell-time bins, in rows.
DWELL_EDGES = np.array([*range(1, 17), *range(18, 33, 2), *range(36, 65, 4), 80, 96, 128, 192, 256, 320, 480])
#: Bins of a numeric covariate, equally likely.
LEVEL_BINS = 20
#: Weight of the parent distribution, in rows (Dirichlet prior).
PRIOR_ROWS = 2.0
#: Weight of the normal transitions in an anomaly kind's, in rows.
KIND_PRIOR_ROWS = 15.0
#: Gain in held-out log-likelihood (nats) that a covariate must bring.
MIN_GAIN = 6.0


@dataclass(frozen=True)
class Variable:
    """One discrete variable.

    Attributes:
      feature: Index of the feature it belongs to.
      role: `level` (the feature's value itself), `hold` (the numeric value repeats), `null`.
      levels: Values in source units by code, for `level`; (0, 1) otherwise.
      codes: Code of every row. Shape [N], int32.
    """

    feature: int
    role: str
    levels: np.ndarray
    codes: np.ndarray


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
    """

    variables: tuple[int, ...]
    states: np.ndarray
    codes: np.ndarray
    covariates: tuple[int, ...]
    sizes: tuple[int, ...]
    cumulative: np.ndarray
    block: np.ndarray
    frequency: np.ndarray


def joint_states(codes: np.ndarray, min_count: int, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """The joint states of several variables; rare ones merge with the nearest frequent one.

    Args:
      codes: Shape [N, variables], int.
      min_count: Rows that a state needs to stand.
      limit: States at most (the most frequent).

    Returns:
      States, shape [S, variables], and the state of every row, shape [N], int32.
    """
    found, inverse, counts = np.unique(codes, axis=0, return_inverse=True, return_counts=True)
    inverse = inverse.reshape(-1)
    order = np.argsort(-counts, kind="stable")
    keep = order[:limit]
    keep = keep[counts[keep] >= min_count] if (counts[keep] >= min_count).any() else keep[:1]
    states = found[keep]
    distance = (found[:, None, :] != states[None, :, :]).sum(-1)
    # Of equally near states the most frequent one comes first.
    target = distance.argmin(1)
    return states.astype(np.int32), target[inverse].astype(np.int32)


def group_variables(variables: list[Variable], limit: int, min_count: int) -> list[tuple[int, ...]]:
    """Groups variables that change at the same moments (Cramer's V above 0.15), greedily.

    Variables that only agree in level (two functions of the time of day) stay apart: covariates carry
    that. A group stays below `limit` joint states.
    """
    changes = [np.diff(v.codes, prepend=v.codes[:1]) != 0 for v in variables]
    groups: list[tuple[int, ...]] = [(index,) for index in range(len(variables))]
    strength: dict[tuple[int, int], float] = {}
    for a in range(len(variables)):
        for b in range(a):
            strength[b, a] = cramers_v(changes[a].astype(int), changes[b].astype(int))
    member: dict[int, tuple[int, ...]] = {index: (index,) for index in range(len(variables))}
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


def dwell_bins(codes: np.ndarray, segment: np.ndarray) -> np.ndarray:
    """Rows since the state last changed (or the segment began), binned. Shape [N], int32."""
    change = np.ones(len(codes), bool)
    change[1:] = (codes[1:] != codes[:-1]) | (segment[1:] != segment[:-1])
    last = np.maximum.accumulate(np.where(change, np.arange(len(codes)), 0))
    dwell = np.arange(len(codes)) - last + 1
    return (np.searchsorted(DWELL_EDGES, dwell, side="right") - 1).astype(np.int32)


def transition_probabilities(
    bins: list[np.ndarray],
    sizes: list[int],
    before: np.ndarray,
    after: np.ndarray,
    states: int,
    dwell: int | None = None,
) -> np.ndarray:
    """Smoothed P(after | bin1, bin2, before), each depth shrunk to the one above it.

    Args:
      bins: Up to two covariates. Each shape [n].
      sizes: Their numbers of bins.
      before: State before. Shape [n].
      after: State after. Shape [n].
      states: Number of states.
      dwell: Which covariate is the dwell time: a bin that was never reached takes after the one before
        it, because a state that outlasts all that were seen should end, not start over.

    Returns:
      Shape [prod(sizes), states, states], float64.
    """
    bins, before, after = _with_censored_exits(bins, before, after, states)
    counts = np.bincount(before * states + after, minlength=states * states).reshape(states, states)
    stay = 0.98 * np.eye(states) + 0.02 / states
    parent = (counts + PRIOR_ROWS * 0.05 * stay) / (counts.sum(1, keepdims=True) + PRIOR_ROWS * 0.05)
    parent, width, index = parent[None], 1, np.zeros(len(before), np.int64)
    for depth, (values, size) in enumerate(zip(bins, sizes)):
        index, width = index * size + values, width * size
        flat = (index * states + before) * states + after
        counts = np.bincount(flat, minlength=width * states * states).reshape(width, states, states)
        parent = np.repeat(parent, size, axis=0)
        parent = (counts + PRIOR_ROWS * parent) / (counts.sum(2, keepdims=True) + PRIOR_ROWS)
        if depth == dwell:
            seen = counts.sum(2).reshape(-1, size, states) > 0
            table = parent.reshape(-1, size, states, states)
            for place in range(1, size):
                empty = ~seen[:, place]
                table[:, place][empty] = table[:, place - 1][empty]
            parent = table.reshape(width, states, states)
    return parent


def _with_censored_exits(
    bins: list[np.ndarray], before: np.ndarray, after: np.ndarray, states: int
) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Lets a state end that was entered but never seen to end.

    Where a gap or a split's border cuts a state's only run, its end is censored. Without one, P(stay) is
    close to 1, other states still enter it, and samples end up in it for good (seen: a mode of 0.5 % of the
    rows became 90 %). One exit from its last row, to where it was entered from, bounds its stay by what
    was seen.
    """
    moves = before != after
    exits = np.bincount(before[moves], minlength=states)
    entries = np.bincount(after[moves], minlength=states)
    for state in np.flatnonzero((exits == 0) & (entries > 0)):
        rows = np.flatnonzero(before == state)
        sources = np.bincount(before[moves & (after == state)], minlength=states)
        last = rows[-1] if len(rows) else np.flatnonzero(after == state)[-1]
        bins = [np.append(values, values[last]) for values in bins]
        before, after = np.append(before, state), np.append(after, np.argmax(sources))
        moves = np.append(moves, True)
    return bins, before, after


def _held_out(
    bins: list[np.ndarray],
    sizes: list[int],
    before: np.ndarray,
    after: np.ndarray,
    states: int,
    dwell: int | None,
) -> float:
    """Two-fold log-likelihood (nats) over alternating tenths of the rows."""
    fold = (np.arange(len(before)) * 10 // max(len(before), 1)) % 2
    total = 0.0
    for side in (0, 1):
        fit, test = fold == side, fold != side
        table = transition_probabilities(
            [b[fit] for b in bins], sizes, before[fit], after[fit], states, dwell
        )
        index = np.zeros(int(test.sum()), np.int64)
        for values, size in zip(bins, sizes):
            index = index * size + values[test]
        total += float(np.log(np.maximum(table[index, before[test], after[test]], 1e-9)).sum())
    return total


def fit_chain(
    group: tuple[int, ...],
    states: np.ndarray,
    codes: np.ndarray,
    candidates: dict[int, tuple[np.ndarray, int]],
    pairs: np.ndarray,
    kind: np.ndarray,
    kinds: int,
    dwell: int | None = None,
    max_table: int = 400_000,
) -> Chain:
    """Fits a chain's transitions.

    Args:
      group: The chain's variables.
      states: Shape [S, variables].
      codes: State of every row. Shape [N].
      candidates: Column of the covariate vector to (bin of every row, number of bins).
      pairs: Rows t whose predecessor t - 1 is a neighbour. Shape [n], int.
      kind: Kind of every row, 0 is normal. Shape [N].
      kinds: Number of anomaly kinds.
      dwell: The column that is the chain's own dwell time.
      max_table: Largest number of table entries of the normal block.
    """
    count = len(states)
    normal = pairs[(kind[pairs] == 0) & (kind[pairs - 1] == 0)]
    before, after = codes[normal - 1], codes[normal]
    chosen: list[int] = []
    score = _held_out([], [], before, after, count, None)
    changes = int((before != after).sum())
    while len(chosen) < 2 and count > 1 and changes > 10:
        width = int(np.prod([candidates[c][1] for c in chosen], initial=1))
        gains = {}
        for column, (_, size) in candidates.items():
            if column in chosen or width * size * count * count > max_table:
                continue
            # A covariate's value is the one before the step, except the phase, which is known ahead.
            use = [*chosen, column]
            gains[column] = (
                _held_out(
                    [candidates[c][0][normal] for c in use],
                    [candidates[c][1] for c in use],
                    before,
                    after,
                    count,
                    use.index(dwell) if dwell in use else None,
                )
                - score
            )
        if not gains or max(gains.values()) < MIN_GAIN:
            break
        best = max(gains, key=lambda column: gains[column])
        chosen.append(best)
        score += gains[best]
    sizes = [candidates[c][1] for c in chosen]
    place = chosen.index(dwell) if dwell in chosen else None
    bins = [candidates[c][0][normal] for c in chosen]
    table = transition_probabilities(bins, sizes, before, after, count, place)
    blocks, block = [table], np.zeros(kinds + 1, np.int32)
    for index in range(1, kinds + 1):
        inside = pairs[kind[pairs] == index]
        if not len(inside) or len(blocks) * table.size > 2 * max_table:
            continue
        was, now = codes[inside - 1], codes[inside]
        cell = np.zeros(len(inside), np.int64)
        for column, size in zip(chosen, sizes):
            cell = cell * size + candidates[column][0][inside]
        counts = np.bincount(was * count + now, minlength=count * count).reshape(count, count)
        expected = table[cell, was, now]
        own = (counts + KIND_PRIOR_ROWS * table.mean(0)) / (counts.sum(1, keepdims=True) + KIND_PRIOR_ROWS)
        if float(np.log(own[was, now] / np.maximum(expected, 1e-9)).sum()) < MIN_GAIN:
            continue
        block[index] = len(blocks)
        blocks.append(
            (counts[None] + KIND_PRIOR_ROWS * table) / (counts.sum(1)[None, :, None] + KIND_PRIOR_ROWS)
        )
    cumulative = np.cumsum(np.stack(blocks), axis=-1)
    cumulative /= cumulative[..., -1:]
    frequency = np.bincount(codes[kind == 0], minlength=count) / max((kind == 0).sum(), 1)
    return Chain(
        variables=group,
        states=states,
        codes=codes,
        covariates=tuple(chosen),
        sizes=tuple(sizes),
        cumulative=cumulative,
        block=block,
        frequency=frequency,
    )


def phase_candidates(phases: np.ndarray) -> dict[int, tuple[np.ndarray, int]]:
    """The first covariate columns: the cycles' phases. Shape of `phases`: [N, cycles]."""
    return {column: (phases[:, column], PHASE_BINS) for column in range(phases.shape[1])}
