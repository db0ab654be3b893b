"""Which row goes into which split: blocks of consecutive time within each series.

Rows are never shuffled. The blocks of every split are spread over the whole span, because a holdout
taken from the end differs from the training rows by drift alone, which a membership attack then
mistakes for memorisation (measured: AUC 0.66 against a model that cannot leak, 0.50 interleaved).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from components.dataset import TIMESTAMP, DatasetConfig
from components.errors import DataError
from components.example_gen.config import SplitConfig

#: A block should hold several of a synthesizer's windows (48 rows), and cover an hour's course.
BLOCK_INTERVALS = 256
BLOCK_MIN_S = 3_600.0
#: Fewer blocks than these in the longest series, and fractions such as 0.1 cannot be met.
BLOCKS_PER_SERIES = 20
#: Below this a block is hardly longer than what neighbouring rows share anyway.
BLOCK_MIN_INTERVALS = 16
#: Blocks are shuffled within groups of this many, so that each split stays spread over the span.
_SHUFFLE_BLOCKS = 10


@dataclass(frozen=True)
class Keys:
    """What decides about a row: sorted by series, then time.

    Attributes:
      series: Number of the row's series. Shape [row], integer, ascending.
      timestamp: Microseconds UTC. Shape [row], int64, ascending within a series.
      label: 1 where the row is anomalous. Shape [row], or None without labels.
    """

    series: np.ndarray
    timestamp: np.ndarray
    label: np.ndarray | None


def choose_block_s(keys: Keys, interval_s: float) -> float:
    """Length of a block: 256 intervals but at least an hour; shorter where a series is short.

    Args:
      keys: The rows.
      interval_s: The cadence.

    Returns:
      Seconds; at least 16 intervals, so that a short series has fewer blocks and not shorter ones.
    """
    starts, ends = _runs(keys.series)
    if not len(starts):
        return BLOCK_MIN_S
    longest_s = float((keys.timestamp[ends - 1] - keys.timestamp[starts]).max()) / 1e6 + interval_s
    wanted = max(BLOCK_MIN_S, BLOCK_INTERVALS * interval_s)
    return max(min(wanted, longest_s / BLOCKS_PER_SERIES), BLOCK_MIN_INTERVALS * interval_s)


def assign_rows(keys: Keys, config: SplitConfig, interval_s: float, seed: int) -> tuple[np.ndarray, float]:
    """Split number of each row, in the order of `config.fractions()`.

    A labelled event that is no longer than a block is not cut: the block grows to the event's end.
    Blocks with and without an anomaly are dealt out separately, so that each split gets its share of
    both; where there are at least as many labelled blocks as splits, each split gets one.

    Args:
      keys: The rows.
      config: Fractions and block length.
      interval_s: The cadence.
      seed: Same rows and same seed: same splits.

    Returns:
      Shape [row], int8; and the block length in seconds.
    """
    block_s = config.block_s or choose_block_s(keys, interval_s)
    fractions = np.array(list(config.fractions().values()))
    rows = len(keys.timestamp)
    if not rows:
        return np.zeros(0, dtype=np.int8), block_s
    starts = _block_starts(keys, max(1, round(block_s * 1e6)))
    labelled = np.zeros(len(starts), dtype=bool)
    if keys.label is not None:
        labelled = np.maximum.reduceat((keys.label == 1).astype(np.int8), starts) > 0
    rng = np.random.default_rng([seed, len(fractions)])
    dealt = np.zeros(len(starts), dtype=np.int8)
    for stratum in (labelled, ~labelled):
        dealt[stratum] = _deal(int(stratum.sum()), fractions, rng)
    return np.repeat(dealt, np.diff(np.append(starts, rows))), block_s


def assign_splits(
    table: pa.Table, dataset: DatasetConfig, config: SplitConfig, seed: int
) -> dict[str, np.ndarray]:
    """Row masks by split name, of a table sorted by series, then time.

    Args:
      table: Flat columns.
      dataset: Names them.
      config: Fractions and block length; its mode must be `interleaved`.
      seed: Same rows and same seed: same splits.

    Returns:
      Masks that are disjoint and together cover every row. Each: shape [row], bool.

    Raises:
      DataError: the table is not sorted.
    """
    series = np.zeros(table.num_rows, dtype=np.int64)
    for name in dataset.series:
        codes = table[name].combine_chunks().dictionary_encode()
        codes = codes.combine_chunks() if isinstance(codes, pa.ChunkedArray) else codes
        change = np.diff(codes.indices.to_numpy(zero_copy_only=False), prepend=-1) != 0
        series += np.cumsum(change)
    timestamp = table[TIMESTAMP].to_numpy()
    if ((np.diff(series) == 0) & (np.diff(timestamp) < 0)).any():
        raise DataError("rows are not sorted by series, then time")
    label = table[dataset.label].fill_null(0).to_numpy() if dataset.label else None
    keys = Keys(series, timestamp, label)
    assigned, _ = assign_rows(keys, config, dataset.interval_s, seed)
    return {name: assigned == number for number, name in enumerate(config.fractions())}


def _runs(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and one-past-last row of each run of equal values."""
    if not len(values):
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    starts = np.concatenate([[0], np.flatnonzero(np.diff(values)) + 1])
    return starts, np.append(starts[1:], len(values))


def _block_starts(keys: Keys, block_us: int) -> np.ndarray:
    """First row of each block. Shape [block], ascending, begins with 0."""
    new = np.diff(keys.series) != 0
    starts = np.concatenate([[0], np.flatnonzero(new | (np.diff(keys.timestamp // block_us) != 0)) + 1])
    if keys.label is None or not (keys.label == 1).any():
        return starts
    anomalous = keys.label == 1
    edge = np.concatenate([[True], new, [True]])
    begins = np.flatnonzero(anomalous & (edge[:-1] | ~np.append(False, anomalous[:-1])))
    ends = np.flatnonzero(anomalous & (edge[1:] | ~np.append(anomalous[1:], False))) + 1
    event = np.searchsorted(ends, starts, side="right")
    inside = event < len(ends)
    event = np.minimum(event, len(ends) - 1)
    short = keys.timestamp[ends[event] - 1] - keys.timestamp[begins[event]] <= block_us
    cut = inside & (begins[event] < starts) & short
    moved = np.where(cut, ends[event], starts)
    return np.unique(moved[moved < len(keys.timestamp)])


def _deal(blocks: int, fractions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Split number of each of so many blocks in time order. Shape [block], int8."""
    dealt = np.zeros(blocks, dtype=np.int8)
    given = np.zeros(len(fractions))
    for block in range(blocks):
        # The split that lags its share the most; every beginning of the sequence is close to the shares.
        dealt[block] = np.argmax(fractions * (block + 1) - given)
        given[dealt[block]] += 1
    for start in range(0, blocks, _SHUFFLE_BLOCKS):
        rng.shuffle(dealt[start : start + _SHUFFLE_BLOCKS])
    if blocks >= len(fractions):
        for split in np.flatnonzero(given == 0):
            richest = int(np.argmax(given))
            dealt[rng.choice(np.flatnonzero(dealt == richest))] = split
            given[richest], given[split] = given[richest] - 1, 1
    return dealt
