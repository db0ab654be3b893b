"""Singling out: predicates that match exactly one synthetic row, tried on the real rows.

Univariate: "column = v", v a number that the release holds once, or "column > v" and "column < v" with v
an extreme of the release. Multivariate: a conjunction over `CONJUNCTS` columns of one synthetic row, each
"= category", ">= number" above the median, or "<= number" below it.

A predicate singles out when exactly one row of train and holdout together matches it; that row belongs to
train or to holdout. A release that knows no more of train than of holdout singles out as many rows per
row of either, so holdout's count, scaled to train's size, is the control. (Giomi et al. try predicates on
the two sides by themselves, which needs a model of how success depends on the number of rows.) Naive:
conjunctions whose parts come from different synthetic rows.

Source: Giomi et al. (2023), section 4.1; Anonymeter's SinglingOutEvaluator; Cohen and Nissim (2020),
"Towards formalizing the GDPR's notion of singling out", PNAS 117(15).
"""

from __future__ import annotations

import numpy as np

from components.release_evaluator.core.attacks.base import Attack, Findings, NotApplicable, World
from components.release_evaluator.core.attacks.risks import owner_risk
from components.release_evaluator.core.frames import Columns

#: Columns of a conjunction, at most: with fewer, few conjunctions match one row alone.
CONJUNCTS = 6
#: Conjunctions that are drawn, and numbers of a column: per record that the distance attacks ask about, and
#: at least.
TRIES, MIN_DRAWN = 1.5, 1_500
#: Synthetic rows in which a predicate must match one alone.
CANDIDATES = 8_000
#: Fewest predicates that make an attack: a release with fewer points at fewer rows than this.
MIN_TRIES = 100


def _values(columns: Columns, names: list[str]) -> np.ndarray:
    """The named columns; categories as codes, missing as NaN. Shape [row, column], float64."""
    parts = [
        columns.numeric[name]
        if name in columns.numeric
        else np.where(columns.codes[name] < 0, np.nan, columns.codes[name].astype(float))
        for name in names
    ]
    return np.column_stack(parts)


def _varying(world: World) -> list[str]:
    world.rows.require_enough()
    names = list(world.encoder.dimensions(world.columns["train"]))
    if not names:
        raise NotApplicable("no feature varies")
    return names


def _drawn(world: World) -> int:
    return max(MIN_DRAWN, int(TRIES * world.sampling.max_records))


def _chunks(world: World) -> np.ndarray:
    return np.concatenate([world.rows.train.chunk, world.rows.holdout.chunk])


def univariate(world: World) -> Findings:
    """Single numbers that point at one real row.

    Raises:
      NotApplicable: no feature varies, or few numbers occur once in the release.
      InsufficientDataError: too few records or time blocks.
    """
    names = [name for name in _varying(world) if name in world.encoder.scale]
    if not names:
        raise NotApplicable("no numeric feature varies")
    rng = world.rng("singling_out_univariate")
    chunk, limit = _chunks(world), _drawn(world)
    owners, tries = [], 0
    for name in names:
        real = np.concatenate([world.columns[side].numeric[name] for side in ("train", "holdout")]).astype(
            np.float32
        )
        release = world.columns["synthetic"].numeric[name].astype(np.float32)
        release = release[np.isfinite(release)]
        single, times = np.unique(release, return_counts=True)
        single = single[times == 1]
        if len(single) > limit:
            single = rng.choice(single, limit, replace=False)
        tries += len(single) + 2 * bool(len(release))
        order = np.argsort(real, kind="stable")
        ranked = real[order]
        first, last = (np.asarray(np.searchsorted(ranked, single, side)) for side in ("left", "right"))
        owners.append(chunk[order[first[last - first == 1]]])
        if len(release):
            for beyond in (real > release.max(), real < release.min()):
                if np.count_nonzero(beyond) == 1:
                    owners.append(chunk[beyond])
    if tries < MIN_TRIES:
        raise NotApplicable(f"only {tries} values occur once in the release: conjunctions are tried instead")
    owner = np.concatenate(owners)
    return {
        "singling_out_univariate_risk": owner_risk(
            owner, world.rows, tries, world.sampling.confidence, naive=0.0
        )
    }


