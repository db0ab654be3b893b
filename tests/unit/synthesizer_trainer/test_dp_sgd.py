"""DP-SGD on the critic: what one record moves, per-example gradients, Poisson sampling, noise."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from components.synthesizer_trainer.config import DpConfig
from components.synthesizer_trainer.core.dp import critic, sgd
from components.synthesizer_trainer.core.dp.budget import touched_windows, unit_windows
from components.synthesizer_trainer.core.dp.rows import Rows
from components.synthesizer_trainer.core.dp.slots import filled, windows
from tests.unit.synthesizer_trainer.dp_data import INTERVAL_S, STEP_US

SLOT, UNITS, FEATURES, CONDITION = 6, 4, 2, 3
CHANNELS = critic.width(FEATURES, CONDITION)
CLIP = 0.3
#: False alarms of the tests on draws and noise.
ALARM = 1e-7


def _rows(time_us: list[int], kind: list[int] | None = None, series: list[int] | None = None) -> Rows:
    count = len(time_us)
    values = np.arange(2.0 * count).reshape(count, 2)
    return Rows(
        np.array(time_us, np.int64),
        np.array(series or [0] * count),
        values,
        np.array(kind or [0] * count),
    )


def _without(rows: Rows, gone: np.ndarray) -> Rows:
    return Rows(rows.time_us[~gone], rows.series[~gone], rows.values[~gone], rows.kind[~gone])


def _set(rows: Rows, anchor_us: int = 0) -> set[bytes]:
    """Windows by content: times, values and series of their rows."""
    index = windows(rows, SLOT, INTERVAL_S, anchor_us)
    return {
        rows.series[own].tobytes() + rows.time_us[own].tobytes() + rows.values[own].tobytes() for own in index
    }


def _hostile(seed: int) -> Rows:
    """Three series with gaps, jitter, two rows in an interval, anomalies, and times before the anchor."""
    generator = np.random.default_rng(seed)
    times, series = [], []
    for number in range(3):
        place = np.repeat(np.arange(-20, 60), generator.choice([0, 1, 2], 80, p=[0.03, 0.92, 0.05]))
        jitter = generator.integers(-STEP_US // 2, STEP_US // 2, len(place))
        times.append(np.unique(place * STEP_US + jitter * generator.integers(0, 2, len(place))))
        series.append(np.full(len(times[-1]), number))
    time_us = np.concatenate(times)
    values = generator.normal(size=(len(time_us), 2))
    return Rows(time_us, np.concatenate(series), values, (generator.random(len(time_us)) < 0.01).astype(int))


def test_windows_stand_on_the_public_clock() -> None:
    times = [i * STEP_US for i in range(3, 21)]
    assert windows(_rows(times), SLOT, INTERVAL_S, 0).tolist() == [[*range(3, 9)], [*range(9, 15)]]
    assert windows(_rows(times), SLOT, INTERVAL_S, 3 * STEP_US).shape == (3, SLOT)
    # Another series, an anomaly or a gap ends no other window.
    kind = [0] * 18
    kind[4] = 1
    assert windows(_rows(times, kind), SLOT, INTERVAL_S, 0).tolist() == [[*range(9, 15)]]
    assert windows(_rows(times, series=[0] * 9 + [1] * 9), SLOT, INTERVAL_S, 0).tolist() == [
        [*range(3, 9)],
        [*range(9, 15)],
    ]
    assert windows(_rows(times, series=[0] * 7 + [1] * 11), SLOT, INTERVAL_S, 0).tolist() == [[*range(9, 15)]]
    # Six rows, but two of them in one interval: none in another.
    doubled = [0, STEP_US // 4, *(i * STEP_US for i in range(2, 6))]
    assert windows(_rows(doubled), SLOT, INTERVAL_S, 0).shape == (0, SLOT)
    assert windows(_rows([]), SLOT, INTERVAL_S, 0).shape == (0, SLOT)


def test_one_record_makes_one_window_come_or_go() -> None:
    seen = set()
    for seed in range(6):
        rows = _hostile(seed)
        before = _set(rows)
        for row in range(len(rows.time_us)):
            after = _set(_without(rows, np.arange(len(rows.time_us)) == row))
            moved = len(after - before), len(before - after)
            assert sum(moved) <= 1
            seen.add(moved)
    # Also a second row in an interval that goes, so that a window comes.
    assert seen == {(0, 0), (0, 1), (1, 0)}


def test_a_run_of_rows_and_a_series_touch_so_many_windows() -> None:
    reached = dict.fromkeys((2, 7, 8, 13, 14), 0)
    for seed in range(3):
        rows = _hostile(seed)
        before = _set(rows)
        for length in reached:
            for first in range(len(rows.time_us) - length):
                gone = np.zeros(len(rows.time_us), bool)
                gone[first : first + length] = True
                if len(np.unique(rows.series[gone])) == 1:
                    moved = len(before ^ _set(_without(rows, gone)))
                    assert moved <= touched_windows(length, False, SLOT)
                    reached[length] = max(reached[length], moved)
        whole = before ^ _set(_without(rows, rows.series == 1))
        assert whole <= before  # of a series none comes
        assert len(whole) <= touched_windows(int((rows.series == 1).sum()), True, SLOT)
    assert reached == {length: touched_windows(length, False, SLOT) for length in reached}
    assert unit_windows(DpConfig(epsilon=1, delta=1e-6), SLOT) == 1
    series = DpConfig(epsilon=1, delta=1e-6, unit="series", max_rows_per_series=50)
    assert unit_windows(series, SLOT) == 8


def test_nulls_are_filled_within_their_window() -> None:
    values = np.array([[[np.nan], [1.0], [np.nan]], [[np.nan], [np.nan], [2.0]]])
    assert filled(values)[..., 0].tolist() == [[0.0, 1.0, 1.0], [0.0, 0.0, 2.0]]


def _seen(count: int, seed: int = 0, size: float = 1.0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    scores = size * generator.normal(size=(count, SLOT, FEATURES))
    return np.asarray(critic.inputs(scores, generator.normal(size=(count, SLOT, CONDITION))))


def test_gradients_are_those_of_single_windows_by_automatic_differentiation() -> None:
    theta = critic.initial(CHANNELS, UNITS, 1) + 0.1
    seen = _seen(5)
    found = critic.gradients(theta, seen, UNITS)
    for window, own in zip(seen, found):
        variable = tf.Variable(theta)
        with tf.GradientTape() as tape:
            cut = CHANNELS * UNITS
            a = tf.reshape(variable[:cut], [CHANNELS, UNITS])
            hidden = window @ a + variable[cut : cut + UNITS]
            hidden = tf.where(hidden > 0, hidden, critic.LEAK * hidden)
            value = tf.reduce_mean(tf.linalg.matvec(hidden, variable[cut + UNITS :]))
        np.testing.assert_allclose(own, tape.gradient(value, variable).numpy(), rtol=1e-10, atol=1e-14)
        assert critic.values(theta, window[None], UNITS)[0] == pytest.approx(float(value))


def test_a_windows_gradient_does_not_depend_on_its_batch() -> None:
    # To the last bit: else one window more would move the rounding of all others.
    theta = critic.initial(CHANNELS, UNITS, 2)
    seen = _seen(70, size=3.0)
    own = sgd.Mechanism(0.5, CLIP, 1.0)
    together = critic.gradients(theta, seen, UNITS)
    for count in (1, 2, 3, 17, 64):
        for first in (0, 5):
            part = critic.gradients(theta, seen[first : first + count], UNITS)
            assert part.tobytes() == together[first : first + count].tobytes()
    alone = sum(sgd.noisy_sum(g[None], own, np.zeros) for g in together)
    assert sgd.noisy_sum(together, own, np.zeros).tobytes() == np.asarray(alone).tobytes()


def test_one_window_moves_the_sum_by_the_clipping_norm_at_most() -> None:
    theta, own = critic.initial(CHANNELS, UNITS, 3), sgd.Mechanism(0.5, CLIP, 1.0)
    largest = 0.0
    for size in (0.01, 1.0, 8.0, 1e9):
        gradients = critic.gradients(theta, _seen(20, size=size), UNITS)
        total = sgd.noisy_sum(gradients, own, np.zeros)
        for gone in range(20):
            moved = np.linalg.norm(total - sgd.noisy_sum(np.delete(gradients, gone, 0), own, np.zeros))
            assert moved <= CLIP
            largest = max(largest, moved)
    assert largest > 0.999 * CLIP  # reached, so the norm is over all parameters
    broken = np.full((1, len(theta)), np.nan)
    broken[0, 0] = np.inf
    assert np.linalg.norm(sgd.noisy_sum(broken, own, np.zeros)) <= CLIP


def test_draws_are_binomial_and_batches_may_be_empty() -> None:
    count, rate, steps = 8, 0.3, 20_000
    sizes = np.array([sgd.system_draw(count, rate).sum() for _ in range(steps)])
    expected = stats.binom.pmf(np.arange(count + 1), count, rate) * steps
    found = np.bincount(sizes, minlength=count + 1).astype(float)
    few = expected < 5
    expected = np.append(expected[~few], expected[few].sum())
    found = np.append(found[~few], found[few].sum())
    assert stats.chisquare(found, expected).pvalue > ALARM
    assert (sizes == 0).any()
    # Each window as often as any other, and independently of its neighbour.
    drawn = np.array([sgd.system_draw(2, rate) for _ in range(steps)])
    for hits, chance in ((drawn[:, 0].sum(), rate), (drawn.all(1).sum(), rate**2)):
        assert stats.binomtest(int(hits), steps, chance).pvalue > ALARM
    assert sgd.system_draw(50, 1.0).all() and len(sgd.system_draw(0, 0.5)) == 0


def test_an_empty_batch_is_a_step_of_noise_alone() -> None:
    theta, fake = critic.initial(CHANNELS, UNITS, 4), _seen(8, 1)
    own = sgd.Mechanism(0.5, CLIP, 1.0)
    none = np.zeros((0, *fake.shape[1:]))

    def nobody(count: int, rate: float) -> np.ndarray:
        return np.zeros(count, bool)

    first = sgd.critic_step(theta, none, fake, UNITS, own, 4.0)
    other = sgd.critic_step(theta, fake, fake, UNITS, own, 4.0, draw=nobody)
    assert not np.array_equal(first, theta) and not np.array_equal(first, other)
    still = sgd.critic_step(theta, fake, fake, UNITS, own, 4.0, np.zeros, nobody)
    np.testing.assert_allclose(still, theta, atol=1e-12)


def test_noise_has_the_planned_scale_whatever_the_seed() -> None:
    own = sgd.Mechanism(0.5, CLIP, 2.5)
    tf.keras.utils.set_random_seed(0)
    draws = np.concatenate([sgd.noisy_sum(np.zeros((0, 500)), own) for _ in range(40)])
    # Chi-square: the variance of 20,000 draws is known to within a few per cent.
    square = float(((draws / (2.5 * CLIP)) ** 2).sum())
    assert ALARM < stats.chi2.cdf(square, len(draws)) < 1 - ALARM
    assert stats.kstest(draws / (2.5 * CLIP), "norm").pvalue > ALARM
    lattice = 2.0 ** (np.floor(np.log2(CLIP)) - sgd.LATTICE_BITS)
    assert np.array_equal(draws / lattice, np.rint(draws / lattice))
    tf.keras.utils.set_random_seed(0)
    assert not np.array_equal(draws[:500], sgd.noisy_sum(np.zeros((0, 500)), own))


def test_the_batch_is_divided_by_its_expected_size() -> None:
    theta, seen = 0.5 * critic.initial(CHANNELS, UNITS, 5), _seen(30)
    own, fake = sgd.Mechanism(0.5, 1e6, 1.0), _seen(8, 1)
    whole = sgd.critic_step(theta, seen, fake, UNITS, own, 1e4, np.zeros, lambda n, q: np.ones(n, bool))
    half = sgd.critic_step(theta, seen, fake, UNITS, own, 1e4, np.zeros, lambda n, q: np.arange(n) < n // 2)
    rest = sgd.critic_step(theta, seen, fake, UNITS, own, 1e4, np.zeros, lambda n, q: np.arange(n) >= n // 2)
    np.testing.assert_allclose(whole - theta, (half - theta) + (rest - theta), atol=1e-5)
