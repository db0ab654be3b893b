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
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from components.governance.core import losses
from components.governance.core.events import (
    Composed,
    Event,
    Gaussian,
    NeighboringRelation,
    NonPrivate,
    PrivacyCost,
    SelfComposed,
)

#: How much wider the grid is on which `releases_left` guesses.
_COARSER = 5.0
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
    return _bounded(tally, delta, relation, coarser=1.0)


def _bounded(tally: Tally, delta: float, relation: NeighboringRelation, coarser: float) -> float:
    if tally.non_private:
        return math.inf
    return losses.epsilon(tally.precision, tally.others, delta, relation, coarser)


def _central(tally: Tally, delta: float) -> float:
    return math.inf if tally.non_private else losses.central_epsilon(tally.precision, tally.others, delta)


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

    def most(bound: Callable[[Tally], float], guess: int) -> int:
        return _largest(lambda count: all(bound(tally.plus(each, count)) <= epsilon for tally in base), guess)

    # The ledger's own grid decides, and takes a second for each count that is tried: a closed form and then
    # a coarse grid say about where to look.
    guess = most(lambda tally: _central(tally, delta), 1)
    guess = most(lambda tally: _bounded(tally, delta, relation, _COARSER), guess)
    return most(lambda tally: epsilon_of(tally, delta, relation), guess)


def _largest(fits: Callable[[int], bool], guess: int) -> int:
    """The largest count up to `MOST_RELEASES` that fits, 0 for none; looks about the guess first.

    Args:
      fits: Holds up to some count and for none beyond.
      guess: Any number; the nearer, the fewer counts are looked at.
    """
    low, high = 0, MOST_RELEASES + 1
    at, stride = min(max(guess, 1), MOST_RELEASES), 1
    while high - low > 1:
        if fits(at):
            low, at = at, at + stride
        else:
            high, at = at, at - stride
        stride *= 2
        if not low < at < high:
            at = (low + high) // 2
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
