"""A process with a daily cycle, levels, a constant, a flag and labelled anomalies; and evil releases."""

from __future__ import annotations

import types
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.signal import lfilter

from components.dataset import DatasetConfig, FeatureConfig
from components.release_evaluator.config import (
    AttackConfig,
    GateConfig,
    ReleaseEvaluatorConfig,
    privacy_checks,
)
from components.release_evaluator.core.attacks.registry import ATTACKS
from components.release_evaluator.core.board import Board
from components.release_evaluator.core.evaluate import Evaluation, evaluate
from components.release_evaluator.core.frames import read_columns
from components.release_evaluator.core.gate import GateResult, judge
from components.release_evaluator.core.measure_privacy import make_world, measure_privacy
from components.release_evaluator.core.metrics import Metric

DATASET = DatasetConfig(
    series=("device",),
    label="label",
    features=(
        FeatureConfig(name="power", unit="W"),
        FeatureConfig(name="temp"),
        FeatureConfig(name="level"),
        FeatureConfig(name="fixed"),
        FeatureConfig(name="on", kind="binary"),
    ),
    targets=("power",),
    interval_s=60,
)
FEATURES = ("power", "temp", "level", "fixed", "on", "label")
CONTINUOUS = ("power", "temp", "level")
BLOCK = 60


def fleet(rng: np.random.Generator, rows: int = 3000, series: int = 2, name: str = "d") -> pa.Table:
    """Independent draws of one process, `series` times."""
    parts = []
    for number in range(series):
        time = np.arange(rows)
        day = np.sin(2 * np.pi * time / 1440)
        slow = lfilter([1], [1, -0.95], 0.31 * rng.normal(size=(rows, 3)), axis=0)
        power = 2 * day + slow[:, 0] + 0.3 * rng.normal(size=rows)
        label = np.zeros(rows, np.int64)
        for start in rng.integers(100, rows - 100, 3):
            length = rng.integers(15, 50)
            power[start : start + length] += rng.uniform(4, 8)
            label[start : start + length] = 1
        parts.append(
            pa.table(
                {
                    "timestamp": time.astype(np.int64) * 60_000_000,
                    "device": pa.array([f"{name}{number}"] * rows),
                    "power": power.astype(np.float32),
                    "temp": (0.5 * slow[:, 0] + slow[:, 1] + 0.3 * rng.normal(size=rows)).astype(np.float32),
                    "level": (np.round((day + slow[:, 2]) / 0.25) * 0.25).astype(np.float32),
                    "fixed": np.full(rows, 5, np.float32),
                    "on": ((time % 480) < rng.integers(20, 60)).astype(np.int64),
                    "label": label,
                }
            )
        )
    return pa.concat_tables(parts).combine_chunks()


