"""Chains of discrete variables against hand-counted and simulated processes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from components.synthesizer_trainer.core import chain_fit, chains, transitions
from components.synthesizer_trainer.core.calendar import Calendar
from components.synthesizer_trainer.core.chain_covariates import fit_chains, normal_gaps, tells_state
from components.synthesizer_trainer.core.linear_core import neighbours
from components.synthesizer_trainer.core.panel import Panel

NO_GAPS = np.zeros((0, 2), np.int64)


def _variable(codes: np.ndarray) -> chains.Variable:
    return chains.Variable(0, "level", np.arange(codes.max() + 1.0), codes.astype(np.int32))


def test_rare_states_merge_with_the_nearest_frequent_one() -> None:
    codes = np.array([[0, 0, 0]] * 10 + [[1, 1, 1]] * 5 + [[1, 1, 0]])
    states, index = chains.joint_states(codes, min_count=3, limit=8)
    assert states.tolist() == [[0, 0, 0], [1, 1, 1]]
    assert index[-1] == 1  # one flag away from (1, 1, 1), two from (0, 0, 0)


def test_of_equally_near_states_the_one_with_the_nearest_number_is_taken() -> None:
    codes = np.array([[0, 0]] * 10 + [[7, 0]] * 5 + [[9, 0]])
    for ordered, wanted in (((), 0), ((0,), 7)):
        states, index = chains.joint_states(codes, 3, 8, ordered)
        assert states[index[-1]].tolist() == [wanted, 0]
    # A flag that differs is farther than any number.
    codes = np.array([[9, 1]] * 10 + [[0, 0]] * 5 + [[9, 0]])
    states, index = chains.joint_states(np.c_[codes, codes[:, 1]], 3, 8, (0,))
    assert states[index[-1]].tolist() == [0, 0, 0]


def test_a_single_state_is_left_when_all_are_rare() -> None:
    states, index = chains.joint_states(np.arange(4)[:, None], min_count=3, limit=8)
    assert len(states) == 1 and (index == 0).all()


def test_cramers_v_of_equal_independent_and_constant_codes() -> None:
    generator = np.random.default_rng(0)
    a, b = generator.integers(0, 2, 4000), generator.integers(0, 2, 4000)
    assert chains.cramers_v(a, a) == pytest.approx(1.0)
    assert chains.cramers_v(a, b) < 0.05
    assert chains.cramers_v(a, np.zeros_like(a)) == 0.0


def test_flags_that_fire_together_share_a_chain() -> None:
    generator = np.random.default_rng(1)
    pulse = (generator.random(3000) < 0.05).astype(int)
    alone = (generator.random(3000) < 0.05).astype(int)
    groups = chains.group_variables([_variable(pulse), _variable(alone), _variable(pulse)], 8, 3)
    assert groups == [(0, 2), (1,)]


def test_a_group_keeps_below_the_limit_of_states() -> None:
    codes = np.random.default_rng(2).integers(0, 5, 3000)
    groups = chains.group_variables([_variable(codes), _variable((codes + 1) % 5)], 4, 3)
    assert groups == [(0,), (1,)]


def test_dwell_restarts_with_the_state_and_is_a_lower_bound_before_a_segments_first_change() -> None:
    codes = np.array([0, 0, 0, 1, 1, 1, 1, 0])
    segment = np.array([0, 0, 0, 0, 0, 1, 1, 1])
    # Bins 0, 1, 2 stand for 1, 2, 3 rows, and ~b for b or more.
    found = transitions.dwell_bins(codes, segment)
    assert found.tolist() == [~0, ~1, ~2, 0, 1, ~0, ~1, 0]
    assert transitions.at_least(found).tolist() == [0, 1, 2, 0, 1, 0, 1, 0]


def test_a_run_that_a_gap_cuts_off_does_not_end_young() -> None:
    # Runs of 30 rows, seen in stretches of 47: every stretch begins somewhere inside a run.
    rows = np.arange(36_000)
    codes, segment = (rows // 30) % 2, rows // 47
    pairs = np.flatnonzero(segment[1:] == segment[:-1]) + 1
    before, after = codes[pairs - 1], codes[pairs]
    ages = transitions.dwell_bins(codes, segment)[pairs - 1]
    width = len(transitions.DWELL_EDGES)
    table = transitions.transition_probabilities(
        [ages], [width], before, after, 2, transitions.Smoothing(dwell=(0,))
    )
    young = transitions.DWELL_EDGES < 28
    assert table[young, 0, 1].max() < 0.01
    last = np.searchsorted(transitions.DWELL_EDGES, 30, side="right") - 1
    assert table[last, 0, 1] > 0.4  # a bin of two rows, of which every run ends in the second
    taken = transitions.at_least(ages)
    naive = transitions.transition_probabilities(
        [taken], [width], before, after, 2, transitions.Smoothing(dwell=(0,))
    )
    assert naive[young, 0, 1].max() > 0.015


def test_rows_that_do_not_know_an_age_gain_nothing_by_it() -> None:
    codes = np.arange(2000) // 10 % 2
    before, after = codes[:-1], codes[1:]
    unknown = np.full(len(before), ~3)
    plain = transitions.held_out([], [], before, after, 2)
    assert transitions.held_out(
        [unknown], [8], before, after, 2, transitions.Smoothing(dwell=(0,))
    ) == pytest.approx(plain)


def test_transition_probabilities_are_shrunk_counts() -> None:
    before = np.array([0] * 90 + [1] * 10)
    after = np.array([0] * 80 + [1] * 10 + [0] * 10)
    table = transitions.transition_probabilities([], [], before, after, 2)
    # The prior is a tenth of a row: 80 of 90 and 10 of 10 within 0.2 %.
    assert table[0, 0, 0] == pytest.approx(80 / 90, abs=2e-3)
    assert table[0, 1, 0] == pytest.approx(1.0, abs=1e-2)
    assert table.sum(-1) == pytest.approx(1.0)


def _thermostat(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    level = generator.integers(0, 4, rows)
    state = (level >= 2).astype(int)
    return state, level


def test_the_covariate_that_drives_a_chain_is_chosen() -> None:
    state, level = _thermostat(3000, 3)
    noise = np.random.default_rng(4).integers(0, 4, 3000)
    chain = chain_fit.fit_chain(
        (0,),
        np.array([[0], [1]]),
        state,
        {0: (noise, 4), 1: (level, 4)},
        np.arange(1, 3000),
        np.zeros(3000, int),
        0,
        np.zeros(3000, int),
        NO_GAPS,
    )
    assert chain.covariates[0] == 1
    # P(next = 0) by level, whatever the state was: 1 below 2, 0 from 2 on.
    first = chain.cumulative[0, :, 0, 0].reshape(4, -1).mean(1)
    assert first[:2].min() > 0.98 and first[2:].max() < 0.02


def test_a_kind_with_its_own_transitions_gets_its_own_block() -> None:
    generator = np.random.default_rng(5)
    state = (generator.random(4000) < 0.1).astype(int)
    kind = np.zeros(4000, int)
    kind[1000:1100], state[1000:1100] = 1, 1
    kind[2000:2100] = 2  # like normal
    chain = chain_fit.fit_chain(
        (0,), np.array([[0], [1]]), state, {}, np.arange(1, 4000), kind, 2, 0 * kind, NO_GAPS
    )
    assert chain.block.tolist() == [0, 1, 0]
    stays = 1 - chain.cumulative[1, 0, 1, 0]
    # 99 of 99 steps stay, shrunk by one row towards 0.1: (99 + 0.1) / 100 = 0.991.
    assert stays == pytest.approx(0.991, abs=0.002)


def test_a_state_that_outlasts_all_seen_ends_as_the_longest_did() -> None:
    # State 0 stays in dwell bins 0 and 1 and leaves in bin 2; bins 3 and 4 were never reached.
    dwell, before = np.tile([0, 1, 2], 100), np.zeros(300, int)
    after = np.tile([0, 0, 1], 100)
    table = transitions.transition_probabilities(
        [dwell], [5], before, after, 2, transitions.Smoothing(dwell=(0,))
    )
    assert table[1, 0, 1] < 0.05 and table[2, 0, 1] > 0.95
    assert table[3, 0, 1] == table[4, 0, 1] == table[2, 0, 1]
    assert transitions.transition_probabilities([dwell], [5], before, after, 2)[4, 0, 1] < 0.5


def test_a_state_whose_only_run_was_cut_off_does_not_absorb() -> None:
    # 1,000 rows of state 0, then one run of 38 rows of state 1 that a gap cuts off: no exit is seen.
    before = np.concatenate([np.zeros(1000, int), np.ones(37, int)])
    after = np.concatenate([np.zeros(999, int), np.ones(38, int)])
    table = transitions.transition_probabilities([], [], before, after, 2)[0]
    assert table[1, 0] > 1 / 60
    # Entered about once in 1,000 rows and left after about 38: its share is a few per cent, as seen.
    share = table[0, 1] / (table[0, 1] + table[1, 0])
    assert share < 0.15


def test_states_that_lead_to_one_another_alone_do_not_absorb() -> None:
    """A mode of two states that was entered once and was there when the rows ended."""
    early, late = np.tile([0, 1], 300), np.tile([2, 3], 100)
    codes = np.concatenate([early, late])
    table = transitions.transition_probabilities([], [], codes[:-1], codes[1:], 4)[0]
    assert table[1, 2] > 1 / 400  # seen once in 300 rows
    # Nobody saw it end: as if it had ended beside its last step, where it was entered from.
    assert table[2, 1] > 1 / 200 and table[3, :2].max() < 1e-3
    # Two devices, each in its own mode for good.
    before, after = np.concatenate([early[:-1], late[:-1]]), np.concatenate([early[1:], late[1:]])
    apart = transitions.transition_probabilities([], [], before, after, 4)[0]
    assert apart[:2, 2:].max() < 1e-3 and apart[2:, :2].max() < 1e-3


def test_a_state_of_a_single_last_row_ends_where_it_came_from() -> None:
    before, after = np.array([0, 1] * 50), np.array([1, 0] * 49 + [1, 2])
    table = transitions.transition_probabilities([], [], before, after, 3)[0]
    assert table[2, 1] > 0.8


def _modes(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Codes of a chain that is in states 0 and 1, then for 40 anomalous rows in 4, then in 2 and 3; kinds."""
    flicker = (generator.random(1040) < 0.3).astype(np.int32)
    codes = np.where(np.arange(1040) < 600, flicker, 2 + flicker).astype(np.int32)
    kind = np.zeros(1040, np.int32)
    kind[600:640], codes[600:640] = 1, 4
    return codes, kind


