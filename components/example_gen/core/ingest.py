"""From source files to splits: read, convert, set aside, protect, sort, divide, write.

Memory: a block, a chunk of output, about 30 bytes a row of keys, and the rows up to
`memory_budget_mb`; beyond it the rows (already under the PII policy) go to a temporary file beside
the output. Rows may come in any order; input that is sorted by series and time is not sorted again.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components import split_io
from components.config_base import canonical_json
from components.dataset import TIMESTAMP
from components.errors import DataError
from components.example_gen.config import ExampleGenConfig, SourceConfig, TimestampFormat
from components.example_gen.core import convert, pii
from components.example_gen.core.cadence import Cadence
from components.example_gen.core.quarantine import Quarantine
from components.example_gen.core.reading import RawBlock, needed_columns, read_blocks
from components.example_gen.core.spans import ResolvedSpan, resolve_sources
from components.example_gen.core.splits import Keys, assign_rows
from components.example_gen.core.store import RowStore
from components.example_gen.core.timestamps import detect_format
from components.executor_base import write_json

REPORT_FILE = "ingest.json"
_WRITE_ROWS = 65_536


@dataclass(frozen=True)
class IngestReport:
    """What `ingest.json` holds.

    Attributes:
      locale: Whose data.
      span: Its number.
      version: Of the span, per source; None where the pattern has none.
      seed: Of the splits.
      fingerprint: Of the source's files.
      files: Names, per source.
      rows_read: Rows found.
      rows_kept: Rows in the splits.
      rows_quarantined: Rows set aside.
      quarantined_by_reason: Rows by their first reason.
      columns_dropped: Source columns that the data set does not name, and are not stored.
      columns_absent: Columns of the data set that a source lacks, and may.
      pii: Action by column.
      timestamp_format: Per source, as configured or found.
      series: Number of series.
      median_step_s: Median over the series of their median step; None where all are too short.
      first_timestamp: ISO 8601, UTC.
      last_timestamp: ISO 8601, UTC.
      block_s: Length of an interleaved block; None where splits are not interleaved.
      splits: Rows, rows with an anomaly and digest, by split.
      data_digest: SHA-256 (hex) over the splits' contents.
    """

    locale: str
    span: int
    version: dict[str, int | None]
    seed: int
    fingerprint: str
    files: dict[str, list[str]]
    rows_read: int
    rows_kept: int
    rows_quarantined: int
    quarantined_by_reason: dict[str, int]
    columns_dropped: list[str]
    columns_absent: list[str]
    pii: dict[str, str]
    timestamp_format: dict[str, str]
    series: int
    median_step_s: float | None
    first_timestamp: str
    last_timestamp: str
    block_s: float | None
    splits: dict[str, dict[str, Any]]
    data_digest: str

    @property
    def split_names(self) -> list[str]:
        """Names of the splits, in the order in which they were configured."""
        return list(self.splits)


def ingest(
    config: ExampleGenConfig,
    examples_root: str | Path,
    quarantine_root: str | Path,
    *,
    locale: str = "",
    span: int | Literal["latest"] | None = "latest",
    seed: int = 0,
    fingerprint: str = "",
) -> IngestReport:
    """Reads the sources of a span and writes Examples and Quarantine.

    Args:
      config: What to read, and how.
      examples_root: Gets `Split-<name>/`.
      quarantine_root: Gets `quarantine.csv`, `quarantine_rows.csv` and `ingest.json`.
      locale: For messages and the report.
      span: Its number, or `latest`.
      seed: Of the splits.
      fingerprint: What the files' must be; "" accepts any.

    Raises:
      ConfigError: a pattern is malformed, or a key cannot be read.
      DataError: the input is refused as a whole, has too many bad rows, comes at another cadence than
        `dataset.interval_s`, or is not the one that the fingerprint was taken of.
    """
    number, resolved, found = resolve_sources([source.pattern for source in config.sources], span)
    place = f"locale={locale} span={number}" if locale else f"span={number}"
    if fingerprint and fingerprint != found:
        raise DataError(f"{place}: the source's files have changed since the run was planned. Run again.")
    keys = pii.read_keys(config.pii)
    state = _State(config, keys)
    groups: list[list[int]] = [list(range(len(config.sources)))]
    if config.splits.mode == "per_source":
        groups = [[index] for index in range(len(config.sources))]
    splits: dict[str, dict[str, Any]] = {}
    block_s: float | None = None
    cadence = Cadence(config.dataset.interval_s)
    median_step_s: float | None = None
    with Quarantine(Path(quarantine_root), config, keys) as quarantine:
        for group in groups:
            with _Group(state, Path(examples_root)) as rows:
                for index in group:
                    rows.read(config.sources[index], resolved[index], quarantine)
                order = rows.sort(quarantine)
                quarantine.check(state.rows_read, place)
                sorted_keys = rows.keys(order)
                cadence.add(sorted_keys.series, sorted_keys.timestamp)
                median_step_s = cadence.require(place)
                names, assigned, block_s = _assign(config, config.sources[group[0]], sorted_keys, seed)
                for split, name in enumerate(names):
                    splits[name] = rows.write(examples_root, name, order[assigned == split])
    first, last = (_iso(stamp) for stamp in (state.first, state.last))
    report = IngestReport(
        locale=locale,
        span=number,
        version={source.name: item.version for source, item in zip(config.sources, resolved, strict=True)},
        seed=seed,
        fingerprint=found,
        files={
            source.name: [file.name for file in item.files]
            for source, item in zip(config.sources, resolved, strict=True)
        },
        rows_read=state.rows_read,
        rows_kept=sum(split["rows"] for split in splits.values()),
        rows_quarantined=quarantine.rows,
        quarantined_by_reason=dict(sorted(quarantine.by_reason.items())),
        columns_dropped=sorted(state.dropped),
        columns_absent=sorted(state.absent),
        pii={rule.column: rule.action for rule in config.pii},
        timestamp_format=dict(state.formats),
        series=state.series,
        median_step_s=median_step_s,
        first_timestamp=first,
        last_timestamp=last,
        block_s=block_s,
        splits=splits,
        data_digest=data_digest({name: split["digest"] for name, split in splits.items()}),
    )
    write_json(Path(quarantine_root) / REPORT_FILE, vars(report))
    return report


def data_digest(split_digests: dict[str, str]) -> str:
    """SHA-256 (hex) over the digests of an artifact's splits."""
    return hashlib.sha256(canonical_json(split_digests).encode()).hexdigest()


