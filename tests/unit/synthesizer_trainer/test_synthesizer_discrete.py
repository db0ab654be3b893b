"""Telemetry of few values: held readings, command flags, jumps, and more series than styles."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from components.dataset import DatasetConfig, FeatureConfig
from components.synthesizer_trainer.config import SynthesizerTrainerConfig
from components.synthesizer_trainer.core import feature_kinds
from components.synthesizer_trainer.core import styles as styles_lib
from components.synthesizer_trainer.core.fidelity import compare
from components.synthesizer_trainer.core.panel import Panel, build_panel
from components.synthesizer_trainer.core.planning import real_grid
from components.synthesizer_trainer.core.sampling import Synthesizer
from components.synthesizer_trainer.core.training import Trained, train_synthesizer

pytestmark = pytest.mark.heavy

ROWS = 4000
DATASET = DatasetConfig(
    label="label",
    features=(
        FeatureConfig(name="held"),
        FeatureConfig(name="pulsed"),
        FeatureConfig(name="flag_a", kind="binary"),
        FeatureConfig(name="flag_b", kind="binary"),
        FeatureConfig(name="never", kind="binary"),
    ),
    targets=("held",),
    interval_s=60,
)


def _table() -> pa.Table:
    generator = np.random.default_rng(0)
    wave = np.round(np.sin(2 * np.pi * np.arange(ROWS) / 90), 1) + np.round(generator.normal(size=ROWS), 1)
    move = generator.random(ROWS) < 0.3
    held = wave[np.maximum.accumulate(np.where(move, np.arange(ROWS), 0))]
    phase = np.arange(ROWS) % 40
    pulsed = np.where(phase < 10, 1.0, -1.0)
    flag = (generator.random(ROWS) < 0.05).astype(np.int64)
    label = np.zeros(ROWS, np.int64)
    label[2000:2100] = 1
    held[2000:2100], pulsed[2000:2100] = held[2000], 1.0
    return pa.table(
        {
            "timestamp": np.arange(ROWS, dtype=np.int64) * 60_000_000,
            "held": held.astype(np.float32),
            "pulsed": pulsed.astype(np.float32),
            "flag_a": flag,
            "flag_b": flag,
            "never": np.zeros(ROWS, np.int64),
            "label": label,
        }
    )


@pytest.fixture(scope="module")
def panel() -> Panel:
    return build_panel(_table(), DATASET, {}, ("anomaly",), "x")


@pytest.fixture(scope="module")
def trained(panel: Panel) -> Trained:
    normal = panel.values[panel.kind == 0]
    quantiles = {
        f.name: np.quantile(normal[:, i], np.linspace(0, 1, 201), method="nearest")
        for i, f in enumerate(DATASET.features)
    }
    ranges = {
        f.name: (panel.values[:, i].min(), panel.values[:, i].max()) for i, f in enumerate(DATASET.features)
    }
    config = SynthesizerTrainerConfig.small(DATASET, max_steps=0)
    return train_synthesizer(panel, None, config, quantiles, ranges, 3, "x")


def _sample(trained: Trained, panel: Panel, factor: float) -> tuple[np.ndarray, np.ndarray]:
    synthesizer = Synthesizer(trained.module)
    grid = real_grid(panel.time_us, panel.series, 60.0)
    part = synthesizer.sample(synthesizer.plan_events(grid, {"anomaly": factor}, 2), 2)[0]
    return part["values"], part["kind"]


def test_held_readings_hold_as_often_and_on_the_same_values(panel: Panel, trained: Trained) -> None:
    values, _ = _sample(trained, panel, 0.0)
    still = [(np.diff(v[:, 0]) == 0).mean() for v in (panel.values, values)]
    assert still[1] == pytest.approx(still[0], abs=0.04)
    assert np.abs(values[:, 0] * 10 - np.rint(values[:, 0] * 10)).max() < 1e-3  # the sensor's step is 0.1
    found = compare(panel.values[:, :1], panel.segment, values[:, :1], panel.segment, [0])
    assert found["marginal"] > 0.93 and found["acf"] < 0.1


def test_pulses_keep_their_length(panel: Panel, trained: Trained) -> None:
    values, _ = _sample(trained, panel, 0.0)
    edges = np.flatnonzero(np.diff((values[:, 1] > 0).astype(int)))
    lengths = np.diff(edges)[1:-1]
    # On for 10, off for 30 rows, by the dwell time; a Markov chain without memory would vary by 10 or 30.
    assert np.isin(lengths, range(8, 34)).mean() > 0.9
    assert np.std(lengths[::2]) < 4 and np.std(lengths[1::2]) < 4


def test_flags_that_fire_together_do_so_still(panel: Panel, trained: Trained) -> None:
    values, _ = _sample(trained, panel, 0.0)
    assert (values[:, 2] == values[:, 3]).all() and (values[:, 4] == 0).all()
    assert values[:, 2].mean() == pytest.approx(0.05, abs=0.015)


def test_a_stuck_pulse_and_a_frozen_reading(panel: Panel, trained: Trained) -> None:
    values, kind = _sample(trained, panel, 3.0)
    assert (kind > 0).sum() > 150
    assert (values[kind > 0, 1] == 1.0).all()
    inside = (kind[1:] > 0) & (kind[:-1] > 0)
    assert (np.diff(values[:, 0])[inside] == 0).mean() > 0.97


def test_a_reading_that_jumps_is_a_chain_and_one_that_runs_is_not() -> None:
    generator = np.random.default_rng(1)
    zero = np.zeros(1000, int)
    choice = generator.choice(20, 1000).astype(float)
    assert feature_kinds.jumps(np.repeat(choice, 4)[:1000], zero)
    assert not feature_kinds.jumps(choice, zero)  # never holds: noise, not a chain
    assert not feature_kinds.jumps(np.round(np.cumsum(generator.normal(size=1000))), zero)
    assert not feature_kinds.jumps(np.ones(1000), zero)


def test_many_series_become_few_styles() -> None:
    generator = np.random.default_rng(2)
    styles, offsets = generator.normal(size=(100, 2, 3)), generator.normal(size=(100, 2))
    few, few_offsets = styles_lib.cluster_styles(styles, offsets, generator)
    assert few.shape == (styles_lib.MAX_STYLES, 2, 3) and few_offsets.shape == (styles_lib.MAX_STYLES, 2)
    assert few.mean() == pytest.approx(styles.mean(), abs=0.15)


def test_forward_fill_stops_at_a_segment() -> None:
    filled = feature_kinds.forward_fill(
        np.array([np.nan, 1.0, np.nan, np.nan, 2.0]), np.array([0, 0, 0, 1, 1]), 9.0
    )
    assert filled.tolist() == [9.0, 1.0, 1.0, 9.0, 2.0]


def _noisy_pulses() -> np.ndarray:
    """Pulses of 14 rows that flicker between two values, 34 or 83 rows apart. Shape [row]."""
    generator = np.random.default_rng(4)
    rows: list[float] = []
    while len(rows) < ROWS:
        rows += [-1.0] * int(generator.choice([34, 83]))
        rows += [1.0 if draw else 0.99 for draw in generator.random(14) < 0.6]
    return np.array(rows[:ROWS], np.float32)


def _pulse_lengths(values: np.ndarray) -> np.ndarray:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], values > 0, [0]]).astype(int)))
    return np.diff(edges)[::2]


def test_a_pulse_that_flickers_lasts_as_long_as_real_ones() -> None:
    dataset = DatasetConfig(features=(FeatureConfig(name="pulse"),), targets=("pulse",), interval_s=60)
    values = _noisy_pulses()
    table = pa.table({"timestamp": np.arange(ROWS, dtype=np.int64) * 60_000_000, "pulse": values})
    panel = build_panel(table, dataset, {}, (), "x")
    quantiles = {"pulse": np.quantile(values, np.linspace(0, 1, 201), method="nearest")}
    config = SynthesizerTrainerConfig.small(dataset, max_steps=0)
    trained = train_synthesizer(panel, None, config, quantiles, {"pulse": (-1.0, 1.0)}, 3, "x")
    sampled = _sample(trained, panel, 0.0)[0][:, 0]
    lengths = _pulse_lengths(sampled)
    assert len(lengths) > 40
    assert np.mean(np.abs(lengths - 14) <= 1) > 0.9  # without spells 0.05: they end after any number of rows
