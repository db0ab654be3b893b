"""The budget of `dp_gan`, and the configurations that are refused."""

from __future__ import annotations

from typing import Any

import dp_accounting as dpa
import numpy as np
import pytest
from dp_accounting import pld
from scipy import stats

from components.governance.core.accounting import Tally, epsilon_of, spent_epsilon
from components.governance.core.events import Gaussian, PoissonSampled, SelfComposed
from components.synthesizer_trainer.config import SynthesizerTrainerConfig
from components.synthesizer_trainer.core.dp import budget
from components.synthesizer_trainer.core.dp.queries import stages
from components.synthesizer_trainer.core.dp.sgd import Mechanism
from tests.unit.synthesizer_trainer.dp_data import (
    CRITIC,
    DATASET,
    DOMAINS,
    GAN_EPSILON,
    dp_config,
    gan_config,
)


@pytest.mark.parametrize(
    "changes", [{}, {"epsilon": 2.0}, {"unit": "series", "max_rows_per_series": 60, "epsilon": 2.0}]
)
def test_core_and_critic_cost_together_what_is_promised(changes: dict[str, Any]) -> None:
    config = gan_config(**changes)
    cost = budget.plan_release(config, DOMAINS)
    dp = config.dp
    assert dp is not None and cost.unit == dp.unit
    spent = spent_epsilon([cost], dp.delta)
    assert 0.98 * dp.epsilon < spent <= dp.epsilon
    *core, last = cost.events
    assert isinstance(last, SelfComposed) and isinstance(last.event, PoissonSampled)
    assert last.count == CRITIC["steps"]
    # Against dp_accounting itself, event by event.
    accountant = pld.PLDAccountant(dpa.NeighboringRelation.ADD_OR_REMOVE_ONE, 1e-3)
    for event in core:
        assert isinstance(event, Gaussian)
        accountant.compose(dpa.GaussianDpEvent(event.noise_multiplier))
    inner = dpa.GaussianDpEvent(last.event.event.noise_multiplier)
    step = dpa.PoissonSampledDpEvent(last.event.sampling_probability, inner)
    accountant.compose(dpa.SelfComposedDpEvent(step, last.count))
    assert accountant.get_epsilon(dp.delta) == pytest.approx(spent, rel=0.02)


def test_the_core_gets_its_share_and_no_more() -> None:
    config = gan_config()
    multipliers = budget.core_multipliers(config, stages(config, DOMAINS))
    precision = sum(1 / m**2 for m in multipliers)
    linear = SynthesizerTrainerConfig(dataset=DATASET, method="dp_linear", dp=dp_config(epsilon=GAN_EPSILON))
    whole = sum(1 / m**2 for m in budget.core_multipliers(linear, stages(linear, DOMAINS)))
    assert precision == pytest.approx(0.7 * whole)
    assert budget.plan_release(linear, DOMAINS).events == tuple(
        Gaussian(noise_multiplier=m) for m in budget.core_multipliers(linear, stages(linear, DOMAINS))
    )


def test_a_series_pays_for_all_of_its_windows() -> None:
    config = gan_config({"slot_rows": 12}, unit="series", max_rows_per_series=60, epsilon=2.0)
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
