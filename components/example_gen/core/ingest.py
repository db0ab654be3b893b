"""From source files to splits: read, convert, set aside, protect, sort, divide, write.

Memory: a block, a chunk of output, the keys of a million rows, and the rows up to `memory_budget_mb`;
what is beyond (already under the PII policy) is in temporary files beside the output. Rows may come in any
order; input that is sorted by series and time is not sorted again.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from components.config_base import canonical_json
from components.errors import DataError
from components.example_gen.config import ExampleGenConfig, SourceConfig
from components.example_gen.core import pii
from components.example_gen.core.cadence import Cadence
from components.example_gen.core.keys import Keys
from components.example_gen.core.quality import QUALITY_FILE, QualityPass
from components.example_gen.core.quarantine import Quarantine
from components.example_gen.core.rows import RowGroup, Tally
from components.example_gen.core.spans import resolve_sources
from components.example_gen.core.splits import Assignment, assign_rows
from components.executor_base import write_json

REPORT_FILE = "ingest.json"


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
      rows_dropped: Rows that the imputation policy `drop` did not store; `quality.json` says of which column.
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
    rows_dropped: int
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
      quarantine_root: Gets `quarantine.csv`, `quarantine_rows.csv`, `ingest.json` and `quality.json`.
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
    tally = Tally(config, keys, place)
    groups: list[list[int]] = [list(range(len(config.sources)))]
    if config.splits.mode == "per_source":
        groups = [[index] for index in range(len(config.sources))]
    splits: dict[str, dict[str, Any]] = {}
    block_s: float | None = None
    cadence = Cadence(config.dataset.interval_s)
    median_step_s: float | None = None
    quality = QualityPass(config, tally, seed)
    with Quarantine(Path(quarantine_root), config, keys) as quarantine:
        for group in groups:
            with RowGroup(tally, Path(examples_root)) as rows:
                for index in group:
                    rows.read(config.sources[index], resolved[index], quarantine)
                kept = rows.sort(quarantine)
                quarantine.check(tally.rows_read, place)
                for piece in rows.keys:
                    cadence.add(piece.series, piece.timestamp)
                median_step_s = cadence.require(place)
                names, assignment = _assign(config, config.sources[group[0]], rows.keys, kept, seed)
                block_s = assignment.block_s
                plan = quality.look(rows, kept, names, assignment, place)
                splits |= rows.write(examples_root, names, assignment, plan)
    first, last = (_iso(stamp) for stamp in (tally.first, tally.last))
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
        rows_read=tally.rows_read,
        rows_kept=sum(split["rows"] for split in splits.values()),
        rows_quarantined=quarantine.rows,
        rows_dropped=quality.rows_dropped,
        quarantined_by_reason=dict(sorted(quarantine.by_reason.items())),
        columns_dropped=sorted(tally.dropped),
        columns_absent=sorted(tally.absent),
        pii={rule.column: rule.action or "not personal" for rule in config.pii},
        timestamp_format=dict(tally.formats),
        series=tally.series,
        median_step_s=median_step_s,
        first_timestamp=first,
        last_timestamp=last,
        block_s=block_s,
        splits=splits,
        data_digest=data_digest({name: split["digest"] for name, split in splits.items()}),
    )
    tally.rekeying.write(Path(quarantine_root) / pii.REKEY_FILE)
    write_json(Path(quarantine_root) / REPORT_FILE, vars(report))
    if config.quality is not None:
        write_json(Path(quarantine_root) / QUALITY_FILE, quality.report())
    return report


def data_digest(split_digests: dict[str, str]) -> str:
    """SHA-256 (hex) over the digests of an artifact's splits."""
    return hashlib.sha256(canonical_json(split_digests).encode()).hexdigest()


def _assign(
    config: ExampleGenConfig, source: SourceConfig, keys: Iterable[Keys], rows: int, seed: int
) -> tuple[Sequence[str], Assignment]:
    if config.splits.mode == "interleaved":
        return list(config.splits.fractions()), assign_rows(
            keys, config.splits, config.dataset.interval_s, seed
        )
    name = config.splits.name if config.splits.mode == "single" else source.name
    return [name], Assignment.single(rows)


def _iso(stamp: int) -> str:
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    try:
        return (epoch + datetime.timedelta(microseconds=stamp)).isoformat()
    except OverflowError:
        return f"{stamp} us"
