"""Markov chains of everything that is not a number: flags, modes, categories, holds and nulls.

Variables that move together share a chain over their joint states. A chain's next state depends on
its present one and on up to two covariates chosen by cross-validated likelihood: the time it has
been in its state (which makes it semi-Markov), the time since one of its variables came to rest or
ceased to (a pulse that is noisy while it lasts, yet lasts a set time), the phase of a cycle, the level
of a numeric feature (a thermostat), the state of another chain. Anomaly kinds have transitions of their
own, shrunk to the normal ones.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from components.synthesizer_trainer.core.transitions import (
    DWELL_EDGES,
    Smoothing,
    at_least,
    held_out,
    kind_transitions,
    spell_bins,
    transition_probabilities,
)

#: Bins of a numeric covariate, equally likely.
LEVEL_BINS = 20
#: Changes that a chain needs to be given a covariate.
MIN_CHANGES = 10
#: Variables of a chain whose spells are tried.
MAX_SPELLS = 16
#: Weights of the parent distribution that are tried for the age of a spell, in rows: it is seen in many
#: states, each of them rarely.
SPELL_PRIORS = (2.0, 5.0, 10.0, 20.0)
#: The same for chains that forget the state they are in: bins hold more rows, and are compared with few.
FORGETFUL_PRIORS = (20.0, 80.0)
#: Weight of the parent distribution, in rows, at a covariate that says nothing with the usual weight: few
#: cells see a state end that seldom does.
PATIENT_PRIOR = 20.0
#: Largest number of table entries of the normal block; of all blocks, twice as many and one block more.
MAX_TABLE = 400_000
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
      number: Its levels are a number's few values, which have an order.
    """

    feature: int
    role: str
    levels: np.ndarray
    codes: np.ndarray
    number: bool = False


@dataclass(frozen=True)
class Spells:
    """Stretches of rest, and those between two rests, of a chain.

    Attributes:
      resting: Which states are rest: one variable has its most frequent code. Shape [state], bool.
      ages: Bin of the rows since the spell began, of every row. Shape [N], int32.
      prior_rows: Weight of the parent distribution for this covariate.
      groups: Of the states, if the parent distribution tells what leaves a group from where it goes
        (`backoff.grouped_parent`), else None. Shape [state], int.
    """

    resting: np.ndarray
    ages: np.ndarray
    prior_rows: float
    groups: np.ndarray | None


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


