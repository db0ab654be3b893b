"""A change of unit at some series only: one end of a feature's range moves, the other stays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from components.drift.core.fault_model import Fault, Grid, Mask, best_segment, grid_of, spread, times
from components.drift.core.fault_units import CONVERSIONS, LEAST_BUCKETS, Conversion, likelihood_gain
from components.drift.core.normal import Normal
from components.drift.core.profile import Floats, Profile

#: One value makes an end of a range, so that more is asked for than of means.
LEAST_GAIN: Final = 40.0
#: Converted back the end that moved, and as it is the end that stays, lie this close (standard deviations),
#: or within this part of how far the end has moved: series differ, and either end may have been another's.
CLOSE: Final = 3.0
CLOSE_PART: Final = 0.12
#: The converted share of the rows, and by how much it may differ between buckets (interquartile range).
SHARES: Final = (0.03, 0.97)
SHARE_SLACK: Final = 0.2


@dataclass(frozen=True)
class _End:
    """One end of a feature's range: now, and what is usual at that hour. Each of shape [T], in deviations."""

    now: Floats
    usual: Floats
    deviation: float

    def off(self, conversion: Conversion | None = None) -> Floats:
        """Standard deviations off what is usual, converted back or not."""
        now = self.now if conversion is None else (self.now - conversion.offset) / conversion.slope
        return np.abs(now - self.usual) / self.deviation


def find_mixed_units(current: Profile, baseline: Profile, skip: Mask) -> list[Fault]:
    """Numeric features of which some series read in another unit for a while, and the others do not.

    Args:
      current: The span. It has rows.
      baseline: Of the same plan. It has rows.
      skip: Buckets of a feature that another fault explains. Shape [T, F] on the span's grid.

    Returns:
      At most one fault per feature.
    """
    grid, normal = grid_of(current), Normal.of(baseline)
    found = []
    for index, feature in enumerate(current.plan.features):
        if feature.kind == "categorical" or not normal.deviation[index] > 0:
            continue
        low, high = (_end(side, grid, current, baseline, index, skip) for side in ("low", "high"))
        mean, usual = grid.mean[:, index], normal.expected(grid)[:, index]
        tried = (_try(grid, feature.name, low, high, mean, usual, each) for each in CONVERSIONS)
        faults = [fault for fault in tried if fault is not None]
        if faults:
            found.append(max(faults, key=lambda fault: fault.evidence["gain"]))
    return found


def _end(side: str, grid: Grid, current: Profile, baseline: Profile, index: int, skip: Mask) -> _End:
    """`low` or `high` of a feature, with its daily course in the baseline."""
    before, slots = getattr(baseline, side)[:, index], max(1, grid.slots)
    slot = baseline.bucket % slots
    known = ~np.isnan(before)
    total = np.bincount(slot[known], before[known], slots)
    count = np.bincount(slot[known], minlength=slots)
    overall = float(before[known].mean()) if known.any() else np.nan
    course = np.where(count > 0, total / np.maximum(count, 1), overall)
    residual = before[known] - course[slot[known]]
    free = max(1, len(residual) - min(slots, len(residual) // 2))
    now = spread(getattr(current, side)[:, index], current.bucket - grid.first, len(grid.rows), np.nan)
    return _End(
        now=np.where(skip[:, index], np.nan, now),
        usual=course[grid.number % slots],
        deviation=max(float(np.sqrt(np.sum(residual**2) / free)), 1e-12),
    )


def _try(
    grid: Grid,
    name: str,
    low: _End,
    high: _End,
    mean: Floats,
    usual: Floats,
    conversion: Conversion,
) -> Fault | None:
    """The fault that a feature has by one conversion, or None. `mean` and `usual` are [T]."""
    shift = (conversion.slope - 1) * usual + conversion.offset  # what conversion does to the usual mean
    moves, stays = (high, low) if np.nansum(shift) > 0 else (low, high)
    gain = likelihood_gain(moves.off(), moves.off(conversion), conversion)
    begin, end, total = best_segment(np.nan_to_num(gain, nan=0.0))
    seen = np.flatnonzero(~np.isnan(gain[begin:end])) + begin
    if total < LEAST_GAIN or len(seen) < LEAST_BUCKETS:
        return None
    inner = seen[1:-1]
    close = max(CLOSE, CLOSE_PART * float(np.median(moves.off()[inner])))
    if np.median(moves.off(conversion)[inner]) > close or np.median(stays.off()[inner]) > close:
        return None
    share = (mean[inner] - usual[inner]) / np.where(shift[inner] == 0, np.nan, shift[inner])
    if np.isnan(share).any():
        return None
    quarter, middle, three = np.quantile(share, (0.25, 0.5, 0.75))
    if not SHARES[0] < middle < SHARES[1] or three - quarter > SHARE_SLACK:
        return None
    begin_time, end_time = times(grid, begin, end)
    return Fault(
        name="unit_change",
        feature=name,
        begin=begin_time,
        end=end_time,
        evidence={
            "slope": conversion.slope,
            "offset": conversion.offset,
            "gain": total,
            "row_share": float(middle),
        },
        words=f"{name} of some series (about {middle:.0%} of the rows) reads as if converted: "
        f"{conversion.words} (times {conversion.slope:.4g}, plus {conversion.offset:.4g}).",
    )
