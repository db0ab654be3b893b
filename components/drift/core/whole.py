"""Measures of all features together: cadence, the multivariate test, the share of labels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from components.drift.core import measures, multivariate
from components.drift.core.distances import split
from components.drift.core.null import residuals
from components.drift.core.pairing import Hours
from components.drift.core.profile import CADENCE_EDGES, Floats, Ints, Profile
from components.drift.core.sampling import ROOTS, Sampling, Tested, test
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
    current: Profile, baseline: Profile, sampling: Sampling, hours: Hours, *, row_rate: bool
) -> dict[Measure, Tested]:
    """The measures of all features together, and what noise does to them. Values have the shape [1].

    Args:
      current: First side.
      baseline: The other side.
      sampling: The null.
      hours: Weights of the buckets.
      row_rate: Whether the rows per bucket belong to the cadence: not where another fleet is compared.
    """
    assert len(STEP_LENGTH) == len(CADENCE_EDGES) + 1
    sums = _sums(current, baseline, sampling, hours, grains=False)
    observed = _values(sums, sampling.seen, row_rate)
    if sampling.design is None:
        return {name: Tested(value[0]) for name, value in observed.items()}
    fine = _sums(current, baseline, sampling, hours, grains=True)
    expected = _expected(current, baseline, sampling, hours, sums) if hours.matched else {}
    vectors, courses = vectors_of(sums, row_rate, expected), vectors_of(fine, row_rate, {})
    judged = {name: sampling.noise(vectors[name], courses[name]) for name in vectors}
    drawn = _values(sums, sampling.kept, row_rate)
    return {
        name: test(
            observed[name][0],
            drawn[name] * np.sqrt(judged[name].dealt),
            sampling.alpha,
            judged[name],
            root=name in ROOTS,
        )
        for name in observed
    }


def _sums(
    current: Profile, baseline: Profile, sampling: Sampling, hours: Hours, *, grains: bool
) -> dict[str, Floats]:
    names = ["cadence", "labelled", "rows", "complete"]
    # Random features of other frequencies are other features.
    if current.random.shape[1] == baseline.random.shape[1] > 0 and current.plan.seed == baseline.plan.seed:
        names.append("random")
    blocks = sampling.blocks
    sums = {
        name: blocks.sums(getattr(current, name), getattr(baseline, name), hours, grains=grains)
        for name in names
    }
    ones = np.ones(current.bucket.size), np.ones(baseline.bucket.size)
    return {**sums, "buckets": blocks.sums(*ones, hours, grains=grains)}


def _values(sums: dict[str, Floats], dealt: Floats, row_rate: bool) -> dict[Measure, Floats]:
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


def _expected(
    current: Profile, baseline: Profile, sampling: Sampling, hours: Hours, sums: dict[str, Floats]
) -> dict[str, Floats]:
    """What has a daily course, as the hours of each block let expect it."""

    def expected(arrays: tuple[npt.NDArray, npt.NDArray], sizes: tuple[Ints, Ints]) -> Floats:
        return sampling.blocks.expected(arrays, sizes, hours)

    labels = expected(
        (current.labelled[:, 1:], baseline.labelled[:, 1:]), (current.labelled[:, 0], baseline.labelled[:, 0])
    )
    found = {"labelled": labels}
    if "random" in sums:
        found["random"] = expected((current.random, baseline.random), (current.complete, baseline.complete))
    return found


def vectors_of(sums: dict[str, Floats], row_rate: bool, expected: dict[str, Floats]) -> dict[Measure, Floats]:
    """Deviations whose squared length tests each measure. Each of shape [N, 1, D]."""

    def deviation(array: Floats, size: Floats, name: str = "") -> Floats:
        wanted = expected[name][:, None, :] if name in expected else None
        return residuals(array.reshape(array.shape[0], 1, -1), size[:, None], wanted)

    steps, time = sums["cadence"], sums["cadence"] * np.array(STEP_LENGTH)
    parts = [deviation(steps, steps.sum(axis=1)), deviation(time, time.sum(axis=1))]
    if row_rate:
        rate = sums["rows"].sum() / max(sums["buckets"].sum(), 1.0)
        parts.append(deviation(sums["rows"] / max(rate, 1.0), sums["buckets"]))
    found: dict[Measure, Floats] = {
        "cadence": np.concatenate(parts, axis=2),
        "label_shift": deviation(sums["labelled"][:, 1], sums["labelled"][:, 0], "labelled"),
    }
    if "random" in sums:
        found["maximum_mean_discrepancy"] = deviation(sums["random"], sums["complete"], "random")
    return found
