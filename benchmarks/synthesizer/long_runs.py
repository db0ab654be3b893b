"""How long what is discrete lasts: states, missing values, labelled events.

A run is neighbouring rows of one series in one state. It ends where the state does, and where more than an
hour of rows is wanting; shorter gaps are bridged, as the same rows are wanting on both sides. A run that the
end of the rows cuts counts as long as it was seen.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from benchmarks.synthesizer.long_profiles import Span
from components.synthesizer_trainer.core.fidelity import ks_similarity

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

#: A longer gap ends a run.
BRIDGED_S = 3600.0
#: Of a state, or of a column's nulls: fewer real runs say nothing of their lengths.
RUNS = 10
#: Of a kind of event.
WINDOWS = 3


def runs(state: Floats, span: Span) -> tuple[Floats, Floats, int]:
    """State and length of every run, and how often a state changed into another.

    Args:
      state: Of each row; NaN is a row that is passed over. Shape [N].
      span: Whose rows they are.

    Returns:
      States [n], lengths in rows [n], changes.
    """
    there = ~np.isnan(state)
    state, series, slot = state[there], span.series[there], span.slot[there]
    if not len(state):
        return state, np.zeros(0), 0
    gap = (np.diff(series) != 0) | ((np.diff(slot) - 1) * span.interval_s > BRIDGED_S)
    begins = np.flatnonzero(np.r_[True, gap | (np.diff(state) != 0)])
    ends = np.r_[begins[1:], len(state)] - 1
    return state[begins], (slot[ends] - slot[begins] + 1).astype(float), len(begins) - 1 - int(gap.sum())


def alike(real: Floats, made: Floats) -> float:
    """1 - KS of two samples of lengths; 0 where nothing was made."""
    return ks_similarity(real, made) if len(made) else 0.0


def dwell_fidelity(real: Span, made: Span, columns: Sequence[int]) -> float | None:
    """1 - KS of the time spent in a state at a stretch, averaged over a column's states, then over columns.

    The sojourn times of a semi-Markov process; KS as the lengths of sequences are compared by SDMetrics
    (`SequenceLengthSimilarity`). States with fewer than `RUNS` real runs are left out; one that was never
    made counts 0.

    Returns:
      None where no state has enough runs.
    """
    found = []
    for column in columns:
        state, length, _ = runs(real.values[:, column], real)
        made_state, made_length, _ = runs(made.values[:, column], made)
        own = [
            alike(length[state == one], made_length[made_state == one])
            for one, count in zip(*np.unique(state, return_counts=True))
            if count >= RUNS
        ]
        found += [np.mean(own)] if own else []
    return float(np.mean(found)) if found else None


def change_error(real: Span, made: Span, columns: Sequence[int]) -> float | None:
    """Absolute log ratio of how often a row's state is another than the one before, averaged over columns.

    0 is equal, 0.69 twice or half as often. Half a change is added on both sides: none is no infinity.

    Returns:
      None where no column has `RUNS` real changes.
    """
    found = []
    for column in columns:
        rates = []
        for span in (real, made):
            changes = runs(span.values[:, column], span)[2]
            rates.append((changes + 0.5) / max((~np.isnan(span.values[:, column])).sum(), 1))
            if span is real and changes < RUNS:
                break
        if len(rates) == 2:
            found.append(abs(np.log(rates[1] / rates[0])))
    return float(np.mean(found)) if found else None


def null_rate_error(real: Span, made: Span) -> float | None:
    """Absolute log ratio of the shares of nulls, averaged over the columns with a real null.

    Not SDMetrics' difference of shares (`MissingValueSimilarity`): where one value in 600 is missing, a
    release that misses none is 0.002 away. Half a null is added on both sides.

    Returns:
      None where no real value is missing.
    """
    sides = [np.isnan(span.values) for span in (real, made)]
    columns = sides[0].any(0)
    if not columns.any():
        return None
    rates = [(side[:, columns].sum(0) + 0.5) / max(len(side), 1) for side in sides]
    return float(np.abs(np.log(rates[1] / rates[0])).mean())


def null_run_fidelity(real: Span, made: Span) -> float | None:
    """1 - KS of how many rows in a row lack their value, averaged over columns with `RUNS` real such runs.

    Returns:
      None where there is no such column.
    """
    found = []
    for column in np.flatnonzero(np.isnan(real.values).any(0)):
        lengths = []
        for span in (real, made):
            state, length, _ = runs(np.isnan(span.values[:, column]).astype(float), span)
            lengths.append(length[state == 1])
        if len(lengths[0]) >= RUNS:
            found.append(alike(lengths[0], lengths[1]))
    return float(np.mean(found)) if found else None


def null_pair_error(real: Span, made: Span) -> float | None:
    """Mean absolute difference of phi (Pearson's of two flags): whether two columns' values lack together.

    Returns:
      None where fewer than two columns lack real values, or one lacks all.
    """
    sides = [np.isnan(span.values) for span in (real, made)]
    columns = np.flatnonzero(sides[0].any(0) & ~sides[0].all(0))
    if len(columns) < 2:
        return None
    upper, found = np.triu_indices(len(columns), 1), []
    for side in sides:
        centred = side[:, columns] - side[:, columns].mean(0)
        spread = centred.std(0)
        centred = centred / np.where(spread > 0, spread, 1.0)
        found.append((centred.T @ centred / len(centred))[upper])
    return float(np.abs(found[0] - found[1]).mean())


def windows(kinds: npt.NDArray[np.object_], span: Span) -> dict[str, Floats]:
    """Length of every labelled window, in rows, by kind.

    Args:
      kinds: Of each row, "" of a normal one. Shape [N].
      span: Whose rows they are, labelled ones included.
    """
    names, code = np.unique(kinds.astype(str), return_inverse=True)
    state, length, _ = runs(code.astype(float), span)
    return {str(name): length[state == place] for place, name in enumerate(names) if name}


def event_measures(real: dict[str, Floats], made: dict[str, Floats]) -> tuple[float | None, float | None]:
    """Labelled windows: absolute log ratio of mean lengths, and 1 - KS of lengths, averaged over kinds.

    Kinds with fewer than `WINDOWS` real windows are left out. One that was never made counts as windows of
    one row, the shortest there are, and 0.

    Args:
      real: Lengths by kind, as `windows` has them.
      made: Of the release.

    Returns:
      None, None where no kind has enough windows.
    """
    ratios, shapes = [], []
    for kind, own in real.items():
        if len(own) >= WINDOWS:
            other = made.get(kind, np.zeros(0))
            ratios.append(abs(np.log((other.mean() if len(other) else 1.0) / own.mean())))
            shapes.append(alike(own, other))
    return (float(np.mean(ratios)), float(np.mean(shapes))) if ratios else (None, None)
