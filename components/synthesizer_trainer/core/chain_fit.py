"""Fits a chain: covariates that foretell it, chosen by cross-validated likelihood, and its transitions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from components.synthesizer_trainer.core.chains import MAX_TABLE, Chain, most_blocks
from components.synthesizer_trainer.core.transitions import (
    DWELL_EDGES,
    Smoothing,
    aftermath,
    at_least,
    held_out,
    kind_transitions,
    spell_bins,
    transition_probabilities,
    unseen_jumps,
)

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
#: Gain in held-out log-likelihood (nats) that a covariate must bring.
MIN_GAIN = 6.0


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
class Choice:
    """Covariates of a chain.

    Attributes:
      columns: Of the covariate vector, at most two.
      slow: Those of them whose weight is `PATIENT_PRIOR`: few rows see a state end there.
      forgets: As of `Smoothing`.
      score: Held-out log-likelihood with them, in nats.
    """

    columns: tuple[int, ...]
    slow: frozenset[int]
    forgets: float
    score: float


@dataclass(frozen=True)
class Search:
    """Searches the covariates that foretell a chain's next state.

    Attributes:
      bins: Column of the covariate vector to its bin at each step, and the number of bins. Each shape [n]; a
        covariate's value is the one before the step, except a phase, which is known ahead.
      before: State before each step. Shape [n].
      after: State after it. Shape [n].
      states: Number of states.
      dwell: The column that is the chain's own dwell time.
      spell: The column that is the age of its spells, and the spells.
      cycles: The first so many columns are phases of cycles.
      max_table: Largest number of table entries.
    """

    bins: Mapping[int, tuple[np.ndarray, int]]
    before: np.ndarray
    after: np.ndarray
    states: int
    dwell: int | None
    spell: tuple[int, Spells] | None
    cycles: int
    max_table: int

    def best(self) -> Choice:
        """The choice that says most; one that forgets the state has to say clearly more."""
        changes = int((self.before != self.after).sum())
        out = self.grown(0.0, self.states > 1 and changes > MIN_CHANGES)
        for forgets in FORGETFUL_PRIORS if self.states > 2 and changes > MIN_CHANGES else ():
            other = self.grown(forgets)
            if other.score > out.score + MIN_GAIN:
                out = other
        return out

    def grown(self, forgets: float, searched: bool = True) -> Choice:
        """Covariates taken one by one, as long as each brings something; none where nothing is searched."""
        score = held_out([], [], self.before, self.after, self.states, Smoothing(forgets=forgets))
        choice = Choice((), frozenset(), forgets, score)
        while searched and len(choice.columns) < 2:
            further = [self._with(choice, column) for column in self._fitting(choice)]
            best = max(further, key=lambda one: one.score, default=choice)
            if best.score - choice.score < MIN_GAIN and not forgets:
                # The age of spells has a weight of its own.
                own = {self.spell[0]} if self.spell else set()
                columns = [column for column in self._fitting(choice) if column not in own]
                further = [self._with(choice, column, slow=True) for column in columns]
                best = max(further, key=lambda one: one.score, default=choice)
            if best.score - choice.score < MIN_GAIN:
                break
            choice = best
        return choice

    def smoothing(self, choice: Choice) -> Smoothing:
        """How transitions given these covariates are smoothed."""
        columns = choice.columns
        place = columns.index(self.spell[0]) if self.spell and self.spell[0] in columns else None
        weights = {place: PATIENT_PRIOR for place, one in enumerate(columns) if one in choice.slow}
        if self.spell and place is not None:
            weights[place] = self.spell[1].prior_rows
        return Smoothing(
            dwell=[at for at, column in enumerate(columns) if column == self.dwell or at == place],
            priors=weights,
            forgets=choice.forgets,
            clocks=[at for at, column in enumerate(columns) if column < self.cycles],
            groups=self.spell[1].groups if self.spell and place == 0 else None,
        )

    def given(self, columns: Collection[int]) -> tuple[list[np.ndarray], list[int]]:
        """Bins of covariates at every step, and their numbers of bins."""
        return [self.bins[column][0] for column in columns], [self.bins[column][1] for column in columns]

    def _fitting(self, choice: Choice) -> list[int]:
        """Columns that may be added: the tables stay small, and who forgets does not ask how long it was."""
        taken = set(choice.columns)
        if choice.forgets:
            taken |= {column for column in (self.dwell, self.spell and self.spell[0]) if column is not None}
        cells = int(np.prod([self.bins[column][1] for column in choice.columns], initial=1))
        room = self.max_table // (cells * self.states**2)
        return [column for column, (_, size) in self.bins.items() if column not in taken and size <= room]

    def _with(self, choice: Choice, column: int, slow: bool = False) -> Choice:
        wider = replace(
            choice,
            columns=(*choice.columns, column),
            slow=choice.slow | ({column} if slow else frozenset()),
        )
        sides = *self.given(wider.columns), self.before, self.after, self.states
        return replace(wider, score=held_out(*sides, self.smoothing(wider)))


def fit_chain(
    group: tuple[int, ...],
    states: np.ndarray,
    codes: np.ndarray,
    candidates: dict[int, tuple[np.ndarray, int]],
    pairs: np.ndarray,
    kind: np.ndarray,
    kinds: int,
    series: np.ndarray,
    gaps: np.ndarray,
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
      series: Series of every row, rising. Shape [N].
      gaps: Last normal row before each gap of a series and first one after it, rising. Shape [g, 2], int.
      dwell: The column that is the chain's own dwell time.
      spell: The column that is the age of its spells, and the spells.
      cycles: The first so many columns are phases of cycles.
      max_table: Largest number of table entries of the normal block.
    """
    count = len(states)
    normal = pairs[(kind[pairs] == 0) & (kind[pairs - 1] == 0)]
    steps = {column: (bins[normal], size) for column, (bins, size) in candidates.items()}
    search = Search(steps, codes[normal - 1], codes[normal], count, dwell, spell, cycles, max_table)
    chosen = search.best()
    sizes = [candidates[column][1] for column in chosen.columns]
    jumps = unseen_jumps(codes, normal, gaps, count)
    # A jump is a step from the row before its gap, in the order of time. The age and levels are that row's.
    rows, after = np.r_[normal, jumps[:, 0] + 1], codes[np.r_[normal, jumps[:, 1]]]
    order = np.argsort(rows, kind="stable")
    rows, after = rows[order], after[order]
    bins = [candidates[column][0][rows] for column in chosen.columns]
    table = transition_probabilities(bins, sizes, codes[rows - 1], after, count, search.smoothing(chosen))
    table = aftermath(table, codes, kind, series)
    blocks, block = [table], np.zeros(kinds + 1, np.int32)
    for index in range(1, kinds + 1):
        inside = pairs[kind[pairs] == index]
        if not len(inside) or len(blocks) >= most_blocks(table.size, max_table):
            continue
        cell = np.zeros(len(inside), np.int64)
        for column, size in zip(chosen.columns, sizes):
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
        covariates=chosen.columns,
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
