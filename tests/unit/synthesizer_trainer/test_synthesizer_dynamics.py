"""Calendar and recurrence recover what simulated processes were made of."""

from __future__ import annotations

import numpy as np
import pytest

from components.synthesizer_trainer.core import calendar, dynamics, innovations, local_tables
from components.synthesizer_trainer.core.panel import MICROSECONDS, Panel


def _panel(rows: int, interval_s: float) -> Panel:
    zero = np.zeros(rows, np.int32)
    time_us = (np.arange(rows) * interval_s * MICROSECONDS).astype(np.int64)
    return Panel(time_us, zero, zero, np.zeros((rows, 1)), zero, (), {}, 1)


def _fit(
    y: np.ndarray, segment: np.ndarray | None = None, memory_steps: tuple[float, ...] = ()
) -> dynamics.Dynamics:
    rows = len(y)
    segment = np.zeros(rows, int) if segment is None else segment
    return dynamics.fit_dynamics(
        y,
        np.ones(y.shape, bool),
        np.zeros((rows, 0)),
        segment,
        np.ones(rows, bool),
        1,
        memory_steps,
        1e-6,
        np.zeros(y.shape, int),
        1,
        np.zeros((rows, 0), int),
        (),
        rows,
    )[0]


def test_var_coefficients_are_recovered() -> None:
    generator = np.random.default_rng(0)
    truth = np.array([[0.7, 0.2], [0.0, 0.5]])
    y = np.zeros((20_000, 2))
    shock = generator.normal(size=y.shape) @ np.linalg.cholesky(np.array([[1, 0.6], [0.6, 1]])).T
    for t in range(1, len(y)):
        y[t] = truth @ y[t - 1] + shock[t]
    fitted = _fit(y)
    # Standard errors are below 0.01 at 20,000 rows.
    assert np.abs(fitted.lags[0] - truth).max() < 0.03
    assert (fitted.factor @ fitted.factor.T)[0, 1] == pytest.approx(0.6, abs=0.03)


def test_an_explosive_fit_is_made_stable() -> None:
    lags, memory = innovations.stabilise(
        np.array([[[1.05]]]), np.zeros((0, 1, 1)), np.zeros(0), innovations.MAX_RADIUS
    )
    radius = np.abs(np.linalg.eigvals(innovations.companion(lags, memory, np.zeros(0)))).max()
    assert radius <= innovations.MAX_RADIUS


def test_a_root_that_the_rows_cannot_tell_is_held_back() -> None:
    assert innovations.largest_radius(2_250) == pytest.approx(1 - 7 / 2_250)
    assert innovations.largest_radius(100_000) == innovations.MAX_RADIUS
    assert 0.5 < innovations.largest_radius(0) <= innovations.largest_radius(100)
    lags, memory, decay = np.full((1, 1, 1), 0.9), np.full((1, 1, 1), 0.1), np.array([0.95])
    for radius in (0.999, 0.99):
        slower = innovations.stabilise(lags, memory, decay, radius)
        found = np.abs(np.linalg.eigvals(innovations.companion(*slower, decay))).max()
        assert radius - 0.01 < found <= radius


def test_a_free_run_swings_no_farther_than_the_rows_did() -> None:
    """Fitted to 400 rows, a root near 1 comes out above or below by chance."""
    generator = np.random.default_rng(7)
    for _ in range(5):
        y = np.zeros((400, 1))
        shock = generator.normal(size=y.shape)
        for t in range(1, len(y)):
            y[t] = 0.995 * y[t - 1] + shock[t]
        y -= y.mean()
        fitted = _fit(y)
        root = float(fitted.lags[0, 0, 0])
        assert 0.9 < root <= 1 - 7 / 400
        assert 1 / np.sqrt(1 - root**2) < 2 * y.std()


def test_a_memory_that_the_rows_have_room_for_only_a_few_times_is_left_out() -> None:
    y = np.random.default_rng(9).normal(size=(1_000, 1))
    fitted = _fit(y, memory_steps=(5.0, 20.0, 80.0, 320.0))
    assert fitted.decay == pytest.approx([0.8, 0.95])  # 1,000 rows are 14 times 71
    assert len(_fit(np.tile(y, (5, 1)), memory_steps=(5.0, 320.0)).decay) == 2


def test_companion_runs_like_the_recurrence() -> None:
    lags, memory, decay = np.full((2, 1, 1), 0.3), np.full((1, 1, 1), 0.2), np.array([0.9])
    matrix = innovations.companion(lags, memory, decay)
    now, before, mean = 1.0, 0.5, 0.25
    new = 0.3 * now + 0.3 * before + 0.2 * mean
    state = matrix @ np.array([now, before, mean])
    assert state == pytest.approx([new, now, 0.9 * mean + 0.1 * new])


