"""All measures of a chunk of features, as they were seen and under the null."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from components.drift.core import measures
from components.drift.core.blocks import Blocks
from components.drift.core.null import residuals
from components.drift.core.pairing import Hours
from components.drift.core.profile import FeaturePlan, Floats, Ints, Profile
from components.drift.core.sampling import ROOTS, Sampling, Tested, test
from components.drift.findings import Measure

#: Numbers in one array of draws: 16 MiB of doubles; a chunk holds about ten such arrays.
CHUNK_VALUES = 2_000_000

Shared = tuple[FeaturePlan, int, int]


def chunks(shared: tuple[Shared, ...], draws: int) -> Iterator[list[Shared]]:
    """Features of one kind and about as many bins, few enough for `CHUNK_VALUES`."""
    for kind in ("numeric", "categorical"):
        of_kind = sorted((entry for entry in shared if entry[0].kind == kind), key=lambda e: e[0].bins)
        chunk: list[Shared] = []
        for entry in of_kind:
            if chunk and (len(chunk) + 1) * entry[0].bins * max(draws, 1) > CHUNK_VALUES:
                yield chunk
                chunk = []
            chunk.append(entry)
        if chunk:
            yield chunk


def padded(profile: Profile, array: Ints, positions: list[int], width: int) -> Ints:
    """Columns of some features of an array [B, K], padded with zeros. Shape [B, F, width]."""
    found = np.zeros((array.shape[0], len(positions), width), dtype=array.dtype)
    for place, position in enumerate(positions):
        columns = profile.plan.columns(position)
        found[:, place, : columns.stop - columns.start] = array[:, columns]
    return found


def knots(current: Profile, baseline: Profile, chunk: list[Shared], width: int) -> Floats:
    """Ends of the bins; an open bin ends at the extreme value seen on either side. Shape [F, width + 1].

    An open bin without values has no width; the padding repeats the last end.
    """
    found = np.empty((len(chunk), width + 1))
    for place, (plan, here, there) in enumerate(chunk):
        extremes = np.concatenate(
            [current.low[:, here], current.high[:, here], baseline.low[:, there], baseline.high[:, there]]
        )
        extremes = extremes[np.isfinite(extremes)]
        inner = np.array(plan.edges, dtype=np.float64)
        if not extremes.size:
            extremes = inner if inner.size else np.zeros(1)
        low, high = extremes.min(), extremes.max()
        if inner.size:
            low, high = min(low, inner[0]), max(high, inner[-1])
        found[place, 0] = low
        found[place, 1 : inner.size + 1] = inner
        found[place, inner.size + 1 :] = high
    return found


@dataclass(frozen=True)
class Chunk:
    """Block sums of a chunk of features. N blocks, F features, K bins.

    Attributes:
      counts: Shape [N, F, K].
      sums: Of `x - center`. Shape [N, F].
      missing: Shape [N, F].
      rows: Shape [N].
      positive: Values in rows with label 1. Shape [N, F, K] or None.
      expected: Of `counts`, from the hours of the day in each block, where these differ; else None.
      expected_missing: Of `missing`, likewise.
    """

    counts: Floats
    sums: Floats
    missing: Floats
    rows: Floats
    positive: Floats | None
    expected: Floats | None = None
    expected_missing: Floats | None = None


def block_sums(
    current: Profile,
    baseline: Profile,
    chunk: list[Shared],
    blocks: Blocks,
    hours: Hours,
    *,
    grains: bool = False,
) -> Chunk:
    """Sums per block, or per grain, of a chunk's features."""
    width = max(plan.bins for plan, _, _ in chunk)
    here, there = [entry[1] for entry in chunk], [entry[2] for entry in chunk]

    def sums(one: npt.NDArray, two: npt.NDArray) -> Floats:
        return blocks.sums(one, two, hours, grains=grains)

    def bins(name: str) -> Floats:
        arrays = (getattr(current, name), getattr(baseline, name))
        return sums(padded(current, arrays[0], here, width), padded(baseline, arrays[1], there, width))

    expected, expected_missing = None, None
    if hours.matched and not grains:
        counts = padded(current, current.counts, here, width), padded(baseline, baseline.counts, there, width)
        expected = blocks.expected(counts, (counts[0].sum(axis=-1), counts[1].sum(axis=-1)), hours)
        missing = current.missing[:, here], baseline.missing[:, there]
        expected_missing = blocks.expected(missing, (current.rows, baseline.rows), hours)
    labelled = current.positive.shape[0] and baseline.positive.shape[0] and not grains
    return Chunk(
        counts=bins("counts"),
        sums=sums(current.sums[:, here, 0], baseline.sums[:, there, 0]),
        missing=sums(current.missing[:, here], baseline.missing[:, there]),
        rows=sums(current.rows, baseline.rows),
        positive=bins("positive") if labelled else None,
        expected=expected,
        expected_missing=expected_missing,
    )


def split(dealt: Floats, array: Floats) -> tuple[Floats, Floats]:
    """Sums of the two sides under deals. [draws, N] and [N, ...] to two of [draws, ...]."""
    flat = array.reshape(array.shape[0], -1)
    first = (dealt @ flat).reshape((dealt.shape[0], *array.shape[1:]))
    # Counts are whole: what rounding left below zero is zero.
    rest = array.sum(axis=0) - first
    return first, np.maximum(rest, 0.0) if (array >= 0).all() else rest


