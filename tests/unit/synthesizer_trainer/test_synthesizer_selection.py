"""Choosing the set of draws that together is most like the model's own law."""

import numpy as np
import pytest

from components.synthesizer_trainer.core import selection
from components.synthesizer_trainer.core.fidelity import autocorrelation

FLAG = [selection.shown(np.array([[0], [1]]))]


@pytest.fixture(scope="module")
def drawn():
    """8 draws of 3 sessions of 400 rows: two slow scores and a mode that lasts for long."""
    generator = np.random.default_rng(0)
    shape = (8, 3, 400)
    scores = np.repeat(generator.standard_normal((8, 3, 40, 2)), 10, axis=2)
    states = np.repeat((generator.random((8, 3, 8)) < 0.2).astype(int), 50, axis=2)[..., None]
    assert states.shape[:3] == shape
    return scores, states


def total_variation(states, share):
    return abs(states.mean() - share)


def choose(drawn, counted, share=0.2, seed=1, correlation=None):
    """What is wanted in time is near what every draw has, and prefers none of them by much."""
    scores, states = drawn
    margin = np.full((2, selection.CELLS), 1 / selection.CELLS)
    shares = [np.array([1 - share, share])]
    wanted = np.eye(3) if correlation is None else correlation
    in_time = np.repeat([[0.9], [0.5], *[[0.0]] * 6], 3, axis=1)
    generator = np.random.default_rng(seed)
    return selection.choose(scores, states, counted, margin, shares, FLAG, wanted, in_time, generator)


def test_the_chosen_set_is_nearer_to_the_shares_than_nearly_all_single_draws(drawn):
    scores, states = drawn
    chosen = choose(drawn, np.ones((3, 400), bool))
    pooled = states[chosen, np.arange(3)]
    by_draw = [total_variation(states[k], 0.2) for k in range(8)]
    assert total_variation(pooled, 0.2) <= np.quantile(by_draw, 0.25)
    cells = selection.margins(scores[chosen, np.arange(3)].reshape(-1, 2))
    chance = [selection.margins(scores[k].reshape(-1, 2)) for k in range(8)]

    def distance(found):
        return np.abs(np.cumsum(found - 1 / selection.CELLS, axis=1)).max(1).sum()

    assert distance(cells) < np.median([distance(found) for found in chance])


def test_another_wish_chooses_another_set(drawn):
    counted = np.ones((3, 400), bool)
    few, many = choose(drawn, counted, 0.02), choose(drawn, counted, 0.6)
    states = drawn[1]
    assert states[few, np.arange(3)].mean() < states[many, np.arange(3)].mean()


def test_rows_that_are_not_emitted_do_not_count(drawn):
    scores, states = (part.copy() for part in drawn)
    counted = np.zeros((3, 400), bool)
    counted[:, :200] = True
    before = choose((scores, states), counted)
    scores[:, :, 200:], states[:, :, 200:] = 9.0, 1
    assert np.array_equal(before, choose((scores, states), counted))


def test_same_generator_same_choice(drawn):
    counted = np.ones((3, 400), bool)
    assert np.array_equal(choose(drawn, counted), choose(drawn, counted))


def test_the_correlation_that_is_wanted_is_what_is_chosen(drawn):
    counted = np.ones((3, 400), bool)
    found = []
    for wish in (-0.9, 0.9):
        matrix = np.eye(3)
        matrix[0, 1] = matrix[1, 0] = wish
        chosen = choose(drawn, counted, correlation=matrix)
        found.append(np.corrcoef(drawn[0][chosen, np.arange(3)].reshape(-1, 2).T)[0, 1])
    assert found[0] < found[1] - 0.1


def test_correlations_are_pearsons_of_scores_and_states():
    generator = np.random.default_rng(0)
    scores, states = generator.standard_normal((500, 2)), generator.integers(0, 2, (500, 1))
    scores[:, 1] += states[:, 0]
    expected = np.corrcoef(np.column_stack([scores, states]).T)
    assert np.allclose(selection.correlations(scores, states, FLAG), expected)
    constant = selection.correlations(scores, np.zeros((500, 1), int), FLAG)
    assert np.array_equal(constant[2], np.zeros(3))


def test_a_joint_state_shows_the_codes_of_its_variables():
    codes = np.array([[0, 0, 0], [0, 2, 1], [0, 1, 1]])
    # The first variable has one code: it shows nothing.
    assert selection.shown(codes).tolist() == [[0, 0, 0], [0, 1, 1], [1, 0, 1]]
    assert selection.shown(np.arange(selection.MAX_CODES + 2)[:, None]).shape[1] == 0


def test_a_number_shows_itself() -> None:
    codes = np.array([[0, 0], [1, 1], [30, 0], [40, 1]])
    scale = selection.scaled(np.arange(10.0, 91.0, 2.0), True)
    assert scale[[0, 20, 40]].tolist() == [0.0, 0.5, 1.0]
    found = selection.shown(codes, [scale, None])
    assert found == pytest.approx(np.array([[0, 0], [1 / 40, 1], [0.75, 0], [1, 1]]))
    assert selection.shown(codes[:1], [scale, None]).shape == (1, 0)  # of one state neither shows anything
    constant = selection.scaled(np.full(3, 5.0), True)
    assert constant is not None and constant.tolist() == [0.0, 0.0, 0.0]
    assert selection.scaled(np.array([0.0, 1.0]), False) is None