def _panel(codes: np.ndarray, kind: np.ndarray, segment: np.ndarray) -> Panel:
    return Panel(
        time_us=np.arange(len(codes)) * 60_000_000,
        series=np.zeros(len(codes), np.int32),
        segment=segment.astype(np.int32),
        values=codes[:, None].astype(float),
        kind=kind,
        kinds=("reset",),
        vocabularies={},
        n_series=1,
    )


def _fitted(panel: Panel) -> np.ndarray:
    """Normal transitions of one variable's chain. Shape [states, states]."""
    variable, pairs = _variable(panel.values[:, 0]), neighbours(panel.segment)
    nothing, levels = Calendar((), (), 0.0, ()), np.zeros((len(panel), 0), np.int64)
    (chain,) = fit_chains(panel, [variable], [(0,)], {}, [], nothing, levels, pairs, 16, 3)
    table = np.diff(chain.cumulative[0], axis=-1, prepend=0.0).mean(0)
    order = np.argsort(chain.states[:, 0])
    return table[np.ix_(order, order)]


def test_a_mode_that_changes_while_nobody_sees_it_changes_in_a_release() -> None:
    codes, kind = _modes(np.random.default_rng(3))
    table = _fitted(_panel(codes, kind, np.zeros(1040)))
    assert table[codes[599], 2:4].sum() > 1 / 700
    assert table[2:4, :2].sum(1).max() > 1 / 500  # nor did anybody see how the second mode ends
    # In a gap as well; and where rows are of two devices, each keeps its mode.
    seen = np.delete(np.arange(1040), np.s_[600:640])
    gap = _panel(codes[seen], kind[seen], np.repeat([0, 1], [600, 400]))
    assert _fitted(gap)[codes[599], 2:4].sum() > 1 / 700
    two = replace(gap, series=gap.segment, n_series=2)
    assert _fitted(two)[:2, 2:4].max() < 1e-3


