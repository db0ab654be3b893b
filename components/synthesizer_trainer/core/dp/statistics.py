"""Exact sufficient statistics: sums over rows and over runs of neighbouring rows, each term clipped.

These are the only functions that see rows, and what they return goes through `mechanism.release`. Every
term is on its query's lattice and within its query's norm (`queries.stages`); what a term is depends on the
rows in it, on the configuration, and in the later stages on what earlier stages released.
"""

from __future__ import annotations

import numpy as np

from components.synthesizer_trainer.core.columns import ColumnTable
from components.synthesizer_trainer.core.dp.cycles import public_calendar
from components.synthesizer_trainer.core.dp.domains import Domains
from components.synthesizer_trainer.core.dp.mechanism import clip_norm
from components.synthesizer_trainer.core.dp.queries import (
    SCORE_LATTICE,
    STEP_CELLS,
    STEP_FIRST,
    Layout,
    dynamics_clip,
    event_clip,
    score_clip,
)
from components.synthesizer_trainer.core.dp.rows import Rows

#: Scores beyond this are clipped before anything is made of them.
SCORE_LIMIT = 8.0


def marginal_sums(
    rows: Rows,
    found: Layout,
    domains: Domains,
    names: tuple[str, ...],
    levels: int,
    phase_bins: int,
    interval_s: float,
) -> dict[str, np.ndarray]:
    """The first stage: counts.

    Args:
      rows: The rows.
      found: The layout.
      domains: Bounds.
      names: Of all features.
      levels: Of the histograms.
      phase_bins: Of the first cycle.
      interval_s: Cadence.
    """
    normal = rows.kind == 0
    counted = rows.kind[rows.kind >= 0]
    out: dict[str, np.ndarray] = {"rows": np.bincount(counted, minlength=found.kinds + 1).astype(float)}
    pairs = rows.runs(1, interval_s)
    calm = pairs[normal[pairs] & normal[pairs - 1]]
    missing = np.isnan(rows.values).astype(np.int64)
    cell = 2 * missing[calm - 1] + missing[calm]
    out["nulls"] = _cells(cell, 4).reshape(found.features, 2, 2)
    if found.kinds:
        begins = pairs[(rows.kind[pairs] > 0) & (rows.kind[pairs] != rows.kind[pairs - 1])]
        out["entries"] = np.bincount(rows.kind[begins] - 1, minlength=found.kinds).astype(float)
    if found.numeric:
        values = rows.values[:, found.numeric]
        bounds = np.array([domains.bounds[names[i]] for i in found.numeric])
        out["histograms"] = tree_counts(values[normal], bounds, levels)
        triples = rows.runs(2, interval_s)
        triples = triples[normal[triples] & normal[triples - 1] & normal[triples - 2]]
        then, now = (_held(values, t) for t in (triples - 1, triples))
        known = ~np.isnan(values)
        whole = known[triples] & known[triples - 1] & known[triples - 2]
        out["holds"] = _cells(np.where(whole, 2 * then + now, -1), 4).reshape(-1, 2, 2)
    second = rows.time_us / 1e6
    period = found.cycles_s[0]
    phase = np.minimum((second % period * (phase_bins / period)).astype(np.int64), phase_bins - 1)
    for place, (index, size) in enumerate(zip(found.discrete, found.levels)):
        code = rows.values[:, index]
        usable = calm[~np.isnan(code[calm]) & ~np.isnan(code[calm - 1])]
        flat = (phase[usable] * size + code[usable - 1].astype(np.int64)) * size + code[usable].astype(
            np.int64
        )
        counts = np.bincount(flat, minlength=phase_bins * size * size).reshape(phase_bins, size, size)
        out[f"phases_{place}"], out[f"pairs_{place}"] = counts.astype(float), counts.sum(0).astype(float)
    return out


def tree_counts(values: np.ndarray, bounds: np.ndarray, levels: int) -> np.ndarray:
    """Counts in a dyadic tree over each feature's bounds, the root first; nulls are nowhere.

    Args:
      values: Shape [n, F].
      bounds: Shape [F, 2].
      levels: Halvings.

    Returns:
      Shape [F, 2^(levels + 1) - 1], float64; level l at [2^l - 1, 2^(l + 1) - 1).
    """
    leaves = 2**levels
    low, high = bounds.T
    place = np.floor((values - low) * (leaves / (high - low)))
    cell = np.where(np.isnan(place), -1, np.clip(np.nan_to_num(place), 0, leaves - 1)).astype(np.int64)
    level = _cells(cell, leaves)
    parts = [level]
    while level.shape[1] > 1:
        level = level.reshape(len(level), -1, 2).sum(2)
        parts.append(level)
    return np.concatenate(parts[::-1], axis=1)


