"""Transition probabilities of a chain, given how long it has been where it is, and other covariates."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy.sparse.csgraph import connected_components

from components.synthesizer_trainer.core.backoff import grouped_parent

#: Lower edges of the dwell-time bins, in rows.
DWELL_EDGES = np.array([*range(1, 17), *range(18, 33, 2), *range(36, 65, 4), 80, 96, 128, 192, 256, 320, 480])
#: Weight of the parent distribution, in rows (Dirichlet prior).
PRIOR_ROWS = 2.0
#: Ends of a state from which its absence at a phase says something.
MIN_CLOCKED_EXITS = 10
#: Weight of the normal transitions in an anomaly kind's, in rows.
KIND_PRIOR_ROWS = 1.0
#: Gain in log-likelihood (nats, each row left out of its own) that a state's transitions must bring.
MIN_KIND_GAIN = 3.0


@dataclass(frozen=True)
class Smoothing:
    """How transitions are shrunk where few rows tell of them.

    Attributes:
      dwell: Which covariates are dwell times: a bin that was never reached takes after the one before
        it, because a state that outlasts all that were seen should end, not start over.
      priors: Weight of the parent distribution at a covariate, in rows; `PRIOR_ROWS` where it is not named.
      forgets: Where above 0, what comes next depends on the covariates alone (a count of things that come one
        by one), and this is the weight of the parent distribution in rows; nothing else here has an effect.
      clocks: Which covariates are phases of a cycle: a state that ends often and was never seen at a phase
        is late there, and goes where the rows of this phase are.
      groups: Of the states, if the first covariate's parent distribution is `backoff.grouped_parent`.
        Shape [states], int.
    """

    dwell: Collection[int] = ()
    priors: Mapping[int, float] = field(default_factory=dict)
    forgets: float = 0.0
    clocks: Collection[int] = ()
    groups: np.ndarray | None = None


#: As a chain without covariates has it.
PLAIN = Smoothing()


def dwell_bins(codes: np.ndarray, segment: np.ndarray) -> np.ndarray:
    """Rows since the state last changed, binned. Shape [N], int32.

    Before the first change of a segment nobody saw when the state began: there the time is a lower bound,
    the rows since the segment began, and its bin b is written as ~b, which is negative.
    """
    begins = np.ones(len(codes), bool)
    begins[1:] = segment[1:] != segment[:-1]
    change = begins.copy()
    change[1:] |= codes[1:] != codes[:-1]
    row = np.arange(len(codes))
    last = np.maximum.accumulate(np.where(change, row, 0))
    bins = (np.searchsorted(DWELL_EDGES, row - last + 1, side="right") - 1).astype(np.int32)
    return np.where(begins[last], ~bins, bins)


def at_least(bins: np.ndarray) -> np.ndarray:
    """Bins of covariates, a time's lower bound taken for the time (`dwell_bins`). Shape of `bins`."""
    return np.where(bins < 0, ~bins, bins)


def spell_bins(codes: np.ndarray, segment: np.ndarray, resting: np.ndarray) -> np.ndarray:
    """Rows since the chain came to rest, or ceased to, binned as `dwell_bins` does. Shape [N], int32.

    Args:
      codes: State of every row. Shape [N].
      segment: Shape [N].
      resting: Which states are rest. Shape [states], bool.
    """
    return dwell_bins(resting[codes].astype(np.int32), segment)


def transition_probabilities(
    bins: list[np.ndarray],
    sizes: list[int],
    before: np.ndarray,
    after: np.ndarray,
    states: int,
    smoothing: Smoothing = PLAIN,
) -> np.ndarray:
    """Smoothed P(after | bin1, bin2, before), each depth shrunk to the one above it (`_by_depth`).

    Args:
      bins: Up to two covariates. Each shape [n]. Rows that do not know one (below 0) say nothing of it, nor
        of what comes after it.
      sizes: Their numbers of bins.
      before: State before. Shape [n].
      after: State after. Shape [n].
      states: Number of states.
      smoothing: What the depths are shrunk by.

    Returns:
      Shape [prod(sizes), states, states], float64.
    """
    return _by_depth(bins, sizes, before, after, states, smoothing)[-1]


