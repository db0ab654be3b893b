"""Method `dp_gan` without a pipeline: what the critic sees, resuming, and what is kept and told."""

from __future__ import annotations

import dataclasses
import json
import logging
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from components.governance.core.events import SelfComposed
from components.synthesizer_trainer.config import SynthesizerTrainerConfig
from components.synthesizer_trainer.core.dp import budget, critic, residual, train
from components.synthesizer_trainer.core.dp.kept import Kept
from components.synthesizer_trainer.core.dp.queries import stages
from components.synthesizer_trainer.core.dp.rows import Rows
from components.synthesizer_trainer.core.model import SynthesizerModule
from components.synthesizer_trainer.core.network import Generator
from components.synthesizer_trainer.core.sampling import Synthesizer
from tests.unit.synthesizer_trainer.dp_data import (
    DOMAINS,
    GAN_EPSILON,
    INTERVAL_S,
    gan_config,
    make_rows,
)

pytestmark = pytest.mark.slow


def _table(rows: Rows) -> pa.Table:
    names = np.array(["", *DOMAINS.kinds])[rows.kind]
    temp, count, on, mode = rows.values.T
    return pa.table(
        {
            "timestamp": rows.time_us,
            "asset": [f"pump-{n}" for n in rows.series],
            "temp": temp,
            "count": count.astype(np.int64),
            "on": on.astype(np.int64),
            "mode": np.array(DOMAINS.vocabularies["mode"])[mode.astype(int)],
            "label": (rows.kind > 0).astype(np.int64),
            "kind": names,
        }
    )


TABLE = _table(make_rows(1500, seed=1, series=2))


