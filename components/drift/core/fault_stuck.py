"""A stuck sensor, from its profile: how long a series repeated one value, against what is usual for it."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from components.drift.core.fault_model import (
    Fault,
    grid_of,
    hours,
    runs,
    spread,
    times,
)
from components.drift.core.profile import Floats, Profile

#: A stillness is a fault from this multiple of the longest one that the baseline knows ...
STILL_RATIO: Final = 3.0
#: ... and from this many nominal intervals: a few equal readings of a quantised sensor are chance.
STILL_INTERVALS: Final = 12.0
#: The same without a baseline: the rest of the span must serve as one, so more is asked for.
STILL_ALONE: Final = (6.0, 36.0)


def find_stuck(current: Profile, baseline: Profile | None) -> list[Fault]:
    """Numeric features that repeated one value for far longer than they do by themselves.

    Args:
      current: The span. It has rows.
      baseline: What is usual; None judges the span against its own other buckets.

    Returns:
      One fault per feature and episode; the feature's own stillness (a constant, a pump that is off, a
      coarse quantiser) is in `usual_s`.
    """
    grid = grid_of(current)
    interval = current.plan.interval_s
    longest = spread(current.longest_still_s, current.bucket - grid.first, len(grid.rows), 0.0)
    usual = None if baseline is None else baseline.longest_still_s.max(axis=0)
    found = []
    for index, feature in enumerate(current.plan.features):
        if feature.kind == "categorical":  # a heater that is off all summer is no fault
            continue
        values = np.nan_to_num(longest[:, index])
        own = float(usual[index]) if usual is not None else _usual_alone(values)
        ratio, least = (STILL_RATIO, STILL_INTERVALS) if usual is not None else STILL_ALONE
        allowed = max(ratio * own, own + 6 * interval, least * interval)
        for begin, end in _episodes(values, allowed, grid.bucket_s, interval):
            if _rests_there(current, baseline, index, grid.first + end - 1):
                continue
            length_s = float(values[begin:end].max())
            begin_time, end_time = times(grid, begin, end)
            found.append(
                Fault(
                    name="stuck_sensor",
                    feature=feature.name,
                    begin=begin_time,
                    end=end_time,
                    evidence={"still_s": length_s, "usual_s": own},
                    words=(
                        f"{feature.name} repeated one value for far longer than is usual "
                        f"({hours(length_s)}; usual is {hours(own)} at most)."
                    ),
                )
            )
    return found


def _episodes(longest_s: Floats, allowed_s: float, bucket_s: int, interval_s: float) -> list[tuple[int, int]]:
    """Stretches [begin, end) of buckets in which one value was held for longer than `allowed_s`.

    `longest_s` [T] grows by a bucket's length with every bucket that a value is held through, and says in
    each since when.
    """
    found: list[tuple[int, int]] = []
    for first, stop in runs(longest_s > allowed_s):
        # A fall within a run is another series' shorter stillness: still one fault.
        full = max(first, int(first + np.argmax(longest_s[first:stop])) - 1)
        since = (full + 1) * bucket_s - interval_s - longest_s[full]
        begin = min(first, max(0, math.floor(since / bucket_s)))
        if found and begin < found[-1][1]:
            begin, _ = found.pop()
        found.append((begin, stop))
    return found


def _usual_alone(longest_s: Floats) -> float:
    """The usual stillness of a span without a baseline: the longest outside of its very longest episode."""
    if len(longest_s) == 0:
        return math.inf
    # An episode is where the time grows, bucket after bucket, to the longest of all.
    top = int(np.argmax(longest_s))
    begin = top
    while begin > 0 and 0 < longest_s[begin - 1] < longest_s[begin]:
        begin -= 1
    outside = np.concatenate([longest_s[:begin], longest_s[top + 1 :]])
    # What lasts for most of the span may be how the feature is.
    return float(outside.max()) if 2 * len(outside) > len(longest_s) else math.inf


def _rests_there(current: Profile, baseline: Profile | None, index: int, bucket: int) -> bool:
    """Whether the value that is held is one at which the baseline rested too: an off state."""
    if baseline is None:
        return False
    at = int(np.searchsorted(current.bucket, bucket))
    if at >= len(current.bucket) or current.bucket[at] != bucket:
        return False
    low, high = float(current.low[at, index]), float(current.high[at, index])
    if low != high:
        return False
    resting = (baseline.low[:, index] == baseline.high[:, index]) & (
        baseline.longest_still_s[:, index] >= baseline.plan.bucket_s
    )
    return bool(np.any(baseline.low[resting, index] == low))