def fit_chain(
    group: tuple[int, ...],
    states: np.ndarray,
    codes: np.ndarray,
    candidates: dict[int, tuple[np.ndarray, int]],
    pairs: np.ndarray,
    kind: np.ndarray,
    kinds: int,
    dwell: int | None = None,
    spell: tuple[int, Spells] | None = None,
    cycles: int = 0,
    max_table: int = MAX_TABLE,
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
      spell: The column that is the age of its spells, and the spells.
      cycles: The first so many columns are phases of cycles.
      max_table: Largest number of table entries of the normal block.
    """
    count = len(states)
    normal = pairs[(kind[pairs] == 0) & (kind[pairs - 1] == 0)]
    before, after = codes[normal - 1], codes[normal]

    def smoothed(use: list[int], forgets: float, patient: Collection[int]) -> Smoothing:
        """How transitions given some covariates are."""
        place = use.index(spell[0]) if spell and spell[0] in use else None
        places = [index for index, column in enumerate(use) if column == dwell or index == place]
        weights = {index: PATIENT_PRIOR for index, column in enumerate(use) if column in patient}
        if spell and place is not None:
            weights[place] = spell[1].prior_rows
        phases = [index for index, column in enumerate(use) if column < cycles]
        return Smoothing(places, weights, forgets, phases, spell[1].groups if spell and place == 0 else None)

    changes = int((before != after).sum())

    def gained(chosen: list[int], column: int, forgets: float, patient: Collection[int]) -> float:
        """Held-out log-likelihood with one more covariate."""
        # A covariate's value is the one before the step, except the phase, which is known ahead.
        use = [*chosen, column]
        bins, sizes = [candidates[c][0][normal] for c in use], [candidates[c][1] for c in use]
        return held_out(bins, sizes, before, after, count, smoothed(use, forgets, patient))

    def grown(forgets: float) -> tuple[list[int], float, set[int]]:
        """Covariates taken one by one, the score with them, and which of them have the patient weight."""
        chosen: list[int] = []
        patient: set[int] = set()
        score = held_out([], [], before, after, count, Smoothing(forgets=forgets))
        times_own = {dwell, spell[0] if spell else None} if forgets else set()
        weighed_by_itself = {spell[0]} if spell else set()
        while len(chosen) < 2 and count > 1 and changes > MIN_CHANGES:
            width = int(np.prod([candidates[c][1] for c in chosen], initial=1))
            open_ = [
                column
                for column, (_, size) in candidates.items()
                if column not in (*chosen, *times_own) and width * size * count * count <= max_table
            ]
            slow: set[int] = set()
            gains = {column: gained(chosen, column, forgets, patient) - score for column in open_}
            if max(gains.values(), default=0.0) < MIN_GAIN and not forgets:
                slow = set(open_) - weighed_by_itself
                gains = {
                    column: gained(chosen, column, forgets, patient | {column}) - score
                    for column in open_
                    if column in slow
                }
            if not gains or max(gains.values()) < MIN_GAIN:
                break
            best = max(gains, key=lambda column: gains[column])
            chosen.append(best)
            score += gains[best]
            patient |= slow & {best}
        return chosen, score, patient

    forgets = 0.0
    chosen, score, patient = grown(forgets)
    for prior in FORGETFUL_PRIORS if count > 2 and changes > MIN_CHANGES else ():
        other, reached, slow_ones = grown(prior)
        if reached > score + MIN_GAIN:
            forgets, chosen, score, patient = prior, other, reached, slow_ones
    sizes = [candidates[c][1] for c in chosen]
    bins = [candidates[c][0][normal] for c in chosen]
    table = transition_probabilities(bins, sizes, before, after, count, smoothed(chosen, forgets, patient))
    blocks, block = [table], np.zeros(kinds + 1, np.int32)
    for index in range(1, kinds + 1):
        inside = pairs[kind[pairs] == index]
        if not len(inside) or len(blocks) >= most_blocks(table.size, max_table):
            continue
        cell = np.zeros(len(inside), np.int64)
        for column, size in zip(chosen, sizes):
            cell = cell * size + at_least(candidates[column][0][inside])
        own = kind_transitions(table, cell, codes[inside - 1], codes[inside])
        if own is None:
            continue
        block[index] = len(blocks)
        blocks.append(own)
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
        resting=spell[1].resting if spell else np.arange(count) == 0,
    )


def find_spells(
    states: np.ndarray, codes: np.ndarray, segment: np.ndarray, pairs: np.ndarray
) -> Spells | None:
    """The variable whose rests and pulses say most about what comes next; None where none does.

    Args:
      states: Shape [S, variables].
      codes: State of every row. Shape [N].
      segment: Shape [N].
      pairs: Normal rows t whose predecessor t - 1 is a neighbour. Shape [n], int.
    """
    share = np.bincount(codes, minlength=len(states))
    masks: dict[bytes, np.ndarray] = {}
    for column in states.T:
        rest = column == np.argmax(np.bincount(column, weights=share))
        masks[rest.tobytes()] = rest
    ends = {key: int((rest[codes[pairs]] != rest[codes[pairs - 1]]).sum()) for key, rest in masks.items()}
    busiest = sorted((key for key in ends if ends[key] > MIN_CHANGES), key=lambda key: -ends[key])
    before, after = codes[pairs - 1], codes[pairs]

    def better(trials: Iterable[Spells], least: float) -> tuple[Spells | None, float]:
        """The trial that says most in nats, of those that say more than the least."""
        found = None
        for trial in trials:
            bins = [trial.ages[pairs - 1]], [len(DWELL_EDGES)]
            how = Smoothing((0,), {0: trial.prior_rows}, groups=trial.groups)
            score = held_out(*bins, before, after, len(states), how)
            if score > least:
                found, least = trial, score
        return found, least

    ages = ((masks[key], spell_bins(codes, segment, masks[key])) for key in busiest[:MAX_SPELLS])
    trials = (Spells(*own, prior, None) for own in ages for prior in SPELL_PRIORS)
    found, best = better(trials, MIN_GAIN + held_out([], [], before, after, len(states)))
    if not found:
        return None
    groups = [np.unique(column, return_inverse=True)[1] for column in states.T]
    grouped = (
        replace(found, prior_rows=prior, groups=own) for own in groups if own.any() for prior in SPELL_PRIORS
    )
    return better(grouped, best + MIN_GAIN)[0] or found


def phase_candidates(phases: np.ndarray, bins: tuple[int, ...]) -> dict[int, tuple[np.ndarray, int]]:
    """The first covariate columns: the cycles' phases, [N, cycles], in so many bins each."""
    return {column: (phases[:, column], count) for column, count in enumerate(bins)}
