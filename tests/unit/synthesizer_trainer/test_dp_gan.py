"""Method `dp_gan` without a pipeline: budget, what the critic sees, resuming, and what is reported."""

from __future__ import annotations

import dataclasses
import logging
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from components.governance.core.accounting import Tally, epsilon_of, spent_epsilon
from components.governance.core.events import Gaussian, PoissonSampled, SelfComposed
from components.synthesizer_trainer.config import SynthesizerTrainerConfig
from components.synthesizer_trainer.core.dp import budget, critic, residual, train
from components.synthesizer_trainer.core.dp.kept import Kept
from components.synthesizer_trainer.core.dp.queries import stages
from components.synthesizer_trainer.core.dp.rows import Rows
from components.synthesizer_trainer.core.dp.sgd import Mechanism
from components.synthesizer_trainer.core.sampling import Synthesizer
from tests.unit.synthesizer_trainer.dp_data import (
    DATASET,
    DOMAINS,
    INTERVAL_S,
    STEP_US,
    dp_config,
    make_rows,
)

EPSILON = 20.0
CRITIC = {"steps": 12, "sampling_rate": 0.2, "units": 4, "budget_share": 0.3}


def _config(critic: dict[str, Any] | None = None, **changes: Any) -> SynthesizerTrainerConfig:
    dp = dp_config(critic={**CRITIC, **(critic or {})}, **{"epsilon": EPSILON, **changes})
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


# --- the budget ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes", [{}, {"epsilon": 2.0}, {"unit": "series", "max_rows_per_series": 60, "epsilon": 2.0}]
)
def test_core_and_critic_cost_together_what_is_promised(changes: dict[str, Any]) -> None:
    config = _config(**changes)
    cost = budget.plan_release(config, DOMAINS)
    dp = config.dp
    assert dp is not None and cost.unit == dp.unit
    spent = spent_epsilon([cost], dp.delta)
    assert 0.98 * dp.epsilon < spent <= dp.epsilon
    *core, last = cost.events
    assert isinstance(last, SelfComposed) and isinstance(last.event, PoissonSampled)
    assert last.count == CRITIC["steps"]
    # Against dp_accounting itself, event by event.
    import dp_accounting as dpa
    from dp_accounting import pld

    accountant = pld.PLDAccountant(dpa.NeighboringRelation.ADD_OR_REMOVE_ONE, 1e-3)
    for event in core:
        assert isinstance(event, Gaussian)
        accountant.compose(dpa.GaussianDpEvent(event.noise_multiplier))
    inner = dpa.GaussianDpEvent(last.event.event.noise_multiplier)
    step = dpa.PoissonSampledDpEvent(last.event.sampling_probability, inner)
    accountant.compose(dpa.SelfComposedDpEvent(step, last.count))
    assert accountant.get_epsilon(dp.delta) == pytest.approx(spent, rel=0.02)


def test_the_core_gets_its_share_and_no_more() -> None:
    config = _config()
    multipliers = budget.core_multipliers(config, stages(config, DOMAINS))
    precision = sum(1 / m**2 for m in multipliers)
    linear = SynthesizerTrainerConfig(dataset=DATASET, method="dp_linear", dp=dp_config(epsilon=EPSILON))
    whole = sum(1 / m**2 for m in budget.core_multipliers(linear, stages(linear, DOMAINS)))
    assert precision == pytest.approx(0.7 * whole)
    assert budget.plan_release(linear, DOMAINS).events == tuple(
        Gaussian(noise_multiplier=m) for m in budget.core_multipliers(linear, stages(linear, DOMAINS))
    )


def test_a_series_pays_for_all_of_its_windows() -> None:
    config = _config({"slot_rows": 12}, unit="series", max_rows_per_series=60, epsilon=2.0)
    event, own = budget.critic_event(config).event, budget.critic_mechanism(config)
    assert isinstance(event, PoissonSampled)
    # Five windows: any of them is drawn so often, and together they move five clipping norms.
    assert event.sampling_probability == pytest.approx(1 - 0.8**5)
    assert own == Mechanism(0.2, 1.0, pytest.approx(5 * event.event.noise_multiplier))