def _assign(
    config: ExampleGenConfig, source: SourceConfig, keys: Keys, seed: int
) -> tuple[Sequence[str], np.ndarray, float | None]:
    if config.splits.mode == "interleaved":
        assigned, block_s = assign_rows(keys, config.splits, config.dataset.interval_s, seed)
        return list(config.splits.fractions()), assigned, block_s
    name = config.splits.name if config.splits.mode == "single" else source.name
    return [name], np.zeros(len(keys.timestamp), dtype=np.int8), None


def _iso(stamp: int) -> str:
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    try:
        return (epoch + datetime.timedelta(microseconds=stamp)).isoformat()
    except OverflowError:
        return f"{stamp} us"


class _State:
    """What is counted over all sources."""

    def __init__(self, config: ExampleGenConfig, keys: dict[str, bytes]) -> None:
        self.config, self.keys = config, keys
        self.rows_read = self.series = 0
        self.dropped: set[str] = set()
        self.absent: set[str] = set()
        self.formats: dict[str, str] = {}
        self.first, self.last = 2**63 - 1, -(2**63)
        self.rules = {rule.column: rule for rule in config.pii}
        schema = split_io.arrow_schema(config.dataset)
        if config.locale_column and config.locale_column not in schema.names:
            schema = schema.append(pa.field(config.locale_column, pa.string()))
        self.schema = pa.schema([field.with_nullable(True) for field in schema])


