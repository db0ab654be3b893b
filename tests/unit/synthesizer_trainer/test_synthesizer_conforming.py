"""A long release is conformed to the model's margins and correlations; its steps and shape in time stay."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.special import ndtri
from scipy.stats import kstest

from components.synthesizer_trainer.core import conforming, innovations
from components.synthesizer_trainer.core.calendar import Calendar
from components.synthesizer_trainer.core.columns import GRID_LIMIT, GRID_SIZE, on_lattice
from components.synthesizer_trainer.core.dynamics import robust
from components.synthesizer_trainer.core.finishing import Finisher
from components.synthesizer_trainer.core.model import between_blocks
from components.synthesizer_trainer.core.panel import MICROSECONDS
from components.synthesizer_trainer.core.planning import Session

ROWS = 8000
GRID = np.linspace(-GRID_LIMIT, GRID_LIMIT, GRID_SIZE)


def _slow(seed: int, correlation: float) -> np.ndarray:
    """Two slow Gaussian series with white noise on top. Shape [ROWS, 2]."""
    rng = np.random.default_rng(seed)
    shock = rng.standard_normal((ROWS + 3000, 2))
    shock[:, 1] = correlation * shock[:, 0] + np.sqrt(1 - correlation**2) * shock[:, 1]
    slow = lfilter([0.1], [1, -0.995], shock, axis=0)[3000:]
    return 0.9 * slow + 0.3 * rng.standard_normal((ROWS, 2))


def _slow_part(scores: np.ndarray) -> np.ndarray:
    rows = np.arange(len(scores))
    return conforming.at_rows(conforming.block_means(scores[None]), np.zeros_like(rows), rows)


def _conformed(made: np.ndarray, targets: conforming.Targets, weights: np.ndarray) -> np.ndarray:
    slow = _slow_part(made)
    table = conforming.identity(made.shape[1])
    matrix, offset, moved = conforming.fit_maps(
        made,
        slow,
        targets,
        table,
        weights,
        np.zeros(made.shape[1], bool),
    )
    shifted = made + slow @ matrix + offset
    return np.stack([np.interp(at, GRID, own) for own, at in zip(moved, shifted.T)], axis=1)


def _whole_day(scores: np.ndarray, series: np.ndarray, styles: int) -> conforming.Targets:
    """Targets that are the same for all parts of the day; scores are the values."""
    table = conforming.identity(scores.shape[1])
    return conforming.fit_targets(scores, table, series, styles, np.zeros(len(scores), int), 1)


def test_a_conformed_release_has_the_wanted_margins_and_correlation() -> None:
    real, made = _slow(0, 0.6), _slow(1, 0.1)
    targets = _whole_day(real, np.zeros(ROWS, int), 1)
    found = _conformed(made, targets, np.ones(1))
    wanted = np.corrcoef(np.clip(real, -5, 5).T)[0, 1]
    assert abs(np.corrcoef(made.T)[0, 1] - wanted) > 0.1
    assert np.corrcoef(found.T)[0, 1] == pytest.approx(wanted, abs=0.03)
    share = np.arange(1, 20) / 20
    assert np.abs(np.quantile(found, share, axis=0) - np.quantile(real, share, axis=0)).max() < 0.1


def test_a_series_that_is_left_alone_is_followed_too() -> None:
    real, made = _slow(0, 0.7), _slow(1, 0.0)
    targets = _whole_day(real, np.zeros(ROWS, int), 1)
    slow, alone = _slow_part(made), np.array([False, True])
    matrix, offset, _ = conforming.fit_maps(
        made,
        slow,
        targets,
        conforming.identity(2),
        np.ones(1),
        alone,
    )
    assert not matrix[:, 1].any()
    moved = (made + slow @ matrix + offset)[:, 0]
    assert np.corrcoef(moved, made[:, 1])[0, 1] == pytest.approx(np.corrcoef(real.T)[0, 1], abs=0.05)


def test_the_noise_of_one_feature_does_not_get_into_the_steps_of_another() -> None:
    real, made = _slow(0, 0.6), _slow(1, 0.1)
    smooth = _slow_part(made)
    made[:, 0] = smooth[:, 0]
    targets = _whole_day(real, np.zeros(ROWS, int), 1)
    found = _conformed(made, targets, np.ones(1))
    # Feature 1 is noisy, feature 0 is not, before and after.
    assert np.abs(np.diff(found[:, 0])).mean() < 0.1 * np.abs(np.diff(found[:, 1])).mean()


def test_a_release_of_some_series_gets_the_margins_of_these() -> None:
    scores = np.concatenate([_slow(0, 0.3) - 1.5, _slow(1, 0.3) + 1.5])
    series = np.repeat([0, 1], ROWS)
    targets = _whole_day(scores, series, 2)
    first = conforming.Targets(targets.quantiles[:1], targets.means[:1], targets.products[:1])
    alone = _conformed(_slow(2, 0.3), first, np.ones(1))
    both = _conformed(_slow(2, 0.3), targets, np.array([0.5, 0.5]))
    assert alone.mean(0) == pytest.approx(scores[:ROWS].mean(0), abs=0.05)
    assert both.mean(0) == pytest.approx(scores.mean(0), abs=0.1) and both.std() > alone.std() + 0.5


def test_a_series_of_few_rows_has_no_margin_of_its_own() -> None:
    scores = _slow(3, 0.3)
    series = np.r_[np.zeros(ROWS - 100, int), np.ones(100, int)]
    targets = _whole_day(scores, series, 2)
    everything = _whole_day(scores, np.zeros(ROWS, int), 1)
    assert targets.quantiles[1] == pytest.approx(everything.quantiles[0])
    assert targets.products[1] == pytest.approx(everything.products[0])


def test_a_release_looks_like_the_rows_of_its_own_hours() -> None:
    """Nights are lower, and two thirds of their rows were held out."""
    rng = np.random.default_rng(6)
    part = np.tile(np.repeat(np.arange(8), 100), 10)
    scores = rng.standard_normal((len(part), 1)) - 2.0 * (part >= 4)[:, None]
    seen = (part < 4) | (rng.random(len(part)) < 1 / 3)
    series, table = np.zeros(int(seen.sum()), int), conforming.identity(1)
    targets = conforming.fit_targets(scores[seen], table, series, 1, part[seen], 8)
    assert targets.quantiles.shape == (8, 1, conforming.POINTS) and targets.means.shape == (8, 1)
    shares = np.bincount(part) / len(part)
    made = np.concatenate([rng.standard_normal((4000, 1)), rng.standard_normal((4000, 1)) - 2.0])
    share = np.arange(1, 20) / 20
    wanted = np.quantile(scores, share)
    found = np.quantile(_conformed(made, targets, shares), share)
    assert np.abs(found - wanted).max() < 0.12
    all_rows = _whole_day(scores[seen], series, 1)
    blind = np.quantile(_conformed(made, all_rows, np.ones(1)), share)
    assert np.abs(blind - wanted).max() > 0.3


def test_parts_of_few_rows_are_pooled_with_their_neighbours() -> None:
    enough = conforming.MIN_PART_ROWS
    assert conforming.pooled(np.array([enough, enough, enough])).tolist() == [0, 1, 2]
    assert conforming.pooled(np.array([0, enough, 1, enough - 1, enough, 3])).tolist() == [0, 0, 1, 1, 2, 2]
    assert conforming.pooled(np.full(8, 10)).tolist() == [0] * 8
    part = np.array([0] * 300 + [1] * 5 + [2] * 300)
    scores = np.random.default_rng(8).standard_normal((len(part), 1))
    targets = conforming.fit_targets(scores, conforming.identity(1), np.zeros(len(part), int), 1, part, 4)
    assert len(targets.quantiles) == 4
    assert (targets.quantiles[1] == targets.quantiles[2]).all()  # with those after them
    assert (targets.quantiles[3] == targets.quantiles[2]).all()  # no row is there
    weights = np.array([300, 0, 305, 0]) / 605
    assert weights @ targets.means[:, 0] == pytest.approx(0, abs=1e-9)  # all pools together are all rows


def test_a_session_asks_for_the_targets_of_its_style_and_hours() -> None:
    finisher = Finisher()
    finisher.store, finisher.interval_s = {"styles": np.zeros((2, 1, 3))}, 3600.0
    finisher.calendar = Calendar((86_400.0,), (1,), 0.0, ())
    rows = np.arange(6)
    sessions = [Session(number, number * 3600 * MICROSECONDS, rows, rows) for number in (1, 2)]
    found = finisher._target_shares(sessions, [rows, rows[:0]])
    # Session 1 is of style 1, from 1 to 7 o'clock; parts are three hours long.
    assert (found * 6).tolist() == pytest.approx([0] * 8 + [2, 3, 1] + [0] * 5)
    finisher.calendar = Calendar((7_200.0,), (1,), 0.0, ())  # no day: one target a style
    assert finisher._target_shares(sessions, [rows, rows[:3]]).tolist() == pytest.approx([1 / 3, 2 / 3])


def test_a_value_that_is_held_for_long_goes_to_the_middle_of_its_rows() -> None:
    rng = np.random.default_rng(5)
    targets = _whole_day(rng.standard_normal((ROWS, 1)), np.zeros(ROWS, int), 1)
    made = rng.standard_normal((ROWS, 1))
    made[: ROWS // 4] = 0.4
    table, slow = conforming.identity(1), np.zeros((ROWS, 1))
    moved = conforming.fit_maps(made, slow, targets, table, np.ones(1), np.ones(1, bool))[2]
    # A quarter of the rows shares one value: half of that above and half below is the best there is.
    found = np.interp(made[:, 0], GRID, moved[0])
    assert kstest(found, "norm").statistic == pytest.approx(0.125, abs=0.02)


def test_no_quantile_of_a_target_is_a_rows_value() -> None:
    scores = np.random.default_rng(4).standard_normal((1000, 1))
    targets = _whole_day(scores, np.zeros(1000, int), 1)
    assert not np.isin(targets.quantiles, scores).any()
    share = (np.arange(conforming.POINTS) + 0.5) / conforming.POINTS
    assert targets.quantiles[0, 0, 2:-2] == pytest.approx(ndtri(share)[2:-2], abs=0.25)


def test_a_slow_part_is_straight_where_the_series_is() -> None:
    line = np.arange(490.0)[:, None]
    found = _slow_part(line)
    half = conforming.BLOCK // 2
    inside = slice(half, len(line) // conforming.BLOCK * conforming.BLOCK - half)
    assert found[inside, 0] == pytest.approx(line[inside, 0])
    assert _slow_part(np.ones((5, 3))) == pytest.approx(np.ones((5, 3)))


def test_a_jump_that_comes_from_the_top_alone_is_drawn_there_alone() -> None:
    rng = np.random.default_rng(6)
    levels = rng.integers(0, 10, (8000, 1))
    residual = 0.1 * rng.standard_normal((8000, 1))
    residual[(levels == 9) & (rng.random((8000, 1)) < 0.2)] -= 5
    warp = innovations.fit_innovations(residual)[1]
    _, found = innovations.fit_level_warps(residual, levels, 10, warp)
    weight = np.exp(-0.5 * np.linspace(-4, 4, innovations.WARP_SIZE) ** 2)
    far = [(weight * (own < -2)).sum() / weight.sum() for own in found[0]]
    assert far[9] == pytest.approx(0.2, abs=0.05) and max(far[:8]) < 0.01
    assert not np.isin(found, residual).any()


def test_innovations_of_few_rows_have_one_shape() -> None:
    residual = np.random.default_rng(7).standard_normal((500, 1))
    warp = innovations.fit_innovations(residual)[1]
    _, found = innovations.fit_level_warps(residual, np.zeros((500, 1), int), 4, warp)
    assert (found[0] == warp[0]).all()


def test_correlated_innovations_stay_correlated_given_the_level() -> None:
    rng = np.random.default_rng(8)
    residual = rng.standard_normal((6000, 2)) @ np.linalg.cholesky(np.array([[1, 0.7], [0.7, 1]])).T
    levels = rng.integers(0, 5, (6000, 2))
    factor, _ = innovations.fit_level_warps(residual, levels, 5, innovations.fit_innovations(residual)[1])
    assert (factor @ factor.T)[0, 1] == pytest.approx(0.7, abs=0.03)


def test_a_ramp_is_not_bent_by_the_moments_at_which_it_falls() -> None:
    rng = np.random.default_rng(9)
    drive = np.abs(rng.standard_normal(5000))
    target = 0.1 * drive + 0.01 * rng.standard_normal(5000)
    # It falls far, and more often where the drive is strong.
    target[(rng.random(5000) < 0.02) & (drive > 0.8)] -= 30
    design = np.stack([drive, np.ones(5000)], axis=1)
    plain = np.linalg.lstsq(design, target, rcond=None)[0]
    solved = robust(design, target, plain, np.full(2, 1e-6))
    assert abs(plain[0] - 0.1) > 0.1 and solved[0] == pytest.approx(0.1, abs=0.01)


def test_a_residual_without_jumps_is_fitted_by_least_squares() -> None:
    rng = np.random.default_rng(10)
    design = rng.standard_normal((500, 2))
    target = design @ [1.0, 2.0] + rng.standard_normal(500)
    plain = np.linalg.lstsq(design, target, rcond=None)[0]
    assert robust(design, target, plain, np.full(2, 1e-6)) is plain


def test_a_lattice_is_met_to_the_last_place_of_float32() -> None:
    source = np.round(np.arange(0, 1.0005, 0.001), 3).astype(np.float32)
    blurred = source.astype(np.float64) + np.random.default_rng(11).uniform(-1, 1, len(source)) * 4e-4
    found = on_lattice(blurred, float(source[332]), 0.0010000000474974513)
    assert (found.astype(np.float32) == source).all()


def test_quantiles_off_the_grid_are_those_of_the_scores() -> None:
    scores = np.concatenate([_slow(12, 0.3), np.full((400, 2), 0.75)]).astype(np.float32)
    wanted = conforming._quantiles(np.clip(scores, -GRID_LIMIT, GRID_LIMIT))
    assert conforming._cell_quantiles(conforming._cells(scores)) == pytest.approx(wanted, abs=0.003)


def test_the_graph_draws_the_same_lines_between_blocks_as_the_fit() -> None:
    means = np.random.default_rng(13).standard_normal((2, 3, 4)).astype(np.float32)
    rows = np.tile(np.arange(3 * conforming.BLOCK), 2)
    wanted = conforming.at_rows(means, np.repeat([0, 1], 3 * conforming.BLOCK), rows)
    found = between_blocks(means).numpy()
    assert found.reshape(wanted.shape) == pytest.approx(wanted, abs=1e-6)
