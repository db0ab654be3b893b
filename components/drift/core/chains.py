"""What a row has to do with the row before it in its series: steps, pairs, still runs.

The last row of each series is kept from one group of rows to the next, so that a group's border is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from components.drift.core.profile import CADENCE_EDGES, Floats, Ints, ProfilePlan

Bools = npt.NDArray[np.bool_]

#: A step longer than this, in nominal intervals, ends a still run: nothing was repeated meanwhile.
LONGEST_STEP = 10.5
_NEVER = np.iinfo(np.int64).min


@dataclass(frozen=True)
class RowOrder:
    """A group of rows by series and time. R rows, B buckets.

    Attributes:
      permutation: Where each row was before, None where rows came in order. Shape [R].
      series: Number of each row's series. Shape [R].
      times: Microseconds UTC. Shape [R].
      bucket: Position of each row's bucket in `buckets`. Shape [R].
      buckets: Numbers of the buckets, ascending. Shape [B].
      segments: First rows of the stretches of one series in one bucket. Shape [segments].
    """

    permutation: Ints | None
    series: Ints
    times: Ints
    bucket: Ints
    buckets: Ints
    segments: Ints

    @cached_property
    def first(self) -> Ints:
        """First row of each series. Shape [series]."""
        return np.flatnonzero(np.append(True, self.series[1:] != self.series[:-1]))

    @cached_property
    def last(self) -> Ints:
        """Last row of each series. Shape [series]."""
        return np.append(self.first[1:], len(self.series)) - 1

    @cached_property
    def rows_per_bucket(self) -> Ints:
        """Shape [B]."""
        return np.bincount(self.bucket, minlength=len(self.buckets))

    def per_bucket(self, mask: Bools | None = None) -> Ints:
        """Rows, or those of a mask, in each bucket. Shape [B]."""
        if mask is None:
            return self.rows_per_bucket
        return np.bincount(self.bucket[mask], minlength=len(self.buckets))

    def sum_per_bucket(self, values: Floats) -> Floats:
        """Sums of values of rows. Shape [B]."""
        part = np.add.reduceat(values, self.segments)
        sums = np.zeros(len(self.buckets))
        np.add.at(sums, self.bucket[self.segments], part)
        return sums

    def least_per_bucket(self, values: npt.NDArray[np.floating]) -> Floats:
        """Least values of rows. Shape [B]."""
        least = np.full(len(self.buckets), np.inf)
        np.minimum.at(least, self.bucket[self.segments], np.minimum.reduceat(values, self.segments))
        return least

    def greatest_per_bucket(self, values: npt.NDArray[np.floating]) -> Floats:
        """Greatest values of rows. Shape [B]."""
        greatest = np.full(len(self.buckets), -np.inf)
        np.maximum.at(greatest, self.bucket[self.segments], np.maximum.reduceat(values, self.segments))
        return greatest


def order_rows(series: Ints, times: Ints, plan: ProfilePlan) -> RowOrder:
    """Orders at least one row by series and time; rows of equal series and time stay as they come."""
    forward = series[1:] > series[:-1]
    forward |= (series[1:] == series[:-1]) & (times[1:] >= times[:-1])
    permutation = None
    if not forward.all():
        permutation = np.lexsort((times, series))
        series, times = series[permutation], times[permutation]
    number = np.floor_divide(times, plan.bucket_s * 1_000_000)
    changes = (series[1:] != series[:-1]) | (number[1:] != number[:-1])
    segments = np.flatnonzero(np.append(True, changes))
    buckets, of_segment = np.unique(number[segments], return_inverse=True)
    bucket = np.repeat(of_segment, np.diff(np.append(segments, len(times))))
    return RowOrder(permutation, series, times, bucket, buckets, segments)


@dataclass(frozen=True)
class Runs:
    """Pairs and still runs of one feature in a group; see `Profile`. Each of shape [B]."""

    pairs: Ints
    still: Ints
    longest_s: Floats


class ChainState:
    """The last row of every series so far."""

    def __init__(self, plan: ProfilePlan) -> None:
        """Knows no series yet."""
        features = len(plan.features)
        self._interval_us = plan.interval_s * 1e6
        self._last_us = np.zeros(0, np.int64)
        self._value = np.zeros((features, 0))
        self._present = np.zeros((features, 0), bool)
        self._run_us = np.zeros((features, 0), np.int64)

    def late(self, count: int, series: Ints, times: Ints) -> int:
        """Makes room for `count` series; how many of these rows are older than what was seen of theirs."""
        more = count - len(self._last_us)
        if more:
            self._last_us = np.append(self._last_us, np.full(more, _NEVER))
            self._value = np.pad(self._value, ((0, 0), (0, more)))
            self._present = np.pad(self._present, ((0, 0), (0, more)))
            self._run_us = np.pad(self._run_us, ((0, 0), (0, more)))
        return int(np.count_nonzero(times < self._last_us[series]))

    def open(self, order: RowOrder) -> Ints:
        """Begins a group.

        Returns:
          Steps from the row before in the series by `CADENCE_EDGES`. Shape [B, len(CADENCE_EDGES) + 1].
        """
        first = order.first
        self._series = order.series[first]
        self._known = self._last_us[self._series] != _NEVER
        before = np.empty_like(order.times)
        before[1:] = order.times[:-1]
        before[first] = np.where(self._known, self._last_us[self._series], order.times[first])
        steps = (order.times - before) / self._interval_us
        self._is_first = np.zeros(len(steps), bool)
        self._is_first[first] = True
        self._follows = ~self._is_first
        self._inner_pairs = order.per_bucket(self._follows)
        self._long = steps > LONGEST_STEP
        self._follows[first] = self._known
        width = len(CADENCE_EDGES) + 1
        bins = order.bucket * width + np.searchsorted(CADENCE_EDGES, steps, side="left")
        counts = np.bincount(bins[self._follows], minlength=len(order.buckets) * width)
        return counts.reshape(-1, width)

    def close(self, order: RowOrder) -> None:
        """Ends the group, after `runs` of every feature."""
        self._last_us[order.series[order.last]] = order.times[order.last]

    def runs(
        self, feature: int, values: npt.NDArray[np.generic], present: Bools | None, order: RowOrder
    ) -> Runs:
        """Compares each value with that of the row before, and remembers the last ones.

        Args:
          feature: Number of the feature.
          values: Numbers or codes. Shape [R].
          present: Which rows have one; None: all.
          order: The group that was opened.
        """
        first, width = order.first, len(order.buckets)
        carried = self._known & self._present[feature, self._series]
        same = np.empty(len(values), bool)
        np.equal(values[1:], values[:-1], out=same[1:])
        same[first] = carried & (values[first] == self._value[feature, self._series])
        if present is None:
            pairs = self._inner_pairs + np.bincount(order.bucket[first[carried]], minlength=width)
        else:
            same &= present
            paired = present.copy()
            paired[1:] &= present[:-1]
            paired[first] = present[first] & carried
            pairs = order.per_bucket(paired)
        repeats = np.flatnonzero(same)
        still = np.bincount(order.bucket[repeats], minlength=width)
        repeats = repeats[~self._long[repeats]]
        begun = self._begun(feature, repeats, order)
        longest = np.zeros(width)
        if len(repeats):
            # A run only grows: its last row in a bucket has its greatest length there.
            ends = np.append(
                (np.diff(repeats) != 1) | (np.diff(begun) != 0) | (np.diff(order.bucket[repeats]) != 0), True
            )
            lengths = (order.times[repeats[ends]] - begun[ends]) / 1e6
            np.maximum.at(longest, order.bucket[repeats[ends]], lengths)
        self._remember(feature, values, present, repeats, begun, order)
        return Runs(pairs, still, longest)

    def _begun(self, feature: int, repeats: Ints, order: RowOrder) -> Ints:
        """When the run of each repeating row began, in microseconds. Shape as `repeats`."""
        if not len(repeats):
            return repeats
        first = self._is_first[repeats]
        new = np.append(True, np.diff(repeats) != 1) | first
        opening = repeats[new]
        start = order.times[opening - 1]
        carried = first[new]
        start[carried] = self._run_us[feature, order.series[opening[carried]]]
        return start[np.cumsum(new) - 1]

    def _remember(
        self,
        feature: int,
        values: npt.NDArray[np.generic],
        present: Bools | None,
        repeats: Ints,
        begun: Ints,
        order: RowOrder,
    ) -> None:
        last = order.last
        self._value[feature, self._series] = values[last]
        self._present[feature, self._series] = True if present is None else present[last]
        run_us = order.times[last]
        if len(repeats):
            at = np.minimum(np.searchsorted(repeats, last), len(repeats) - 1)
            run_us = np.where(repeats[at] == last, begun[at], run_us)
        self._run_us[feature, self._series] = run_us