def _by_depth(
    bins: list[np.ndarray],
    sizes: list[int],
    before: np.ndarray,
    after: np.ndarray,
    states: int,
    how: Smoothing,
) -> list[np.ndarray]:
    """`transition_probabilities` of no covariate, of the first, and of both."""
    if how.forgets:
        shares = [_shares(bins[:d], sizes[:d], after, states, how.forgets) for d in range(len(bins) + 1)]
        return [np.repeat(share[:, None], states, axis=1) for share in shares]
    often = np.bincount(before[before != after], minlength=states) >= MIN_CLOCKED_EXITS
    bins, before, after = _with_censored_exits(bins, before, after, states)
    total = np.bincount(before * states + after, minlength=states * states).reshape(states, states)
    stay = 0.98 * np.eye(states) + 0.02 / states
    parent = (total + PRIOR_ROWS * 0.05 * stay) / (total.sum(1, keepdims=True) + PRIOR_ROWS * 0.05)
    parent, width, index = parent[None], 1, np.zeros(len(before), np.int64)
    out = [parent]
    for depth, (values, size) in enumerate(zip(bins, sizes)):
        told = (index >= 0) & (values >= 0)
        index, width = np.where(told, index * size + values, -1), width * size
        flat = ((index * states + before) * states + after)[told]
        counts = np.bincount(flat, minlength=width * states * states).reshape(width, states, states)
        prior, groups = how.priors.get(depth, PRIOR_ROWS), None if depth else how.groups
        if groups is None:
            parent = np.repeat(parent, size, axis=0)
        else:
            parent = grouped_parent(counts, total, parent[0], groups)
        if depth in how.clocks:
            there = counts.sum(1) + prior * 0.05 / states
            there = there / there.sum(1, keepdims=True)
            late = (counts.sum(2) == 0) & often
            parent = np.where(late[..., None], there[:, None], parent)
        parent = (counts + prior * parent) / (counts.sum(2, keepdims=True) + prior)
        if depth in how.dwell and groups is None:
            seen = counts.sum(2).reshape(-1, size, states) > 0
            table = parent.reshape(-1, size, states, states)
            for place in range(1, size):
                empty = ~seen[:, place]
                table[:, place][empty] = table[:, place - 1][empty]
            parent = table.reshape(width, states, states)
        out.append(parent)
    return out


def _shares(
    bins: list[np.ndarray], sizes: list[int], after: np.ndarray, states: int, prior: float
) -> np.ndarray:
    """Smoothed P(after | bin1, bin2). Shape [prod(sizes), states].

    A cell of two bins is shrunk to what the two say as if they did so independently, the product of
    P(after | bin1) and P(after | bin2) over P(after): most cells hold few rows.
    """
    share = np.bincount(after, minlength=states) + 0.5 / states
    share = share / share.sum()
    parent, width, index = share[None], 1, np.zeros(len(after), np.int64)
    for values, size in zip(bins, sizes):
        alone = _shrunk(np.bincount(values * states + after, minlength=size * states), share[None], prior)
        parent = (parent[:, None] * alone[None] / share).reshape(width * size, states)
        index, width = index * size + values, width * size
        if width > size:
            parent = parent / parent.sum(1, keepdims=True)
            parent = _shrunk(np.bincount(index * states + after, minlength=width * states), parent, prior)
    return np.asarray(parent)


def _shrunk(counts: np.ndarray, parent: np.ndarray, prior: float) -> np.ndarray:
    """Shares of counts [bins * states], with `prior` rows of the parent. Shape [bins, states]."""
    table = counts.reshape(-1, parent.shape[1]) + prior * parent
    return np.asarray(table / table.sum(1, keepdims=True))


