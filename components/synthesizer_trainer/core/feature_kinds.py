"""Decides what each feature is: a latent series, a chain's level, a constant, or without any value."""

from __future__ import annotations

import numpy as np

from components.dataset import DatasetConfig
from components.synthesizer_trainer.core import chains as chain_lib
from components.synthesizer_trainer.core.columns import ColumnTable, build_table, lattice_step
from components.synthesizer_trainer.core.panel import Panel

#: A numeric feature with at most this many values is a chain's level rather than a latent series.
MAX_LEVELS = 12
#: So is one of up to this many that mostly holds, if its moves are as large as the whole swing (it jumps), or
#: it is the only number and this share of its moves goes to the next value (it climbs): it does not run.
MAX_HELD_LEVELS = 40
MIN_JUMP = 0.8
MIN_STAIRS = 0.8
#: A numeric feature that repeats its value in more than this share of its steps gets a hold chain.
MIN_HOLD = 0.4


def forward_fill(values: np.ndarray, segment: np.ndarray, default: float) -> np.ndarray:
    """Fills NaN with the last value of the segment, else with `default`. Shape [N]."""
    index = np.where(np.isnan(values), -1, np.arange(len(values)))
    start = np.ones(len(values), bool)
    start[1:] = segment[1:] != segment[:-1]
    first = np.maximum.accumulate(np.where(start, np.arange(len(values)), 0))
    last = np.maximum.accumulate(index)
    return np.where(last >= first, values[np.maximum(last, 0)], default)


def only_number(dataset: DatasetConfig) -> bool:
    """Whether a single column is a number."""
    return len(dataset.feature_names("continuous", "integer")) == 1


def is_stepwise(values: np.ndarray, segment: np.ndarray, alone: bool) -> bool:
    """Whether a number is a chain's level rather than a latent series.

    Args:
      values: NaN is null. Shape [N].
      segment: Runs of neighbouring rows. Shape [N].
      alone: There is no other number, with which a chain would lose what they share.
    """
    distinct = len(np.unique(values[~np.isnan(values)]))
    if distinct <= MAX_LEVELS:
        return True
    return distinct <= MAX_HELD_LEVELS and (jumps(values, segment) or (alone and climbs(values, segment)))


def jumps(values: np.ndarray, segment: np.ndarray) -> bool:
    """Whether a series mostly holds, and moves by `MIN_JUMP` of its spread (rms) when it moves. Shape [N]."""
    moves = _moves(values, segment)
    step = values[moves] - values[moves - 1]
    return bool(len(moves)) and float(np.sqrt(np.mean(step**2))) > MIN_JUMP * float(np.nanstd(values))


def climbs(values: np.ndarray, segment: np.ndarray) -> bool:
    """Whether a series mostly holds, and goes to the next of its values when it moves. Shape [N]."""
    moves = _moves(values, segment)
    place = np.searchsorted(np.unique(values), np.stack([values[moves - 1], values[moves]]))
    return bool(len(moves)) and float((np.abs(np.diff(place, axis=0)) == 1).mean()) >= MIN_STAIRS


def _moves(values: np.ndarray, segment: np.ndarray) -> np.ndarray:
    """Rows that differ from the known one before; none where that is most of the time. Shape [n], int."""
    known = ~np.isnan(values)
    pairs = np.flatnonzero((segment[1:] == segment[:-1]) & known[1:] & known[:-1]) + 1
    moves = pairs[values[pairs] != values[pairs - 1]]
    return moves if len(moves) <= (1 - MIN_HOLD) * len(pairs) else moves[:0]


def sort_features(
    panel: Panel,
    dataset: DatasetConfig,
    quantiles: dict[str, np.ndarray],
    ranges: dict[str, tuple[float, float]],
) -> tuple[list[int], list[ColumnTable], dict[int, float], list[int], list[chain_lib.Variable]]:
    """Decides for every feature: latent series, level of a chain, constant, or without any value."""
    numeric: list[int] = []
    tables: list[ColumnTable] = []
    constants: dict[int, float] = {}
    empty: list[int] = []
    variables: list[chain_lib.Variable] = []
    alone = only_number(dataset)
    for index, feature in enumerate(dataset.features):
        column = panel.values[:, index]
        unique = np.unique(column[~np.isnan(column)])
        if not len(unique):
            empty.append(index)
            continue
        if len(unique) == 1:
            constants[index] = float(unique[0])
        elif feature.kind in ("binary", "categorical") or is_stepwise(column, panel.segment, alone):
            filled = forward_fill(column, panel.segment, unique[0])
            codes = np.searchsorted(unique, filled).astype(np.int32)
            number = feature.kind in ("continuous", "integer")
            variables.append(chain_lib.Variable(index, "level", unique, codes, number))
        elif not len(quantiles.get(feature.name, ())):
            # Values stand in anomalies only: nothing to learn a normal course from.
            empty.append(index)
        else:
            integer = feature.kind == "integer"
            step = 1.0 if integer else lattice_step(column[~np.isnan(column)])
            numeric.append(index)
            tables.append(
                build_table(quantiles[feature.name], ranges[feature.name], len(panel), step, integer)
            )
        if len(unique) == 1 or index in [v.feature for v in variables]:
            variables += null_variables(panel, [index])
    return numeric, tables, constants, empty, variables


def null_variables(panel: Panel, features: list[int]) -> list[chain_lib.Variable]:
    """A variable for each feature that has nulls."""
    found = []
    for index in features:
        missing = np.isnan(panel.values[:, index])
        if missing.any():
            found.append(chain_lib.Variable(index, "null", np.array([0.0, 1.0]), missing.astype(np.int32)))
    return found


def hold_variables(
    held: np.ndarray, known: np.ndarray, features: list[int], rows: np.ndarray
) -> tuple[list[int], list[chain_lib.Variable]]:
    """A variable for each latent series that repeats its value often, and moves now and then.

    Args:
      held: Rows that repeat the row before. Shape [N, F], bool.
      known: Rows that have a value. Shape [N, F], bool.
      features: Feature of each of the F series.
      rows: Normal rows t whose row t - 1 is a neighbour. Shape [n], int.

    Returns:
      Places of the series among the F, and their variables.
    """
    places, found = [], []
    for index, feature in enumerate(features):
        usable = rows[known[rows, index] & known[rows - 1, index]]
        if len(usable) and MIN_HOLD < held[usable, index].mean() < 1:
            places.append(index)
            codes = held[:, index].astype(np.int32)
            found.append(chain_lib.Variable(feature, "hold", np.array([0.0, 1.0]), codes))
    return places, found
