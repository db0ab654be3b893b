"""Which row goes into which split: blocks of consecutive time within each series.

Rows are never shuffled. The blocks of every split are spread over the whole span, because a holdout
taken from the end differs from the training rows by drift alone, which a membership attack then
mistakes for memorisation (measured: AUC 0.66 against a model that cannot leak, 0.50 interleaved).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from components.example_gen.config import SplitConfig
from components.example_gen.core.keys import Keys

#: A block should hold several of a synthesizer's windows (48 rows), and cover an hour's course.
BLOCK_INTERVALS = 256
BLOCK_MIN_S = 3_600.0
#: Fewer blocks than these in the longest series, and fractions such as 0.1 cannot be met.
BLOCKS_PER_SERIES = 20
#: Below this a block is hardly longer than what neighbouring rows share anyway.
BLOCK_MIN_INTERVALS = 16
#: Blocks that are dealt by time are shorter, because a whole one goes to one split in every series.
BLOCK_BY_TIME_INTERVALS = 64
#: Shares are met within every group of so many blocks dealt by time; 5 % is one of them.
_GROUP_BLOCKS = 20
#: Blocks are shuffled within groups of this many, so that each split stays spread over the span.
_SHUFFLE_BLOCKS = 10


@dataclass(frozen=True)
class Assignment:
    """The split of every row, block by block.

    Attributes:
      starts: First row of each block. Shape [block], int64, ascending, begins with 0.
      splits: Split number of each block. Shape [block], int8.
      rows: Number of rows.
      block_s: Length of a block in seconds; None where there is one split only.
    """

    starts: np.ndarray
    splits: np.ndarray
    rows: int
    block_s: float | None

    @classmethod
    def single(cls, rows: int) -> Assignment:
        """Every row in the one split."""
        return cls(np.zeros(min(rows, 1), np.int64), np.zeros(min(rows, 1), np.int8), rows, None)

    def of(self, start: int, stop: int) -> np.ndarray:
        """Split number of the rows from `start` to before `stop`. Shape [row], int8."""
        if start >= stop:
            return np.zeros(0, dtype=np.int8)
        first = int(np.searchsorted(self.starts, start, side="right")) - 1
        last = int(np.searchsorted(self.starts, stop, side="left"))
        edges = np.append(self.starts[first:last], stop)
        edges[0] = start
        return np.repeat(self.splits[first:last], np.diff(edges))


def choose_block_s(keys: Iterable[Keys], interval_s: float) -> float:
    """Length of a block: 256 intervals but at least an hour; shorter where a series is short.

    Args:
      keys: The rows, in pieces.
      interval_s: The cadence.

    Returns:
      Seconds; at least 16 intervals, so that a short series has fewer blocks and not shorter ones.
    """
    longest, series, begin = -1, None, 0
    for piece in _filled(keys):
        starts = np.concatenate([[0], np.flatnonzero(np.diff(piece.series)) + 1])
        firsts, lasts = piece.timestamp[starts], piece.timestamp[np.append(starts[1:], len(piece.series)) - 1]
        if series == piece.series[0]:
            firsts = np.concatenate([[begin], firsts[1:]])
        longest = max(longest, int((lasts - firsts).max()))
        series, begin = piece.series[-1], int(firsts[-1])
    if series is None:
        return BLOCK_MIN_S
    wanted = max(BLOCK_MIN_S, BLOCK_INTERVALS * interval_s)
    longest_s = longest / 1e6 + interval_s
    return max(min(wanted, longest_s / BLOCKS_PER_SERIES), BLOCK_MIN_INTERVALS * interval_s)


def assign_rows(keys: Iterable[Keys], config: SplitConfig, interval_s: float, seed: int) -> Assignment:
    """Split number of each row, in the order of `config.fractions()`.

    A labelled event that is no longer than a block is not cut: the block grows to the event's end.
    Blocks with and without an anomaly are dealt out separately, so that each split gets its share of
    both; where there are at least as many labelled blocks as splits, each split gets one.

    Args:
      keys: The rows, in pieces of any size; iterated over twice. Memory grows with blocks and events.
      config: Fractions and block length.
      interval_s: The cadence.
      seed: Same rows and same seed: same splits.
    """
    if config.deal == "by_time":
        return _assign_by_time(keys, config, interval_s, seed)
    block_s = config.block_s or choose_block_s(keys, interval_s)
    fractions = np.array(list(config.fractions().values()))
    starts, labelled, rows = _blocks(keys, max(1, round(block_s * 1e6)))
    rng = np.random.default_rng([seed, len(fractions)])
    dealt = np.zeros(len(starts), dtype=np.int8)
    for stratum in (labelled, ~labelled):
        dealt[stratum] = _deal(int(stratum.sum()), fractions, rng)
    return Assignment(starts, dealt, rows, block_s)


def _filled(keys: Iterable[Keys]) -> Iterator[Keys]:
    return (piece for piece in keys if len(piece.series))


def _assign_by_time(keys: Iterable[Keys], config: SplitConfig, interval_s: float, seed: int) -> Assignment:
    """As `assign_rows`, but a row's split depends on its own timestamp and on nothing else of the data.

    With `balanced` one row more can move the split of others (a labelled block changes its stratum, a
    longer series the length of all blocks), so that the training rows of neighbouring data sets differ in
    more than the one row, and no guarantee for the training rows is one for the source.
    """
    block_s = config.block_s or max(BLOCK_MIN_S, BLOCK_BY_TIME_INTERVALS * interval_s)
    block_us = max(1, round(block_s * 1e6))
    fractions = np.array(list(config.fractions().values()))
    starts, blocks, rows = _blocks_in_time(keys, block_us)
    groups, place = np.unique(blocks // _GROUP_BLOCKS, return_inverse=True)
    tables = np.zeros((max(len(groups), 1), _GROUP_BLOCKS), dtype=np.int8)
    for index, group in enumerate(groups):
        rng = np.random.default_rng([seed, len(fractions), int(group) & (2**63 - 1)])
        given = np.zeros(len(fractions))
        for slot in range(_GROUP_BLOCKS):
            tables[index, slot] = np.argmax(fractions * (slot + 1) - given)
            given[tables[index, slot]] += 1
        rng.shuffle(tables[index])
    return Assignment(starts, tables[place.reshape(-1), blocks % _GROUP_BLOCKS], rows, block_s)


def _blocks_in_time(keys: Iterable[Keys], block_us: int) -> tuple[np.ndarray, np.ndarray, int]:
    """First row of each block, the block's number since the epoch, and the number of rows."""
    starts: list[np.ndarray] = [np.zeros(0, dtype=np.int64)]
    numbers: list[np.ndarray] = [np.zeros(0, dtype=np.int64)]
    rows, last = 0, None
    for piece in _filled(keys):
        block = piece.timestamp // block_us
        own = np.stack([piece.series.astype(np.int64), block])
        new = np.concatenate([[True], (np.diff(own, axis=1) != 0).any(0)])
        new[0] = last is None or bool((own[:, 0] != last).any())
        first = np.flatnonzero(new)
        starts.append(rows + first)
        numbers.append(block[first])
        rows, last = rows + len(block), own[:, -1]
    return np.concatenate(starts), np.concatenate(numbers), rows


