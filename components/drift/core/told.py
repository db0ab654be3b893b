"""What a sketch leaves open about the counts beneath it: least and greatest values, cell by cell.

A told count without noise was rounded down, so that the true one is less than a step above. A hidden count
is none of these and not zero: it is no larger than the smallest count that its table tells, hidden cells
together hold no more than the rules of suppression leave, and all cells of a table add up to the rows, which
the other tables of the period bound too. With noise of a known standard deviation a told count lies within
some of them around the true one, a hidden one was at most the smallest told with its noise; how many is such
that all of this holds together but for once in a thousand sketches. A period in which a table tells nothing
at all is left out for that table.

An open locale's rows cross: its counts are exact, and nothing is open.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from components.drift.core import suppression
from components.drift.core.bounded import Counts
from components.drift.core.outward_form import OutwardSketch
from components.drift.core.profile import Floats, Ints, Profile, ProfilePlan

#: Chance that a sketch's bounds fail anywhere, from its noise.
BOUNDS_FAIL = 1e-3


@dataclass(frozen=True)
class Table:
    """One feature of one locale. K cells: the feature's bins, then the missing values; P periods.

    Attributes:
      shown: Which cells are told. Shape [P, K].
      value: Told counts, in the middle of what they may be; 0 where hidden. Shape [P, K].
      low, high: Of each cell: without noise over the kept periods, else over all. Shape [K].
      kept: Periods in which something is told. Shape [P].
      rows: At most, in the same periods.
      told: Counts as they are told, 0 where hidden. Shape [P, K].
      row_limit: Rows at most, by period; None where only all periods together are bounded. Shape [P].
      minimum: Smallest count that is told; 0 where all are.
    """

    shown: npt.NDArray[np.bool_]
    value: Ints
    low: Floats
    high: Floats
    kept: npt.NDArray[np.bool_]
    rows: float
    told: Floats
    row_limit: Floats | None
    minimum: int

    def bins(self) -> Counts:
        """Of the values."""
        return Counts(self.low[:-1], self.high[:-1], self.rows - float(self.low[-1]))

    def cells(self) -> Counts:
        """Of the values, and of the missing ones last."""
        return Counts(self.low, self.high, self.rows)


@dataclass(frozen=True)
class Told:
    """What one locale tells of its real rows.

    Attributes:
      plan: The public plan.
      period_s: Length of a period, in seconds.
      begin_s: Of each period. Shape [P].
      tables: By feature.
      exact: Whether the rows themselves are known.
    """

    plan: ProfilePlan
    period_s: int
    begin_s: Ints
    tables: dict[str, Table]
    exact: bool


def from_sketch(sketch: OutwardSketch, plan: ProfilePlan) -> Told:
    """Bounds of what a sketch tells.

    Args:
      sketch: As parsed.
      plan: Its public plan.
    """
    begins = np.array([period.begin_s for period in sketch.periods], np.int64)
    told = {}
    for feature in plan.features:
        parts = [period.features[feature.name] for period in sketch.periods]
        told[feature.name] = _counts([(*part.bins, part.missing) for part in parts])
    # The labels are a table of the same rows: they bound the others.
    labels = _counts([period.labels for period in sketch.periods])
    limited = {feature.name for feature in plan.features if feature.kind == "categorical"}
    if sketch.noise_std is None:
        tables = _suppressed(told, labels, limited, sketch)
    else:
        tables = _noised(told, labels, limited, sketch)
    return Told(plan, sketch.period_s, begins, tables, exact=False)


def _counts(told: Sequence[Sequence[int | None]]) -> Floats:
    """Counts with NaN where they are hidden. Shape [P, K]."""
    given = [[np.nan if count is None else count for count in cells] for cells in told]
    return np.array(given, np.float64).reshape(len(given), -1)


def _suppressed(
    told: dict[str, Floats], labels: Floats, limited: set[str], sketch: OutwardSketch
) -> dict[str, Table]:
    """Bounds without noise, from the rules of `suppression`, period by period."""
    rest = sketch.minimum - 1
    drafts = {
        name: (counts, _hidden_at_most(counts, sketch, limited=name in limited))
        for name, counts in {**told, "": labels}.items()
    }
    low = {name: np.nansum(counts, axis=1) for name, (counts, _) in drafts.items()}
    upper = [
        low[name] + rest * np.isfinite(counts).sum(axis=1) + hidden
        for name, (counts, hidden) in drafts.items()
    ]
    rows = np.min(upper, axis=0)
    found = {}
    for name, counts in told.items():
        shown = np.isfinite(counts)
        kept = shown.any(axis=1)
        smallest = np.where(shown, counts, np.inf).min(axis=1, initial=np.inf) + rest
        hidden = np.minimum(drafts[name][1], rows - low[name])
        cell = np.minimum(hidden, smallest)[:, None]
        most = np.where(shown, np.minimum(counts + rest, counts + (rows - low[name])[:, None]), cell)
        value = np.where(shown, counts + rest // 2, 0.0).astype(np.int64)
        least = np.where(shown, counts, 0.0)[kept].sum(axis=0)
        found[name] = Table(
            shown=shown,
            value=value,
            low=least,
            high=most[kept].sum(axis=0),
            kept=kept,
            rows=float(rows[kept].sum()),
            told=np.where(shown, counts, 0.0),
            row_limit=rows,
            minimum=sketch.minimum,
        )
    return found


def _hidden_at_most(counts: Floats, sketch: OutwardSketch, *, limited: bool) -> Floats:
    """Most rows in the hidden cells of each period together; infinite where nothing is told. Shape [P].

    Cells are hidden from the smallest up, until none is below the minimum and they hold no row or
    `PROTECTION` times as many: a single one is empty, and of several either all are below the minimum, or
    all but the largest hold less than that.
    """
    shown = np.isfinite(counts)
    number = (~shown).sum(axis=1)
    smallest = np.where(shown, counts, np.inf).min(axis=1, initial=np.inf) + sketch.minimum - 1
    enough = suppression.PROTECTION * sketch.minimum
    found = np.maximum((sketch.minimum - 1) * number, enough - 1 + smallest)
    found[number <= 1] = 0.0
    if limited:
        # Where the largest categories alone are told, the others may be as large as the least of these.
        full = shown.sum(axis=1) >= sketch.top_categories
        found = np.where(full, number * smallest, found)
    return np.where(shown.any(axis=1), found, np.inf)


def _noised(
    told: dict[str, Floats], labels: Floats, limited: set[str], sketch: OutwardSketch
) -> dict[str, Table]:
    """Bounds with noise of a known standard deviation, over all periods together.

    Which counts are told depends on their noise, so that the noise of the told ones alone is no fair sum.
    That of all periods is: what is told, what is hidden below its limit, and noise that adds up in squares.
    """
    every = {**told, "": labels}
    std = sketch.noise_std or 0.0
    sums = sum(counts.shape[1] + 1 for counts in every.values())
    single = sum(counts.size for counts in every.values())
    # Half of the chance goes to sums over periods, half to single counts (Bonferroni).
    reach, once = (
        float(special.ndtri(1 - BOUNDS_FAIL / (4 * max(number, 1)))) * std for number in (sums, single)
    )
    limits = {name: _limits(counts, sketch, limited=name in limited) for name, counts in every.items()}
    rows = min(
        float(np.nansum(counts) + limits[name].sum() + reach * np.sqrt(counts.size))
        for name, counts in every.items()
    )
    found = {}
    for name, counts in told.items():
        shown = np.isfinite(counts)
        total = np.nansum(counts, axis=0)
        around = reach * np.sqrt(len(counts))
        # A count of no row has its noise alone, which no hidden one is below by more than `once`.
        low = np.maximum(total - (~shown).sum(axis=0) * once - around, 0.0)
        high = total + limits[name].sum(axis=0) + around
        high = np.maximum(np.minimum(high, rows - (low.sum() - low)), low)
        some = np.where(shown, counts, 0.0)
        kept = shown.any(axis=1)
        value = some.astype(np.int64)
        found[name] = Table(shown, value, low, high, kept, rows, some, None, sketch.minimum)
    return found


def _limits(counts: Floats, sketch: OutwardSketch, *, limited: bool) -> Floats:
    """What hidden counts are at most, noise and all; 0 for the told ones. Shape [P, K]."""
    shown = np.isfinite(counts)
    limit = np.full(len(counts), float(sketch.minimum - 1))
    if limited:
        full = shown.sum(axis=1) >= sketch.top_categories
        limit = np.where(full, np.where(shown, counts, np.inf).min(axis=1, initial=np.inf), limit)
    return np.where(shown, 0.0, limit[:, None])


def from_rows(profile: Profile, period_s: int) -> Told:
    """An open locale's exact counts, in periods of a length.

    Args:
      profile: On the public plan, in buckets of a day.
      period_s: Whole days; periods begin with the first bucket.
    """
    plan = profile.plan
    per_period = period_s // plan.bucket_s
    first = int(profile.bucket[0]) if len(profile.bucket) else 0
    number = (profile.bucket - first) // per_period
    periods = int(number[-1]) + 1 if len(number) else 0
    tables = {}
    for index, feature in enumerate(plan.features):
        cells = np.column_stack([profile.counts[:, plan.columns(index)], profile.missing[:, index]])
        counts = np.zeros((periods, cells.shape[1]), np.int64)
        np.add.at(counts, number, cells)
        total = counts.sum(axis=0).astype(np.float64)
        in_period = counts.sum(axis=1).astype(np.float64)
        tables[feature.name] = Table(
            shown=np.ones(counts.shape, bool),
            value=counts,
            low=total,
            high=total,
            kept=in_period > 0,
            rows=float(total.sum()),
            told=counts.astype(np.float64),
            row_limit=in_period,
            minimum=0,
        )
    begins = (first + np.arange(periods, dtype=np.int64) * per_period) * plan.bucket_s
    return Told(plan, period_s, begins, tables, exact=True)