def test_after_an_anomaly_a_chain_is_where_it_was_seen_to_be() -> None:
    """State 4 is the anomaly's alone: no normal row tells when it ends."""
    codes, kind = _modes(np.random.default_rng(4))
    table = _fitted(_panel(codes, kind, np.zeros(1040)))
    assert table[4, codes[640]] > 0.45 and table[4, 4] < 0.55


def test_a_chain_is_led_out_of_an_anomaly_once_however_long_it_lasts() -> None:
    table = np.full((2, 3, 3), 1 / 3)
    codes = np.array([0, 2, 2, 0, 0, 2, 1, 2])
    kind = np.array([0, 1, 1, 0, 0, 1, 0, 1])
    found = transitions.aftermath(table, codes, kind, np.zeros(8, int))
    # Over twice, once to 0 and once to 1; how it ended the third time was not seen. One row of the prior.
    assert found[:, 2] == pytest.approx(np.array([[4 / 3, 4 / 3, 1 / 3]] * 2) / 3)
    assert (found[:, :2] == table[:, :2]).all()
    # The first time, the next row is another device's.
    apart = transitions.aftermath(table, codes, kind, np.array([0, 0, 0, 1, 1, 1, 1, 1]))
    assert apart[0, 2] == pytest.approx(np.array([1 / 3, 4 / 3, 1 / 3]) / 2)


