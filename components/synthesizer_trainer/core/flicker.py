"""Values between which a number flickers without memory: one code of its chain, and shares of what it shows.

A quantised sensor at rest between two of its steps shows now the one and now the other. Were each a code of
its own, the flags' chain would hold every joint state once for either, each seen half as often: rare ones
would be too rare to be learned, and more of what is learned would be single rows.

So such values are one state, and which of them a row shows is drawn by itself: a hidden Markov model
(Rabiner, "A tutorial on hidden Markov models", Proc. IEEE 77, 1989) of which the states are seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import chi2

from components.synthesizer_trainer.core.chains import Chain, Variable, group_variables
from components.synthesizer_trainer.core.events import Window
from components.synthesizer_trainer.core.stretches import MIN_LEVELS, bands
from components.synthesizer_trainer.core.transitions import KIND_PRIOR_ROWS, MIN_KIND_GAIN, gain_of_own

#: A value is foretold where so much dependence is less likely by chance, over the number of things tried.
MEMORY_P = 0.001
#: Weight of all rows' shares in a state's own, in rows.
STATE_PRIOR_ROWS = 5.0


@dataclass(frozen=True)
class Flicker:
    """A number's values that are one code of its chain, and how often each is shown.

    Attributes:
      variable: Index of the variable, whose `codes` are each band's most frequent one alone.
      band: Band of each code, which may be one by itself. Shape [levels], int.
      states: Shares of the codes by state of the chain. Shape [states, levels].
      events: Shares of the codes of each band by event. Shape [E, levels].
    """

    variable: int
    band: np.ndarray
    states: np.ndarray
    events: np.ndarray


def merge_bands(codes: np.ndarray, band: np.ndarray) -> np.ndarray:
    """Each row's code, or the most frequent one of its band. Shape of `codes`.

    Args:
      codes: Shape [N].
      band: Shape [levels].
    """
    count = np.bincount(codes, minlength=len(band))
    head = [int(np.where(band == own, count, -1).argmax()) for own in band]
    return np.array(head, np.int32)[codes]


def forgetful_bands(
    variable: Variable,
    rows: np.ndarray,
    beside: np.ndarray,
    covariates: Sequence[np.ndarray],
    min_count: int,
) -> np.ndarray:
    """Bands of values between which a number flickers, and which of them nothing foretells.

    Args:
      variable: A number's level.
      rows: Normal rows t whose row t - 1 is a normal neighbour. Shape [n], int.
      beside: Joint state of the chain's other variables, which shares may depend on. Shape [N], int.
      covariates: What else might foretell the value, like the value before: bin of every row [N].
      min_count: Rows that a code needs to be of a band.

    Returns:
      Shape [levels], int; every code by itself where nothing flickers, and where all values are one band.
    """
    levels, codes = len(variable.levels), variable.codes
    alone = np.arange(levels)
    if levels < MIN_LEVELS:
        return alone
    found = bands(codes, rows, levels)
    if found.max() == 0:
        return alone
    out, often = alone.copy(), np.bincount(codes[rows], minlength=levels) >= min_count
    for band in range(int(found.max()) + 1):
        members = np.flatnonzero((found == band) & often)
        if len(members) < 2:
            continue
        own = rows[np.isin(codes[rows], members) & np.isin(codes[rows - 1], members)]
        told = [codes[own - 1], *(bins[own] for bins in covariates)]
        if min(foretold(codes[own], one, beside[own]) for one in told) > MEMORY_P / len(told):
            out[members] = members[0]
    return out


def foretold(now: np.ndarray, bins: np.ndarray, given: np.ndarray) -> float:
    """Probability of so much dependence by chance: Pearson's chi-squared test within strata.

    Source: Agresti, "Categorical data analysis" (2013), 8.1 (the sum over strata, and of their degrees of
    freedom, tests conditional independence).

    Args:
      now: Codes. Shape [n], int.
      bins: What may foretell them. Shape [n], int.
      given: Stratum of every row. Shape [n], int.
    """
    parts = [np.unique(part, return_inverse=True) for part in (given, bins, now)]
    shape = tuple(len(values) for values, _ in parts)
    flat = np.ravel_multi_index(tuple(place.reshape(-1) for _, place in parts), shape)
    count = np.bincount(flat, minlength=int(np.prod(shape))).reshape(shape).astype(float)
    rows, columns = count.sum(2, keepdims=True), count.sum(1, keepdims=True)
    expected = rows * columns / count.sum((1, 2), keepdims=True)
    statistic = ((count - expected) ** 2 / np.where(expected > 0, expected, 1.0)).sum()
    freedom = (((rows > 0).sum(1) - 1) * ((columns > 0).sum(2) - 1)).sum()
    return float(chi2.sf(statistic, freedom)) if freedom else 1.0


def find_flickers(
    variables: Sequence[Variable],
    known: np.ndarray,
    rows: np.ndarray,
    covariates: Sequence[np.ndarray],
    limit: int,
    min_count: int,
) -> tuple[list[Variable], list[tuple[int, ...]], dict[int, tuple[np.ndarray, np.ndarray]]]:
    """Merges the values of each number that flickers without memory, and groups the variables into chains.

    Where a variable of another chain foretells the value, nothing is merged: that would be lost.

    Args:
      variables: The discrete variables.
      known: Whether a feature has a value. Shape [N, features].
      rows: Normal rows t whose row t - 1 is a normal neighbour. Shape [n], int.
      covariates: Phases and levels: bin of every row [N].
      limit: Joint states of a chain at most.
      min_count: Rows that a value, and a joint state, needs.

    Returns:
      The variables, their groups (`chains.group_variables`), and of those merged the band of each code
      [levels] and what every row shows [N].
    """
    out, merged = list(variables), {}
    groups = group_variables(out, limit, min_count)
    for index, variable in enumerate(variables):
        if not variable.number:
            continue
        (own,) = (group for group in groups if index in group)
        others = [v.codes for i, v in enumerate(variables) if i not in own]
        joint = np.stack([variables[i].codes for i in own if i != index] or [np.zeros(len(known), int)], 1)
        beside = np.unique(joint, axis=0, return_inverse=True)[1].reshape(-1)
        seen = known[rows, variable.feature] & known[rows - 1, variable.feature]
        band = forgetful_bands(variable, rows[seen], beside, [*covariates, *others], min_count)
        if len(np.unique(band)) < len(band):
            out[index] = replace(variable, codes=merge_bands(variable.codes, band))
            merged[index] = (band, variable.codes)
    return out, group_variables(out, limit, min_count) if merged else groups, merged


def fit_flicker(
    variable: int,
    band: np.ndarray,
    codes: np.ndarray,
    chain: Chain,
    normal: np.ndarray,
    windows: Sequence[Window],
) -> Flicker:
    """Shares of what is shown, by state of the chain and by event.

    An event has shares of its own where they say more about its rows than the normal ones, each row left
    out of its own (`transitions.kind_transitions`).

    Args:
      variable: Index of the variable.
      band: Shape [levels].
      codes: Of every row, before bands were merged. Shape [N].
      chain: The variable's.
      normal: Which rows are. Shape [N], bool.
      windows: The events (`events.templates`).
    """
    levels = len(band)
    heads = chain.states[:, chain.variables.index(variable)]
    usual = np.bincount(codes[normal], minlength=levels) + 1e-9
    usual = usual / np.bincount(band, weights=usual, minlength=levels)[band]
    fits = normal & (band[codes] == band[heads[chain.codes]])
    flat = chain.codes[fits].astype(np.int64) * levels + codes[fits]
    count = np.bincount(flat, minlength=len(heads) * levels).reshape(-1, levels)
    prior = STATE_PRIOR_ROWS * usual * (band == band[heads][:, None])
    states = (count + prior) / (count.sum(1, keepdims=True) + STATE_PRIOR_ROWS)
    events = np.repeat(usual[None], len(windows), axis=0)
    for place, window in enumerate(windows):
        count = np.bincount(codes[window.rows], minlength=levels)
        total = np.bincount(band, weights=count, minlength=levels)[band]
        gain = np.bincount(band, weights=count * gain_of_own(count, total, usual), minlength=levels)[band]
        own = (count + KIND_PRIOR_ROWS * usual) / (total + KIND_PRIOR_ROWS)
        events[place] = np.where(gain >= MIN_KIND_GAIN, own, usual)
    return Flicker(variable, band, states, events)


def shown_codes(
    heads: np.ndarray, uniform: np.ndarray, states: np.ndarray, own: np.ndarray, table: np.ndarray
) -> np.ndarray:
    """What rows show. Shape [n], int.

    Args:
      heads: Code that the chain shows, or that an event forces. Shape [n].
      uniform: In [0, 1). Shape [n].
      states: Row of `table` of every row. Shape [n], int.
      own: Code of each row of `table`: a forced code has no state, and stays. Shape [rows].
      table: Cumulative shares. Shape [rows, levels].
    """
    drawn = (uniform[:, None] >= table[states]).sum(1)
    return np.where(heads == own[states], drawn, heads)


def shown_in_event(
    heads: np.ndarray, uniform: np.ndarray, band: np.ndarray, shares: np.ndarray
) -> np.ndarray:
    """What the rows of an event show. Shape [n], int.

    Args:
      heads: As in `shown_codes`. Shape [n].
      uniform: In [0, 1). Shape [n].
      band: Shape [levels].
      shares: Of the codes of each band. Shape [levels].
    """
    out = heads.copy()
    for head in np.unique(heads):
        rows = heads == head
        edges = np.cumsum(np.where(band == band[head], shares, 0.0))
        out[rows] = np.searchsorted(edges / edges[-1], uniform[rows], side="right")
    return out