def test_several_windows_are_covered_by_one_larger_step() -> None:
    # Exact, by numbers: the loss of 1 to 3 windows, drawn independently, against the step that stands for it.
    sigma, rate, count = 2.0, 0.3, 3
    grid = np.linspace(-30, 40, 70_001)

    def density(mean: float, std: float) -> np.ndarray:
        return np.exp(-0.5 * ((grid - mean) / std) ** 2) / (std * np.sqrt(2 * np.pi))

    from scipy import stats

    drawn = stats.binom.pmf(np.arange(count + 1), count, rate)
    mixed = sum(p * density(k, sigma) for k, p in enumerate(drawn))
    single = drawn[0] * density(0, sigma) + (1 - drawn[0]) * density(count, sigma)
    still = density(0, sigma)
    for epsilon in (0.0, 0.2, 0.5, 1.0, 2.0):
        for loss in (
            lambda law, e: np.maximum(law - np.exp(e) * still, 0).sum(),
            lambda law, e: np.maximum(still - np.exp(e) * law, 0).sum(),
        ):
            assert loss(mixed, epsilon) <= loss(single, epsilon) + 1e-9


def test_the_bound_without_amplification_is_one() -> None:
    own = Mechanism(0.1, 1.0, 2.0)
    sampled = PoissonSampled(sampling_probability=0.1, event=Gaussian(noise_multiplier=2.0))
    events = [Gaussian(noise_multiplier=1.5), SelfComposed(event=sampled, count=50)]
    amplified = epsilon_of(Tally.of(events), 1e-5)
    assert amplified < budget.revealed_epsilon(1 / 1.5**2, own, 1, 50, 1e-5)
    # Where every window is in every batch nothing is amplified, and both are the same Gaussian.
    every = budget.revealed_epsilon(1 / 1.5**2, Mechanism(1.0, 1.0, 2.0), 1, 50, 1e-5)
    exact = epsilon_of(Tally.of([Gaussian(noise_multiplier=(1 / 1.5**2 + 50 / 4) ** -0.5)]), 1e-5)
    assert every == pytest.approx(exact, rel=1e-6)
    assert budget.revealed_epsilon(1e-12, Mechanism(1e-9, 1.0, 100.0), 1, 1, 1e-5) == 0.0


# --- what it learns from -----------------------------------------------------------------------------------


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
        trained = _fit(_config(), kept=Kept(folder), progress=lambda *said: told.append(said))
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
    return trained, handler.lines, told


def _critics_view(rows: Rows) -> np.ndarray:
    config = _config({"slot_rows": 6})
    released, marginals, cycles = train.measure(make_rows(1500, 1, 2), config, DOMAINS, np.zeros)
    core, wanted, _ = train.fit_core(released, marginals, cycles, config, DOMAINS)
    core, module = train._module(core, wanted, config, DOMAINS, DOMAINS.kinds, 3)
    synthesizer = Synthesizer(module)
    own = residual.Residual(
        config, 2, 2, 1, 4 + module.store["indicator"].shape[1], np.zeros((2, 2001)), False, 1
    )
    return residual.real_inputs(rows, core, synthesizer, own, INTERVAL_S, 0)


