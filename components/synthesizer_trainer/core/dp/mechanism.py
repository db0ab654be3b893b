"""The Gaussian mechanism: how much noise, and noise that no seed can bring back.

A release is a vector of statistics, each scaled so that one unit of privacy (record, window, series)
moves it by at most 1 in L2; it gets independent normal noise of standard deviation sigma, the noise
multiplier. Weighted parts of one vector share that norm, so their budget shares add up to 1 (Dwork and
Roth 2014, theorem A.1; calibration without slack: Balle and Wang 2018; accounting: PLD, Koskela et al.
2020, Doroshenko et al. 2022, by `dp_accounting`).

Rounding. On doubles, which noisy values can come out depends on the value beneath (Mironov 2012), and
sums of doubles depend on their order (Casacuberta et al. 2022). Here every exact statistic is a multiple
of a power of two, small enough that its sum in doubles has no rounding error at all, and the noise is
rounded to the same lattice before it is added. Rounding a normal variate that is added to a lattice point
is the same as rounding the sum, so it is post-processing of the Gaussian mechanism, and the values that can
come out are the same whatever the rows were. What remains: the normal variates are computed from 53-bit
uniforms in double precision and end at 8.6 standard deviations (a chance of 1e-17 each); no exact discrete
sampler is used (Canonne et al. 2020), and nothing is done about timing.
"""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from components.errors import InternalError
from components.governance.core.events import Event, Gaussian, PrivacyCost, TimeRange
from components.synthesizer_trainer.config import DpConfig

#: (count) to standard normal variates, shape [count].
Noise = Callable[[int], np.ndarray]
_TWO_53 = float(1 << 53)


@dataclass(frozen=True)
class Query:
    """One statistic: a sum over rows, or over runs of consecutive rows, of vectors of bounded norm.

    Attributes:
      name: Its name.
      shape: Of the sum. A symmetric matrix is measured as its upper triangle.
      order: 0: a sum over rows. p: over runs of p + 1 rows, each one interval after the last.
      bound: Greatest L2 norm of what one row (or run) adds. Of a symmetric matrix: Frobenius.
      share: Share of its stage's precision, in (0, 1].
      lattice: Power of two of which every entry of the exact sum is a multiple.
      symmetric: Whether it is a symmetric matrix.
    """

    name: str
    shape: tuple[int, ...]
    order: int
    bound: float
    share: float
    lattice: float = 1.0
    symmetric: bool = False


@dataclass(frozen=True)
class Stage:
    """Statistics that are released at once; a later stage may use what an earlier one released.

    Attributes:
      name: Its name.
      share: Share of the release's precision, in (0, 1].
      queries: Their shares add up to 1.
    """

    name: str
    share: float
    queries: tuple[Query, ...]


@dataclass(frozen=True)
class Noisy:
    """A released statistic.

    Attributes:
      value: Exact sum plus noise. Shape of the query.
      std: Standard deviation of the noise of one entry (of a symmetric matrix: of its diagonal).
    """

    value: np.ndarray
    std: float


def touched(unit_rows: int, whole_series: bool, order: int) -> int:
    """Rows (order 0) or runs of rows that come or go with one unit of privacy, at most.

    A run is p + 1 rows that follow one another in their series, each one interval (within a quarter of
    it) after the last. A unit of w consecutive rows is in at most w + p runs. Runs that only arise when
    the unit goes would have to bridge the hole, which takes neighbours one interval apart with the unit's
    rows at or between their times; then at most one run that held a row of the unit is lost, and at most p
    arise, so together never more than w + p. A whole series of m rows has at most m - p runs, and none
    bridges it.

    Args:
      unit_rows: w, or m.
      whole_series: Whether the unit is a series.
      order: p.
    """
    return max(unit_rows - order, 1) if whole_series else unit_rows + order


def sensitivity(query: Query, dp: DpConfig) -> float:
    """L2 sensitivity of an unscaled statistic under add/remove adjacency: runs touched times their norm."""
    return touched(dp.most_rows, dp.unit == "series", query.order) * query.bound


@functools.lru_cache(maxsize=64)
def noise_multiplier(epsilon: float, delta: float) -> float:
    """Least sigma for which one Gaussian mechanism of sensitivity 1 is (epsilon, delta)-private.

    Found in closed form (Balle and Wang 2018) and then held against PLD accounting, which is an upper
    bound and has the last word.

    Raises:
      InternalError: the two do not agree.
    """
    import dp_accounting

    from components.governance.core.accounting import Tally, epsilon_of

    sigma = float(dp_accounting.get_sigma_gaussian(epsilon, delta))
    for attempt in range(20):
        tally = Tally.of([Gaussian(noise_multiplier=sigma)])
        if epsilon_of(tally, delta) <= epsilon:
            return sigma
        sigma *= 1 + 1e-6 * 2**attempt
    raise InternalError(f"no noise multiplier found for epsilon {epsilon:g} and delta {delta:g}")


def stage_multipliers(sigma: float, stages: Sequence[Stage]) -> list[float]:
    """Noise multiplier of every stage: their precisions (1 / sigma^2) add up to that of `sigma`.

    Gaussian mechanisms compose to a Gaussian mechanism, also when a later statistic is chosen by an
    earlier noisy one (Dong, Roth and Su 2022, corollary 3.3).
    """
    return [sigma / math.sqrt(stage.share) for stage in stages]


