"""Profiles of spans on disk: this one's, with the bins of those before it, and the baselines'."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from components import split_io
from components.config_base import ComponentConfig
from components.dataset import DatasetConfig
from components.drift.core.merged_reading import Source
from components.drift.core.merging import merge, plan_difference
from components.drift.core.planning import plan_profile
from components.drift.core.profile import Profile, ProfilePlan
from components.drift.core.profile_file import read_profile
from components.drift_monitor.baselines import Baselines, BaselineSource
from components.errors import DataError
from components.executor_base import read_json
from components.monitoring import MonitoringConfig

#: Beside the profile's own files.
SPAN_FILE = "span.json"
#: Files of a span up to which its rows are kept in memory: reading twice takes half as long again.
KEPT_BYTES = 32 << 20
#: Values and rows of a batch: of each split one or two are in memory at a time, decoded and not.
_BATCH_VALUES, _BATCH_ROWS, _LEAST_ROWS = 400_000, 20_000, 500


class SpanRecord(ComponentConfig):
    """What is known of a profiled span; `span.json`.

    Attributes:
      span: Its number.
      dataset_digest: Of the `dataset` section that it was profiled with.
      columns_absent: Columns of the data set that its source lacked.
      columns_dropped: Columns of its source that the data set does not name.
    """

    span: int
    dataset_digest: str
    columns_absent: tuple[str, ...] = ()
    columns_dropped: tuple[str, ...] = ()


@dataclass(frozen=True)
class OpenedBaseline:
    """A baseline's profile, or why there is none.

    Attributes:
      source: Where it was said to be.
      against: In words.
      profile: Of its spans together.
      record: Of its latest span.
      absent: Why it is missing; else empty.
    """

    source: BaselineSource
    against: str
    profile: Profile | None = None
    record: SpanRecord | None = None
    absent: str = ""


def sources_of(uri: str, dataset: DatasetConfig) -> list[Source]:
    """All splits, each to be read in small batches as often as needed: a span may be larger than memory.

    Splits are blocks of time of the same series, so that only together they have the source's cadence. Small
    ones are kept once they are read.
    """
    splits = split_io.list_splits(uri)
    stored = sum(path.stat().st_size for split in splits for path in split_io.shard_paths(uri, split))
    rows = min(_BATCH_ROWS, max(_LEAST_ROWS, _BATCH_VALUES // len(dataset.features)))

    def source(split: str) -> Source:
        def read(columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
            return split_io.read_batches(uri, split, columns=columns, dataset=dataset, batch_rows=rows)

        return _kept(read) if stored <= KEPT_BYTES else read

    return [source(split) for split in splits]


def _kept(read: Source) -> Source:
    """The same, read once at the first time that it is asked for."""
    batches: list[pa.RecordBatch] = []

    def again(columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
        if not batches:
            batches.extend(read(None))
        for batch in batches:
            table = pa.Table.from_batches([batch])
            yield from (table if columns is None else table.select(list(columns))).to_batches()

    return again


def record_of(span: int, dataset: DatasetConfig, quarantine: Any | None) -> SpanRecord:
    """This span's record; `quarantine` is ExampleGen's artifact, where it is connected."""
    ingest = Path(quarantine.uri) / "ingest.json" if quarantine is not None else None
    columns = read_json(ingest) if ingest is not None and ingest.exists() else {}
    return SpanRecord(
        span=span,
        dataset_digest=dataset.digest(),
        columns_absent=tuple(columns.get("columns_absent") or ()),
        columns_dropped=tuple(columns.get("columns_dropped") or ()),
    )


def read_record(folder: str | Path) -> SpanRecord:
    """The record beside a profile.

    Raises:
      DataError: there is none, or it does not parse.
    """
    path = Path(folder) / SPAN_FILE
    try:
        return SpanRecord.model_validate_json(path.read_bytes())
    except (OSError, ValueError):
        raise DataError(f"{path}: no record of a profiled span. Delete its folder and run again.") from None


def plan_for(
    tables: Iterable[pa.Table],
    dataset: DatasetConfig,
    monitoring: MonitoringConfig,
    baselines: Baselines,
    seed: int,
) -> tuple[ProfilePlan, str]:
    """The bins of a span, and why they are new where there were spans before; else an empty text.

    `tables` are read only where the bins are new.

    Bins stay for as long as the `dataset` section does: only then can spans be added and compared.
    """
    note = ""
    if baselines.plan:
        record = read_record(baselines.plan)
        if record.dataset_digest == dataset.digest():
            return read_profile(Path(baselines.plan)).plan, ""
        note = (
            f"the dataset section changed after span {record.span}, so that the bins are new; "
            "the next span has a baseline again"
        )
    made = plan_profile(tables, dataset, bins=monitoring.bins, bucket_s=monitoring.bucket_s, seed=seed)
    return made, note


def open_baseline(source: BaselineSource, plan: ProfilePlan, note: str) -> OpenedBaseline:
    """Reads a baseline.

    Args:
      source: Where it is.
      plan: Of the span that is judged.
      note: Why its bins are new; a baseline cannot be compared then.
    """
    if not source.places:
        return OpenedBaseline(source, "no earlier span", absent=source.absent or "there is no earlier span")
    records = [read_record(place) for place in source.places]
    spans = sorted(record.span for record in records)
    against = f"span {spans[0]}" if len(spans) == 1 else f"spans {spans[0]} to {spans[-1]}"
    if note:
        return OpenedBaseline(source, against, absent=note)
    profiles = [read_profile(Path(place)) for place in source.places]
    for profile in profiles:
        if difference := plan_difference(plan, profile.plan):
            why = f"it was profiled with other bins ({difference})"
            return OpenedBaseline(source, against, absent=why)
    latest = max(records, key=lambda record: record.span)
    return OpenedBaseline(source, against, merge(profiles), latest)