def test_a_row_changes_what_the_critic_sees_of_its_own_window_alone() -> None:
    rows = make_rows(60, seed=5, series=2)
    rows.values[7, 0] = np.nan
    before = _critics_view(rows)
    assert before.shape[0] == 20 - len({n // 6 for n in np.flatnonzero(rows.kind)})
    gone = np.arange(120) != 15
    after = _critics_view(Rows(rows.time_us[gone], rows.series[gone], rows.values[gone], rows.kind[gone]))
    assert after.tobytes() == np.delete(before, 2, axis=0).tobytes()
    assert np.isfinite(before).all() and np.abs(before).max() <= critic.CHANGE_SCALE * 16
    assert _critics_view(Rows(*(part[:0] for part in dataclasses.astuple(rows)))).shape[0] == 0


def test_what_is_told_holds_nothing_of_single_steps(fitted: Any) -> None:
    trained, lines, told = fitted
    report = trained.report
    assert report["training"] == {"steps": 12, "steps_paid": 12, "stopped": "steps"}
    block = report["privacy"]
    assert block["critic"]["event"]["count"] == 12 and block["critic"]["windows_per_unit"] == 1
    assert block["epsilon_by_unit"]["record"] == pytest.approx(EPSILON, abs=0.2)
    assert block["epsilon_by_unit"]["window"] > EPSILON
    assert any("DP-SGD" in sentence for sentence in block["sentences"])
    assert report["network_parameters"] > 0
    # The numbers of steps and epsilon: which steps are told depends on the clock.
    assert told and all(given in [(step, 12) for step in range(1, 13)] for given in told)
    numbers = {float(n) for line in lines for n in re.findall(r"\d+(?:\.\d+)?", line)}
    assert any("private critic: step 1 of 12" in line for line in lines)
    assert numbers <= {*range(1, 13), EPSILON}


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
    again = _fit(_config(), kept=kept).module.generator.last.weights.numpy()
    assert not np.array_equal(again, fitted[0].module.generator.last.weights.numpy())


# --- resuming ----------------------------------------------------------------------------------------------


class _Killed(BaseException):
    pass


def test_a_killed_training_goes_on_and_draws_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, taken = _config(), []
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
    assert set(kept.released) == {q.name for s in stages(_config(), DOMAINS) for q in s.queries}
    for index, variable in enumerate(fitted[0].module.generator.trainable_variables):
        np.testing.assert_array_equal(kept.state[f"average.{index}"], variable.numpy())


def test_max_minutes_ends_it_and_all_steps_are_paid_for(monkeypatch: pytest.MonkeyPatch) -> None:
    config = _config().model_copy(update={"max_minutes": 1e-9})
    trained = _fit(config)
    assert trained.report["training"] == {"steps": 0, "steps_paid": 12, "stopped": "max_minutes"}
    event = budget.plan_release(config, DOMAINS).events[-1]
    assert isinstance(event, SelfComposed) and event.count == 12


def test_without_a_numeric_feature_that_stands_the_core_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = make_rows(1500, 1, 2)
    rows.values[:, :2] = np.nan
    monkeypatch.setattr(train, "read_rows", lambda *a: rows)
    report = _fit(_config()).report
    assert "training" not in report and report["network_parameters"] == 0
    assert set(report["withheld"]["features"]) == {"temp", "count"}


# --- the configuration ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"dp": {"unit": "window"}}, "dp.unit: found 'window' with method 'dp_gan'"),
        ({"method": "dp_linear", "dp": {"critic": {}}}, "dp.critic belongs to method 'dp_gan'"),
        ({"method": "gan", "dp": {}}, "dp belongs to methods 'dp_linear' and 'dp_gan'"),
        ({"dp": None}, "method 'dp_gan' needs dp"),
        ({"dp": {"critic": {"sampling_rate": 0.0}}}, "sampling_rate"),
        ({"dp": {"critic": {"steps": 0}}}, "steps"),
        ({"dp": {"critic": {"slot_rows": 2}}}, "slot_rows"),
        ({"dp": {"critic": {"clip_norm": 0}}}, "clip_norm"),
        ({"dp": {"critic": {"budget_share": 1.0}}}, "budget_share"),
        ({"rare_events": {"below": "merge"}}, "with method 'dp_gan', which counts no real window"),
    ],
)
def test_a_configuration_that_cannot_hold_is_refused(changes: dict[str, Any], words: str) -> None:
    given: dict[str, Any] = {"dataset": DATASET, "method": "dp_gan", **changes}
    dp = changes.get("dp", {})
    given["dp"] = None if dp is None else {"epsilon": 1.0, "delta": 1e-6, **dp}
    with pytest.raises(ValueError, match=words.replace("(", r"\(")):
        SynthesizerTrainerConfig.model_validate(given)


def test_the_critic_has_defaults_and_the_others_have_none() -> None:
    config = SynthesizerTrainerConfig(dataset=DATASET, method="dp_gan", dp=dp_config())
    assert config.critic is not None and config.critic.slot_rows == 12 and config.is_private
    assert SynthesizerTrainerConfig(dataset=DATASET, method="dp_linear", dp=dp_config()).critic is None
    assert SynthesizerTrainerConfig(dataset=DATASET).critic is None
    assert STEP_US == INTERVAL_S * 1_000_000