def split(table: pa.Table, rng: np.random.Generator, series: int = 2) -> tuple[pa.Table, pa.Table]:
    """Train and holdout: an hour in five, at random, is holdout."""
    rows = table.num_rows // series
    blocks = -(-rows // BLOCK)
    held = [np.repeat(rng.permutation(blocks) < blocks // 5, BLOCK)[:rows] for _ in range(series)]
    mask = np.concatenate(held)
    return table.filter(pa.array(~mask)), table.filter(pa.array(mask))


def _replaced(table: pa.Table, columns: dict[str, np.ndarray]) -> pa.Table:
    for name, values in columns.items():
        at = table.column_names.index(name)
        table = table.set_column(at, name, pa.array(values, table.schema.field(name).type))
    return table


def _overwritten(honest: pa.Table, train: pa.Table, places: list[tuple[int, int, int]]) -> pa.Table:
    columns = {name: honest[name].to_numpy().copy() for name in FEATURES}
    for target, source, length in places:
        for name in FEATURES:
            columns[name][target : target + length] = train[name].to_numpy()[source : source + length]
    return _replaced(honest, columns)


def copy(train: pa.Table, honest: pa.Table, rng: np.random.Generator) -> pa.Table:
    """Returns its training rows."""
    return train


def shuffle(train: pa.Table, honest: pa.Table, rng: np.random.Generator) -> pa.Table:
    """Its training rows in another order, on other times."""
    order = rng.permutation(train.num_rows)
    return _replaced(train, {name: train[name].to_numpy()[order] for name in FEATURES})


def jitter(train: pa.Table, honest: pa.Table, rng: np.random.Generator, share: float = 0.1) -> pa.Table:
    """Its training rows with noise of a tenth of each column's spread."""
    values = {name: train[name].to_numpy() for name in CONTINUOUS}
    return _replaced(train, {n: v + share * v.std() * rng.normal(size=len(v)) for n, v in values.items()})


def memorised(train: pa.Table, honest: pa.Table, rng: np.random.Generator) -> pa.Table:
    """Honest, but every fifth hour is one of three train hours, verbatim."""
    sources = rng.integers(0, train.num_rows - BLOCK, 3)
    places = [
        (start, int(rng.choice(sources)), BLOCK)
        for start in range(0, honest.num_rows - BLOCK, BLOCK)
        if rng.random() < 0.2
    ]
    return _overwritten(honest, train, places)


def rare(train: pa.Table, honest: pa.Table, rng: np.random.Generator) -> pa.Table:
    """Honest, but its labelled windows are those of train, verbatim."""
    starts = np.flatnonzero(np.diff(train["label"].to_numpy(), prepend=0) == 1)
    places = []
    for source in starts:
        begin = max(0, int(source) - 5)
        length = min(60, train.num_rows - begin)
        places.append((int(rng.integers(0, honest.num_rows - 60)), begin, length))
    return _overwritten(honest, train, places)


def collapse(train: pa.Table, honest: pa.Table, rng: np.random.Generator) -> pa.Table:
    """Five hours, over and over, with a little noise: mode collapse with passable marginals."""
    starts = rng.integers(0, honest.num_rows - BLOCK, 5)
    hours = starts[rng.integers(0, 5, honest.num_rows // BLOCK + 1)]
    index = (hours[:, None] + np.arange(BLOCK)).ravel()[: honest.num_rows]
    columns = {name: honest[name].to_numpy()[index].astype(float) for name in FEATURES}
    for name in ("power", "temp"):
        columns[name] += 0.02 * rng.normal(size=len(index))
    return _replaced(honest, columns)


def holdout_copy(train: pa.Table, honest: pa.Table, rng: np.random.Generator, holdout: pa.Table) -> pa.Table:
    """Trained on holdout: returns its rows with noise of a twentieth of each column's spread."""
    return jitter(holdout, honest, rng, 0.05)


def all_copy(train: pa.Table, honest: pa.Table, rng: np.random.Generator, holdout: pa.Table) -> pa.Table:
    """Trained on train and holdout alike, so that no comparison of the two shows it."""
    return jitter(pa.concat_tables([train, holdout]).combine_chunks(), honest, rng, 0.05)


EVIL: dict[str, Callable[[pa.Table, pa.Table, np.random.Generator], pa.Table]] = {
    function.__name__: function for function in (copy, shuffle, jitter, memorised, rare, collapse)
}

#: Smaller samples, for tests that do not judge the defaults. The thresholds are the defaults.
QUICK = AttackConfig(max_records=500, max_candidates=3_000, bootstrap_samples=150)


def quick(dataset: DatasetConfig = DATASET, **changes: Any) -> ReleaseEvaluatorConfig:
    """Default rules on smaller samples."""
    gate = GateConfig(attacks=QUICK, **changes)
    return ReleaseEvaluatorConfig(dataset=dataset, gate=gate)


def attacked(
    train: pa.Table,
    holdout: pa.Table,
    release: pa.Table,
    names: Sequence[str] = (),
    *,
    previous: pa.Table | None = None,
    public: dict[str, tuple[str, ...]] | None = None,
    dataset: DatasetConfig = DATASET,
    **changes: Any,
) -> tuple[dict[str, Metric], GateResult]:
    """The named attacks, or all, and the default gate's rules on what they measure."""
    config = ReleaseEvaluatorConfig(
        dataset=dataset, gate=GateConfig(attacks=QUICK.model_copy(update=changes))
    )
    chosen = [attack for attack in ATTACKS if not names or attack.name in names]
    tables = {"train": train, "holdout": holdout, "synthetic": release}
    tables |= {} if previous is None else {"previous": previous}
    board = Board()
    world = make_world(read_columns(tables, dataset, public), config)
    measure_privacy(board, world, config, chosen)
    checks = tuple(check for check in privacy_checks() if check.metric in board.found)
    return board.found, judge(list(board.found.values()), GateConfig(checks=checks))


@pytest.fixture(scope="session")
def sim() -> types.SimpleNamespace:
    """The functions of this module."""
    return types.SimpleNamespace(
        fleet=fleet,
        split=split,
        evil=EVIL,
        holdout_copy=holdout_copy,
        all_copy=all_copy,
        dataset=DATASET,
        replaced=_replaced,
        overwritten=_overwritten,
        features=FEATURES,
        quick=quick,
        attacked=attacked,
    )


class World(types.SimpleNamespace):
    """Train, holdout and an honest release, with what the quick gate finds."""

    train: pa.Table
    holdout: pa.Table
    synthetic: pa.Table
    found: Evaluation


@pytest.fixture(scope="session")
def world() -> World:
    """Made once: nothing changes it."""
    rng = np.random.default_rng(1)
    train, holdout = split(fleet(rng, rows=1_500), rng)
    synthetic = fleet(rng, rows=1_500, name="x")
    return World(
        train=train, holdout=holdout, synthetic=synthetic, found=evaluate(train, holdout, synthetic, quick())
    )
