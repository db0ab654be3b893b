"""One template per anomaly kind, from noisy sums: post-processing, no rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from components.synthesizer_trainer.config import DpConfig
from components.synthesizer_trainer.core import events as event_lib
from components.synthesizer_trainer.core.dp.mechanism import Noisy
from components.synthesizer_trainer.core.dp.queries import STEP_CELLS, STEP_FIRST, Layout

if TYPE_CHECKING:
    from components.synthesizer_trainer.core.dp.fit import Marginals

#: A kind's onset is spread over the day, because the hours are not measured.
HOURS = tuple(float(hour) for hour in range(1, 24, 3))
#: A kind is stuck where so much more of its steps repeat the value than normal ones do.
HOLD_EXCESS = 0.4


def fit_events(
    released: Mapping[str, Noisy], found: Layout, marginals: Marginals, dp: DpConfig, kept: np.ndarray
) -> tuple[event_lib.EventTable, np.ndarray, tuple[int, ...]]:
    """Templates of the kinds that stand out of the noise.

    A template is a constant shift per feature (mean deviation), white noise (steps larger than normal) or
    a hold (steps of size 0): what sums over rows and pairs can tell. Ramps and waves come back as those.

    Args:
      released: All stages.
      found: The layout.
      marginals: The first stage.
      dp: Thresholds.
      kept: Numeric features that are not lost.

    Returns:
      The templates, the rows per event of each released kind, and which kinds are released (0-based).
    """
    rows = released["rows"]
    total = max(float(np.maximum(rows.value, 0).sum()), 1.0)
    chosen = tuple(k for k in range(found.kinds) if rows.value[k + 1] >= max(dp.signal * rows.std, 1.0))
    copies, features = len(HOURS), len(kept)
    count = len(chosen) * copies
    course = np.zeros((count, features, event_lib.DEGREES))
    wave, noise = np.zeros((count, features, 2)), np.zeros((count, features))
    wave[..., 1] = 4.0
    hold = np.tile(np.array([1.0, 0.0]), (count, features, 1))
    duration, every = np.zeros(count, np.int32), np.zeros(len(chosen))
    for place, kind in enumerate(chosen):
        part = slice(place * copies, (place + 1) * copies)
        own_rows = float(rows.value[kind + 1])
        entries = released["entries"]
        starts = float(entries.value[kind])
        if starts < 2 * entries.std:
            starts = own_rows / dp.event_rows
        # An event has a row at least; ten times the usual length is noise.
        starts = float(np.clip(starts, own_rows / (10 * dp.event_rows), own_rows))
        duration[part] = max(round(own_rows / starts), 1)
        every[place] = total / starts
        if features:
            course[part, :, 0] = _shift(released["deviations"], kind, own_rows, marginals)[kept]
            stuck, louder = _texture(released["steps"], kind, marginals)
            hold[part] = np.where(stuck[kept, None], np.array([0.0, 1.0]), hold[part])
            course[part, :, 0] = np.where(stuck[kept], 0.0, course[part, :, 0])
            noise[part] = np.where(stuck[kept], 0.0, louder[kept])
    return (
        event_lib.EventTable(
            kind=np.repeat(np.arange(1, len(chosen) + 1, dtype=np.int32), copies),
            duration=duration,
            hour=np.tile(np.array(HOURS), len(chosen)),
            incident=np.arange(count, dtype=np.int32),
            course=course,
            wave=wave,
            noise=noise,
            hold=hold,
            forced=np.full((count, _variables(marginals, kept)), -1, np.int32),
            until=np.ones(len(chosen) + 1),
            stretch=np.zeros((count, 2)),
            as_if=np.full((len(chosen) + 1, sum(marginals.known[v] for v, _ in found.indicators)), np.nan),
        ),
        every,
        chosen,
    )


def _variables(marginals: Marginals, kept: np.ndarray) -> int:
    """An upper bound of the discrete variables; unused columns stay -1."""
    return int(marginals.known.sum()) + len(marginals.null_tables) + len(kept)


def _shift(deviations: Noisy, kind: int, rows: float, marginals: Marginals) -> np.ndarray:
    """Mean deviation from normal, in units of scale; what chance explains is taken off. Shape [F]."""
    mean = deviations.value[kind] / rows
    scale = np.array([t.scale for t in marginals.tables])
    usual = np.array([q.mean() for q in marginals.quantiles])
    mean = mean - (usual - marginals.centre) / scale
    # Rows of one event go together: the mean of a few events is no surer than they are many.
    error = deviations.std / rows + 0.25
    return np.asarray(mean * np.clip(1 - (error / np.maximum(np.abs(mean), 1e-9)) ** 2, 0, 1))


def _texture(steps: Noisy, kind: int, marginals: Marginals) -> tuple[np.ndarray, np.ndarray]:
    """Which features are stuck [F], and the white noise that a kind adds [F] (scale units)."""
    size = np.concatenate([[0.0], STEP_FIRST * 2.0 ** np.arange(-1, STEP_CELLS - 2) * 1.5])
    own, usual = np.maximum(steps.value[kind + 1], 0), np.maximum(steps.value[0], 0)
    enough = own.sum(1) >= 3 * steps.std * np.sqrt(STEP_CELLS)
    share = own / np.maximum(own.sum(1, keepdims=True), 1e-9)
    normal = usual / np.maximum(usual.sum(1, keepdims=True), 1e-9)
    stuck = enough & (share[:, 0] > normal[:, 0] + HOLD_EXCESS)
    # The upper tenth of the steps is where noise shows; medians say nothing of rare jumps.
    loud, calm = (_quantile(part, size, 0.8) for part in (share, normal))
    louder = enough & (loud >= 4 * calm)
    return stuck, np.where(louder, loud / (1.28 * np.sqrt(2)), 0.0)


def _quantile(share: np.ndarray, size: np.ndarray, level: float) -> np.ndarray:
    cell = (np.cumsum(share, axis=1) < level).sum(1)
    return np.asarray(size[np.minimum(cell, len(size) - 1)])
