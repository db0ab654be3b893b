"""What of a data set may give somebody away, or give the label away. Names and counts, never a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.stats import rankdata

from components.pii.detect import find_identifiers
from components.profiler.core.cadence import Ints
from components.profiler.core.kinds import ColumnKind, numbers
from components.synthesizer_trainer.config import SynthesizerTrainerConfig

Risk = Literal[
    "identifier",
    "identifier-like",
    "free text",
    "timestamp",
    "many categories",
    "values seen once",
    "identifies the series",
    "equals the label",
    "determines the label",
]

#: More categories than this are many, as the trainer has it by default.
MANY_CATEGORIES: int = SynthesizerTrainerConfig.model_fields["max_vocabulary"].default
#: A share of rows above which a column tells its series, or the label.
CERTAIN = 0.999
#: A value must stand in so many rows on average: else it names a row, not a series.
MIN_ROWS_PER_VALUE = 20
#: Labelled rows below which nothing is said of the label.
MIN_LABELLED = 10
#: Values that are few enough to be seen again.
_FEW = ("category", "flag", "integer-valued")


@dataclass(frozen=True)
class Finding:
    """One risk.

    Attributes:
      column: Whose.
      risk: Which.
      detail: Counts, in words.
      remedy: What to do.
    """

    column: str
    risk: Risk
    detail: str
    remedy: str


def find(
    columns: Mapping[str, pa.Array],
    kinds: Mapping[str, ColumnKind],
    ruled: frozenset[str],
    series: Ints,
    label: npt.NDArray[np.bool_] | None,
) -> list[Finding]:
    """Looks for risks, column by column.

    Args:
      columns: Features by name, after the locale's PII rules. Shape of each: [row].
      kinds: What they hold.
      ruled: Columns that a PII rule covers or that are declared not personal.
      series: Number of each row's series. Shape [row].
      label: Which rows are labelled; None without labels. Shape [row].
    """
    found = []
    named = {x.column: x for x in find_identifiers({k: v for k, v in columns.items() if k not in ruled})}
    for name, values in columns.items():
        kind = kinds[name]
        if name in named:
            told = named[name]
            share = "by its name" if told.share is None else f"{told.share:.0%} of {told.sampled} values"
            found.append(Finding(name, "identifier", f"{told.kind}, {share}", "a pii rule, or declare it"))
        found += _of_kind(name, kind)
        codes = _codes(values, kind)
        if codes is None:
            continue
        if kind.distinct * MIN_ROWS_PER_VALUE <= len(series) and series[-1] > series[0]:
            certain = _told(codes, series)
            if certain >= CERTAIN:
                found.append(
                    Finding(
                        name,
                        "identifies the series",
                        f"its value tells the series of {certain:.1%} of the rows; {kind.distinct} values, "
                        f"{len(np.unique(series))} series",
                        "leave the column out, or generalise it (pii)",
                    )
                )
    if label is not None and min(label.sum(), (~label).sum()) >= MIN_LABELLED:
        for name, values in columns.items():
            found += _of_label(name, values, kinds[name], label)
    return found


def _of_kind(name: str, kind: ColumnKind) -> list[Finding]:
    found = []
    counted = f"{kind.distinct:,} different values"
    if kind.kind == "identifier-like":
        remedy = "leave the column out, or pseudonymise it (pii)"
        found.append(Finding(name, "identifier-like", counted, remedy))
    if kind.kind == "free text":
        found.append(Finding(name, "free text", counted, "leave the column out, or redact it (pii)"))
    if kind.kind == "timestamp":
        remedy = "leave the column out: a time as a feature repeats real times"
        found.append(Finding(name, "timestamp", counted, remedy))
    if kind.kind == "category" and kind.distinct > MANY_CATEGORIES:
        remedy = f"generalise it (pii); the trainer refuses more than {MANY_CATEGORIES} by default"
        found.append(Finding(name, "many categories", counted, remedy))
    if kind.kind == "category" and kind.seen_once:
        detail = f"{kind.seen_once:,} of {kind.distinct:,} values"
        found.append(Finding(name, "values seen once", detail, "generalise them (pii: mapping, otherwise)"))
    return found


def _codes(values: pa.Array, kind: ColumnKind) -> Ints | None:
    """Number of each row's value, -1 where there is none; None where values are not seen again. [row]."""
    if kind.kind not in _FEW:
        return None
    encoded = values.dictionary_encode().indices.fill_null(-1)
    codes: Ints = encoded.to_numpy(zero_copy_only=False).astype(np.int64)
    return codes


def _told(codes: Ints, target: Ints) -> float:
    """Share of rows whose target is the most frequent one of their value."""
    classes = np.unique(target, return_inverse=True)[1]
    width = int(classes.max()) + 1
    pair, count = np.unique((codes + 1) * width + classes, return_counts=True)
    value = pair // width
    first = np.flatnonzero(np.diff(value, prepend=-1))
    return float(np.maximum.reduceat(count, first).sum() / len(codes))


def _of_label(name: str, values: pa.Array, kind: ColumnKind, label: npt.NDArray[np.bool_]) -> list[Finding]:
    remedy = "leave it out unless it is known before the event: a detector would learn it, not the fault"
    labelled = int(label.sum())
    codes = _codes(values, kind)
    if codes is not None and kind.distinct * MIN_ROWS_PER_VALUE <= len(label):
        if _told(codes, label.astype(np.int64)) < 1.0:
            return []
        known = len(np.unique(codes))
        if known == 2:
            return [Finding(name, "equals the label", f"in all {len(label):,} rows", remedy)]
        detail = f"each of its {known} values stands in labelled rows only, or in none of {labelled:,}"
        return [Finding(name, "determines the label", detail, remedy)]
    if pa.types.is_string(values.type) or kind.kind in ("empty", "constant"):
        return []
    course = numbers(values)
    known_rows = ~np.isnan(course)
    flags = label[known_rows]
    positive, negative = int(flags.sum()), int((~flags).sum())
    if min(positive, negative) < MIN_LABELLED:
        return []
    rank = rankdata(course[known_rows])
    area = (rank[flags].sum() - positive * (positive + 1) / 2) / (positive * negative)
    if max(area, 1 - area) < CERTAIN:
        return []
    detail = f"one threshold separates the labelled rows (area under the curve {max(area, 1 - area):.4f})"
    return [Finding(name, "determines the label", detail, remedy)]