def _with_censored_exits(
    bins: list[np.ndarray], before: np.ndarray, after: np.ndarray, states: int
) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Lets a state end that was entered but never seen to end, or several that lead to one another alone.

    Where a gap or a split's border cuts a state's only run, its end is censored. Without one, P(stay) is
    close to 1, other states still enter it, and samples end up in it for good (seen: a mode of 0.5 % of the
    rows became 90 %). One exit beside its last step, to where it was entered from, bounds its stay by what
    was seen.
    """
    member = _classes(before, after, states)
    leaves = member[before] != member[after]
    left, entered = np.unique(member[before[leaves]]), np.unique(member[after[leaves]])
    for own in np.setdiff1d(entered, left):
        rows = np.flatnonzero(member[before] == own)
        sources = np.bincount(before[(member[before] != own) & (member[after] == own)], minlength=states)
        last = rows[-1] if len(rows) else np.flatnonzero(member[after] == own)[-1]
        bins = [np.append(values, values[last]) for values in bins]
        state = before[last] if len(rows) else after[last]
        before, after = np.append(before, state), np.append(after, np.argmax(sources))
    return bins, before, after


def _classes(before: np.ndarray, after: np.ndarray, states: int) -> np.ndarray:
    """Class of every state: those of one class lead to one another. Shape [states], int."""
    follows = np.zeros((states, states), bool)
    follows[before, after] = True
    return np.asarray(connected_components(follows, connection="strong")[1])


def unseen_jumps(codes: np.ndarray, pairs: np.ndarray, gaps: np.ndarray, states: int) -> np.ndarray:
    """Gaps before which a chain is in states that were not seen to come and go with those after it.

    A device that restarts in another mode, or is in another one after an anomaly, changed it while nobody saw
    a normal row: of what was seen alone either mode would last for ever. Where modes were seen to change in
    both directions, what gaps hide is not looked for. What an anomaly left behind comes by itself, too.

    Args:
      codes: State of every row. Shape [N].
      pairs: Normal rows t whose row t - 1 is a normal neighbour. Shape [n], int.
      gaps: Last row before each gap and first row after it. Shape [g, 2], int.
      states: Number of states.

    Returns:
      Some of the gaps. Shape [m, 2], int.
    """
    member = _classes(codes[pairs - 1], codes[pairs], states)[codes[gaps]]
    return np.asarray(gaps[member[:, 0] != member[:, 1]])


def aftermath(table: np.ndarray, codes: np.ndarray, kind: np.ndarray, series: np.ndarray) -> np.ndarray:
    """Transitions, of which states that only anomalies have lead to the first normal row after them.

    Args:
      table: Normal transitions. Shape [bins, states, states].
      codes: State of every row. Shape [N].
      kind: Kind of every row, 0 is normal. Shape [N].
      series: Shape [N], rising.

    Returns:
      Shape of `table`.
    """
    normal = kind == 0
    alone = np.setdiff1d(codes[~normal], codes[normal])
    later = np.append(np.flatnonzero(normal), -1)[np.cumsum(normal) - normal]
    later = np.where((later >= 0) & (series[later] == series), later, -1)
    out = table.copy() if len(alone) else table
    for state in alone:
        # However long an anomaly is in a state, it is over once.
        ends = np.unique(later[(codes == state) & (later >= 0)])
        count = np.bincount(codes[ends], minlength=table.shape[2])
        out[:, state] = (count + KIND_PRIOR_ROWS * table[:, state]) / (len(ends) + KIND_PRIOR_ROWS)
    return out


def held_out(
    bins: list[np.ndarray],
    sizes: list[int],
    before: np.ndarray,
    after: np.ndarray,
    states: int,
    smoothing: Smoothing = PLAIN,
) -> float:
    """Two-fold log-likelihood (nats) over alternating tenths of the rows; as `transition_probabilities`."""
    fold = (np.arange(len(before)) * 10 // max(len(before), 1)) % 2
    total = 0.0
    for side in (0, 1):
        fit, test = fold == side, fold != side
        tables = _by_depth([b[fit] for b in bins], sizes, before[fit], after[fit], states, smoothing)
        index = np.zeros(int(test.sum()), np.int64)
        likely = tables[0][index, before[test], after[test]]
        for table, values, size in zip(tables[1:], bins, sizes):
            told = (index >= 0) & (values[test] >= 0)
            index = np.where(told, index * size + values[test], -1)
            likely = np.where(told, table[index, before[test], after[test]], likely)
        total += float(np.log(np.maximum(likely, 1e-9)).sum())
    return total


def gain_of_own(count: np.ndarray, total: np.ndarray | int, usual: np.ndarray) -> np.ndarray:
    """What an anomaly's own shares say more about one of its rows than the normal ones, that row left out.

    Args:
      count: Rows of the anomaly like this one.
      total: Its rows in all; both with the row itself.
      usual: Normal share of rows like this one, above 0.

    Returns:
      Nats, by row; of what no row is like, any number. Shape of `usual`.
    """
    others = np.maximum(count - 1 + KIND_PRIOR_ROWS * usual, 1e-9)
    others = others / np.maximum(total - 1 + KIND_PRIOR_ROWS, 1e-9)
    return np.asarray(np.log(others / usual))


def kind_transitions(
    table: np.ndarray, cell: np.ndarray, before: np.ndarray, after: np.ndarray
) -> np.ndarray | None:
    """Transitions during one kind of anomaly, state by state; None where they are the normal ones.

    An anomaly changes what some states do, and not the others: a heater without power stays on, because it
    never gets warm, and is switched on by the thermostat as ever. A state has transitions of its own
    where they say more about each row than the normal ones do, that row left out.

    Args:
      table: Normal transitions. Shape [bins, states, states].
      cell: Bin of each row of the anomalies. Shape [n].
      before: Its state before. Shape [n].
      after: Its state. Shape [n].

    Returns:
      Shape of `table`.
    """
    out = None
    for state in np.unique(before):
        rows = before == state
        count = np.bincount(after[rows], minlength=table.shape[2])
        usual = np.maximum(table[cell[rows], state, after[rows]], 1e-9)
        if float(gain_of_own(count[after[rows]], int(rows.sum()), usual).sum()) >= MIN_KIND_GAIN:
            out = table.copy() if out is None else out
            out[:, state] = (count + KIND_PRIOR_ROWS * table[:, state]) / (rows.sum() + KIND_PRIOR_ROWS)
    return out
