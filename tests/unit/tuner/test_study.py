"""The course of a search with a made-up trainer: what is tried, chosen, refused, kept, and when it ends."""

from __future__ import annotations

import pytest

from components.errors import DataError
from components.tuner.core.scoring import MAX_EXCESS, Outcome

OFFERS = [{"var_order": 3}, {"var_order": 4}, {"var_order": 1}]


def by_order(**scores):
    """A score by `var_order` (`o3=0.9`), 0.8 as configured; a little more with each repeat."""
    return lambda values, repeat: scores.get(f"o{values.get('var_order', 2)}", 0.8) + 0.001 * repeat


def test_the_configuration_as_it_stands_is_trial_0_and_the_best_is_repeated_beside_it(fake):
    given = fake(by_order(o3=0.85, o4=0.9, o1=0.7), OFFERS)
    found = given.study()
    assert [trial.values for trial in found.trials] == [{}, *OFFERS]
    assert given.told == pytest.approx([0.8, 0.85, 0.9, 0.7]) and found.ended == "space used up"
    assert found.kind == "gain" and found.challenger == 2
    assert found.comparison.gain == pytest.approx(0.1) and found.comparison.pairs == 3
    # The score that made it the best is not one of those that it is compared by.
    assert sorted(found.trials[2].outcomes) == [0, 1, 2, 3] == sorted(found.trials[0].outcomes)
    assert sorted(found.trials[1].outcomes) == [0]


def test_a_lucky_seed_is_not_sold_as_a_gain(fake):
    def score(values, repeat):
        if values and repeat == 0:
            return 0.9
        return 0.8 + (0.02 if values else 0.0) * (-1) ** repeat

    found = fake(score, OFFERS[:1]).study()
    assert found.kind == "noise" and found.challenger == 1
    assert found.comparison.p_value > 0.05


def test_nothing_with_a_higher_score_is_said_so_and_costs_no_repeat(fake):
    given = fake(by_order(o3=0.8, o4=0.79), OFFERS)
    found = given.study()
    assert found.kind == "none" and found.challenger is None and found.comparison is None
    assert all(repeat == 0 for _, repeat in given.ran)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"excess": MAX_EXCESS + 0.001}, "membership excess 0.051 is above 0.05"),
        ({"refused": ("replay_risk_rows",)}, "the gate refuses replay_risk_rows"),
        ({"excess": None, "reason": "2 windows"}, "membership cannot be measured: 2 windows"),
    ],
)
def test_a_trial_that_leaks_is_not_chosen_and_says_why(fake, done, changes, reason):
    def score(values, repeat):
        return done(0.95, **changes) if values.get("var_order") == 4 else by_order(o3=0.9)(values, repeat)

    given = fake(score, OFFERS)
    found = given.study()
    assert found.challenger == 1 and found.trials[2].hindrance == reason
    # It is told as the worst so far, so that the search goes elsewhere.
    assert given.told[2] == pytest.approx(0.8)


def test_a_challenger_that_leaks_in_a_repeat_is_not_chosen(fake, done):
    def score(values, repeat):
        return done(0.95, excess=0.2 if values and repeat == 2 else 0.0)

    def better(values, repeat):
        return score(values, repeat) if values else done(0.9)

    found = fake(better, OFFERS[:1]).study()
    assert found.kind == "hindered" and "excess 0.200" in found.trials[1].hindrance


def test_a_trial_that_fails_is_kept_with_its_reason_and_the_search_goes_on(fake):
    def score(values, repeat):
        return Outcome("failed", reason="too few rows") if values.get("var_order") == 3 else 0.8

    given = fake(score, OFFERS)
    found = given.study()
    assert found.trials[1].hindrance == "failed: too few rows" and len(found.trials) == 4
    assert given.told[1] is None and found.score(found.trials[1]) is None


def test_a_configuration_that_fails_as_it_stands_is_refused_and_tried_again(fake):
    given = fake(lambda values, repeat: Outcome("failed", reason="too few rows"), OFFERS)
    with pytest.raises(DataError, match="too few rows"):
        given.study()
    assert not given.kept