def all_measures(
    chunk: list[Shared],
    sums: Chunk,
    knots_: Floats,
    rare: npt.NDArray[np.bool_],
    dealt: Floats,
    stretch: Floats,
) -> dict[Measure, Floats]:
    """Measures of each deal. Values have the shape [draws, F]; NaN where a side has no values.

    `stretch` widens the distance of the dealt sides from the pooled shares, feature by feature. Shape [F].
    """
    a, b = split(dealt, sums.counts)
    n, m = a.sum(axis=-1), b.sum(axis=-1)
    total = sums.counts.sum(axis=0)
    pooled = measures.shares(total)
    p, q = (_stretched(measures.shares(side), pooled, stretch) for side in (a, b))
    bins = np.array([plan.bins for plan, _, _ in chunk])
    found: dict[Measure, Floats] = {
        "infinity_norm": measures.infinity_norm(p, q),
        "jensen_shannon_divergence": measures.jensen_shannon(p, q),
        "population_stability_index": measures.population_stability_index(p, q, n, m, bins),
    }
    if chunk[0][0].kind == "numeric":
        sum_a, sum_b = split(dealt, sums.sums)
        with np.errstate(invalid="ignore", divide="ignore"):
            gap = np.abs(sum_a / n - sum_b / m) * stretch
        found["kolmogorov_smirnov"] = measures.kolmogorov_smirnov(p, q)
        found["anderson_darling"] = measures.anderson_darling(p, q, pooled)
        # No transport can cost less than the shift of the mean, which the sums know to the last digit.
        found["wasserstein"] = np.maximum(measures.wasserstein(p, q, knots_), gap)
    else:
        found["chi_squared"] = measures.chi_squared(p, q, pooled, rare)
    rows_a, rows_b = split(dealt, sums.rows)
    missing_a, missing_b = split(dealt, sums.missing)
    with np.errstate(invalid="ignore", divide="ignore"):
        change = np.abs(missing_a / rows_a[:, None] - missing_b / rows_b[:, None])
    found["missing_rate"] = change * stretch
    if sums.positive is not None:
        positive_a, positive_b = split(dealt, sums.positive)
        found["concept_shift"] = measures.concept_shift(a, positive_a, b, positive_b) * stretch
    return found


def _stretched(share: Floats, pooled: Floats, stretch: Floats) -> Floats:
    if (stretch == 1).all():
        return share
    wider = np.maximum(pooled + stretch[:, None] * (share - pooled), 0.0)
    return wider / wider.sum(axis=-1, keepdims=True)


def test_chunk(
    current: Profile, baseline: Profile, chunk: list[Shared], sampling: Sampling, hours: Hours
) -> dict[Measure, Tested]:
    """All measures of a chunk of features and what noise does to them."""
    blocks = sampling.blocks
    width = max(plan.bins for plan, _, _ in chunk)
    sums = block_sums(current, baseline, chunk, blocks, hours)
    ends = knots(current, baseline, chunk, width)
    n, m = (side[0].sum(axis=-1) for side in split(sampling.seen, sums.counts))
    # One pooling for what was seen and for every draw, else the statistics would not be of one kind.
    rare = measures.rare_bins(sums.counts.sum(axis=0), n, m)
    stretch = np.ones(len(chunk))
    observed = all_measures(chunk, sums, ends, rare, sampling.seen, stretch)
    if sampling.design is None:
        return {name: Tested(value[0]) for name, value in observed.items()}
    fine = block_sums(current, baseline, chunk, blocks, hours, grains=True)
    judged = {
        _VALUES[chunk[0][0].kind]: sampling.noise(*value_vectors(chunk[0][0].kind, sums, fine, rare)),
        "missing_rate": sampling.noise(
            *(
                residuals(
                    part.missing[:, :, None],
                    part.rows[:, None] + np.zeros(len(chunk)),
                    None if part.expected_missing is None else part.expected_missing[:, :, None],
                )
                for part in (sums, fine)
            )
        ),
    }
    stretch = np.sqrt(judged[_VALUES[chunk[0][0].kind]].dealt)
    drawn = all_measures(chunk, sums, ends, rare, sampling.kept, stretch)
    return {
        name: test(observed[name][0], drawn[name], sampling.alpha, judged.get(name), root=name in ROOTS)
        for name in observed
    }


_VALUES: Final[dict[str, Measure]] = {"numeric": "anderson_darling", "categorical": "chi_squared"}


def value_vectors(kind: str, sums: Chunk, fine: Chunk, rare: npt.NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Deviations of blocks and grains whose squared length is the measure that judges a feature's values."""
    pooled = np.nan_to_num(measures.shares(sums.counts.sum(axis=0)))
    n, fine_n = sums.counts.sum(axis=-1), fine.counts.sum(axis=-1)
    if kind == "numeric":
        weight = np.sqrt(measures.anderson_darling_weight(pooled))

        def vectors(counts: Floats) -> Floats:
            return (np.cumsum(counts, axis=-1) - counts / 2) * weight

        scores = measures.anderson_darling_scores(pooled)
        # A few leading components carry the course's memory as well as all bins, in less time.
        course = np.einsum("tfk,fkj->tfj", fine.counts, scores, optimize=True)
        return _deviations(sums, n, vectors), residuals(course, fine_n)
    pooled_rare = np.where(rare, pooled, 0.0).sum(axis=-1, keepdims=True)
    size = np.concatenate([np.where(rare, 0.0, pooled), pooled_rare], axis=-1)
    scale = np.divide(1.0, np.sqrt(size), out=np.zeros_like(size), where=size > 0)

    def pooled_vectors(counts: Floats) -> Floats:
        rest = np.where(rare, counts, 0.0).sum(axis=-1, keepdims=True)
        return np.concatenate([np.where(rare, 0.0, counts), rest], axis=-1) * scale

    return _deviations(sums, n, pooled_vectors), residuals(pooled_vectors(fine.counts), fine_n)


def _deviations(sums: Chunk, n: Floats, vectors: Callable[[Floats], Floats]) -> Floats:
    expected = None if sums.expected is None else vectors(sums.expected)
    return residuals(vectors(sums.counts), n, expected)