class _Group:
    """The rows that are sorted and divided together."""

    def __init__(self, state: _State, folder: Path) -> None:
        self._state, self._config = state, state.config
        self._stack = contextlib.ExitStack()
        budget = state.config.memory_budget_mb << 20
        self._store = self._stack.enter_context(RowStore(state.schema, folder, budget))
        self._timestamps: list[np.ndarray] = []
        self._codes: list[np.ndarray] = []
        self._labels: list[np.ndarray] = []
        # Where a row came from, kept for naming repeated ones: file number and row number.
        self._rows: list[np.ndarray] = []
        self._files: list[str] = []
        self._file_ends: list[int] = []
        self._series: dict[tuple[str, ...], int] = {}
        self._kept = 0

    def __enter__(self) -> _Group:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def read(self, source: SourceConfig, resolved: ResolvedSpan, quarantine: Quarantine) -> None:
        """Adds the rows of a source's files."""
        form: TimestampFormat = source.timestamp_format
        checked: set[str] = set()
        for file in resolved.files:
            for block in read_blocks(source, file, resolved.filesystem, self._config):
                if form == "auto":
                    form = self._detect(source, block)
                self._add(source, file.name, block, form, quarantine, checked)
            self._files.append(file.name)
            self._file_ends.append(self._kept)
        self._state.formats[source.name] = form

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
        state, count = self._state, len(block.rows)
        needed = needed_columns(self._config)
        state.rows_read += count + len(block.malformed)
        state.dropped |= set(block.ignored)
        state.absent |= set(needed) - set(block.columns)
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
        for name, rule in state.rules.items():
            if name in columns:
                columns[name] = pii.apply_rule(rule, columns[name], state.keys.get(name))
        batch = pa.RecordBatch.from_arrays(
            [columns[name] for name in state.schema.names], schema=state.schema
        )
        self._store.add(batch)
        self._timestamps.append(batch.column(0).to_numpy())
        self._codes.append(self._code(batch))
        self._rows.append(rows)
        if self._config.dataset.label:
            label = columns[self._config.dataset.label]
            self._labels.append(label.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int8))
        self._kept += len(rows)

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

    def sort(self, quarantine: Quarantine) -> np.ndarray:
        """Row numbers sorted by series, then time, without the repeated ones. Shape [row], int64."""
        count = self._store.finish() if self._kept else 0
        if not count:
            return np.zeros(0, dtype=np.int64)
        self._stamp = _join(self._timestamps)
        code, self._row = _join(self._codes), _join(self._rows)
        self._label = _join(self._labels) if self._config.dataset.label else None
        rank = np.empty(len(self._series), dtype=np.int32)
        rank[[self._series[key] for key in sorted(self._series)]] = np.arange(len(self._series))
        self._code_of = rank[code]
        del code
        stamp, series = self._stamp, self._code_of
        step, later = np.diff(series), stamp[1:] > stamp[:-1]
        if ((step > 0) | ((step == 0) & later)).all():
            order = np.arange(count, dtype=np.int64)
        else:
            order = np.lexsort((stamp, series))
            same = (np.diff(series[order]) == 0) & (np.diff(stamp[order]) == 0)
            again = np.append(False, same)
            self._set_aside(order[again], quarantine)
            order = order[~again]
        self._state.series += len(np.unique(series[order]))
        self._state.first = min(self._state.first, int(stamp.min()))
        self._state.last = max(self._state.last, int(stamp.max()))
        return order

    def _set_aside(self, repeated: np.ndarray, quarantine: Quarantine) -> None:
        repeated = np.sort(repeated)
        for start in range(0, len(repeated), _WRITE_ROWS):
            rows = repeated[start : start + _WRITE_ROWS]
            files = np.searchsorted(np.array(self._file_ends), rows, side="right")
            names = pa.array(self._files).take(pa.array(files))
            quarantine.add_repeated(names, self._row[rows], self._store.take(rows))

    def keys(self, order: np.ndarray) -> Keys:
        """Keys of the rows in sorted order."""
        if not len(order):
            return Keys(np.zeros(0, np.int32), np.zeros(0, np.int64), None)
        whole = len(order) == len(self._stamp) and (np.diff(order) == 1).all()
        pick: Any = slice(None) if whole else order
        return Keys(
            self._code_of[pick], self._stamp[pick], None if self._label is None else self._label[pick]
        )

    def write(self, root: str | Path, split: str, rows: np.ndarray) -> dict[str, Any]:
        """Writes a split; returns its rows, its rows with an anomaly, and its digest."""
        with split_io.SplitWriter(root, split, rows_per_shard=self._config.rows_per_shard) as writer:
            if not len(rows):
                writer.write(self._state.schema.empty_table())
            for table in self._store.chunks(rows, _WRITE_ROWS):
                writer.write(table)
        labelled = None if not self._labels and not self._config.dataset.label else 0
        if labelled is not None and len(rows) and self._label is not None:
            labelled = int((self._label[rows] == 1).sum())
        return {"rows": writer.rows, "labelled_rows": labelled, "digest": writer.digest}


def _join(parts: list[np.ndarray]) -> np.ndarray:
    whole = np.concatenate(parts)
    parts.clear()
    return whole


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
        raise DataError(
            f"{file}: column '{name}' is text throughout ({int(wrong.sum())} rows), its kind is {kind}. "
            "Set kind: categorical, or mend the source."
        )
