"""Kinds of anomaly with few real windows: counted before anything is trained, then refused or merged.

A window is a run of labelled rows of one kind in one series that no normal row interrupts. Rows that are
missing or held out end none, so that an event which the holdout cuts counts once: never more windows than
there were events, unless the label itself flickers.

Source of the minimum: the minimum frequency rule, Hundepool et al. (2012), Statistical Disclosure Control,
ch. 5. Merging is the generalisation of one attribute (Samarati and Sweeney 1998): it hides which kind and
that it occurred, not the shape of its events.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from components.dataset import TIMESTAMP, DatasetConfig
from components.egress.categories import OTHER
from components.errors import InsufficientDataError
from components.synthesizer_trainer.config import RareEventsConfig
from components.synthesizer_trainer.core.panel import check_columns, label_kinds, series_numbers

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Decision:
    """What was decided about a locale's kinds; names and counts stay in the locale.

    Attributes:
      min_windows: The minimum that was applied.
      outcome: `no labelled window`, `every kind by itself` or `merged`.
      windows: Real windows by kind, before any merge.
      merged: Kinds that are released as `other`; empty unless the outcome is `merged`.
    """

    min_windows: int
    outcome: str
    windows: Mapping[str, int]
    merged: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """For the training report."""
        return {
            "min_windows": self.min_windows,
            "outcome": self.outcome,
            "windows": dict(self.windows),
            "merged": list(self.merged),
        }


def count_windows(table: pa.Table, dataset: DatasetConfig, place: str) -> dict[str, int]:
    """Labelled windows of each kind, in the order of the kinds' names.

    Args:
      table: A flat table (decision 1), in any order.
      dataset: The columns.
      place: For messages.

    Raises:
      DataError: a column is missing.
    """
    check_columns(table, dataset, place)
    names = label_kinds(table, dataset)
    series = series_numbers(table, dataset)
    order = np.lexsort((table.column(TIMESTAMP).to_numpy(), series))
    names, series = names[order], series[order]
    begins = np.ones(len(names), bool)
    begins[1:] = (names[1:] != names[:-1]) | (series[1:] != series[:-1])
    kinds, counts = np.unique(names[begins & (names != "")].astype(str), return_counts=True)
    return {str(kind): int(count) for kind, count in zip(kinds, counts)}


def decide(table: pa.Table, dataset: DatasetConfig, policy: RareEventsConfig, place: str) -> Decision:
    """What becomes of the kinds of a training table.

    Args:
      table: Training rows (decision 1).
      dataset: The columns.
      policy: Of a synthesizer without differential privacy.
      place: `locale=.. split=..`, for messages.

    Raises:
      InsufficientDataError: a kind has too few windows and none are merged, or they are too few together.
        The message names no kind and tells no count of windows; both stand in the locale's own log.
      DataError: a column is missing.
    """
    windows = count_windows(table, dataset, place)
    rare = tuple(kind for kind, count in windows.items() if count < policy.min_windows)
    if not rare:
        outcome = "every kind by itself" if windows else "no labelled window"
        _LOG.info("%s: rare events: %s (at least %d windows)", place, outcome, policy.min_windows)
        return Decision(policy.min_windows, outcome, windows)
    listed = ", ".join(f"{kind} {windows[kind]}" for kind in rare)
    _LOG.warning("%s: kinds with fewer than %d real windows: %s", place, policy.min_windows, listed)
    said = (
        f"{place}: kinds of anomaly with fewer than {policy.min_windows} windows "
        f"(rare_events.min_windows): {len(rare)}"
    )
    if policy.below != "merge":
        raise InsufficientDataError(
            f"{said}; nothing was trained. Widen the span, set synthesizer.rare_events.below: merge, take "
            "method: dp_linear, or lower the minimum."
        )
    # Real rows may be called so already; they are of the same kind from here on.
    merged = tuple(sorted({*rare, *({OTHER} & windows.keys())}))
    if sum(windows[kind] for kind in merged) < policy.min_windows:
        raise InsufficientDataError(
            f"{said}, and merged they are too few as well; nothing was trained. Widen the span, take method: "
            "dp_linear, or lower the minimum."
        )
    _LOG.warning("%s: rare events: %s are released as one kind, '%s'", place, ", ".join(merged), OTHER)
    return Decision(policy.min_windows, "merged", windows, merged)


def merge(table: pa.Table, dataset: DatasetConfig, decision: Decision) -> pa.Table:
    """The rows with merged kinds called `other`; shape and types stay.

    Args:
      table: Rows of any split.
      dataset: With a `label_kind`, where anything is merged.
      decision: Of the training rows.
    """
    if not decision.merged or dataset.label_kind is None:
        return table
    hit = pd.Series(label_kinds(table, dataset)).isin(decision.merged).to_numpy()
    named = table.column(dataset.label_kind)
    column = pc.if_else(pa.array(hit), pa.scalar(OTHER, named.type), named)
    return table.set_column(table.schema.get_field_index(dataset.label_kind), dataset.label_kind, column)
