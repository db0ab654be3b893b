"""Which timestamps synthetic rows stand at."""

from __future__ import annotations

import datetime

import numpy as np
import pyarrow as pa

from components.dataset import TIMESTAMP, DatasetConfig
from components.errors import ConfigError, InsufficientDataError
from components.synthesizer_trainer.core.panel import MICROSECONDS
from components.synthesizer_trainer.core.planning import Session, real_grid
from components.synthesizer_trainer.core.sampling import LANES
from components.synthetic_gen.config import SyntheticGenConfig


def grid_from_rows(table: pa.Table, dataset: DatasetConfig, place: str) -> list[Session]:
    """One session per real series, at its own timestamps; reads nothing but time and series.

    Args:
      table: Timestamps and series columns.
      dataset: Names the series columns and the cadence.
      place: For messages.

    Raises:
      InsufficientDataError: there is no row.
    """
    if not table.num_rows:
        raise InsufficientDataError(f"{place}: no rows, so no grid. Use grid 'regular' or widen the span.")
    time_us = table.column(TIMESTAMP).to_numpy().astype(np.int64)
    series = np.zeros(len(time_us), np.int64)
    if dataset.series:
        keys = table.select(list(dataset.series)).to_pandas().fillna("")
        series = keys.groupby(list(dataset.series), sort=True).ngroup().to_numpy()
    order = np.lexsort((time_us, series))
    return real_grid(time_us[order], series[order], dataset.interval_s)


def regular_grid(
    config: SyntheticGenConfig, styles: int, interval_s: float, start_s: float, stop_s: float, place: str
) -> list[Session]:
    """Sessions at a regular cadence.

    Args:
      config: Grid `regular` or `rows`.
      styles: Series that the model was trained on.
      interval_s: The model's cadence.
      start_s: First moment of the training period, seconds since the epoch.
      stop_s: Its last.
      place: For messages.

    Raises:
      ConfigError: the cadence is no whole multiple of the model's.
    """
    wanted_s = config.interval_s or interval_s
    stride = round(wanted_s / interval_s)
    if stride < 1 or abs(stride * interval_s - wanted_s) > 1e-6 * wanted_s:
        raise ConfigError(
            f"{place}: generation.interval_s is {wanted_s:g}, the synthesizer was trained at {interval_s:g}. "
            f"Allowed: whole multiples of {interval_s:g}."
        )
    count = config.sessions or styles
    begin = start_s
    if config.start is not None:
        zoned = config.start if config.start.tzinfo else config.start.replace(tzinfo=datetime.timezone.utc)
        begin = zoned.timestamp()
    steps = int((stop_s - start_s) / wanted_s) + 1
    if config.grid == "rows" and config.rows is not None:
        count = min(count, config.rows)
        steps = -(-config.rows // count)
    start_us = round(begin * MICROSECONDS)
    keep = np.arange(steps, dtype=np.int64) * stride
    time_us = start_us + np.rint(keep * interval_s * MICROSECONDS).astype(np.int64)
    return [Session(number, start_us, keep, time_us) for number in range(count)]


def limit_rows(sessions: list[Session], rows: int | None) -> list[Session]:
    """Cuts sessions at their ends, evenly, until `rows` rows are left in all; None cuts nothing."""
    total = sum(len(s.keep) for s in sessions)
    if rows is None or total <= rows:
        return sessions
    lengths = np.array([len(s.keep) for s in sessions])
    # The highest water level that fits: the longest sessions give first. Below a level that is one of the
    # lengths, shorter sessions count whole, all others as much as it.
    rising = np.sort(lengths)
    shorter = np.cumsum(rising) - rising
    others = np.arange(len(rising), 0, -1)
    reached = np.flatnonzero(shorter + rising * others > rows)[0]
    kept = np.minimum(lengths, (rows - shorter[reached]) // others[reached])
    spare = rows - int(kept.sum())
    for index in np.flatnonzero(lengths > kept)[:spare]:
        kept[index] += 1
    return [Session(s.number, s.start_us, s.keep[:n], s.time_us[:n]) for s, n in zip(sessions, kept) if n > 0]


def shards(sessions: list[Session], rows_per_shard: int) -> list[list[Session]]:
    """Sessions in batches, in order; a batch depends on the plan alone, never on the workers."""
    out: list[list[Session]] = []
    rows = 0
    for session in sessions:
        if not out or len(out[-1]) >= LANES or rows + session.steps > rows_per_shard:
            out.append([])
            rows = 0
        out[-1].append(session)
        rows += session.steps
    return out