def test_a_first_row_after_a_gap_holds_nothing_and_may_lack_its_value() -> None:
    gaps = np.array([[4, 5], [6, 8]])
    known = np.ones((10, 1), bool)
    segment = np.repeat([0, 1], 5)
    hold, level = (chains.Variable(0, role, np.arange(2.0), np.zeros(10, int)) for role in ("hold", "level"))
    assert tells_state(gaps, [hold], known, segment).tolist() == [False, True]
    assert tells_state(gaps, [level], known, segment).tolist() == [True, True]
    known[8] = False
    assert tells_state(gaps, [level], known, segment).tolist() == [True, False]


def test_a_jump_is_between_states_that_do_not_come_and_go() -> None:
    """Once in either direction: all that the gaps hide counts, whichever direction was seen."""
    codes = np.repeat([0, 1, 0, 1], 100)
    pairs = np.setdiff1d(np.arange(1, 400), [100, 200, 300])
    gaps = np.array([[99, 100], [199, 200], [299, 300]])
    assert transitions.unseen_jumps(codes, pairs, gaps, 2).tolist() == gaps.tolist()
    seen = np.sort(np.r_[pairs, 100])
    assert transitions.unseen_jumps(codes, seen, gaps[1:], 2).tolist() == gaps[1:].tolist()
    both = np.sort(np.r_[pairs, 100, 200])
    assert transitions.unseen_jumps(codes, both, gaps[2:], 2).shape == (0, 2)
    assert transitions.unseen_jumps(codes, pairs, gaps[:0], 2).shape == (0, 2)


def test_a_jump_has_the_age_and_levels_of_the_row_before_the_gap() -> None:
    generator = np.random.default_rng(7)
    told = np.repeat(generator.integers(0, 2, 100), 10)  # of every row: the level of the row before
    codes = (generator.random(1000) < np.where(told, 0.9, 0.1)).astype(np.int32)
    codes[500:] += 2
    told[500], told[503] = 1, 0
    pairs = np.setdiff1d(np.arange(1, 1000), np.arange(500, 504))
    states = np.arange(4)[:, None]
    chain = chain_fit.fit_chain(
        (0,), states, codes, {0: (told, 2)}, pairs, 0 * codes, 0, 0 * codes, np.array([[499, 503]])
    )
    assert chain.covariates == (0,)
    across = np.diff(chain.cumulative[0], axis=-1, prepend=0.0)[:, codes[499], 2:].sum(1)
    assert across[1] > 3 * across[0]


def test_gaps_are_those_of_one_series() -> None:
    kind = np.zeros(12, np.int32)
    kind[2:4] = 1
    one = _panel(np.zeros(12, np.int32), kind, np.array([0, 0, 0, 0, 0, 1, 2, 2, 2, 3, 3, 3]))
    panel = replace(one, series=np.repeat([0, 1], 6).astype(np.int32), n_series=2)
    assert normal_gaps(panel).tolist() == [[1, 4], [4, 5], [8, 9]]


def test_a_state_that_was_never_entered_may_last() -> None:
    # Two devices, each in its own state for good: an attribute, not an episode.
    before = np.repeat([0, 1], 500)
    table = transitions.transition_probabilities([], [], before, before, 2)[0]
    assert table[1, 0] < 0.001