def plan(
    dp: DpConfig,
    stages: Sequence[Stage],
    multipliers: Sequence[float] | None = None,
    further: tuple[Event, ...] = (),
) -> PrivacyCost:
    """What a release will cost. Needs no data, so that a ledger can reserve it before training.

    Args:
      dp: The guarantee.
      stages: The statistics (`queries.stages`).
      multipliers: Of the stages; None gives them the whole budget.
      further: What else is done to the rows.

    Raises:
      InternalError: the shares do not add up to 1.
    """
    check_shares(stages)
    if multipliers is None:
        multipliers = stage_multipliers(noise_multiplier(dp.epsilon, dp.delta), stages)
    period = None
    if dp.period is not None:
        start_us, end_us = dp.period.bounds_us()
        period = TimeRange(start_us=start_us, end_us=end_us)
    return PrivacyCost(
        unit=dp.unit,
        neighboring_relation="add_or_remove_one",
        events=(*(Gaussian(noise_multiplier=value) for value in multipliers), *further),
        time_range=period,
    )


def check_shares(stages: Sequence[Stage]) -> None:
    """Refuses stages that would spend more, or less, than all of the budget.

    Raises:
      InternalError: shares do not add up to 1.
    """
    for shares in ([s.share for s in stages], *([q.share for q in s.queries] for s in stages)):
        if min(shares) <= 0 or abs(sum(shares) - 1) > 1e-9:
            raise InternalError(f"budget shares {shares} must be positive and add up to 1")


def noise_std(query: Query, multiplier: float, dp: DpConfig) -> float:
    """Standard deviation of the noise of one entry of a statistic.

    Scaled by sqrt(share) / sensitivity the statistics of a stage together have sensitivity
    sqrt(sum of shares) = 1 and get noise `multiplier`; unscaled, that is `multiplier` sensitivity /
    sqrt(share).
    """
    return multiplier * sensitivity(query, dp) / math.sqrt(query.share)


def release(
    stage: Stage,
    exact: Mapping[str, np.ndarray],
    multiplier: float,
    dp: DpConfig,
    noise: Noise | None = None,
) -> dict[str, Noisy]:
    """Adds the noise: the only way from the rows to anything that is kept.

    Args:
      stage: The statistics.
      exact: By name, as the queries say.
      multiplier: Of this stage.
      dp: The guarantee.
      noise: Standard normal variates; None takes them from the operating system's entropy. Anything else
        has no guarantee (tests only).

    Raises:
      InternalError: a statistic has another shape, or leaves its lattice.
    """
    out = {}
    for query in stage.queries:
        std = noise_std(query, multiplier, dp)
        out[query.name] = measured(query, np.asarray(exact[query.name], np.float64), std, noise)
    return out


def measured(query: Query, value: np.ndarray, std: float, noise: Noise | None) -> Noisy:
    """One statistic with noise.

    Args:
      query: Its shape and lattice.
      value: Exact. Shape of the query.
      std: Standard deviation of the noise of one entry (of a symmetric matrix: of its diagonal).
      noise: As for `release`.

    Raises:
      InternalError: it has another shape, or leaves its lattice.
    """
    if value.shape != query.shape:
        raise InternalError(f"statistic {query.name}: shape {value.shape}, expected {query.shape}")
    steps = value / query.lattice
    if not np.array_equal(steps, np.rint(steps)) or np.abs(steps).max(initial=0) >= _TWO_53:
        raise InternalError(f"statistic {query.name}: not on its lattice of {query.lattice:g}")
    return Noisy(_perturb(steps, std, query, noise or system_noise), std)


def _perturb(steps: np.ndarray, std: float, query: Query, draw: Noise) -> np.ndarray:
    """Adds rounded noise on the lattice. `steps` in units of the lattice."""
    if not query.symmetric:
        noise = draw(steps.size).reshape(steps.shape) * std
        return (steps + np.rint(noise / query.lattice)) * query.lattice
    # In the Frobenius norm an entry off the diagonal counts twice, so it needs noise / sqrt(2) only
    # (Dwork et al. 2014, "Analyze Gauss").
    rows, columns = np.triu_indices(len(steps))
    scale = np.where(rows == columns, std, std / math.sqrt(2))
    upper = (steps[rows, columns] + np.rint(draw(len(rows)) * scale / query.lattice)) * query.lattice
    out = np.zeros_like(steps)
    out[rows, columns] = upper
    out[columns, rows] = upper
    return out


def system_noise(count: int) -> np.ndarray:
    """Standard normal variates from the operating system's entropy (Box and Muller 1958). Shape [count]."""
    pairs = -(-count // 2)
    words = np.frombuffer(os.urandom(16 * pairs), np.uint64).reshape(2, pairs) >> np.uint64(11)
    radius = np.sqrt(-2 * np.log((words[0].astype(np.float64) + 1) / _TWO_53))
    angle = words[1].astype(np.float64) * (2 * math.pi / _TWO_53)
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:count]


def to_lattice(values: np.ndarray, lattice: float) -> np.ndarray:
    """Values rounded towards zero to multiples of `lattice`, so that no norm grows."""
    return np.trunc(values / lattice) * lattice


def clip_norm(values: np.ndarray, limit: float, lattice: float) -> np.ndarray:
    """Rows scaled down to an L2 norm of at most `limit`, on the lattice. Shape [n, D].

    NaN and infinities would escape any norm, so they count as 0.
    """
    safe = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    # Halves: a square must not overflow.
    safe = np.clip(safe, -1e6, 1e6)
    norm = np.sqrt((safe**2).sum(1, keepdims=True))
    scaled = safe * np.minimum(1.0, limit * (1 - 1e-12) / np.maximum(norm, 1e-300))
    return to_lattice(scaled, lattice)
