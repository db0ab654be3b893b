"""Stretches of an event in which a number of few values stays too long: a pulse that does not end.

What `EventTable.hold` is to a latent series, this is to a number that is a chain's level. Codes between which
it flickers anyhow are one band; a stretch is a run within one band that is longer than those of normal rows.
Sampled, it is the chain confined to the band: which codes it shows there is up to the chain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse.csgraph import connected_components

from components.synthesizer_trainer.core.chains import MAX_TABLE, Chain, Variable, most_blocks
from components.synthesizer_trainer.core.events import Window

#: Fewest values of a number that has bands or a course. Two are a flag: its kind's transitions speak for it.
MIN_LEVELS = 3
#: Two codes are of one band where each goes over to the other in this share of its rows.
MIN_FLICKER = 0.05
#: A run is a stretch where it is this many times longer than the longest of normal rows.
LONGER = 1.5
#: Fewest rows of a stretch.
MIN_ROWS = 8
#: Below this probability of a step into the band, the band's own shares say where to.
MIN_ENTRY = 0.01


@dataclass(frozen=True)
class Stretch:
    """Where an event keeps a variable in one band.

    Attributes:
      kind: The event's, 1-based.
      variable: Index of the variable.
      band: Which of its codes. Shape [levels], bool.
      begin, end: Shares of the event.
      rows: Rows of the panel in it. Shape [n], int.
    """

    kind: int
    variable: int
    band: np.ndarray
    begin: float
    end: float
    rows: np.ndarray


def bands(codes: np.ndarray, pairs: np.ndarray, levels: int) -> np.ndarray:
    """Band of each code.

    Args:
      codes: Of all rows. Shape [N].
      pairs: Normal rows t whose row t - 1 is a normal neighbour. Shape [n], int.
      levels: Number of codes.

    Returns:
      Shape [levels], int.
    """
    before, after = codes[pairs - 1].astype(np.int64), codes[pairs]
    counts = np.bincount(before * levels + after, minlength=levels * levels).reshape(levels, levels)
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    linked = (share >= MIN_FLICKER) & (share.T >= MIN_FLICKER)
    return np.asarray(connected_components(linked, directed=False)[1])


def find_stretches(
    variables: Sequence[Variable],
    windows: Sequence[Window],
    segment: np.ndarray,
    kind: np.ndarray,
    pairs: np.ndarray,
) -> list[Stretch | None]:
    """The longest stretch of each event, None where it has none.

    Args:
      variables: The discrete variables.
      windows: The events (`events.templates`).
      segment: Shape [N].
      kind: Kind of every row, 0 is normal. Shape [N].
      pairs: Normal rows t whose row t - 1 is a normal neighbour. Shape [n], int.
    """
    out: list[Stretch | None] = [None] * len(windows)
    largest = np.full(len(windows), LONGER)
    for index, variable in enumerate(variables):
        if not variable.number or len(variable.levels) < MIN_LEVELS:
            continue
        band = bands(variable.codes, pairs, len(variable.levels))
        shown = band[variable.codes]
        usual = _longest_runs(shown, segment, kind == 0, int(band.max()) + 1)
        for place, window in enumerate(windows):
            first, last, own = _longest_run(shown[window.rows], window.place)
            ratio = (last - first + 1) / max(usual[own], 1)
            if last - first + 1 >= MIN_ROWS and ratio > largest[place]:
                inside = (window.place >= first) & (window.place <= last)
                begin, end = first / window.length, (last + 1) / window.length
                out[place] = Stretch(window.kind, index, band == own, begin, end, window.rows[inside])
                largest[place] = ratio
    return out


def _longest_runs(shown: np.ndarray, segment: np.ndarray, normal: np.ndarray, count: int) -> np.ndarray:
    """Longest run of each band among normal rows of one segment. Shape [count]."""
    begins = np.ones(len(shown), bool)
    begins[1:] = (shown[1:] != shown[:-1]) | (segment[1:] != segment[:-1]) | (normal[1:] != normal[:-1])
    first = np.flatnonzero(begins)
    length = np.diff(np.r_[first, len(shown)])
    out = np.zeros(count, np.int64)
    np.maximum.at(out, shown[first], np.where(normal[first], length, 0))
    return out


def _longest_run(shown: np.ndarray, place: np.ndarray) -> tuple[int, int, int]:
    """First and last place of the longest run of a band in an event, unseen rows included, and the band."""
    first = np.flatnonzero(np.r_[True, shown[1:] != shown[:-1]])
    last = np.r_[first[1:], len(shown)] - 1
    best = int((place[last] - place[first]).argmax())
    return int(place[first[best]]), int(place[last[best]]), int(shown[first[best]])


def with_stretches(chain: Chain, stretches: Sequence[Stretch | None], max_table: int = MAX_TABLE) -> Chain:
    """The chain, with a block for each kind and band that an event keeps one of its variables in.

    An event for which the tables would become too large (`chains.most_blocks`) keeps its kind's transitions.
    """
    block = np.zeros(len(stretches), np.int32)
    made: dict[tuple[int, bytes], np.ndarray] = {}
    before, room = len(chain.cumulative), most_blocks(chain.cumulative[0].size, max_table)
    for place, stretch in enumerate(stretches):
        if stretch is None or stretch.variable not in chain.variables:
            continue
        inside = stretch.band[chain.states[:, chain.variables.index(stretch.variable)]]
        key = stretch.kind, inside.tobytes()
        if not inside.any() or (key not in made and before + len(made) >= room):
            continue
        made.setdefault(key, inside)
        block[place] = before + list(made).index(key)
    if not made:
        return replace(chain, event_block=block)
    tables = np.diff(chain.cumulative, axis=-1, prepend=0.0)
    own = [confined(tables[chain.block[kind]], inside, chain.frequency) for (kind, _), inside in made.items()]
    cumulative = np.cumsum(np.concatenate([tables, own]), axis=-1)
    return replace(chain, cumulative=cumulative / cumulative[..., -1:], event_block=block)


def confined(table: np.ndarray, inside: np.ndarray, frequency: np.ndarray) -> np.ndarray:
    """Transitions that lead nowhere but into some states.

    Args:
      table: Transitions. Shape [bins, states, states].
      inside: The states allowed, one at least. Shape [states], bool.
      frequency: Share of every state. Shape [states].

    Returns:
      Shape of `table`.
    """
    share = np.where(inside, frequency + 1e-9, 0.0)
    kept = table * inside
    total = kept.sum(-1, keepdims=True)
    return np.asarray(np.where(total >= MIN_ENTRY, kept / np.maximum(total, 1e-12), share / share.sum()))