def test_rows_on_which_membership_cannot_be_measured_are_refused_at_once(fake, done):
    given = fake(lambda values, repeat: done(0.9, excess=None, reason="2 windows"), OFFERS)
    with pytest.raises(DataError, match=r"cannot be measured: 2 windows\. Use a longer span"):
        given.study()
    assert len(given.ran) == 1


def test_a_missing_measure_counts_as_nothing_kept(fake, done):
    def score(values, repeat):
        found = done(0.9)
        if values:
            return Outcome("done", measures={"marginal_fidelity": 0.9}, wall_s=10.0)
        return found

    found = fake(score, OFFERS[:1]).study()
    assert found.score(found.trials[1]) == pytest.approx(0.9 / 5)


class TestTime:
    def test_no_training_begins_that_is_not_expected_to_end_in_time(self, fake):
        given = fake(by_order(o3=0.9), [{"var_order": 3, "quantiles": n} for n in range(90)])
        found = given.study(seconds=205)
        # 20 trainings of 10 s fit: 14 trials and three pairs.
        assert given.now == 200 and len(found.trials) == 14 and found.ended == "time"
        assert found.kind == "gain" and found.comparison.pairs == 3

    def test_the_expectation_follows_what_trainings_took(self, fake):
        given = fake(by_order(), [{"quantiles": n} for n in range(90)], cost_s=30.0, expected_s=10.0)
        given.study(seconds=600)
        # The repeats of a leader that may still come: two pairs.
        assert given.now <= 600 and len(given.ran) == 20 - 2 * 2

    def test_two_pairs_are_enough_where_there_is_no_time_for_all(self, fake):
        given = fake(by_order(o3=0.9), OFFERS)
        found = given.study(seconds=65)
        assert len(found.trials) == 2 and found.comparison.pairs == 2 and given.now == 60

    def test_too_little_time_compares_nothing_and_says_so(self, fake):
        found = fake(by_order(o3=0.9), OFFERS).study(seconds=50)
        assert found.kind == "time" and len(found.trials) == 1

    def test_each_training_hears_how_much_time_is_left(self, fake):
        given = fake(by_order(), OFFERS)
        given.study(seconds=200)
        assert given.limits[:3] == [200, 190, 180]

    def test_what_was_cut_short_is_not_chosen_and_ends_nothing_else(self, fake, done):
        def score(values, repeat):
            return (
                done(0.99, status="cut") if values.get("var_order") == 4 else by_order(o3=0.9)(values, repeat)
            )

        given = fake(score, OFFERS)
        found = given.study()
        assert found.challenger == 1 and "cut short" in found.trials[2].hindrance
        assert given.told[2] is None

    def test_trials_are_limited_and_count_the_first(self, fake):
        given = fake(by_order(), OFFERS)
        found = given.study(trials=3)
        assert len(found.trials) == 3 and found.ended == "trials"


class TestResume:
    def test_a_search_that_was_killed_goes_on_and_ends_as_if_it_had_not_been(self, fake):
        whole = fake(by_order(o3=0.85, o4=0.9), OFFERS)
        wanted = whole.study()
        for killed_after in range(9):
            given = fake(by_order(o3=0.85, o4=0.9), OFFERS, killed_after=killed_after)
            with pytest.raises(KeyboardInterrupt):
                given.study()
            first = list(given.ran)
            given.killed_after = None
            assert given.study() == wanted
            assert first + given.ran == [(dict(v), r) for v, r in whole.ran]

    def test_time_spent_before_is_counted(self, fake):
        given = fake(by_order(), [{"quantiles": n} for n in range(90)], killed_after=5)
        with pytest.raises(KeyboardInterrupt):
            given.study(seconds=205)
        given.killed_after, given.now = None, 1000.0
        given.study(seconds=205)
        assert len(given.kept) == 16

    def test_what_was_cut_short_is_done_again_where_there_is_time(self, fake, done):
        given = fake(lambda values, repeat: 0.8, OFFERS)
        given.kept[0, 0] = ({}, done(0.7, status="cut"))
        found = given.study()
        assert given.ran[0] == ({}, 0) and found.score(found.trials[0]) == pytest.approx(0.8)