def _fit(config: SynthesizerTrainerConfig, seed: int = 3, **changes: Any) -> Any:
    return train.train_dp_synthesizer(TABLE, config, DOMAINS, seed, "here", **changes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept")


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@pytest.fixture(scope="module")
def fitted(folder: Path) -> Any:
    """A model, its checkpoint, and every line that its training logged or told of its progress."""
    handler, told = _Lines(), []
    logger = logging.getLogger("components")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        trained = _fit(gan_config(), kept=Kept(folder), progress=lambda *said: told.append(said))
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
    return trained, handler.lines, told


def _core() -> tuple[Any, ...]:
    """A core without noise, its module, and the scores that its margins should have."""
    config = gan_config({"slot_rows": 6})
    released, marginals, cycles = train.measure(make_rows(1500, 1, 2), config, DOMAINS, np.zeros)
    core, wanted, _ = train.fit_core(released, marginals, cycles, config, DOMAINS)
    return config, *train._module(core, wanted, config, DOMAINS, DOMAINS.kinds, 3), wanted


@pytest.fixture(scope="module")
def core() -> tuple[Any, ...]:
    return _core()


def _critics_view(rows: Rows, core: tuple[Any, ...]) -> np.ndarray:
    config, own, module, _ = core
    condition = 4 + module.store["indicator"].shape[1]
    learner = residual.Residual(config, 2, 2, 1, condition, np.zeros((2, 2001)), False, 1)
    return residual.real_inputs(rows, own, Synthesizer(module), learner, INTERVAL_S, 0)


def test_a_row_changes_what_the_critic_sees_of_its_own_window_alone(core: tuple[Any, ...]) -> None:
    rows = make_rows(60, seed=5, series=2)
    rows.values[7, 0] = np.nan
    before = _critics_view(rows, core)
    assert before.shape[0] == 20 - len({n // 6 for n in np.flatnonzero(rows.kind)})
    gone = np.arange(120) != 15
    left = Rows(rows.time_us[gone], rows.series[gone], rows.values[gone], rows.kind[gone])
    after = _critics_view(left, core)
    assert after.tobytes() == np.delete(before, 2, axis=0).tobytes()
    assert np.isfinite(before).all() and np.abs(before).max() <= critic.CHANGE_SCALE * 16
    assert _critics_view(Rows(*(part[:0] for part in dataclasses.astuple(rows))), core).shape[0] == 0


def test_a_residual_keeps_the_noisy_margins(core: tuple[Any, ...]) -> None:
    config, own, module, wanted = core
    metadata = json.loads(module.metadata.numpy().decode()) | {"residual": True}
    condition = 4 + module.store["indicator"].shape[1]
    generator = Generator(2, condition, 4, 1, seed=0)
    # One standard deviation off, or nearly: what a critic that saw noise alone may teach.
    generator.last.bias.assign([2.0, 0.0])
    grid = train.public_grid(config)
    medians = []
    for tables in (own, None):
        calibration = module.calibration.numpy()
        moved = Synthesizer(SynthesizerModule(own, generator, metadata, calibration))
        if tables is None:
            kept = train.with_margins(own, moved, grid, wanted, 3)
            moved = Synthesizer(SynthesizerModule(kept, generator, metadata, calibration))
        rows = np.concatenate([part["values"] for part in moved.sample(grid[:4], 8)])
        medians.append(np.quantile(rows[:, 0], [0.25, 0.5, 0.75]))
    expected = np.quantile(make_rows(1500, 1, 2).values[:, 0], [0.25, 0.5, 0.75])
    assert (np.abs(medians[0] - expected) > 1).all() and (np.abs(medians[1] - expected) < 0.8).all()


def test_what_is_told_holds_nothing_of_single_steps(fitted: Any) -> None:
    trained, lines, told = fitted
    report = trained.report
    assert report["training"] == {"steps": 12, "steps_paid": 12, "stopped": "steps"}
    block = report["privacy"]
    assert block["critic"]["event"]["count"] == 12 and block["critic"]["windows_per_unit"] == 1
    assert block["epsilon_by_unit"]["record"] == pytest.approx(GAN_EPSILON, abs=0.2)
    assert block["epsilon_by_unit"]["window"] > GAN_EPSILON
    assert any("DP-SGD" in sentence for sentence in block["sentences"])
    assert report["network_parameters"] > 0
    # The numbers of steps and epsilon: which steps are told depends on the clock.
    assert told and all(given in [(step, 12) for step in range(1, 13)] for given in told)
    numbers = {float(n) for line in lines for n in re.findall(r"\d+(?:\.\d+)?", line)}
    assert any("private critic: step 1 of 12" in line for line in lines)
    assert numbers <= {*range(1, 13), GAN_EPSILON}


def test_the_residual_is_there_and_kinds_do_not_move_it(fitted: Any) -> None:
    module = fitted[0].module
    synthesizer = Synthesizer(module)
    assert synthesizer.metadata["residual"] and synthesizer.kinds
    features, kinds = len(synthesizer.numeric), len(synthesizer.kinds)
    weights = module.generator.inner[0].weights.numpy()
    assert not weights[:, features + 2 : features + 2 + kinds].any()
    assert weights[:, : features + 2].all()
    assert module.generator.last.weights.numpy().any()  # it started at zero


def test_no_seed_brings_noise_and_draws_back(fitted: Any, folder: Path) -> None:
    # The same core, seed and rows.
    kept = Kept()
    kept.write(Kept(folder).released, {})
    again = _fit(gan_config(), kept=kept).module.generator.last.weights.numpy()
    assert not np.array_equal(again, fitted[0].module.generator.last.weights.numpy())


class _Killed(BaseException):
    pass


def test_a_killed_training_goes_on_and_draws_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, taken = gan_config(), []
    original = residual.critic_step

    def counted(*given: Any) -> np.ndarray:
        if len(taken) == 8:
            raise _Killed
        taken.append(1)
        return original(*given)

    monkeypatch.setattr(residual, "critic_step", counted)
    with pytest.raises(_Killed):
        _fit(config, kept=Kept(tmp_path / "work"))
    first = Kept(tmp_path / "work")
    assert int(first.state["step"]) == 5 and first.released
    taken.clear()
    monkeypatch.setattr(train, "measure", lambda *a: pytest.fail("the core was released a second time"))
    trained = _fit(config, kept=Kept(tmp_path / "work"))
    # Eight steps drew before, five of them stand; seven more make the twelve that were paid for.
    assert len(taken) == 7 and trained.report["training"]["steps"] == 12
    last = Kept(tmp_path / "work")
    assert int(last.state["step"]) == 12
    for name, noisy in first.released.items():
        np.testing.assert_array_equal(noisy.value, last.released[name].value)


def test_what_is_kept_is_noisy_statistics_and_weights(fitted: Any, folder: Path) -> None:
    assert [path.name for path in folder.iterdir()] == ["private_training.npz"]
    kept = Kept(folder)
    names = {name.split(".")[0] for name in kept.state}
    assert names == {"theta", "step", "count", "seconds", "generator", "average", "first", "second"}
    assert set(kept.released) == {q.name for s in stages(gan_config(), DOMAINS) for q in s.queries}
    for index, variable in enumerate(fitted[0].module.generator.trainable_variables):
        np.testing.assert_array_equal(kept.state[f"average.{index}"], variable.numpy())


def test_max_minutes_ends_it_and_all_steps_are_paid_for(monkeypatch: pytest.MonkeyPatch) -> None:
    config = gan_config().model_copy(update={"max_minutes": 1e-9})
    trained = _fit(config)
    assert trained.report["training"] == {"steps": 0, "steps_paid": 12, "stopped": "max_minutes"}
    event = budget.plan_release(config, DOMAINS).events[-1]
    assert isinstance(event, SelfComposed) and event.count == 12


def test_without_a_numeric_feature_that_stands_the_core_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = make_rows(1500, 1, 2)
    rows.values[:, :2] = np.nan
    monkeypatch.setattr(train, "read_rows", lambda *a: rows)
    report = _fit(gan_config()).report
    assert "training" not in report and report["network_parameters"] == 0
    assert set(report["withheld"]["features"]) == {"temp", "count"}
