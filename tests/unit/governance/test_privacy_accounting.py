"""Composition: against dp-accounting, against a closed form, and the laws that a budget rests on."""

from __future__ import annotations

import itertools
import math

import dp_accounting as dp
import pytest
from dp_accounting import pld
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import DataError
from components.governance.core import accounting, events
from components.governance.core.events import (
    Gaussian,
    Laplace,
    NonPrivate,
    PoissonSampled,
    PrivacyCost,
    SelfComposed,
    TimeRange,
    compose,
    to_dp_event,
)

DELTA = 1e-6
# Small losses and few values: the accountant's grid is short, and its cache helps.
leaves = st.one_of(
    st.sampled_from([30.0, 50.0, 90.0]).map(lambda x: Gaussian(noise_multiplier=x)),
    st.sampled_from([40.0, 90.0]).map(lambda x: Laplace(noise_multiplier=x)),
    st.just(PoissonSampled(sampling_probability=0.1, event=Gaussian(noise_multiplier=9.0))),
)
few = st.lists(
    st.one_of(
        leaves,
        st.builds(lambda e, n: SelfComposed(event=e, count=n), leaves, st.integers(1, 3)),
        st.lists(leaves, max_size=2).map(compose),
    ),
    min_size=1,
    max_size=3,
)


def cost(*found: events.Event, unit: str = "record", days: tuple[int, int] | None = None) -> PrivacyCost:
    day_us = 86_400_000_000
    span = TimeRange(start_us=days[0] * day_us, end_us=days[1] * day_us) if days else None
    return PrivacyCost(unit=unit, events=found, time_range=span)


@settings(max_examples=6, deadline=None)
@given(few)
def test_composition_equals_dp_accountings(found: list[events.Event]) -> None:
    accountant = pld.PLDAccountant()
    for event in found:
        accountant.compose(to_dp_event(event))
    ours = accounting.epsilon_of(accounting.Tally.of(found), DELTA)
    # Both are upper bounds on one grid (1e-4); ours rounds less often, because Gaussians are merged.
    assert ours == pytest.approx(accountant.get_epsilon(DELTA), rel=1e-4, abs=1e-3)


@settings(max_examples=6, deadline=None)
@given(few, st.randoms(use_true_random=False))
def test_the_order_and_nesting_do_not_matter(found: list[events.Event], random) -> None:
    shuffled = list(found)
    random.shuffle(shuffled)
    assert accounting.Tally.of(shuffled) == accounting.Tally.of(found)
    assert accounting.Tally.of([compose(found)]) == accounting.Tally.of(found)


@settings(max_examples=6, deadline=None)
@given(st.lists(st.tuples(few, st.sampled_from([None, (0, 1), (1, 2), (0, 3)])), min_size=2, max_size=4))
def test_what_is_spent_never_falls_and_parallel_never_exceeds_sequential(releases: list) -> None:
    costs = [cost(*found, days=days) for found, days in releases]
    spent = [accounting.spent_epsilon(costs[:n], DELTA) for n in range(1, len(costs) + 1)]
    for before, after in itertools.pairwise(spent):
        assert after >= before - 1e-3  # the accountant's grid
    sequential = accounting.spent_epsilon([cost(*found) for found, _ in releases], DELTA)
    assert spent[-1] <= sequential + 1e-3


def test_gaussians_together_are_one_gaussian_by_closed_form_and_by_accountant() -> None:
    # 1/15^2 + 2 * 1/30^2 + 1/10^2 = 4/900 + 2/900 + 9/900 = 15/900: one of multiplier sqrt(60).
    found = [
        Gaussian(noise_multiplier=15.0),
        SelfComposed(event=Gaussian(noise_multiplier=30.0), count=2),
        Gaussian(noise_multiplier=10.0),
    ]
    tally = accounting.Tally.of(found)
    assert tally.precision == pytest.approx(15 / 900)
    ours = accounting.epsilon_of(tally, DELTA)
    assert ours == pytest.approx(dp.get_epsilon_gaussian(math.sqrt(60), DELTA), rel=1e-9)
    accountant = pld.PLDAccountant()
    for event in found:
        accountant.compose(to_dp_event(event))
    assert ours == pytest.approx(accountant.get_epsilon(DELTA), rel=1e-4)


