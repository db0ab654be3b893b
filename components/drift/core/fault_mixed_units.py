"""A change of unit at some series only: one end of a feature's range moves, the other stays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from components.drift.core.fault_model import (
    Fault,
    Grid,
    Mask,
    best_totals,
    grid_of,
    spread,
)
from components.drift.core.fault_units import CONVERSIONS, Conversion, converted_stretch, likelihood_gain
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
    numeric = [feature.kind == "numeric" for feature in current.plan.features]
    judged = np.flatnonzero(numeric & (normal.deviation > 0))
    ends = [
        [_end(side, grid, current, baseline, int(index), skip) for side in ("low", "high")]
        for index in judged
    ]
    # Whether an end of the range gains by a conversion at all is asked of all features at once.
    as_is = [np.stack([pair[side].off() for pair in ends], axis=1) for side in (0, 1)] if ends else []
    found: dict[int, Fault] = {}
    for conversion in CONVERSIONS if ends else ():
        for side in (0, 1):
            back = np.stack([pair[side].off(conversion) for pair in ends], axis=1)
            totals = best_totals(likelihood_gain(as_is[side], back, conversion))
            for place in np.flatnonzero(totals >= LEAST_GAIN):
                index, pair = int(judged[place]), ends[place]
                mean, usual = grid.mean[:, index], normal.expected(grid)[:, index]
                name = current.plan.features[index].name
                fault = _try(grid, name, pair[0], pair[1], mean, usual, conversion)
                if fault and (index not in found or fault.evidence["gain"] > found[index].evidence["gain"]):
                    found[index] = fault
    return [found[index] for index in sorted(found)]


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
    stretch = converted_stretch(gain, LEAST_GAIN)
    if stretch is None:
        return None
    inner = stretch.inner
    close = max(CLOSE, CLOSE_PART * float(np.median(moves.off()[inner])))
    if np.median(moves.off(conversion)[inner]) > close or np.median(stays.off()[inner]) > close:
        return None
    share = (mean[inner] - usual[inner]) / np.where(shift[inner] == 0, np.nan, shift[inner])
    if np.isnan(share).any():
        return None
    quarter, middle, three = np.quantile(share, (0.25, 0.5, 0.75))
    if not SHARES[0] < middle < SHARES[1] or three - quarter > SHARE_SLACK:
        return None
    who = f"{name} of some series (about {middle:.0%} of the rows)"
    return stretch.fault(grid, name, conversion, {"row_share": float(middle)}, who)
