"""Measures of all features together: cadence, the multivariate test, the share of labels."""

from __future__ import annotations

import numpy as np

from components.drift.core import measures, multivariate
from components.drift.core.distances import Tested, split, test
from components.drift.core.null import Blocks, deals
from components.drift.core.pairing import Hours
from components.drift.core.profile import CADENCE_EDGES, Floats, Profile
from components.drift.findings import Measure

#: What a step of each class of `CADENCE_EDGES` lasts, in nominal intervals; the open one twice its beginning.
STEP_LENGTH = (0.0, 0.25, 0.7, 1.0, 1.8, 6.5, 55.5, 201.0)


def cadence(first: Floats, second: Floats) -> Floats:
    """Largest of two total variations between steps by class: of their number, and of the time they fill.

    Args:
      first: Steps by class. Shape [..., classes].
      second: Of the baseline.

    Returns:
      Values in [0, 1]; NaN where a side has no step. Shape [...]. A gap of a day is one step of thousands,
      but a large part of the time; a doubled row takes no time, but is a step.
    """
    length = np.array(STEP_LENGTH)
    by_number = measures.total_variation(measures.shares(first), measures.shares(second))
    by_time = measures.total_variation(measures.shares(first * length), measures.shares(second * length))
    return np.where(np.isnan(by_time), by_number, np.fmax(by_number, by_time))


def rate_change(first: Floats, second: Floats, rows_a: Floats, rows_b: Floats) -> Floats:
    """Relative change of the rows per bucket: 1 - least / greatest, in [0, 1]. Bucket counts, then rows."""
    with np.errstate(invalid="ignore", divide="ignore"):
        rates = rows_a / first, rows_b / second
        return 1 - np.minimum(*rates) / np.maximum(*rates)


def test_whole(
    current: Profile,
    baseline: Profile,
    blocks: Blocks,
    hours: Hours,
    *,
    draws: int,
    alpha: float,
    seed: int,
    row_rate: bool,
) -> dict[Measure, Tested]:
    """The measures of all features together, and what noise does to them. Values have the shape [1].

    Args:
      current: First side.
      baseline: The other side.
      blocks: How both fall into blocks.
      hours: Weights of the buckets.
      draws: Resamplings.
      alpha: Level of the null's limit.
      seed: Of the resampling.
      row_rate: Whether the rows per bucket belong to the cadence: not where another fleet is compared.
    """
    assert len(STEP_LENGTH) == len(CADENCE_EDGES) + 1
    sums = {
        name: blocks.sums(getattr(current, name), getattr(baseline, name), hours)
        for name in ("cadence", "labelled", "rows", "complete")
    }
    sums["buckets"] = blocks.sums(np.ones(current.bucket.size), np.ones(baseline.bucket.size), hours)
    same_random = current.random.shape[1] == baseline.random.shape[1] > 0
    if same_random and current.plan.seed == baseline.plan.seed:
        sums["random"] = blocks.sums(current.random, baseline.random, hours)

    def values(dealt: Floats) -> dict[Measure, Floats]:
        parts = {name: split(dealt, array) for name, array in sums.items()}
        found: dict[Measure, Floats] = {"cadence": cadence(*parts["cadence"])}
        if row_rate:
            change = rate_change(*parts["buckets"], *parts["rows"])
            found["cadence"] = np.fmax(found["cadence"], change)
        with np.errstate(invalid="ignore", divide="ignore"):
            rates = [side[:, 1] / side[:, 0] for side in parts["labelled"]]
            found["label_shift"] = np.abs(rates[0] - rates[1])
        if "random" in sums:
            found["maximum_mean_discrepancy"] = multivariate.mean_discrepancy(
                *parts["random"], *parts["complete"]
            )
        return {name: value[:, None] for name, value in found.items()}

    first, second = blocks.counts
    seen = (np.arange(first + second) < first).astype(np.float64)[None, :]
    observed = values(seen)
    if blocks.reason or draws == 0:
        return {name: Tested(value[0]) for name, value in observed.items()}
    drawn = values(deals(first, second, draws, seed))
    return {name: test(observed[name][0], drawn[name], alpha) for name in observed}