def test_replacing_a_unit_counts_twice_for_a_gaussian() -> None:
    # Replaced by another: the sum moves by up to two sensitivities, as with half the noise.
    tally = accounting.Tally.of([Gaussian(noise_multiplier=40.0)])
    replaced = accounting.epsilon_of(tally, DELTA, "replace_one")
    assert replaced == pytest.approx(dp.get_epsilon_gaussian(20.0, DELTA), rel=1e-3)


def test_pure_laplace_composes_to_the_sum_at_a_tiny_delta() -> None:
    tally = accounting.Tally.of([Laplace(noise_multiplier=4.0), Laplace(noise_multiplier=2.0)])
    assert accounting.epsilon_of(tally, 1e-12) == pytest.approx(0.75, abs=2e-3)


def test_a_non_private_event_is_infinite_and_nothing_is_nothing() -> None:
    assert (
        accounting.spent_epsilon([cost(Gaussian(noise_multiplier=9.0)), cost(NonPrivate())], DELTA)
        == math.inf
    )
    assert accounting.spent_epsilon([], DELTA) == 0.0
    assert accounting.releases_left([], cost(NonPrivate()), 5.0, DELTA) == 0


def test_disjoint_declared_ranges_are_parallel_for_records_only() -> None:
    event = Gaussian(noise_multiplier=15.0)
    alone = accounting.spent_epsilon([cost(event)], DELTA)
    both = accounting.spent_epsilon([cost(event), cost(event)], DELTA)
    assert both > 1.3 * alone

    def spent(first: tuple[int, int] | None, second: tuple[int, int] | None, **more: str) -> float:
        return accounting.spent_epsilon(
            [cost(event, days=first, **more), cost(event, days=second, **more)], DELTA
        )

    assert spent((0, 1), (1, 2)) == alone  # end is exclusive: they touch, they do not overlap
    assert spent((0, 2), (1, 3)) == both
    assert spent((0, 1), None) == both  # a range that is not known composes with everything
    assert spent((0, 1), (1, 2), unit="series") == both
    assert spent((0, 1), (1, 2), unit="window") == both
    replaced = [
        PrivacyCost(unit="record", neighboring_relation="replace_one", events=(event,),
                    time_range=TimeRange(start_us=n, end_us=n + 1))
        for n in range(2)
    ]  # fmt: skip
    assert len(accounting.worst_tallies(replaced)) == 1


def test_the_worst_point_in_time_counts_not_the_last_one() -> None:
    small, large = Gaussian(noise_multiplier=40.0), Gaussian(noise_multiplier=15.0)
    costs = [cost(large, days=(0, 2)), cost(large, days=(1, 3)), cost(small, days=(5, 6))]
    expected = accounting.spent_epsilon([cost(large), cost(large)], DELTA)
    assert accounting.spent_epsilon(costs, DELTA) == expected


def test_releases_left_is_the_largest_number_that_fits() -> None:
    each = cost(Gaussian(noise_multiplier=30.0), unit="series")
    done = [each] * 3
    left = accounting.releases_left(done, each, 0.6, DELTA)
    # By the closed form: 3 + n Gaussians are one of multiplier 30 / sqrt(3 + n).
    exact = next(n for n in range(100) if dp.get_epsilon_gaussian(30 / math.sqrt(4 + n), DELTA) > 0.6)
    assert left == exact and left > 3
    assert accounting.releases_left(done, each, 0.1, DELTA) == 0
    assert accounting.releases_left([], cost(), 0.1, DELTA) == accounting.MOST_RELEASES


def by_accountant(events_and_counts: list[tuple[events.Event, int]]) -> float:
    accountant = pld.PLDAccountant()
    for event, count in events_and_counts:
        accountant.compose(to_dp_event(event), count)
    return float(accountant.get_epsilon(DELTA))


