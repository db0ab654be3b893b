"""A profile of splits that are read batch by batch, in the order that sorting all of their rows would give.

Splits are blocks of time of the same series, each in the order of series and time. They are read twice: for
the order of the series, as rows that are sorted whole have it, and merged. In memory are a few batches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from components.dataset import TIMESTAMP, DatasetConfig
from components.drift.core import arrow_columns
from components.drift.core.building import GROUP_ROWS, build_profile, goes_back
from components.drift.core.profile import Ints, Profile, ProfilePlan

#: Reads a split from its beginning: these columns, or all where None is asked for.
Source = Callable[[Sequence[str] | None], Iterator[pa.RecordBatch]]


def tables_of(sources: Sequence[Source], columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """The splits one after another, in tables of `GROUP_ROWS` rows but for the last of each split."""
    for source in sources:
        yield from _regrouped(source(columns))


def merged_profile(sources: Sequence[Source], dataset: DatasetConfig, plan: ProfilePlan) -> Profile:
    """As `build_profile` of the whole splits, to the last bit.

    Args:
      sources: One a split. Where a split is not in the order of series and time all are held as a whole.
      dataset: Names the columns.
      plan: The bins.

    Raises:
      DataError: as `build_profile`; a split cannot be read.
    """
    survey = _Survey(dataset)
    back = goes_back(survey.keys(sources), dataset)
    if not back:
        return build_profile(tables_of(sources), dataset, plan)
    survey.finish()
    if not survey.in_order:
        read = [list(source(None)) for source in sources]
        whole = [pa.Table.from_batches(batches) for batches in read if batches]
        return build_profile(whole, dataset, plan)
    return build_profile(_regrouped(_merged(sources, survey)), dataset, plan)


def _regrouped(batches: Iterator[pa.RecordBatch] | Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in tables of `GROUP_ROWS`; the last may have fewer."""
    held: list[pa.Table] = []
    count = 0
    for batch in batches:
        rest = pa.Table.from_batches([batch]) if isinstance(batch, pa.RecordBatch) else batch
        while rest.num_rows:
            piece = rest.slice(0, GROUP_ROWS - count)
            rest = rest.slice(piece.num_rows)
            held.append(piece)
            count += piece.num_rows
            if count == GROUP_ROWS:
                yield pa.concat_tables(held).combine_chunks()
                held, count = [], 0
    if held:
        yield pa.concat_tables(held).combine_chunks()


class _Survey:
    """One pass over series and times: in which order the series are, and whether each split keeps to it."""

    def __init__(self, dataset: DatasetConfig) -> None:
        self.dataset = dataset
        self._codes = arrow_columns.SeriesCodes(dataset.series)
        self._met: list[dict[object, int]] = [{} for _ in dataset.series]
        self._sequences: list[list[int]] = []
        self._rest: Iterator[pa.Table] = iter(())
        self._ascending = True
        self._rank: Ints = np.zeros(0, np.int64)

    def keys(self, sources: Sequence[Source]) -> Iterator[pa.Table]:
        """The columns of series and time, table by table; looks at what passes."""
        self._rest = self._pass(sources)
        return self._rest

    def finish(self) -> None:
        """Looks at what was not asked for; ranks the series as `SeriesCodes` of all rows would."""
        for _ in self._rest:
            pass
        last = float("inf")

        def place(key: tuple[object, ...]) -> list[float]:
            return [
                last if part is None else met[part] for part, met in zip(key[::-1], self._met, strict=True)
            ]

        keys = self._codes.keys
        ordered = sorted(range(len(keys)), key=lambda code: place(keys[code]))
        self._rank = np.empty(len(keys), np.int64)
        self._rank[ordered] = np.arange(len(keys))

    @property
    def in_order(self) -> bool:
        """Whether every split is in the order of all series' ranks, and of time within each."""
        return self._ascending and all(
            bool((np.diff(self._rank[sequence]) > 0).all()) for sequence in self._sequences
        )

    def ranks(self, table: pa.Table) -> Ints:
        """Of each row's series. Shape [rows]."""
        return self._rank[self._codes.of(table)]

    def _pass(self, sources: Sequence[Source]) -> Iterator[pa.Table]:
        columns = [TIMESTAMP, *self.dataset.series]
        for source in sources:
            sequence: list[int] = []
            self._sequences.append(sequence)
            last_us = 0
            for table in tables_of([source], columns):
                last_us = self._look(table, sequence, last_us)
                yield table

    def _look(self, table: pa.Table, sequence: list[int], last_us: int) -> int:
        for name, met in zip(self.dataset.series, self._met, strict=True):
            for value in table.column(name).unique().to_pylist():
                if value is not None:
                    met.setdefault(value, len(met))
        codes, times = self._codes.of(table), arrow_columns.times_us(table, self.dataset)
        same = np.diff(codes, prepend=sequence[-1] if sequence else -1) == 0
        if (np.diff(times, prepend=last_us)[same] < 0).any():
            self._ascending = False
        sequence += codes[~same].tolist()
        return int(times[-1])


@dataclass
class _Head:
    """What was read of a split and not yet handed on."""

    batches: Iterator[pa.RecordBatch]
    survey: _Survey
    table: pa.Table | None = None
    more: bool = True
    rank: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    times: Ints = field(default_factory=lambda: np.zeros(0, np.int64))

    def read(self) -> None:
        """Another batch, if there is one."""
        batch = next((found for found in self.batches if found.num_rows), None)
        if batch is None:
            self.more = False
            return
        table = pa.Table.from_batches([batch])
        self.table = table if not self.rank.size else pa.concat_tables([self.table, table])
        self.rank = np.concatenate([self.rank, self.survey.ranks(table)])
        self.times = np.concatenate([self.times, arrow_columns.times_us(table, self.survey.dataset)])

    def before(self, rank: int, time: int) -> int:
        """How many rows come before a key."""
        first, last = np.searchsorted(self.rank, [rank, rank + 1])
        return int(first + np.searchsorted(self.times[first:last], time))

    def take(self, count: int) -> tuple[pa.Table, Ints, Ints]:
        """Hands the first rows on."""
        assert self.table is not None
        found = self.table.slice(0, count), self.rank[:count], self.times[:count]
        self.table, self.rank, self.times = self.table.slice(count), self.rank[count:], self.times[count:]
        return found


def _merged(sources: Sequence[Source], survey: _Survey) -> Iterator[pa.Table]:
    """All rows by series and time; of equal ones those of an earlier split first."""
    heads = [_Head(source(None), survey) for source in sources]
    while True:
        for head in heads:
            if head.more and not head.rank.size:
                head.read()
        heads = [head for head in heads if head.rank.size]
        if not heads:
            return
        # What comes before everything that is still to be read.
        unread = [(int(head.rank[-1]), int(head.times[-1]), head) for head in heads if head.more]
        bound = min(unread, key=lambda entry: entry[:2], default=None)
        counts = [head.rank.size if bound is None else head.before(*bound[:2]) for head in heads]
        if bound is not None and not any(counts):
            bound[2].read()
            continue
        parts = [head.take(count) for head, count in zip(heads, counts, strict=True) if count]
        tables, ranks, times = zip(*parts, strict=True)
        order = np.lexsort((np.concatenate(times), np.concatenate(ranks)))
        yield pa.concat_tables(tables).take(pa.array(order))
