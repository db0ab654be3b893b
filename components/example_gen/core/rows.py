"""Rows on their way from the sources to the splits: converted, protected, stored, sorted, written."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components import split_io
from components.data_quality.core.plan import FillPlan
from components.dataset import TIMESTAMP
from components.errors import ColumnError
from components.example_gen.config import ExampleGenConfig, SourceConfig, TimestampFormat
from components.example_gen.core import convert, pii
from components.example_gen.core.blocks import RawBlock, needed_columns
from components.example_gen.core.keys import Keys, KeyStore
from components.example_gen.core.quarantine import Quarantine
from components.example_gen.core.reading import read_blocks
from components.example_gen.core.spans import ResolvedSpan
from components.example_gen.core.splits import Assignment
from components.example_gen.core.store import RowStore
from components.example_gen.core.timestamps import detect_format
from components.pii.detect import refuse_identifiers
from components.read_ahead import read_ahead

_WRITE_ROWS = 65_536


class Tally:
    """What is counted over all sources."""

    def __init__(self, config: ExampleGenConfig, keys: dict[str, bytes], place: str = "") -> None:
        """Args: config: what is read; keys: of the PII policy, by column; place: for messages."""
        self.config, self.keys, self.place = config, keys, place
        self.rekeying = pii.Rekeying(config.pii, keys)
        self.rows_read = self.series = 0
        self.dropped: set[str] = set()
        self.absent: set[str] = set()
        self.formats: dict[str, str] = {}
        self.first, self.last = 2**63 - 1, -(2**63)
        self.rules = {rule.column: rule for rule in config.pii if rule.action is not None}
        schema = split_io.arrow_schema(config.dataset)
        if config.locale_column and config.locale_column not in schema.names:
            schema = schema.append(pa.field(config.locale_column, pa.string()))
        self.schema = pa.schema([field.with_nullable(True) for field in schema])


class RowGroup:
    """The rows that are sorted and divided together."""

    def __init__(self, tally: Tally, folder: Path) -> None:
        """Args: tally: counts what is read; folder: where rows go that do not fit into memory."""
        self._tally, self._config = tally, tally.config
        self._stack = contextlib.ExitStack()
        budget = tally.config.memory_budget_mb << 20
        self._store = self._stack.enter_context(RowStore(tally.schema, folder, budget))
        labelled = tally.config.dataset.label is not None
        self._keys = self._stack.enter_context(KeyStore(folder, labelled=labelled))
        # Where a row came from, kept for naming repeated ones.
        self._declared = {rule.column for rule in self._config.pii} | {self._config.dataset.timestamp}
        self._files: list[str] = []
        self._file_ends: list[int] = []
        self._series: dict[tuple[str, ...], int] = {}

    def __enter__(self) -> RowGroup:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def read(self, source: SourceConfig, resolved: ResolvedSpan, quarantine: Quarantine) -> None:
        """Adds the rows of a source's files."""
        form: TimestampFormat = source.timestamp_format
        checked: set[str] = set()
        for file in resolved.files:
            ahead = read_ahead(read_blocks(source, file, resolved.filesystem, self._config), depth=1)
            with contextlib.closing(ahead) as blocks:
                for block in blocks:
                    if form == "auto":
                        form = self._detect(source, block)
                    self._add(source, file.name, block, form, quarantine, checked)
            self._files.append(file.name)
            self._file_ends.append(len(self._keys))
        self._tally.formats[source.name] = form

    def _detect(self, source: SourceConfig, block: RawBlock) -> TimestampFormat:
        stamps = block.columns[self._config.dataset.timestamp]
        if convert.is_text(stamps.type):
            stamps = convert.convert_text(stamps, source.null_values).values
        return detect_format(stamps)

    def _add(
        self,
        source: SourceConfig,
        file: str,
        block: RawBlock,
        form: TimestampFormat,
        quarantine: Quarantine,
        checked: set[str],
    ) -> None:
        tally, count = self._tally, len(block.rows)
        needed = needed_columns(self._config)
        tally.rows_read += count + len(block.malformed)
        tally.dropped |= set(block.ignored)
        tally.absent |= set(needed) - set(block.columns)
        if self._config.refuse_identifiers:
            refuse_identifiers(block.columns, self._declared, tally.place, file)
        quarantine.add_malformed(file, block, len(block.columns) + len(block.ignored))
        bad: dict[tuple[str, str], np.ndarray] = {}
        columns: dict[str, pa.Array] = {}
        for name, kind in needed.items():
            converted = _convert(block.columns.get(name), count, kind, source, form)
            bad.update({(name, reason): mask for reason, mask in converted.bad.items()})
            if name not in checked and block.columns.get(name) is not None:
                _refuse_text(file, name, kind, converted, count)
                checked.add(name)
            columns[TIMESTAMP if kind == "timestamp" else name] = converted.values
        if bad:
            quarantine.add_cells(file, block, bad)
            good = pa.array(~np.logical_or.reduce(list(bad.values())))
            columns = {name: values.filter(good) for name, values in columns.items()}
            rows = block.rows[good.to_numpy(zero_copy_only=False)]
        else:
            rows = block.rows
        if not len(rows):
            return
        for name, rule in tally.rules.items():
            if name in columns:
                tally.rekeying.add(name, columns[name])
                columns[name] = pii.apply_rule(rule, columns[name], tally.keys.get(name))
        batch = pa.RecordBatch.from_arrays(
            [columns[name] for name in tally.schema.names], schema=tally.schema
        )
        self._store.add(batch)
        stamps, label = batch.column(0).to_numpy(), None
        if self._config.dataset.label:
            label = columns[self._config.dataset.label].fill_null(0).to_numpy(zero_copy_only=False)
        self._keys.add(self._code(batch), stamps, rows, label)
        tally.first, tally.last = min(tally.first, int(stamps.min())), max(tally.last, int(stamps.max()))

    def _code(self, batch: pa.RecordBatch) -> np.ndarray:
        """Number of each row's series, in the order in which series appear. Shape [row], int32."""
        names = self._config.series_columns()
        if not names:
            self._series.setdefault((), 0)
            return np.zeros(batch.num_rows, dtype=np.int32)
        combined = np.zeros(batch.num_rows, dtype=np.int64)
        levels: list[list[str]] = []
        for name in names:
            encoded = batch.column(batch.schema.get_field_index(name)).dictionary_encode()
            levels.append(encoded.dictionary.to_pylist())
            combined = combined * len(levels[-1]) + encoded.indices.to_numpy()
        unique, inverse = np.unique(combined, return_inverse=True)
        codes = []
        for value in unique.tolist():
            key = []
            for level in reversed(levels):
                value, position = divmod(value, len(level))
                key.append(level[position])
            codes.append(self._series.setdefault(tuple(reversed(key)), len(self._series)))
        return np.array(codes, dtype=np.int32)[inverse]

    def sort(self, quarantine: Quarantine) -> int:
        """Puts the rows in order of series, then time, and sets the repeated ones aside.

        Returns:
          How many rows stay.
        """
        self._store.finish()
        rank = np.empty(len(self._series), dtype=np.int32)
        rank[[self._series[key] for key in sorted(self._series)]] = np.arange(len(self._series))
        repeated, rows = self._keys.sort(rank)
        ends = np.array(self._file_ends)
        for start in range(0, len(repeated), _WRITE_ROWS):
            part = slice(start, start + _WRITE_ROWS)
            files = np.searchsorted(ends, repeated[part], side="right")
            names = pa.array(self._files).take(pa.array(files))
            quarantine.add_repeated(names, rows[part], self._store.take(repeated[part]))
        self._tally.series += len(self._series)
        return len(self._keys)

    @property
    def keys(self) -> Iterable[Keys]:
        """The keys of the rows in order, in pieces; can be iterated over again."""
        return _Again(self._keys)

    def take(self, rows: np.ndarray) -> pa.Table:
        """Rows by their number among those that arrived, in the order asked for. `rows`: shape [row]."""
        return self._store.take(rows)

    def write(
        self, root: str | Path, names: Sequence[str], assignment: Assignment, plan: FillPlan | None = None
    ) -> dict[str, dict[str, Any]]:
        """Writes the splits; returns of each its rows, its rows with an anomaly, and its digest.

        Args:
          root: Gets `Split-<name>/`.
          names: Of the splits.
          assignment: Which row goes where.
          plan: Rows that are not stored and missing values that are; None stores what arrived.
        """
        written = {}
        for split, name in enumerate(names):
            labelled = 0 if self._config.dataset.label else None
            with split_io.SplitWriter(root, name, rows_per_shard=self._config.rows_per_shard) as writer:
                for rows, anomalous in _in_chunks(self._split(split, assignment, plan)):
                    table = self._store.take(rows)
                    writer.write(table if plan is None else plan.apply(rows, table))
                    labelled = None if labelled is None else labelled + anomalous
                if not writer.rows:
                    writer.write(self._tally.schema.empty_table())
            written[name] = {"rows": writer.rows, "labelled_rows": labelled, "digest": writer.digest}
        return written

    def _split(
        self, split: int, assignment: Assignment, plan: FillPlan | None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Row numbers of a split in order, and which of them are anomalous, piece by piece."""
        start = 0
        for piece in self._keys.pieces():
            assert piece.order is not None
            stop = start + len(piece.order)
            mine = assignment.of(start, stop) == split
            if plan is not None:
                mine &= plan.stays(piece.order)
            label = np.zeros(stop - start, dtype=bool) if piece.label is None else piece.label == 1
            yield piece.order[mine], label[mine]
            start = stop


class _Again:
    """The pieces of a key store, from the beginning at every iteration."""

    def __init__(self, store: KeyStore) -> None:
        self._store = store

    def __iter__(self) -> Iterator[Keys]:
        return self._store.pieces()


def _in_chunks(parts: Iterable[tuple[np.ndarray, np.ndarray]]) -> Iterator[tuple[np.ndarray, int]]:
    """Row numbers in chunks that do not depend on the pieces, and how many in each are anomalous."""
    rows, anomalous = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=bool)
    for more, flags in parts:
        rows, anomalous = np.concatenate([rows, more]), np.concatenate([anomalous, flags])
        whole = len(rows) // _WRITE_ROWS * _WRITE_ROWS
        for start in range(0, whole, _WRITE_ROWS):
            yield rows[start : start + _WRITE_ROWS], int(anomalous[start : start + _WRITE_ROWS].sum())
        rows, anomalous = rows[whole:], anomalous[whole:]
    if len(rows):
        yield rows, int(anomalous.sum())


def _convert(
    values: pa.Array | None, count: int, kind: str, source: SourceConfig, form: TimestampFormat
) -> convert.Converted:
    if values is None:
        types = {"continuous": pa.float32(), "integer": pa.int64(), "binary": pa.int64()}
        values = pa.nulls(count, types.get(kind, pa.string()))
        return convert.Converted(values if kind != "kind" else values.fill_null(""))
    if kind == "timestamp":
        return convert.convert_timestamp(values, form, source.timezone, source.null_values)
    if kind == "series":
        return convert.convert_series(values)
    if kind == "kind":
        text = convert.convert_text(values)
        return convert.Converted(pc.fill_null(text.values, ""), text.bad)
    return convert.convert_feature(values, kind, source.null_values)  # type: ignore[arg-type]


def _refuse_text(file: str, name: str, kind: str, converted: convert.Converted, count: int) -> None:
    """A column of numbers in which every value of the first block is text is another column."""
    wrong = converted.bad.get(convert.NOT_A_NUMBER)
    if kind not in ("continuous", "integer", "binary") or wrong is None:
        return
    others = (
        count
        - converted.values.null_count
        + sum(int(mask.sum()) for reason, mask in converted.bad.items() if reason != convert.NOT_A_NUMBER)
    )
    if others == 0:
        raise ColumnError(
            f"{file}: column '{name}' is text throughout ({int(wrong.sum())} rows), its kind is {kind}. "
            "Set kind: categorical, or mend the source.",
            name,
        )