SAMPLED = PoissonSampled(sampling_probability=0.1, event=Gaussian(noise_multiplier=6.0))
SAMPLED_LAPLACE = PoissonSampled(sampling_probability=0.2, event=Laplace(noise_multiplier=30.0))


@pytest.mark.parametrize(
    ("core", "others"),
    [(20.0, [(SAMPLED, 50)]), (None, [(Laplace(noise_multiplier=40.0), 1), (SAMPLED_LAPLACE, 7)])],
)
def test_a_kept_loss_gives_the_accountants_numbers_and_counts(
    core: float | None, others: list[tuple[events.Event, int]]
) -> None:
    """Equal to the last bit, and as many releases as counting one by one finds, at the edge as well."""
    each = [SelfComposed(event=event, count=count) for event, count in others]
    following = cost(*each, *([Gaussian(noise_multiplier=core)] if core else []))
    in_order = sorted(others, key=lambda item: item[0].to_exec_property())
    slow = [0.0]
    for releases in range(1, 7):
        whole = [(event, releases * count) for event, count in in_order]
        merged = accounting.Tally.of(following.events * releases).precision
        if core:
            whole.append((Gaussian(noise_multiplier=merged**-0.5), 1))
        slow.append(by_accountant(whole))
        assert accounting.spent_epsilon([following] * releases, DELTA) == slow[-1]
    assert slow == sorted(slow) and slow[1] > 0
    for releases in (1, 3, 5):
        # The coarse grid's bound is larger, and would refuse the last release; the ledger's grid decides.
        assert accounting.releases_left([], following, slow[releases], DELTA) == releases
        short = math.nextafter(slow[releases], 0)
        assert accounting.releases_left([], following, short, DELTA) == releases - 1
        assert accounting.releases_left([following], following, slow[releases], DELTA) == releases - 1


@given(st.integers(0, accounting.MOST_RELEASES), st.integers(-5, 2 * accounting.MOST_RELEASES))
def test_a_guess_changes_no_count_and_a_good_one_is_quick(right: int, guess: int) -> None:
    looked_at: list[int] = []

    def fits(count: int) -> bool:
        looked_at.append(count)
        return count <= right

    assert accounting._largest(fits, guess) == right
    assert set(looked_at) <= set(range(1, accounting.MOST_RELEASES + 1))
    looked_at.clear()
    accounting._largest(fits, right)
    assert len(looked_at) <= 2


def test_releases_of_one_period_are_counted_apart_from_those_of_others() -> None:
    event = Gaussian(noise_multiplier=30.0)
    plain, first, second = cost(event), cost(event, days=(0, 1)), cost(event, days=(1, 2))
    alone = accounting.releases_left([], plain, 0.6, DELTA)
    assert alone > 3
    assert accounting.releases_left([second] * 3, first, 0.6, DELTA) == alone
    # The same period again, and a release of nobody knows when, count.
    assert accounting.releases_left([first] * 3, first, 0.6, DELTA) == alone - 3
    assert accounting.releases_left([plain] * 3, first, 0.6, DELTA) == alone - 3
    overlapping = cost(event, days=(0, 5))
    assert accounting.releases_left([overlapping] * 3, first, 0.6, DELTA) == alone - 3


def test_a_loss_beyond_the_fine_grid_is_still_an_upper_bound() -> None:
    tally = accounting.Tally.of([Gaussian(noise_multiplier=0.3), Laplace(noise_multiplier=1e4)])
    exact = dp.get_epsilon_gaussian(0.3, DELTA)
    assert exact > 20
    assert exact <= accounting.epsilon_of(tally, DELTA) <= 1.001 * exact


def test_an_event_that_cannot_be_counted_is_refused_in_one_line() -> None:
    tally = accounting.Tally.of([Laplace(noise_multiplier=1.0)])
    with pytest.raises(DataError, match="replace_one") as caught:
        accounting.epsilon_of(tally, DELTA, "replace_one")
    assert "\n" not in str(caught.value)
