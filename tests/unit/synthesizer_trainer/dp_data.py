"""Small data sets for the tests of the DP synthesizer."""

from __future__ import annotations

from typing import Any

import numpy as np

from components.dataset import DatasetConfig, FeatureConfig
from components.synthesizer_trainer.config import DpConfig, SynthesizerTrainerConfig
from components.synthesizer_trainer.core.columns import ColumnTable, build_table
from components.synthesizer_trainer.core.dp import statistics
from components.synthesizer_trainer.core.dp.domains import Domains
from components.synthesizer_trainer.core.dp.mechanism import Query
from components.synthesizer_trainer.core.dp.queries import layout, stages
from components.synthesizer_trainer.core.dp.rows import Rows

INTERVAL_S = 60
STEP_US = INTERVAL_S * 1_000_000
DATASET = DatasetConfig(
    series=("asset",),
    label="label",
    label_kind="kind",
    features=(
        FeatureConfig(name="temp"),
        FeatureConfig(name="count", kind="integer"),
        FeatureConfig(name="on", kind="binary"),
        FeatureConfig(name="mode", kind="categorical"),
    ),
    targets=("temp",),
    interval_s=INTERVAL_S,
)
DOMAINS = Domains(
    bounds={"temp": (0.0, 40.0), "count": (0.0, 15.0)},
    steps={"count": 1.0},
    vocabularies={"mode": ("eclipse", "safe", "sun")},
    kinds=("shift", "stuck"),
)
#: Transforms and a calendar that stand for what an earlier stage released.
TABLES: tuple[ColumnTable, ...] = (
    build_table(np.linspace(10.0, 30.0, 101), (0.0, 40.0), 1000),
    build_table(np.linspace(0.0, 15.0, 101), (0.0, 15.0), 1000, 1.0, True),
)
CENTRE = np.array([20.0, 7.0])
SCALE = np.array([0.2, 0.5])


def dp_config(**changes: Any) -> DpConfig:
    values = {"epsilon": 2.0, "delta": 1e-5, "histogram_levels": 4, "phase_bins": 12, "harmonics": 2}
    return DpConfig(**{**values, **changes})


def trainer_config(**changes: Any) -> SynthesizerTrainerConfig:
    return SynthesizerTrainerConfig(
        dataset=DATASET, method="dp_linear", dp=dp_config(**changes), min_train_rows=50
    )


def all_queries(config: SynthesizerTrainerConfig) -> dict[str, Query]:
    return {q.name: q for stage in stages(config, DOMAINS) for q in stage.queries}


def all_sums(rows: Rows, config: SynthesizerTrainerConfig) -> dict[str, np.ndarray]:
    """The exact statistics of all stages, the later ones with fixed results of the earlier ones."""
    dp, found = config.dp, layout(config, DOMAINS)
    assert dp is not None
    names = DATASET.feature_names()
    width = 1 + 2 * sum(found.harmonics)
    coefficients = np.full((2, width), 0.1)
    return {
        **statistics.marginal_sums(
            rows, found, DOMAINS, names, dp.histogram_levels, dp.phase_bins, INTERVAL_S
        ),
        **statistics.calendar_sums(rows, found, TABLES, CENTRE, INTERVAL_S),
        **statistics.moment_sums(rows, found, TABLES, coefficients, SCALE, dp.var_order, INTERVAL_S),
    }


def make_rows(count: int, seed: int = 0, series: int = 1) -> Rows:
    """A daily cycle with noise, a mode by the hour, one event of each kind, regular in time."""
    generator = np.random.default_rng(seed)
    time_us = np.tile(np.arange(count, dtype=np.int64) * STEP_US, series)
    total = count * series
    hour = time_us / 3.6e9 % 24
    wander = np.zeros(total)
    for t in range(1, total):
        wander[t] = 0.9 * wander[t - 1] + 0.3 * generator.normal()
    temp = 20 + 3 * np.sin(2 * np.pi * hour / 24) + wander
    kind = np.zeros(total, np.int64)
    for number in range(0, total - 200, 400):
        kind[number + 40 : number + 70] = 1
        kind[number + 100 : number + 130] = 2
    temp[kind == 1] += 8
    values = np.stack(
        [
            np.clip(temp, 0, 40),
            np.clip(generator.poisson(5, total), 0, 15),
            (hour % 2 < 1).astype(float),
            np.where(hour < 12, 0.0, 2.0),
        ],
        axis=1,
    )
    for row in np.flatnonzero((kind == 2) & (np.roll(kind, 1) == 2)):
        values[row, 0] = values[row - 1, 0]
    return Rows(time_us, np.repeat(np.arange(series), count), values, kind)


#: Of a small private GAN.
GAN_EPSILON = 20.0
CRITIC = {"steps": 12, "sampling_rate": 0.2, "units": 4, "budget_share": 0.3}


def gan_config(critic: dict[str, Any] | None = None, **changes: Any) -> SynthesizerTrainerConfig:
    dp = dp_config(critic={**CRITIC, **(critic or {})}, **{"epsilon": GAN_EPSILON, **changes})
    return SynthesizerTrainerConfig(
        dataset=DATASET,
        method="dp_gan",
        dp=dp,
        min_train_rows=50,
        generator_units=4,
        noise_channels=1,
        batch_size=8,
        evaluate_every=5,
    )
