"""A shift of the clock: every feature's daily course comes at other hours, all by the same time."""

from __future__ import annotations

from typing import Final

import numpy as np

from components.drift.core.fault_model import Fault, Grid, Mask, best_segment, grid_of, hours, times
from components.drift.core.normal import Normal
from components.drift.core.profile import Floats, Profile
from components.drift.findings import ALL_FEATURES

#: A course is read where the hours differ by more than this, in standard deviations of buckets about it.
COURSE_LEAST: Final = 1.0
#: A clock is everybody's: those with the clearest courses suffice, and memory stays small.
MOST_FEATURES: Final = 32
#: Shifts that are tried, in parts of a bucket.
PARTS: Final = 4
#: What one bucket of one feature may say at most, in squared standard deviations.
CAP: Final = 16.0
PRICE: Final = 0.2
LEAST_GAIN: Final = 20.0
#: Least shift, in buckets.
LEAST_SHIFT: Final = 0.5
#: A feature has a say where the two courses differ by this much, summed over the segment.
LEAST_POWER: Final = 12.0
#: What share of that the misfit must fall by, over all: 1 for a shift, -1 without one ...
AGREE: Final = 0.25
#: ... how many of the features with a course must have a say, and at how many of those it must fall at all.
MOST: Final = 0.75
#: How much smaller or larger a course may have become.
SCALES: Final = (0.25, 4.0)


def find_clock_shift(current: Profile, baseline: Profile, skip: Mask) -> Fault | None:
    """The shift of the clock that explains the span best, if one does.

    A row that carries the stamp t was taken at t - shift. Levels are taken away on both sides (the mean of
    the day around each bucket), so that a drift of the plant does not look like a shift.

    Args:
      current: The span. It has rows.
      baseline: Of the same plan. It has rows.
      skip: Buckets of a feature that another fault explains. Shape [T, F] on the span's grid.

    Returns:
      One fault of all features, or None: also where buckets do not divide a day, where the baseline is
      shorter than a day, or where no feature has a daily course.
    """
    grid, normal = grid_of(current), Normal.of(baseline)
    if grid.slots == 0 or len(baseline.bucket) < grid.slots or len(grid.rows) < grid.slots // 2:
        return None
    with np.errstate(invalid="ignore", divide="ignore"):
        strength = normal.mean.std(axis=0) / normal.deviation
    features = np.flatnonzero(strength > COURSE_LEAST)
    if len(features) > MOST_FEATURES:
        features = np.sort(features[np.argsort(-strength[features])[:MOST_FEATURES]])
    if len(features) == 0:
        return None
    mean = np.where(skip, np.nan, grid.mean)[:, features]
    course, deviation = normal.mean[:, features], normal.deviation[features]
    steps = np.arange(-PARTS * grid.slots // 2, PARTS * grid.slots // 2 + 1) / PARTS
    misfit = np.stack([_misfit(mean, course, deviation, grid, step) for step in steps])  # [shift, T, F]
    zero = misfit[len(steps) // 2]
    gain = zero - misfit
    speaks = np.maximum((~np.isnan(gain)).sum(axis=2), 1)
    score = np.nansum(gain, axis=2) / speaks - PRICE  # [shift, T]
    segments = [best_segment(each) for each in score]
    best = int(np.argmax([total for _, _, total in segments]))
    begin, end, total = segments[best]
    if total < LEAST_GAIN or abs(steps[best]) < LEAST_SHIFT or end - begin < grid.slots // 3:
        return None
    # Weather moves some features by some hours; a clock moves all of them. A feature's misfit falls by as
    # much as the two courses differ if it has the shift, and grows by as much if it has not.
    usual, late = (_course_at(course, grid, step) for step in (0.0, steps[best]))
    inside = slice(begin, end)
    power = _squares(np.where(np.isnan(mean), np.nan, usual - late), grid.slots, inside) / deviation**2
    fallen = _scaled_misfit(mean, usual, grid.slots, inside) - _scaled_misfit(mean, late, grid.slots, inside)
    fallen /= deviation**2
    can_tell = power >= LEAST_POWER
    if np.mean(can_tell) < MOST or np.mean(fallen[can_tell] > 0) < MOST:
        return None
    agree = float(fallen[can_tell].sum() / power[can_tell].sum())
    if agree < AGREE:
        return None
    shift_s = float(steps[best] * grid.bucket_s)
    begin_time, end_time = times(grid, begin, end)
    return Fault(
        name="clock_shift",
        feature=ALL_FEATURES,
        begin=begin_time,
        end=end_time,
        evidence={
            "shift_s": shift_s,
            "gain": total,
            "features": float(np.sum(can_tell)),
            "agree": agree,
        },
        words=(
            f"The daily course of {int(np.sum(can_tell))} features comes "
            f"{'later' if shift_s > 0 else 'earlier'} by the clock ({hours(abs(shift_s))})."
        ),
    )


def _course_at(course: Floats, grid: Grid, step: float) -> Floats:
    """The course that is `step` buckets late, at each bucket of the grid. Shape [T, F]."""
    at = grid.number - step
    low = np.floor(at).astype(np.int64)
    part = (at - low)[:, None]
    return (1 - part) * course[low % len(course)] + part * course[(low + 1) % len(course)]


def _misfit(mean: Floats, course: Floats, deviation: Floats, grid: Grid, step: float) -> Floats:
    """Squared standard deviations off the course that is `step` buckets late, capped. Shape [T, F]."""
    off = _without_level(mean - _course_at(course, grid, step), len(course))
    return np.minimum((off / deviation) ** 2, CAP)


def _squares(values: Floats, slots: int, inside: slice) -> Floats:
    """Sum of squares of `values` [T, F] less their level, over the buckets `inside`. Shape [F]."""
    return np.nansum(_without_level(values, slots)[inside] ** 2, axis=0)


def _scaled_misfit(mean: Floats, course: Floats, slots: int, inside: slice) -> Floats:
    """What is left of `mean` [T, F] beside the course at the size that fits best. Shape [F].

    A course that grew or shrank is a drift of the plant, and fits at its old hours once it is scaled.
    """
    here = _without_level(mean, slots)[inside]
    there = _without_level(np.where(np.isnan(mean), np.nan, course), slots)[inside]
    own = np.maximum(np.nansum(there**2, axis=0), 1e-300)
    scale = np.clip(np.nansum(here * there, axis=0) / own, *SCALES)
    return np.nansum((here - scale * there) ** 2, axis=0)


def _without_level(off: Floats, slots: int) -> Floats:
    """`off` [T, F] less its mean over the day around each bucket; NaN stays."""
    known = ~np.isnan(off)
    total = np.concatenate([np.zeros((1, off.shape[1])), np.cumsum(np.where(known, off, 0.0), axis=0)])
    count = np.concatenate([np.zeros((1, off.shape[1])), np.cumsum(known, axis=0)])
    at = np.arange(len(off))
    # At the ends the day is the first or the last one, not half of one.
    begin = np.clip(at - slots // 2, 0, max(0, len(off) - slots))
    end = np.minimum(begin + slots, len(off))
    return off - (total[end] - total[begin]) / np.maximum(count[end] - count[begin], 1.0)