def calendar_sums(
    rows: Rows, found: Layout, tables: tuple[ColumnTable, ...], centre: np.ndarray, interval_s: float
) -> dict[str, np.ndarray]:
    """The second stage: cycles, sizes of steps, and what anomalies do to each feature.

    Args:
      rows: The rows.
      found: The layout.
      tables: Transforms made of the first stage's noisy histograms.
      centre: Their medians. Shape [F].
      interval_s: Cadence.
    """
    normal = rows.kind == 0
    values = rows.values[:, found.numeric]
    z = scores(values, tables)
    design = public_calendar(found).design(rows.time_us[normal]).astype(np.float64)
    design = clip_norm(design, np.sqrt(1.0 + sum(found.harmonics)), SCORE_LATTICE)
    clipped = clip_norm(z[normal], score_clip(found), SCORE_LATTICE)
    pairs = rows.runs(1, interval_s)
    pairs = pairs[(rows.kind[pairs] == rows.kind[pairs - 1]) & (rows.kind[pairs] >= 0)]
    size = np.abs(z[pairs] - z[pairs - 1])
    with np.errstate(divide="ignore", invalid="ignore"):
        power = np.floor(np.log2(size / STEP_FIRST)) + 2
    power = np.where(np.isnan(power), 1, power)
    cell = np.clip(power, 1, STEP_CELLS - 1)
    cell = np.where(values[pairs] == values[pairs - 1], 0, cell)
    unknown = np.isnan(values[pairs]) | np.isnan(values[pairs - 1])
    flat = np.where(unknown, -1, rows.kind[pairs][:, None] * STEP_CELLS + np.nan_to_num(cell)).astype(
        np.int64
    )
    counts = _cells(flat, (found.kinds + 1) * STEP_CELLS)
    out = {
        "calendar_gram": design.T @ design,
        "calendar_cross": design.T @ clipped,
        "steps": counts.reshape(len(tables), found.kinds + 1, STEP_CELLS).transpose(1, 0, 2),
    }
    if found.kinds:
        scale = np.array([t.scale for t in tables])
        odd = rows.kind > 0
        deviation = clip_norm((values[odd] - centre) / scale, event_clip(found), SCORE_LATTICE)
        total = np.zeros((found.kinds, len(tables)))
        np.add.at(total, rows.kind[odd] - 1, deviation)
        out["deviations"] = total
    return out


def moment_sums(
    rows: Rows,
    found: Layout,
    tables: tuple[ColumnTable, ...],
    coefficients: np.ndarray,
    step_scale: np.ndarray,
    var_order: int,
    interval_s: float,
) -> dict[str, np.ndarray]:
    """The third stage: second moments of [y_{t-1}, earlier step, indicators, 1, step].

    Args:
      rows: The rows.
      found: The layout.
      tables: Transforms.
      coefficients: Of the calendar. Shape [F, C].
      step_scale: Typical step of each feature, by which steps are divided. Shape [F].
      var_order: Lags.
      interval_s: Cadence.
    """
    normal = rows.kind == 0
    z = scores(rows.values[:, found.numeric], tables)
    y = z - public_calendar(found).design(rows.time_us).astype(np.float64) @ coefficients.T
    runs = rows.runs(var_order, interval_s)
    for lag in range(var_order + 1):
        runs = runs[normal[runs - lag]]
    parts = [y[runs - 1]]
    if var_order == 2:
        parts.append((y[runs - 1] - y[runs - 2]) / step_scale)
    for place, code in found.indicators:
        parts.append((rows.values[runs, found.discrete[place]] == code).astype(float)[:, None])
    parts += [np.ones((len(runs), 1)), (y[runs] - y[runs - 1]) / step_scale]
    u = clip_norm(np.concatenate(parts, axis=1), dynamics_clip(found, var_order), SCORE_LATTICE)
    return {"moments": u.T @ u}


def scores(values: np.ndarray, tables: tuple[ColumnTable, ...]) -> np.ndarray:
    """Normal scores within `SCORE_LIMIT`; NaN is null. Shape of `values`, [N, F]."""
    out = np.empty_like(values)
    for index, table in enumerate(tables):
        out[:, index] = np.clip(table.encode(values[:, index]), -SCORE_LIMIT, SCORE_LIMIT)
    return out


def _held(values: np.ndarray, at: np.ndarray) -> np.ndarray:
    return (values[at] == values[at - 1]).astype(np.int64)


def _cells(cell: np.ndarray, size: int) -> np.ndarray:
    """Counts per column of codes [n, F]; -1 counts nowhere. Shape [F, size], float64."""
    columns = cell.shape[1]
    flat = (cell + np.arange(columns) * size)[cell >= 0]
    return np.bincount(flat, minlength=columns * size).reshape(columns, size).astype(float)
