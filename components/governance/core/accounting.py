"""What releases cost together: composition over releases with `dp_accounting`'s PLD accountant.

Costs compose sequentially. Only where two releases provably read different records (unit `record`,
neighbours that differ by adding or removing one record, time ranges that were declared and enforced
and do not overlap) does a record pay for the release that read it alone (parallel composition,
McSherry 2009, theorem 4): the loss is then the largest over all points in time.

The events must be chosen without looking at earlier releases' outcomes (the configuration is fixed
beforehand); PLD composition is not proven for mechanisms whose noise is chosen adaptively (Rogers et
al. 2016, "Privacy odometers and filters").
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections import Counter
from collections.abc import Iterable, Sequence

from components.errors import DataError
from components.governance.core.events import (
    Composed,
    Event,
    Gaussian,
    Laplace,
    NeighboringRelation,
    NonPrivate,
    PoissonSampled,
    PrivacyCost,
    SelfComposed,
    to_dp_event,
)

#: The accountant's default grid of privacy losses, dimensionless.
_INTERVAL = 1e-4
#: Losses up to this fit that grid in memory; beyond it the grid widens (still an upper bound).
_FINE_UP_TO = 20.0
#: `releases_left` counts no further.
MOST_RELEASES = 1000


@dataclasses.dataclass(frozen=True)
class Tally:
    """A multiset of events in one normal form, so that their order cannot matter.

    Attributes:
      precision: Sum of 1 / noise_multiplier^2 over all Gaussians: together they are one Gaussian of
        noise multiplier precision^(-1/2) (Dong, Roth and Su 2022, "Gaussian differential privacy",
        corollary 3.3).
      others: The other leaves and how often each, sorted.
      non_private: Whether the data were used without any bound.
    """

    precision: float = 0.0
    others: tuple[tuple[str, int], ...] = ()
    non_private: bool = False

    @classmethod
    def of(cls, events: Iterable[Event]) -> Tally:
        """The tally of events on the same data."""
        precisions: list[float] = []
        others: Counter[str] = Counter()
        non_private = False
        stack = [(event, 1) for event in events]
        while stack:
            event, count = stack.pop()
            if isinstance(event, Composed):
                stack += [(part, count) for part in event.events]
            elif isinstance(event, SelfComposed):
                stack.append((event.event, count * event.count))
            elif isinstance(event, Gaussian):
                precisions.append(count / event.noise_multiplier**2)
            elif isinstance(event, NonPrivate):
                non_private = True
            else:
                others[event.to_exec_property()] += count
        # `fsum` rounds once, whatever the order.
        return cls(math.fsum(precisions), tuple(sorted(others.items())), non_private)

    def plus(self, other: Tally, times: int = 1) -> Tally:
        """This and `times` the other, on the same data."""
        others = Counter(dict(self.others))
        for name, count in other.others:
            others[name] += count * times
        return Tally(
            self.precision + times * other.precision,
            tuple(sorted(others.items())),
            self.non_private or other.non_private,
        )


def epsilon_of(tally: Tally, delta: float, relation: NeighboringRelation = "add_or_remove_one") -> float:
    """The smallest epsilon for which the events together are (epsilon, delta)-private.

    Args:
      tally: The events.
      delta: Probability, in (0, 1).
      relation: What neighbouring data sets are.

    Returns:
      Dimensionless, >= 0; infinity where a non-private event is among them. Exact for Gaussians alone,
      else an upper bound: the accountant rounds losses up.

    Raises:
      DataError: the accountant cannot count these events under this relation.
    """
    if tally.non_private:
        return math.inf
    return _epsilon(tally, delta, relation)


@functools.lru_cache(maxsize=4096)
def _epsilon(tally: Tally, delta: float, relation: NeighboringRelation) -> float:
    import dp_accounting as dp
    from dp_accounting import pld

    if tally.precision and not tally.others and relation != "replace_one":
        # One Gaussian has a closed form (Balle and Wang 2018, theorem 8): exact, and quick.
        return float(dp.get_epsilon_gaussian(tally.precision**-0.5, delta))
    parts: list[tuple[Event, int]] = [(_leaf(name), count) for name, count in tally.others]
    if tally.precision:
        parts.append((Gaussian(noise_multiplier=tally.precision**-0.5), 1))
    interval = _INTERVAL * max(1.0, _rough_epsilon(parts, delta) / _FINE_UP_TO)
    accountant = pld.PLDAccountant(dp.NeighboringRelation[relation.upper()], interval)
    try:
        for event, count in parts:
            accountant.compose(to_dp_event(event), count)
    except dp.UnsupportedEventError as error:
        raise DataError(
            f"privacy cost: the accountant cannot count these events under the neighbouring relation "
            f"{relation} ({str(error).splitlines()[0][:120]}); allowed: add_or_remove_one"
        ) from None
    return float(accountant.get_epsilon(delta))


def _leaf(text: str) -> Event:
    kind = Laplace if '"kind":"laplace"' in text and '"event"' not in text else PoissonSampled
    return kind.model_validate_json(text)


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


def worst_tallies(costs: Sequence[PrivacyCost]) -> list[Tally]:
    """What a unit may have paid in all: one tally where costs are sequential, several in parallel.

    The loss is the largest over these. See the module docstring for when costs are parallel.
    """
    everywhere = [cost for cost in costs if not _has_own_range(cost)]
    ranged = [cost for cost in costs if _has_own_range(cost)]
    if not ranged:
        return [Tally.of(event for cost in everywhere for event in cost.events)]
    found = set()
    # Every largest set of ranges with a point in common has the start of one of them in common.
    for start in {cost.time_range.start_us for cost in ranged if cost.time_range}:
        there = [c for c in ranged if c.time_range and c.time_range.start_us <= start < c.time_range.end_us]
        found.add(Tally.of(event for cost in [*everywhere, *there] for event in cost.events))
    return sorted(found, key=lambda tally: (tally.precision, tally.others))


def spent_epsilon(
    costs: Sequence[PrivacyCost], delta: float, relation: NeighboringRelation = "add_or_remove_one"
) -> float:
    """Epsilon, at `delta`, that these releases have cost any one unit; see `epsilon_of`."""
    return max(epsilon_of(tally, delta, relation) for tally in worst_tallies(costs))


def releases_left(
    costs: Sequence[PrivacyCost],
    following: PrivacyCost,
    epsilon: float,
    delta: float,
    relation: NeighboringRelation = "add_or_remove_one",
) -> int:
    """How many more releases of one cost fit in the budget.

    Args:
      costs: What has been spent or reserved.
      following: The cost of each further release. Where it has a time range of its own, all of them are
        taken to read that range; releases of other ranges do not count against it.
      epsilon, delta: The budget.
      relation: What neighbouring data sets are.

    Returns:
      A number, at most `MOST_RELEASES`.
    """
    base = worst_tallies([cost for cost in costs if not is_apart(cost, following)])
    each = Tally.of(following.events)

    def fits(count: int) -> bool:
        return all(epsilon_of(tally.plus(each, count), delta, relation) <= epsilon for tally in base)

    if not fits(1):
        return 0
    low, high = 1, 2
    while high <= MOST_RELEASES and fits(high):
        low, high = high, 2 * high
    high = min(high, MOST_RELEASES + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def is_apart(one: PrivacyCost, other: PrivacyCost) -> bool:
    """Whether no unit can have paid for both: they are of ranges that do not overlap."""
    first, second = one.time_range, other.time_range
    if not (_has_own_range(one) and _has_own_range(other)) or first is None or second is None:
        return False
    return first.end_us <= second.start_us or second.end_us <= first.start_us


def _has_own_range(cost: PrivacyCost) -> bool:
    # A replaced record may come back with another time, so that it is in two ranges; a window or a
    # series reaches over the edge of a range.
    return (
        cost.time_range is not None
        and cost.unit == "record"
        and cost.neighboring_relation == "add_or_remove_one"
    )
