"""A data set's properties: when rows come, what columns hold and how they run, events, risks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from components.dataset import TIMESTAMP, DatasetConfig
from components.profiler.core import cadence, kinds, labels, leakage, time_structure
from components.profiler.core.cadence import Cadence, Ints
from components.profiler.core.kinds import ColumnKind
from components.profiler.core.labels import LabelKind
from components.profiler.core.leakage import Finding
from components.profiler.core.time_structure import Course
from components.synthesizer_trainer.core.feature_kinds import is_stepwise, only_number
from components.synthesizer_trainer.core.panel import label_kinds, segments


@dataclass(frozen=True)
class ColumnProfile:
    """One feature.

    Attributes:
      name: Its name.
      declared: Its kind in the data set.
      held: What it holds.
      longest_gap_s: Longest time within a series without a value.
      course: How it runs; None where it is no number.
      latent: Whether it becomes a latent series of the synthesizer; else a chain's level, or a constant.
    """

    name: str
    declared: str
    held: ColumnKind
    longest_gap_s: float
    course: Course | None
    latent: bool

    @property
    def varies(self) -> bool:
        """Whether it has more than one value."""
        return self.held.distinct > 1


@dataclass(frozen=True)
class Profile:
    """A data set.

    Attributes:
      rows: That were looked at.
      labelled_rows: Of them, those of an event.
      train_rows: Those that the synthesizer is trained on.
      train_normal: Of these, those without a label.
      cadence: When they come.
      columns: The features, in order.
      labels: Kinds of labelled events; None without a label column.
      risks: What may give somebody or the label away.
      segment_rows: Training rows of each run of neighbouring ones, without labelled rows. Shape [segment].
    """

    rows: int
    labelled_rows: int
    train_rows: int
    train_normal: int
    cadence: Cadence
    columns: tuple[ColumnProfile, ...]
    labels: tuple[LabelKind, ...] | None
    risks: tuple[Finding, ...]
    segment_rows: Ints

    @property
    def latent(self) -> int:
        """Features that become latent series."""
        return sum(column.latent for column in self.columns)

    @property
    def chained(self) -> int:
        """Other features that vary."""
        return sum(column.varies and not column.latent for column in self.columns)


def describe(
    table: pa.Table,
    series: Ints,
    train: npt.NDArray[np.bool_],
    dataset: DatasetConfig,
    ruled: frozenset[str] = frozenset(),
) -> Profile:
    """Looks at a table.

    Args:
      table: Rows in the form of decision 1, sorted by series, then time; at least one.
      series: Number of each row's series, ascending. Shape [row].
      train: Which rows the synthesizer is trained on. Shape [row].
      dataset: The columns.
      ruled: Columns that a PII rule covers or that are declared not personal.
    """
    time_us = table.column(TIMESTAMP).to_numpy().astype(np.int64)
    interval_s = dataset.interval_s
    segment = segments(time_us, series, interval_s)
    names = label_kinds(table, dataset)
    features: Mapping[str, pa.Array] = {
        feature.name: _whole(table.column(feature.name)) for feature in dataset.features
    }
    alone = only_number(dataset)
    columns = []
    for feature in dataset.features:
        values = features[feature.name]
        held = kinds.describe(values)
        known = values.is_valid().to_numpy(zero_copy_only=False).astype(bool)
        course, latent = None, False
        if feature.kind != "categorical" and held.distinct > 1:
            numbers = kinds.numbers(values)
            course = time_structure.describe(numbers, time_us, series, interval_s)
            latent = feature.kind != "binary" and not is_stepwise(numbers, segment, alone)
        silence = cadence.longest_silence_s(known, time_us, series)
        columns.append(ColumnProfile(feature.name, feature.kind, held, silence, course, latent))
    labelled = names != ""
    risks = leakage.find(
        features,
        {column.name: column.held for column in columns},
        ruled,
        series,
        labelled if dataset.label else None,
    )
    return Profile(
        rows=len(time_us),
        labelled_rows=int(labelled.sum()),
        train_rows=int(train.sum()),
        train_normal=int((train & ~labelled).sum()),
        cadence=cadence.describe(time_us, series, interval_s),
        columns=tuple(columns),
        labels=labels.describe(names, time_us, series, segment, interval_s) if dataset.label else None,
        risks=tuple(risks),
        segment_rows=_runs(time_us[train], series[train], labelled[train], interval_s),
    )


def _runs(time_us: Ints, series: Ints, labelled: npt.NDArray[np.bool_], interval_s: float) -> Ints:
    """Normal rows of each run of neighbouring rows. Shape [segment]."""
    rows: Ints = np.bincount(segments(time_us, series, interval_s)[~labelled])
    return rows[rows > 0]


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
