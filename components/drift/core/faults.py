"""Faults of the data path in one span of one locale: stuck sensor, change of unit or clock, gap, schema."""

from __future__ import annotations

from typing import Final

import numpy as np

from components.drift.core.fault_clock import find_clock_shift
from components.drift.core.fault_mixed_units import find_mixed_units
from components.drift.core.fault_model import Fault, SchemaChange, bucket_of, grid_of, iso
from components.drift.core.fault_rows import find_gaps, find_lost_columns
from components.drift.core.fault_stuck import find_stuck
from components.drift.core.fault_units import find_unit_changes
from components.drift.core.merging import select
from components.drift.core.profile import Profile
from components.errors import InternalError

#: Buckets without rows that a span may have in a row; beyond, the part with fewer rows is left out.
LONGEST_HOLE: Final = 10_000

__all__ = ["Fault", "SchemaChange", "find_faults"]


def find_faults(
    current: Profile, baseline: Profile | None, *, columns: SchemaChange | None = None
) -> list[Fault]:
    """The faults of a span, each where it is and when it was, to the bucket.

    Args:
      current: The span.
      baseline: Earlier spans of the same locale under the same plan; None (or one without rows) finds only
        what a span shows by itself: a gap, a value that is held, a column without values.
      columns: What changed in the source's columns; None where nobody looked.

    Returns:
      Ordered by name and feature. Empty for a span without rows.

    Raises:
      InternalError: the two plans differ.
    """
    if baseline is not None and baseline.plan != current.plan:
        raise InternalError("find_faults: current and baseline have different plans; build both with one.")
    if len(current.bucket) == 0:
        return []
    current = _body(current)
    if baseline is not None and len(baseline.bucket) == 0:
        baseline = None
    lost = find_lost_columns(current, baseline, columns)
    stuck = find_stuck(current, baseline)
    gaps = find_gaps(current, baseline)
    if baseline is None:
        return _ordered(lost + stuck + gaps)
    grid = grid_of(current)
    explained = np.zeros((len(grid.rows), len(current.plan.features)), bool)
    _explain(explained, stuck + lost, current)
    units = find_unit_changes(current, baseline, explained)
    _explain(explained, units, current)
    mixed = find_mixed_units(current, baseline, explained)
    _explain(explained, mixed, current)
    units += [each for each in mixed if each.feature not in {unit.feature for unit in units}]
    clock = find_clock_shift(current, baseline, explained)
    if clock is not None:
        # The jump itself leaves a hole as long as the shift; that is the clock's, not a gap of its own.
        gaps = [
            gap
            for gap in gaps
            if gap.evidence["gap_s"] > 1.5 * abs(clock.evidence["shift_s"]) + 2 * grid.bucket_s
        ]
    return _ordered(lost + stuck + gaps + units + ([clock] if clock else []))


def extent_of(profile: Profile) -> tuple[str, str]:
    """A span's begin and end to the bucket, ISO 8601 in UTC; rows far off in time are left out.

    Returns:
      Empty texts for a span without rows.
    """
    if len(profile.bucket) == 0:
        return "", ""
    bucket, bucket_s = _body(profile).bucket, profile.plan.bucket_s
    return iso(float(bucket[0]), bucket_s), iso(float(bucket[-1] + 1), bucket_s)


def _body(profile: Profile) -> Profile:
    """The profile without what lies far off in time: one row of 1970 must not make a grid of 50 years."""
    pieces = np.split(
        np.arange(len(profile.bucket)), np.flatnonzero(np.diff(profile.bucket) > LONGEST_HOLE) + 1
    )
    return (
        profile if len(pieces) == 1 else select(profile, max(pieces, key=lambda at: profile.rows[at].sum()))
    )


def _ordered(faults: list[Fault]) -> list[Fault]:
    return sorted(faults, key=lambda fault: (fault.name, fault.feature, fault.begin))


def _explain(explained: np.ndarray, faults: list[Fault], current: Profile) -> None:
    """Marks the buckets [T, F] of the faults' features. In place."""
    grid = grid_of(current)
    names = [feature.name for feature in current.plan.features]
    for fault in faults:
        if fault.feature in names:
            begin = bucket_of(fault.begin, grid.bucket_s) - grid.first if fault.begin else 0
            end = bucket_of(fault.end, grid.bucket_s) - grid.first if fault.end else len(grid.rows)
            explained[begin:end, names.index(fault.feature)] = True