def test_memories_restart_at_a_segment() -> None:
    y = np.r_[np.ones(50), np.full(50, 3.0)][:, None]
    segment = np.repeat([0, 1], 50)
    memory = dynamics.memories(y, segment, np.array([0.9]))
    assert memory[49, 0, 0] == pytest.approx(1.0)
    assert memory[50, 0, 0] == pytest.approx(3.0)


def test_innovations_keep_their_tails_and_emit_no_single_residual() -> None:
    residual = np.random.default_rng(1).standard_t(4, (5000, 1))
    _, warp = innovations.fit_innovations(residual)
    weight = np.exp(-0.5 * np.linspace(-4, 4, innovations.WARP_SIZE) ** 2)
    variance = (weight * warp[0] ** 2).sum() / weight.sum()
    assert variance == pytest.approx(residual.var(), rel=0.05)
    assert not np.isin(warp[0], residual).any()


def test_local_tables_find_where_the_noise_is() -> None:
    generator = np.random.default_rng(2)
    level, phase = generator.integers(0, 2, 6000), generator.integers(0, 4, 6000)
    error = generator.normal(size=6000) * np.where(phase == 3, 3.0, 1.0) + np.where(level == 1, 2.0, 0.0)
    shift, spread = local_tables.fit_local(error, level, phase, 2, 4)
    assert shift[1].mean() - shift[0].mean() == pytest.approx(2.0, abs=0.15)
    assert spread[:, 3].mean() / spread[:, 0].mean() == pytest.approx(3.0, rel=0.15)


def test_the_phase_that_the_noise_follows_is_chosen() -> None:
    generator = np.random.default_rng(6)
    phases = np.stack([generator.integers(0, 4, 6000), generator.integers(0, 9, 6000)], axis=1)
    level = np.zeros(6000, int)
    for place in (0, 1):
        error = generator.normal(size=6000) * np.where(phases[:, place] == 2, 3.0, 1.0)
        assert local_tables.choose_phase(error, level, phases, 1, (4, 9)) == place
    assert local_tables.choose_phase(error, level, phases[:, :1], 1, (4,)) == 0


def test_an_orbit_is_found_and_noise_is_not() -> None:
    panel = _panel(4000, 60.0)
    generator = np.random.default_rng(3)
    orbit = np.sin(2 * np.pi * np.arange(4000) * 60 / 5580)
    signal = np.stack([orbit + generator.normal(size=4000), generator.normal(size=4000)], axis=1)
    found = calendar.fit_calendar(panel, signal, 60.0, 3)
    assert [p for p in found.periods_s if p != calendar.DAY_S] == [pytest.approx(5580, rel=5e-3)]
    assert calendar.fit_calendar(panel, signal[:, 1:], 60.0, 3).periods_s in ((), (calendar.DAY_S,))


def test_the_design_has_its_width_and_holds_beyond_the_trend() -> None:
    found = calendar.fit_calendar(_panel(6 * 1440, 60.0), np.zeros((6 * 1440, 0)), 60.0, 0)
    time_us = np.array([[5, 6, 60]]) * 86_400 * MICROSECONDS
    design = found.design(time_us)
    assert design.shape == (1, 3, found.width) and len(found.trend_s) == 3
    assert (design[0, 1, -1:] == design[0, 2, -1:]).all()


def test_ridge_passes_over_unknown_rows() -> None:
    design = np.stack([np.ones(100), np.arange(100)], axis=1)
    target = np.stack([2 + 3 * design[:, 1], 1 - design[:, 1], np.full(100, np.nan)], axis=1)
    target[::3, 0] = np.nan
    fitted = calendar.ridge(design, target, 1e-9)
    assert fitted == pytest.approx(np.array([[2, 3], [1, -1], [0, 0]]), abs=1e-3)


def test_one_extreme_residual_is_not_emitted_as_it_is() -> None:
    residual = np.random.default_rng(4).normal(size=(1000, 1))
    residual[0] = 100.0
    _, warp = innovations.fit_innovations(residual)
    # It is averaged with its four neighbours.
    assert np.abs(warp).max() < 60


def test_a_cycle_that_one_half_does_not_have_is_no_cycle() -> None:
    panel = _panel(2000, 60.0)
    wave = np.sin(2 * np.pi * np.arange(2000) / 90)[:, None]
    assert calendar._predicts(panel, wave, 5400.0)
    wave[1000:] = np.random.default_rng(5).normal(size=(1000, 1))
    assert not calendar._predicts(panel, wave, 5400.0)
    base = calendar.Calendar((), (), 0.0, ())
    assert calendar.find_periods(panel, wave, base, 60.0, 3) == []
