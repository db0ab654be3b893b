"""Rows to a profile, in one pass and in bounded memory.

Rows are taken in groups of `GROUP_ROWS`; the last row of every series is carried from group to group, so
that steps, pairs and still runs do not end where a table ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from components.dataset import DatasetConfig
from components.drift.core import arrow_columns
from components.drift.core.accumulating import Accumulator
from components.drift.core.chains import ChainState, RowOrder, order_rows
from components.drift.core.fourier import frequencies, random_sums
from components.drift.core.planning import is_random
from components.drift.core.profile import FeaturePlan, Ints, Profile, ProfilePlan
from components.errors import DataError

#: Rows that are worked on together: small enough for the second-level cache, large enough for NumPy.
GROUP_ROWS = 32_768
#: Differences from the center count as this much at most in the sums, so that no square overflows.
LARGEST_DIFFERENCE = 1e140


def build_profile(
    tables: Iterable[pa.Table | pa.RecordBatch], dataset: DatasetConfig, plan: ProfilePlan
) -> Profile:
    """The profile of rows.

    Within a group rows are ordered by series and time (equal times as they come). A sequence of tables in
    which a series goes back in time is joined and ordered as a whole; an iterator is read once and cannot
    be.

    Args:
      tables: Flat rows, times in microseconds. A column that is absent is all missing; no rows at all give
        a profile without buckets.
      dataset: Names the columns.
      plan: The bins; features of the plan alone are looked at.

    Raises:
      DataError: a column is not of its feature's kind, rows have no time or lack a series column, or the
        tables of an iterator go back in time.
    """
    if isinstance(tables, Sequence) and goes_back(tables, dataset):
        joined = arrow_columns.join(tables)
        times, series = arrow_columns.times_us(joined, dataset), arrow_columns.SeriesCodes(dataset.series)
        tables = [joined.take(pa.array(np.lexsort((times, series.of(joined)))))]
    builder = _Builder(dataset, plan)
    # Differences of values near the ends of their type overflow; they are held by `LARGEST_DIFFERENCE`.
    with np.errstate(over="ignore"):
        for group in arrow_columns.as_tables(tables, GROUP_ROWS):
            builder.add(group)
    return builder.accumulator.profile()


def goes_back(tables: Iterable[pa.Table | pa.RecordBatch], dataset: DatasetConfig) -> bool:
    """Whether a series has a row in a later group that is older than one in an earlier group."""
    codes, last_us = arrow_columns.SeriesCodes(dataset.series), np.zeros(0)
    keys = (arrow_columns.key_columns(table, dataset) for table in tables)
    for table in arrow_columns.as_tables(keys, GROUP_ROWS):
        series, times = codes.of(table), arrow_columns.times_us(table, dataset).astype(np.float64)
        last_us = np.concatenate([last_us, np.full(len(codes) - len(last_us), -np.inf)])
        first = np.full(len(codes), np.inf)
        np.minimum.at(first, series, times)
        if (first < last_us).any():
            return True
        np.maximum.at(last_us, series, times)
    return False


class _Builder:
    """One pass over groups of rows."""

    def __init__(self, dataset: DatasetConfig, plan: ProfilePlan) -> None:
        self._dataset, self._plan = dataset, plan
        self._codes = arrow_columns.SeriesCodes(dataset.series)
        self._chains = ChainState(plan)
        self._weights = frequencies(plan)
        self.accumulator = Accumulator(plan, labelled=dataset.label is not None)

    def add(self, table: pa.Table) -> None:
        """Takes in a group of rows."""
        times, series = arrow_columns.times_us(table, self._dataset), self._codes.of(table)
        late = self._chains.late(len(self._codes), series, times)
        if late:
            raise DataError(
                f"profile: {late} rows are older than rows of the same series in an earlier table; allowed: "
                "tables in the order of time, or all of them in a list"
            )
        order = order_rows(series, times, self._plan)
        if order.permutation is not None:
            table = table.take(pa.array(order.permutation))
        rows = self.accumulator.positions(order.buckets)
        self._add_rows(table, order, rows)
        complete = np.ones(table.num_rows, bool)
        taking_part: list[tuple[FeaturePlan, npt.NDArray[np.floating]]] = []
        for index, feature in enumerate(self._plan.features):
            if feature.kind == "numeric":
                values, missing = arrow_columns.numbers(table, feature.name)
                self._add_numeric(index, values, missing, order, rows)
                if is_random(feature):
                    taking_part.append((feature, values))
                    if missing:
                        complete &= ~np.isnan(values)
            else:
                codes = arrow_columns.category_codes(table, feature.name, feature.categories)
                self._add_categories(index, codes, order, rows)
        self._chains.close(order)
        self.accumulator.complete[rows] += order.per_bucket(complete)
        if self._plan.random_features:
            self.accumulator.random[rows] += random_sums(self._weights, taking_part, complete, order)

    def _add_rows(self, table: pa.Table, order: RowOrder, rows: Ints) -> None:
        self.accumulator.rows[rows] += order.per_bucket()
        self.accumulator.cadence[rows] += self._chains.open(order)
        labels = arrow_columns.labels(table, self._dataset)
        self._positive = None if labels is None else np.flatnonzero(labels == 1)
        if labels is not None:
            self.accumulator.labelled[rows, 0] += order.per_bucket(labels >= 0)
            self.accumulator.labelled[rows, 1] += order.per_bucket(labels == 1)

    def _add_counts(
        self,
        index: int,
        bins: npt.NDArray[np.integer],
        present: npt.NDArray[np.bool_] | None,
        order: RowOrder,
        rows: Ints,
    ) -> None:
        """Adds values per bucket and bin, and those of rows with label 1."""
        width, columns = self._plan.features[index].bins, self._plan.columns(index)
        flat = order.bucket * width + bins
        held = flat if present is None else flat[present]
        shape = (len(order.buckets), width)
        counts = np.bincount(held, minlength=shape[0] * width).reshape(shape)
        self.accumulator.counts[rows, columns] += counts
        missing = order.rows_per_bucket - counts.sum(axis=1)
        self.accumulator.missing[rows, index] += missing
        if self._positive is not None and len(self._positive):
            held = flat[self._positive]
            if present is not None:
                held = held[present[self._positive]]
            self.accumulator.positive[rows, columns] += np.bincount(held, minlength=shape[0] * width).reshape(
                shape
            )

    def _add_numeric(
        self, index: int, values: npt.NDArray[np.floating], missing: int, order: RowOrder, rows: Ints
    ) -> None:
        feature = self._plan.features[index]
        present = ~np.isnan(values) if missing else None
        self._add_counts(index, bin_numbers(values, feature.edges), present, order, rows)
        self._add_chain(index, values, present, order, rows)
        if missing == len(values):
            return
        low, high = values, values
        if present is not None:
            low, high = np.where(present, values, np.inf), np.where(present, values, -np.inf)
        self.accumulator.low[rows, index] = np.minimum(
            self.accumulator.low[rows, index], order.least_per_bucket(low)
        )
        self.accumulator.high[rows, index] = np.maximum(
            self.accumulator.high[rows, index], order.greatest_per_bucket(high)
        )
        difference = values.astype(np.float64)
        difference -= feature.center
        if present is not None:
            difference[~present] = 0.0
        if values.dtype == np.float64:
            np.clip(difference, -LARGEST_DIFFERENCE, LARGEST_DIFFERENCE, out=difference)
        self.accumulator.sums[rows, index, 0] += order.sum_per_bucket(difference)
        self.accumulator.sums[rows, index, 1] += order.sum_per_bucket(difference * difference)

    def _add_categories(self, index: int, codes: npt.NDArray[np.int32], order: RowOrder, rows: Ints) -> None:
        present = codes >= 0
        whole = bool(present.all())
        self._add_counts(index, codes, None if whole else present, order, rows)
        self._add_chain(index, codes, None if whole else present, order, rows)

    def _add_chain(
        self,
        index: int,
        values: npt.NDArray[np.generic],
        present: npt.NDArray[np.bool_] | None,
        order: RowOrder,
        rows: Ints,
    ) -> None:
        found = self._chains.runs(index, values, present, order)
        self.accumulator.pairs[rows, index] += found.pairs
        self.accumulator.still[rows, index] += found.still
        longest = self.accumulator.longest_still_s
        longest[rows, index] = np.maximum(longest[rows, index], found.longest_s)


def bin_numbers(values: npt.NDArray[np.floating], edges: Sequence[float]) -> npt.NDArray[np.integer]:
    """The bin of each value: how many edges are less than it. NaN gives 0. Shape [values].

    Args:
      values: float32 or float64.
      edges: Ascending.
    """
    bounds = np.asarray(edges, np.float64)
    if values.dtype == np.float32:
        # x > e holds for a float32 x exactly where x > (the largest float32 that is <= e).
        with np.errstate(over="ignore"):
            near = bounds.astype(np.float32)
        bounds = np.where(near > bounds, np.nextafter(near, np.float32(-np.inf)), near)
    if len(bounds) > _FEW_EDGES:
        return np.where(np.isnan(values), 0, np.searchsorted(bounds, values, side="left"))
    bins = np.zeros(len(values), np.uint8)
    above = np.empty(len(values), bool)
    for bound in bounds:
        np.greater(values, bound, out=above)
        np.add(bins, above.view(np.uint8), out=bins)
    return bins


#: Up to here a comparison per edge is faster than a binary search per value.
_FEW_EDGES = 200