def multivariate(world: World) -> Findings:
    """Conjunctions that point at one real row.

    Raises:
      NotApplicable: no feature varies, or few conjunctions match one synthetic row alone.
      InsufficientDataError: too few records or time blocks.
    """
    names = _varying(world)
    rng = world.rng("singling_out_multivariate")
    real = np.vstack([_values(world.columns[side], names) for side in ("train", "holdout")])
    release = _values(world.columns["synthetic"], names)
    limit = min(CANDIDATES, world.sampling.max_candidates)
    if len(release) > limit:
        release = release[np.sort(rng.choice(len(release), limit, replace=False))]
    numeric = np.array([name in world.encoder.scale for name in names])
    middle = np.array(
        [np.median(part[np.isfinite(part)]) if np.isfinite(part).any() else 0.0 for part in release.T]
    )
    chunk = _chunks(world)
    results = []
    for naive in (True, False):
        drawn = _drawn(world) // (4 if naive else 1)
        owner, tries = _try(release, real, chunk, numeric, middle, drawn, naive, rng)
        results.append((owner, tries))
    (naive_owner, naive_tries), (owner, tries) = results
    if tries < MIN_TRIES:
        raise NotApplicable(f"only {tries} conjunctions of {drawn} match one synthetic row alone")
    naive_rate = len(naive_owner) / naive_tries if naive_tries else None
    return {
        "singling_out_multivariate_risk": owner_risk(
            owner, world.rows, tries, world.sampling.confidence, naive=naive_rate
        )
    }


def _try(
    release: np.ndarray,
    real: np.ndarray,
    chunk: np.ndarray,
    numeric: np.ndarray,
    middle: np.ndarray,
    tries: int,
    naive: bool,
    rng: np.random.Generator,
) -> tuple[np.ndarray, int]:
    """Chunks of the rows that conjunctions single out, and how many were tried."""
    width = min(CONJUNCTS, release.shape[1])
    rows = rng.integers(len(release), size=(tries, width))
    if not naive:
        rows[:] = rows[:, :1]
    columns = np.argsort(rng.random((tries, release.shape[1])), axis=1)[:, :width]
    values = release[rows, columns]
    usable = np.isfinite(values).all(axis=1)
    columns, values = columns[usable], values[usable]
    if naive:
        single = np.ones(len(values), bool)
    else:
        single = _matches(release, columns, values, numeric, middle)[0] == 1
    count, where = _matches(real, columns[single], values[single], numeric, middle)
    return chunk[where[count == 1]], int(single.sum())


def _matches(
    table: np.ndarray, columns: np.ndarray, values: np.ndarray, numeric: np.ndarray, middle: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Number of rows that match each conjunction, and one of them.

    Conditions are looked up as bits over the rows, so that a conjunction is an AND of packed bytes.
    """
    count = np.zeros(len(values), np.int64)
    where = np.zeros(len(values), np.int64)
    ordered = np.ascontiguousarray(table.T)
    step = max(1, 20_000_000 // max(1, table.shape[0]))
    for begin in range(0, len(values), step):
        part = slice(begin, begin + step)
        mask = np.ones((len(values[part]), table.shape[0]), bool)
        for place in range(values.shape[1]):
            column, value = columns[part, place], values[part, place]
            for name in np.unique(column):
                mine = np.flatnonzero(column == name)
                wanted = value[mine][:, None]
                data = ordered[name][None, :]
                if not numeric[name]:
                    mask[mine] &= data == wanted
                    continue
                above = value[mine] >= middle[name]
                mask[mine[above]] &= data >= wanted[above]
                mask[mine[~above]] &= data <= wanted[~above]
        count[part] = mask.sum(axis=1)
        where[part] = mask.argmax(axis=1)
    return count, where


ONE = Attack(
    "singling_out_univariate",
    ("singling_out_univariate_risk",),
    univariate,
    calibrated=("singling_out_univariate_risk",),
)
MANY = Attack(
    "singling_out_multivariate",
    ("singling_out_multivariate_risk",),
    multivariate,
    calibrated=("singling_out_multivariate_risk",),
)