def test_a_state_that_is_late_goes_where_the_phase_is() -> None:
    # By the clock: state 0 in phases 0 and 1, state 1 in phases 2 and 3; ten rows of each, twenty rounds.
    phase = np.tile(np.repeat([0, 1, 2, 3], 10), 20)
    state = (phase >= 2).astype(int)
    before, after, bins = state[:-1], state[1:], [phase[1:]]
    table = transitions.transition_probabilities(
        bins, [4], before, after, 2, transitions.Smoothing(clocks=(0,))
    )
    # State 0 was never seen before a row of phase 3, nor state 1 before one of phase 1.
    assert table[3, 0, 1] > 0.95 and table[1, 1, 0] > 0.95
    assert transitions.transition_probabilities(bins, [4], before, after, 2)[3, 0, 1] < 0.5
    # What was seen at a phase is what it was.
    assert table[2, 1, 1] > 0.99 and table[1, 0, 0] > 0.99


def test_a_rare_state_is_not_late_at_the_phases_at_which_it_was_never_seen() -> None:
    phase = np.tile(np.repeat([0, 1, 2, 3], 10), 20)
    state = (phase >= 2).astype(int)
    state[105:112] = 2
    table = transitions.transition_probabilities(
        [phase[1:]], [4], state[:-1], state[1:], 3, transitions.Smoothing(clocks=(0,))
    )
    seen = phase[105:113]
    never = next(place for place in range(4) if place not in seen)
    assert table[never, 2, 2] > 0.5


def test_a_count_forgets_what_it_was() -> None:
    rng = np.random.default_rng(24)
    level, phase = rng.integers(0, 20, 6000), np.arange(6000) % 48
    rate = 0.1 + 0.05 * level + 1.0 * (phase < 6)
    count = np.minimum(rng.poisson(rate), 4)
    states = np.arange(5)[:, None]
    noise = rng.integers(0, 20, 6000)
    candidates = {0: (phase, 48), 1: (level, 20), 2: (noise, 20)}
    chain = chain_fit.fit_chain(
        (0,), states, count, candidates, np.arange(1, 6000), 0 * count, 0, 0 * count, NO_GAPS, cycles=1
    )
    assert set(chain.covariates) == {0, 1}
    # Nothing depends on the state before.
    assert np.ptp(chain.cumulative[0], axis=1).max() < 1e-12
    zero = chain.cumulative[0, :, 0, 0].reshape([dict(candidates)[c][1] for c in chain.covariates])
    if chain.covariates[0] == 1:
        zero = zero.T
    wanted = np.exp(-(0.1 + 0.05 * np.arange(20)[None] + 1.0 * (np.arange(48)[:, None] < 6)))
    assert np.abs(zero - wanted).mean() < 0.06


def test_a_chain_that_lasts_does_not_forget() -> None:
    rng = np.random.default_rng(25)
    state = np.cumsum(rng.random(4000) < 0.05) % 3
    chain = chain_fit.fit_chain(
        (0,), np.arange(3)[:, None], state, {}, np.arange(1, 4000), 0 * state, 0, 0 * state, NO_GAPS
    )
    assert np.diff(np.concatenate([[0.0], chain.cumulative[0, 0, 1]]))[1] > 0.9


def test_a_covariate_that_few_rows_speak_of_is_weighed_patiently(monkeypatch) -> None:
    """A rest ends where the level is high. What the pulse's many states do, the level does not tell."""
    generator = np.random.default_rng(8)
    level, codes = generator.integers(0, 20, 5000), [0]
    for row in range(1, 5000):
        starts = generator.random() < (0.15 if level[row] == 19 else 0.01)
        goes_on = codes[-1] > 0 and generator.random() < 0.9
        codes.append(int(generator.integers(1, 9)) if goes_on or (codes[-1] == 0 and starts) else 0)
    states, kind = np.arange(9)[:, None], np.zeros(5000, int)

    def fitted() -> chains.Chain:
        return chain_fit.fit_chain(
            (0,), states, np.array(codes), {0: (level, 20)}, np.arange(1, 5000), kind, 0, 0 * kind, NO_GAPS
        )

    chain = fitted()
    assert chain.covariates == (0,)
    leaves = 1 - chain.cumulative[0, :, 0, 0]
    assert leaves[19] > 4 * leaves[:19].mean()
    monkeypatch.setattr(chain_fit, "PATIENT_PRIOR", transitions.PRIOR_ROWS)
    assert fitted().covariates == ()
