"""Channels that are no held-out ones: their anomalies are those of the training rows, seen by another sensor.

A spacecraft's channels come in pairs that carry one signal. A detector that was trained on one of them has
seen the other's anomalies; what it finds there is remembered, and a release that keeps it is a copy.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from components.synthesizer_trainer.core.events import find_events

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

#: Values are the same that differ by less than this share of their column's standard deviation: a publisher
#: may scale every file by itself.
TOLERANCE = 0.1
#: An event is a twin of one of which more than this share of its rows are the same, in the same order.
SHARE = 0.5


def shares(values: Floats, labelled: Flags, known: Floats, known_labelled: Flags) -> list[float]:
    """How much of each event stands among labelled rows that are known, row by row at one distance in time.

    Args:
      values: A channel's rows in order, NaN is missing. Shape [N, F].
      labelled: Which of them are anomalous. Shape [N].
      known: The rows that were trained on, in order. Shape [M, F].
      known_labelled: Which of them are anomalous. Shape [M].

    Returns:
      For each event of `values` the largest share of its rows that are the same as the labelled rows of
      `known` that stand beside them, in [0, 1], over all ways to lay one beside the other.
    """
    if known.shape[1] != values.shape[1]:
        raise ValueError(f"rows of {values.shape[1]} columns and of {known.shape[1]}")
    near = TOLERANCE * np.nanstd(known, axis=0) + 1e-9
    theirs = known[known_labelled]
    place = np.flatnonzero(known_labelled)
    found = []
    for _, begin, end in find_events(labelled.astype(np.int64), np.zeros(len(labelled), np.int64)):
        own = values[begin:end]
        both_missing = np.isnan(own)[:, None] & np.isnan(theirs)[None]
        same = ((np.abs(own[:, None] - theirs[None]) <= near) | both_missing).all(2)
        row, column = np.nonzero(same)
        # Rows that are the same at one distance lie on one diagonal.
        counts = np.unique(place[column] - row, return_counts=True)[1]
        found.append(float(counts.max(initial=0)) / (end - begin))
    return found


def is_twin(values: Floats, labelled: Flags, known: Floats, known_labelled: Flags) -> bool:
    """Whether any event of a channel is one of the rows known; arguments as of `shares`."""
    return any(share > SHARE for share in shares(values, labelled, known, known_labelled))
