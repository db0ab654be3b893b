"""Decides what each feature is: a latent series, a chain's level, a constant, or without any value."""

from __future__ import annotations

import numpy as np

from components.dataset import DatasetConfig
from components.synthesizer_trainer.core import chains as chain_lib
from components.synthesizer_trainer.core.columns import ColumnTable, build_table, lattice_step
from components.synthesizer_trainer.core.panel import Panel

#: A numeric feature with at most this many values is a chain's level rather than a latent series.
MAX_LEVELS = 12
#: So is one with up to this many, where a move is as large as the whole swing: it jumps, it does not run.
MAX_JUMP_LEVELS = 40
MIN_JUMP = 0.8
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


def jumps(values: np.ndarray, segment: np.ndarray) -> bool:
    """Whether a series mostly holds, and moves by `MIN_JUMP` of its spread (rms) when it moves. Shape [N]."""
    step = np.diff(values)[segment[1:] == segment[:-1]]
    step = step[~np.isnan(step)]
    if not len(step) or (step == 0).mean() < MIN_HOLD:
        return False
    step = step[step != 0]
    return bool(len(step)) and float(np.sqrt(np.mean(step**2))) > MIN_JUMP * float(np.nanstd(values))


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
    for index, feature in enumerate(dataset.features):
        column = panel.values[:, index]
        unique = np.unique(column[~np.isnan(column)])
        if not len(unique):
            empty.append(index)
            continue
        if len(unique) == 1:
            constants[index] = float(unique[0])
        elif (
            feature.kind in ("binary", "categorical")
            or len(unique) <= MAX_LEVELS
            or (len(unique) <= MAX_JUMP_LEVELS and jumps(column, panel.segment))
        ):
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
