"""What a trained model knows of anomalies: a heater that is on and does not heat, a sensor that is stuck."""

from __future__ import annotations

import numpy as np
import pytest

from components.dataset import DatasetConfig, FeatureConfig
from components.synthesizer_trainer.config import SynthesizerTrainerConfig
from components.synthesizer_trainer.core.panel import MICROSECONDS, Panel
from components.synthesizer_trainer.core.planning import real_grid
from components.synthesizer_trainer.core.sampling import Synthesizer
from components.synthesizer_trainer.core.training import train_synthesizer

pytestmark = pytest.mark.heavy

ROWS, INTERVAL_S, LENGTH = 3000, 300.0, 24
TIME_US = (np.arange(ROWS) * INTERVAL_S * MICROSECONDS).astype(np.int64)
ZERO = np.zeros(ROWS, np.int32)
DATASET = DatasetConfig(
    features=(FeatureConfig(name="temp"), FeatureConfig(name="heater", kind="binary")),
    targets=("temp",),
    interval_s=INTERVAL_S,
    label="label",
)


def plant() -> tuple[np.ndarray, np.ndarray]:
    """Temperature and heater [ROWS, 2] under a thermostat; and rows in which the heater has no power."""
    generator = np.random.default_rng(0)
    lost = np.zeros(ROWS, bool)
    for begin in range(150, ROWS - 100, 300):
        lost[begin : begin + LENGTH] = True
    temp, on, rows = 20.0, False, np.empty((ROWS, 2))
    for t in range(ROWS):
        on = temp < 19 or (on and temp < 21)
        rows[t] = temp, on
        temp += -0.03 * (temp - 5) + 0.9 * (on and not lost[t]) + 0.03 * generator.normal()
    return rows, lost


def test_a_heater_without_power_stays_on_while_it_gets_cold() -> None:
    rows, lost = plant()
    panel = Panel(TIME_US, ZERO, ZERO, rows, lost.astype(np.int32), ("lost",), {}, 1)
    calm = rows[~lost, 0]
    quantiles = {"temp": np.quantile(calm, np.linspace(0, 1, 501), method="nearest")}
    ranges = {"temp": (float(rows[:, 0].min()), float(rows[:, 0].max()))}
    config = SynthesizerTrainerConfig(dataset=DATASET, max_steps=0)
    trained = train_synthesizer(panel, None, config, quantiles, ranges, 1, "locale=xx")
    synthesizer = Synthesizer(trained.module)
    sessions = synthesizer.plan_events(real_grid(TIME_US, ZERO, INTERVAL_S), {"lost": 2.0}, 2)
    made = synthesizer.sample(sessions, 3)[0]

    def late(values: np.ndarray, kind: np.ndarray) -> np.ndarray:
        """Means of temperature and heater in the second half of long events."""
        begins = np.flatnonzero((kind[1:] > 0) & (kind[:-1] == 0)) + 1
        rows = [np.arange(b + LENGTH // 2, b + LENGTH - 6) for b in begins if kind[b : b + LENGTH - 6].all()]
        return np.asarray(values[np.concatenate(rows)].mean(0))

    real, sampled = late(rows, panel.kind), late(made["values"], made["kind"])
    assert real[1] == 1.0 and real[0] < 17  # cold, and the heater is on
    assert sampled[1] > 0.9
    assert sampled[0] == pytest.approx(real[0], abs=2.0)
    quiet = made["values"][made["kind"] == 0]
    assert 0.2 < quiet[:, 1].mean() < 0.8  # a thermostat elsewhere


def test_a_sensor_is_stuck_for_the_share_of_an_event_that_was_seen_of_it() -> None:
    """Of each event the holdout took 23 rows; of the 25 that are left, the sensor repeats itself in 20."""
    generator = np.random.default_rng(1)
    rows, event = 6000, 48
    values, kind = np.zeros(rows), np.zeros(rows, np.int32)
    for t in range(1, rows):
        values[t] = 0.9 * values[t - 1] + generator.normal()
    seen = np.ones(rows, bool)
    for begin in range(200, rows - 100, 400):
        values[begin + 4 : begin + 25] = values[begin + 4]
        kind[begin : begin + event] = 1
        seen[begin + 25 : begin + event - 1] = False
    panel = Panel(
        (np.arange(rows) * INTERVAL_S * MICROSECONDS).astype(np.int64)[seen],
        np.zeros(seen.sum(), np.int32),
        np.cumsum(np.diff(np.flatnonzero(seen), prepend=0) > 1).astype(np.int32),
        values[seen, None],
        kind[seen],
        ("stuck",),
        {},
        1,
    )
    dataset = DatasetConfig(
        features=(FeatureConfig(name="volts"),), targets=("volts",), interval_s=INTERVAL_S, label="label"
    )
    quantiles = {"volts": np.quantile(values[kind == 0], np.linspace(0, 1, 501), method="nearest")}
    ranges = {"volts": (float(values.min()), float(values.max()))}
    config = SynthesizerTrainerConfig(dataset=dataset, max_steps=0)
    trained = train_synthesizer(panel, None, config, quantiles, ranges, 1, "locale=xx")
    hold = Synthesizer(trained.module).store["event_hold"][:, 0]
    assert hold == pytest.approx(np.array([[4 / 25, 24 / 25]] * len(hold)), abs=0.03)