def test_autocorrelations_are_those_of_each_column():
    generator = np.random.default_rng(5)
    scores = np.cumsum(generator.standard_normal((400, 1)), axis=0) * 0.1
    states = np.repeat(generator.integers(0, 2, (40, 1)), 10, axis=0)
    segment = np.repeat([0, 1, 2], [150, 200, 50])
    found = selection.autocorrelations(scores, states, FLAG, np.ones(400, bool), segment)
    assert found.shape == (len(selection.LAGS), 2)
    for column, values in enumerate((scores[:, 0], states[:, 0].astype(float))):
        wanted = autocorrelation(values, segment, max(selection.LAGS))
        assert np.allclose(found[:, column], wanted[np.array(selection.LAGS) - 1])


def test_pairs_of_a_row_that_does_not_count_are_no_pairs():
    generator = np.random.default_rng(6)
    scores, states = generator.standard_normal((400, 1)), np.zeros((400, 1), int)
    counted = np.ones(400, bool)
    counted[200:210] = False
    before = selection.autocorrelations(scores, states, FLAG, counted, np.zeros(400, int))
    scores[200:210] = 99.0
    assert np.array_equal(
        before, selection.autocorrelations(scores, states, FLAG, counted, np.zeros(400, int))
    )
    few = selection.autocorrelations(scores[:60], states[:60], FLAG, counted[:60], np.zeros(60, int))
    assert (few[np.array(selection.LAGS) > 40] == 0).all() and few[0, 0] != 0
    assert (few[:, 1] == 0).all()  # a constant


def test_the_autocorrelation_that_is_wanted_is_what_is_chosen():
    """Eight draws, alike in all but how long a flag lasts."""
    rows = np.arange(1200)
    states = np.stack([(rows // length) % 2 for length in (2, 3, 5, 10, 20, 30, 60, 120)])[:, None, :, None]
    scores = np.zeros((8, 1, 1200, 0), np.float32)
    counted, margin = np.ones((1, 1200), bool), np.zeros((0, selection.CELLS))
    for wish in range(8):
        in_time = selection.autocorrelations(scores[0, 0], states[wish, 0], FLAG, counted[0], rows * 0)
        chosen = selection.choose(
            scores,
            states,
            counted,
            margin,
            [np.array([0.5, 0.5])],
            FLAG,
            np.eye(1),
            in_time,
            np.random.default_rng(0),
        )
        assert chosen == [wish]


def test_of_numbers_that_are_conformed_time_does_not_count():
    """The same rows in another order have the same shares and correlations, and other neighbours."""
    generator = np.random.default_rng(7)
    scores, states = generator.standard_normal((8, 1, 400, 1)), np.zeros((8, 1, 400, 0), int)
    scores[:, 0, :, 0] = np.sort(scores[:, 0, :, 0], axis=1) + 0.1 * np.arange(8)[:, None]
    order = generator.permutation(400)
    counted, margin = np.ones((1, 400), bool), np.full((1, selection.CELLS), 1 / selection.CELLS)

    def chosen(rows, in_time):
        fresh = np.random.default_rng(0)
        return selection.choose(rows, states, counted, margin, [], [], np.eye(1), in_time, fresh)[0]

    assert chosen(scores, None) == chosen(scores[:, :, order], None)
    # Of sorted draws and one in another order, time tells which is which.
    mixed = scores.copy()
    mixed[6] = mixed[6][:, order]
    rows = mixed[6, 0], states[6, 0], [], counted[0], np.zeros(400, int)
    assert chosen(mixed, selection.autocorrelations(*rows)) == 6 != chosen(mixed, None)


def test_margins_are_shares_of_equally_likely_cells():
    found = selection.margins(np.random.default_rng(0).standard_normal((40_000, 1)))
    assert found.shape == (1, selection.CELLS)
    assert found.sum() == pytest.approx(1)
    assert np.abs(found - 1 / selection.CELLS).max() < 0.005


@pytest.mark.parametrize(
    ("sessions", "rows", "expected"), [(3, 9000, 10), (32, 90_000, 1), (20, 90_000, 1), (3, 300, 1)]
)
def test_draws_fill_the_lanes_unless_the_release_is_short(sessions, rows, expected):
    assert selection.draws(sessions, rows, 32) == expected


def test_cells_are_found_as_a_search_finds_them():
    scores = np.random.default_rng(3).standard_normal((2, 500)).astype(np.float32)
    scores[0, : len(selection.EDGES)] = selection.EDGES
    wanted = np.searchsorted(selection.EDGES.astype(np.float32), scores)
    assert (selection._cell(scores) == wanted).all()


def test_a_set_is_chosen_where_nothing_has_a_correlation():
    """One variable of more codes than take part in the correlations, and no number."""
    size = selection.MAX_CODES + 2
    states = np.random.default_rng(4).integers(1, size, (8, 1, 200, 1))
    states[5] = np.arange(200)[:, None] % size
    shares = [np.bincount(states[5, 0, :, 0], minlength=size) / 200]
    columns = [selection.shown(np.arange(size)[:, None])]
    counted, generator = np.ones((1, 200), bool), np.random.default_rng(1)
    scores, margin = np.zeros((8, 1, 200, 0), np.float32), np.zeros((0, selection.CELLS))
    wanted = np.zeros((0, 0)), np.zeros((len(selection.LAGS), 0))
    assert selection.choose(scores, states, counted, margin, shares, columns, *wanted, generator) == [5]


def test_numbers_that_are_conformed_anyhow_need_few_draws():
    assert selection.draws(1, 9000, 32, conformed=True) == selection.CONFORMED_DRAWS
    assert selection.draws(1, 9000, 32) == 32
    assert selection.draws(20, 90_000, 32, conformed=True) == 1