def _blocks(keys: Iterable[Keys], block_us: int) -> tuple[np.ndarray, np.ndarray, int]:
    """First row of each block, whether it holds an anomaly, and the number of rows."""
    starts: list[np.ndarray] = [np.zeros(0, dtype=np.int64)]
    begins, ends, begun, ended = ([np.zeros(0, dtype=np.int64)] for _ in range(4))
    rows, series, stamp, anomalous = 0, None, 0, False
    for piece in _filled(keys):
        # The row before, so that what changes from one piece to the next is seen like any other change.
        before = np.concatenate([[piece.series[0] if series is None else series], piece.series])
        stamps = np.concatenate([[piece.timestamp[0] if series is None else stamp], piece.timestamp])
        new = np.diff(before) != 0
        new[0] |= series is None
        starts.append(rows + np.flatnonzero(new | (np.diff(stamps // block_us) != 0)))
        if piece.label is not None:
            label = np.concatenate([[anomalous], piece.label == 1])
            begin = np.flatnonzero(label[1:] & (new | ~label[:-1]))
            end = np.flatnonzero(label[:-1] & (new | ~label[1:]))
            begins.append(rows + begin)
            begun.append(stamps[1:][begin])
            ends.append(rows + end)
            ended.append(stamps[:-1][end])
            anomalous = bool(label[-1])
        rows, series, stamp = rows + len(piece.series), piece.series[-1], piece.timestamp[-1]
    first = np.concatenate(starts)
    if anomalous:
        ends.append(np.array([rows]))
        ended.append(np.array([stamp]))
    begin, end = np.concatenate(begins), np.concatenate(ends)
    if not len(begin):
        return first, np.zeros(len(first), dtype=bool), rows
    event = np.minimum(np.searchsorted(end, first, side="right"), len(end) - 1)
    short = np.concatenate(ended)[event] - np.concatenate(begun)[event] <= block_us
    cut = (first < end[event]) & (begin[event] < first) & short
    moved = np.where(cut, end[event], first)
    moved = np.unique(moved[moved < rows])
    after = np.append(moved[1:], rows)
    events = np.searchsorted(begin, after, side="left") - np.searchsorted(end, moved, side="right")
    return moved, events > 0, rows


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
