"""Silent gaps and changes of the columns: what is not there, by the counts of rows and missing values."""

from __future__ import annotations

from typing import Final

import numpy as np

from components.drift.core.fault_model import Fault, Grid, SchemaChange, grid_of, hours, runs, times
from components.drift.core.normal import moments
from components.drift.core.profile import Profile
from components.drift.findings import ALL_FEATURES

#: A bucket is silent below this part of the fewest rows that a whole bucket usually has.
SILENT_PART: Final = 0.75
#: Shorter silences than this many nominal intervals are ordinary losses.
SILENT_INTERVALS: Final = 12.0
#: A feature is gone from a bucket where this share of its rows has no value.
GONE_SHARE: Final = 0.95


def find_gaps(current: Profile, baseline: Profile | None) -> list[Fault]:
    """Stretches in which rows stop, of all series or of some.

    Args:
      current: The span. It has rows.
      baseline: Says how few rows a bucket may have; None takes the span's own median.
    """
    grid = grid_of(current)
    return [
        _gap(ALL_FEATURES, grid, begin, end, "no rows", float(grid.rows[begin:end].sum()))
        for begin, end in runs(_silent(grid, current, baseline))
        if (end - begin) * grid.bucket_s >= SILENT_INTERVALS * current.plan.interval_s
        and not (begin == 0 or end == len(grid.rows))
    ]


def _silent(grid: Grid, current: Profile, baseline: Profile | None) -> np.ndarray:
    """Buckets with too few rows. Shape [T]. The first and the last may be cut and are not judged."""
    # Of the baseline the buckets that have rows: between its spans there are none.
    judged = baseline.rows[1:-1] if baseline is not None else grid.rows[1:-1]
    if len(judged) == 0:
        return np.zeros(len(grid.rows), bool)
    # A series may be lost for a while in the baseline too: what is usual is what nine buckets in ten have.
    usual = float(np.quantile(judged, 0.1)) if baseline is not None else float(np.median(judged))
    least = min(usual, float(judged.min())) if baseline is not None else usual
    low = grid.rows < SILENT_PART * max(least, 0.0) if least > 0 else np.zeros(len(grid.rows), bool)
    return low | ((grid.rows == 0) & (usual > 0))


def find_lost_columns(
    current: Profile, baseline: Profile | None, columns: SchemaChange | None
) -> list[Fault]:
    """Features that lost all values: with the column (schema change), or while rows went on (silent gap).

    A new column is taken for a renamed one where its name is like the lost one's, or where it is the only
    one; if the data set names it too, its values must lie about where the lost one's did.

    Args:
      current: The span. It has rows.
      baseline: What was there before; without it only `columns` can tell that a column was.
      columns: What changed in the source's columns; None where nobody looked: then a feature that lost all
        values has lost its column.
    """
    grid = grid_of(current)
    found = []
    gained = _gained(current, baseline) + tuple(columns.gained if columns else ())
    for index, feature in enumerate(current.plan.features):
        named = columns is not None and feature.name in columns.lost
        if baseline is not None and not baseline.counts[:, current.plan.columns(index)].any():
            continue  # it had none before either
        with np.errstate(invalid="ignore", divide="ignore"):
            gone = (grid.missing[:, index] >= GONE_SHARE * grid.rows) & (grid.rows > 0)
        whole = bool(gone[grid.rows > 0].all())
        if whole and (named or (columns is None and baseline is not None)):
            likely = gained if baseline is None else _likely(current, baseline, index, gained)
            found.append(_schema(feature.name, likely, grid))
            continue
        usual = _missing_share(baseline, index) if baseline is not None else 0.0
        for begin, end in runs(gone):
            if usual < 0.5 and (end - begin) * grid.bucket_s >= SILENT_INTERVALS * current.plan.interval_s:
                kept = float(grid.n[begin:end, index].sum())
                found.append(_gap(feature.name, grid, begin, end, "no value in its rows", kept))
    for name in () if columns is None else columns.lost:
        if all(name != feature.name for feature in current.plan.features):
            found.append(_schema(name, gained, grid))
    if not found and columns is not None and columns.gained:
        for name in columns.gained:
            found.append(
                Fault(
                    "schema_change",
                    name,
                    *times(grid, 0, len(grid.rows)),
                    {"gained": 1.0},
                    f"Column {name} is new.",
                )
            )
    return found


def _gained(current: Profile, baseline: Profile | None) -> tuple[str, ...]:
    """Features with values now that had none in the baseline."""
    if baseline is None:
        return ()
    return tuple(
        feature.name
        for index, feature in enumerate(current.plan.features)
        if current.counts[:, current.plan.columns(index)].any()
        and not baseline.counts[:, current.plan.columns(index)].any()
    )


def _likely(current: Profile, baseline: Profile, lost: int, gained: tuple[str, ...]) -> tuple[str, ...]:
    """Of the gained columns those whose values may be the lost feature's; unknown values may."""
    ever = (np.iinfo(np.int64).min, np.iinfo(np.int64).max)
    numeric = {
        feature.name: index
        for index, feature in enumerate(current.plan.features)
        if feature.kind == "numeric" and current.counts[:, current.plan.columns(index)].any()
    }
    was = moments(baseline, *ever, lost)

    def may_be(name: str) -> bool:
        now = moments(current, *ever, numeric[name]) if name in numeric else None
        if was is None or now is None or current.plan.features[lost].kind != "numeric":
            return True
        return abs(now[0] - was[0]) <= was[1] and 0.5 * was[1] <= now[1] <= 2.0 * was[1]

    return tuple(name for name in gained if may_be(name))


def _missing_share(profile: Profile, index: int) -> float:
    rows = int(profile.rows.sum())
    return float(profile.missing[:, index].sum()) / rows if rows else 1.0


def _gap(feature: str, grid: Grid, begin: int, end: int, what: str, kept: float) -> Fault:
    length_s = float((end - begin) * grid.bucket_s)
    subject = "The locale" if feature == ALL_FEATURES else feature
    begin_time, end_time = times(grid, begin, end)
    return Fault(
        name="silent_gap",
        feature=feature,
        begin=begin_time,
        end=end_time,
        evidence={"gap_s": length_s, "span_share": (end - begin) / len(grid.rows), "values_kept": kept},
        words=f"{subject} has {what}, or far fewer than usual, for a while (about {hours(length_s)}).",
    )


def _schema(name: str, gained: tuple[str, ...], grid: Grid) -> Fault:
    like = [other for other in gained if other.startswith(name) or name.startswith(other)]
    new = like[0] if like else gained[0] if len(gained) == 1 else ""
    begin_time, end_time = times(grid, 0, len(grid.rows))
    return Fault(
        name="schema_change",
        feature=name,
        begin=begin_time,
        end=end_time,
        evidence={"lost": 1.0, "gained": float(len(gained))},
        words=f"Column {name} is gone"
        + (f"; a new column may be it under another name ({new})." if new else "."),
    )
