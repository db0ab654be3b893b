"""Epsilon of a multiset of events by privacy loss distributions, as `dp_accounting` makes and composes them.

Sources: Koskela, Jälkö and Honkela 2020 (composition by FFT); Doroshenko et al. 2022 ("Connect the dots", the
grid of losses).
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING

from components.errors import DataError
from components.governance.core.events import (
    Event,
    Gaussian,
    Laplace,
    NeighboringRelation,
    PoissonSampled,
    to_dp_event,
)

if TYPE_CHECKING:
    from dp_accounting.pld.privacy_loss_distribution import PrivacyLossDistribution

#: The accountant's default grid of privacy losses, dimensionless.
_INTERVAL = 1e-4
#: Losses up to this fit that grid in memory; beyond it the grid widens (still an upper bound).
_FINE_UP_TO = 20.0

#: Events by their canonical JSON, and how often each, sorted.
Leaves = tuple[tuple[str, int], ...]


@functools.lru_cache(maxsize=4096)
def epsilon(
    precision: float, others: Leaves, delta: float, relation: NeighboringRelation, coarser: float = 1.0
) -> float:
    """The smallest epsilon for which these events together are (epsilon, delta)-private.

    Args:
      precision: Sum of 1 / noise_multiplier^2 over all Gaussians.
      others: The other events (their canonical JSON) and how often each.
      delta: Probability, in (0, 1).
      relation: What neighbouring data sets are.
      coarser: How much wider than the accountant's own the grid is: quicker, and a looser bound.

    Raises:
      DataError: the accountant cannot count these events under this relation.
    """
    import dp_accounting as dp
    from dp_accounting.pld import privacy_loss_distribution as pld

    if precision and not others and relation != "replace_one":
        # One Gaussian has a closed form (Balle and Wang 2018, theorem 8): exact, and quick.
        return float(dp.get_epsilon_gaussian(precision**-0.5, delta))
    parts: list[tuple[Event, int]] = [(_leaf(name), count) for name, count in others]
    if precision:
        parts.append((Gaussian(noise_multiplier=precision**-0.5), 1))
    interval = coarser * _INTERVAL * max(1.0, _rough_epsilon(parts, delta) / _FINE_UP_TO)
    # As `PLDAccountant` composes, but that the loss of one event is kept: to make it, point by point, takes
    # some ten times as long as to compose it.
    loss = pld.identity(interval)
    for name, count in others:
        loss = loss.compose(_loss_of(name, interval, relation).self_compose(count))
    if precision:
        loss = loss.compose(
            pld.from_gaussian_mechanism(
                precision**-0.5,
                value_discretization_interval=interval,
                neighboring_relation=dp.NeighboringRelation[relation.upper()],
            )
        )
    return float(loss.get_epsilon_for_delta(delta))


@functools.lru_cache(maxsize=8)
def _loss_of(name: str, interval: float, relation: NeighboringRelation) -> PrivacyLossDistribution:
    """The privacy loss of one event other than a Gaussian, on a grid of this interval.

    Raises:
      DataError: the accountant cannot count it under this relation.
    """
    import dp_accounting as dp
    from dp_accounting.pld import PLDAccountant
    from dp_accounting.pld import privacy_loss_distribution as pld

    event = _leaf(name)
    neighbours = dp.NeighboringRelation[relation.upper()]
    if not PLDAccountant(neighbours).supports(to_dp_event(event)):
        raise DataError(
            f"privacy cost: the accountant cannot count a {event.kind} event under the neighbouring relation "
            f"{relation}; allowed: add_or_remove_one"
        )
    inner, probability = _inner(event)
    if isinstance(inner, Laplace):
        return pld.from_laplace_mechanism(
            inner.noise_multiplier, value_discretization_interval=interval, sampling_prob=probability
        )
    return pld.from_gaussian_mechanism(
        inner.noise_multiplier,
        value_discretization_interval=interval,
        sampling_prob=probability,
        neighboring_relation=neighbours,
    )


def _leaf(text: str) -> Laplace | PoissonSampled:
    if '"kind":"laplace"' in text and '"event"' not in text:
        return Laplace.model_validate_json(text)
    return PoissonSampled.model_validate_json(text)


def _inner(event: Laplace | PoissonSampled) -> tuple[Gaussian | Laplace, float]:
    """The event on the sample, and the probability with which a unit is in it."""
    return (event.event, event.sampling_probability) if isinstance(event, PoissonSampled) else (event, 1.0)


def _rough_epsilon(parts: list[tuple[Event, int]], delta: float) -> float:
    """How far the grid of losses has to reach, roughly; from closed forms."""
    import dp_accounting as dp

    total = 0.0
    for event, count in parts:
        if isinstance(event, PoissonSampled):
            event, count = event.event, 1
        if isinstance(event, Gaussian):
            total += dp.get_epsilon_gaussian(event.noise_multiplier, delta)
        elif isinstance(event, Laplace):
            total += count / event.noise_multiplier
    return total


def central_epsilon(precision: float, others: Leaves, delta: float) -> float:
    """Epsilon in the limit of many small losses, at once: near the truth, and no bound.

    All events are then one Gaussian; a sampled one has the precision q^2 (e^(1 / sigma^2) - 1) (Dong, Roth
    and Su 2022, section 5), a Laplace that of its Fisher information.

    Args:
      precision, others, delta: As of `epsilon`.
    """
    import dp_accounting as dp

    for name, count in others:
        event, rate = _inner(_leaf(name))
        single = event.noise_multiplier**-2
        precision += count * min(single, rate**2 * math.expm1(min(single, 500.0)))
    return float(dp.get_epsilon_gaussian(precision**-0.5, delta)) if precision else 0.0
