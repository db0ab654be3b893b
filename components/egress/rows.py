"""Judges the rows of a restricted locale's release: columns, series names and categories."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.dataset import TIMESTAMP, DatasetConfig
from components.egress.categories import OTHER, SUPPORT_FILE, category_columns
from components.egress.config import EgressConfig
from components.egress.words import outward, words_of
from components.errors import DataError, InternalError

#: Series of synthetic rows; `components.synthetic_gen.core.rows.synthetic_name` makes them.
SYNTHETIC_SERIES = re.compile(r"syn-\d{4,9}")

#: Different whole numbers of a column that are remembered as texts.
MAX_NUMBERS = 1000


@dataclass
class NumericSummary:
    """Count, extremes and sum of one numeric column, gathered batch by batch."""

    count: int = 0
    missing: int = 0
    low: float = np.inf
    high: float = -np.inf
    total: float = 0.0

    def add(self, column: pa.Array) -> None:
        """Adds a batch."""
        values = column.drop_null().to_numpy(zero_copy_only=False).astype(np.float64)
        self.missing += column.null_count
        if len(values):
            self.count += len(values)
            self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))
            self.total += float(values.sum())


@dataclass
class RowsSummary:
    """What a release's rows hold, for judging them and what claims to be about them.

    Attributes:
      rows: Number of rows.
      numeric: By column.
      values: Different texts by text column.
      missing: Missing values by text column.
    """

    rows: int = 0
    numeric: dict[str, NumericSummary] = field(default_factory=dict)
    values: dict[str, set[str]] = field(default_factory=dict)
    missing: dict[str, int] = field(default_factory=dict)


def summarise(batches: Iterator[pa.RecordBatch]) -> RowsSummary:
    """Gathers a split. Memory is that of a batch and of the different texts."""
    found = RowsSummary()
    for batch in batches:
        found.rows += batch.num_rows
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
                found.numeric.setdefault(name, NumericSummary()).add(column)
                if pa.types.is_integer(column.type):
                    # A binary column has statistics of categories.
                    known = found.values.setdefault(name, set())
                    if len(known) <= MAX_NUMBERS:
                        known.update(map(str, pc.unique(column.drop_null()).to_pylist()))
            elif not pa.types.is_null(column.type):
                texts = pc.unique(column.drop_null()).to_pylist()
                found.values.setdefault(name, set()).update(
                    text.decode("utf-8", "replace") if isinstance(text, bytes) else text for text in texts
                )
                found.missing[name] = found.missing.get(name, 0) + column.null_count
    return found


def check_columns(names: list[str], dataset: DatasetConfig, place: str) -> None:
    """Refuses a release with a column that the data set does not name.

    Args:
      names: Of rows, or of the features of a schema.
      dataset: The columns that may leave.
      place: For the message.

    Raises:
      InternalError: there is one.
    """
    known = {
        TIMESTAMP,
        *dataset.series,
        *dataset.feature_names(),
        *filter(None, (dataset.label, dataset.label_kind)),
    }
    for name in names:
        if name not in known:
            raise InternalError(
                f"{place}: egress: there is a column '{outward(name, words_of(known))}' that the data "
                "set does not name; nothing was released"
            )


def check_values(
    summary: RowsSummary,
    dataset: DatasetConfig,
    policy: EgressConfig,
    public: Mapping[str, frozenset[str]],
    support_file: Path,
    place: str,
) -> None:
    """Refuses made-up rows that bear a real series' name, or a category that too few real rows support.

    Args:
      summary: Of the released rows.
      dataset: The columns.
      policy: The locale's.
      public: Values that the curated schema publishes, by column.
      support_file: What SyntheticGen counted among the real rows.
      place: For messages.

    Raises:
      DataError: a category has too few supporters (`rare_categories: refuse`, or it was not folded).
      InternalError: a series bears a name that is not made up, or the count of supporters is not there.
    """
    for name in dataset.series:
        real = [text for text in summary.values.get(name, set()) if not SYNTHETIC_SERIES.fullmatch(text)]
        if real:
            raise InternalError(
                f"{place}: egress: {len(real)} series in column '{name}' bear names that SyntheticGen does "
                "not make; nothing was released"
            )
    released = {
        name: {
            text
            for text in summary.values.get(name, set())
            if text not in ("", OTHER) and text not in public.get(name, frozenset())
        }
        for name in category_columns(dataset)
    }
    if not any(released.values()):
        return
    try:
        support = json.loads(support_file.read_text())
    except (OSError, ValueError):
        raise InternalError(
            f"{place}: egress: {SUPPORT_FILE} is not beside the synthetic rows, so nobody counted the real "
            "supporters of their categories; nothing was released"
        ) from None
    for name, texts in released.items():
        counts = support.get(name, {})
        rare = [text for text in texts if counts.get(text, 0) < policy.min_supporters]
        if rare:
            raise DataError(
                f"{place}: egress: {len(rare)} categories of column '{name}' have fewer than "
                f"{policy.min_supporters} real supporters ({policy.supporters}); nothing was released. "
                "Generalise the column at the door (pii), or set egress.rare_categories: other."
            )
