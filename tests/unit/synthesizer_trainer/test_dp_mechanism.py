"""The Gaussian mechanism: calibration against a closed form, scale, lattice, entropy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from components.errors import InternalError
from components.governance.core.accounting import Tally, epsilon_of
from components.synthesizer_trainer.core.dp import mechanism
from components.synthesizer_trainer.core.dp.mechanism import Query, Stage
from components.synthesizer_trainer.core.dp.queries import stages
from tests.unit.synthesizer_trainer.dp_data import DOMAINS, dp_config, trainer_config


def _delta(epsilon: float, sigma: float) -> float:
    """Of the Gaussian mechanism with sensitivity 1 (Balle and Wang 2018, theorem 8)."""
    a, b = 1 / (2 * sigma), epsilon * sigma
    return float(stats.norm.cdf(a - b) - np.exp(epsilon) * stats.norm.cdf(-a - b))


@pytest.mark.parametrize(("epsilon", "delta"), [(0.5, 1e-6), (2.0, 1e-5)])
def test_the_noise_multiplier_is_the_least_that_keeps_the_promise(epsilon: float, delta: float) -> None:
    sigma = mechanism.noise_multiplier(epsilon, delta)
    assert _delta(epsilon, sigma) <= delta * (1 + 1e-6)
    assert _delta(epsilon, 0.999 * sigma) > delta


def test_the_plan_costs_what_the_configuration_promises() -> None:
    config = trainer_config()
    assert config.dp is not None
    planned = stages(config, DOMAINS)
    cost = mechanism.plan(config.dp, planned)
    assert cost.is_private and cost.unit == "record" and cost.neighboring_relation == "add_or_remove_one"
    assert len(cost.events) == 3
    assert epsilon_of(Tally.of(cost.events), 1e-5) == pytest.approx(2.0, abs=1e-3)
    assert epsilon_of(Tally.of(cost.events), 1e-5) <= 2.0


def test_shares_that_overspend_are_refused() -> None:
    query = Query("a", (3,), 0, 1.0, 1.0)
    with pytest.raises(InternalError, match="add up to 1"):
        mechanism.plan(dp_config(), [Stage("s", 0.7, (query,)), Stage("t", 0.7, (query,))])


def test_noise_has_the_planned_scale() -> None:
    dp = dp_config(unit="window", window_rows=5)
    count = 20_000
    stage = Stage(
        "s",
        1.0,
        (Query("rows", (count,), 0, 3.0, 0.25), Query("pairs", (count,), 1, 2.0, 0.75, 2.0**-10)),
    )
    out = mechanism.release(stage, {"rows": np.zeros(count), "pairs": np.zeros(count)}, 1.7, dp)
    # Five rows are in six pairs.
    expected = {"rows": 1.7 * 5 * 3.0 / 0.5, "pairs": 1.7 * 6 * 2.0 / np.sqrt(0.75)}
    for name, std in expected.items():
        assert out[name].std == pytest.approx(std)
        # The standard error of a standard deviation is 1 / sqrt(2 n) = 0.5 %; six of them.
        assert out[name].value.std() == pytest.approx(std, rel=0.03)
        assert abs(out[name].value.mean()) < 6 * std / np.sqrt(count)


def test_a_symmetric_matrix_stays_symmetric_with_less_noise_off_its_diagonal() -> None:
    query = Query("m", (200, 200), 0, 1.0, 1.0, 2.0**-10, symmetric=True)
    out = mechanism.release(Stage("s", 1.0, (query,)), {"m": np.zeros((200, 200))}, 10.0, dp_config())["m"]
    assert np.array_equal(out.value, out.value.T)
    upper = out.value[np.triu_indices(200, 1)]
    assert upper.std() == pytest.approx(10 / np.sqrt(2), rel=0.05)


def test_what_comes_out_lies_on_the_lattice_whatever_went_in() -> None:
    query = Query("a", (500,), 0, 1.0, 1.0, 2.0**-4)
    stage = Stage("s", 1.0, (query,))
    for exact in (np.zeros(500), np.arange(500) * 2.0**-4):
        steps = mechanism.release(stage, {"a": exact}, 1.0, dp_config())["a"].value * 2**4
        assert np.array_equal(steps, np.rint(steps))
    with pytest.raises(InternalError, match="not on its lattice"):
        mechanism.release(stage, {"a": np.full(500, 0.1)}, 1.0, dp_config())
    with pytest.raises(InternalError, match=r"shape \(3,\)"):
        mechanism.release(stage, {"a": np.zeros(3)}, 1.0, dp_config())


def test_noise_is_normal_and_no_seed_brings_it_back() -> None:
    np.random.seed(1)  # noqa: NPY002 (the point: it must not matter)
    first = mechanism.system_noise(100_001)
    np.random.seed(1)  # noqa: NPY002
    second = mechanism.system_noise(100_001)
    assert not np.isin(first, second).any() and first.shape == (100_001,)
    # Kolmogorov's law: 3 / sqrt(n) is passed once in 30 million times.
    assert stats.kstest(first, "norm").statistic < 3 / np.sqrt(len(first))
    assert abs(np.corrcoef(first[:-1], first[1:])[0, 1]) < 6 / np.sqrt(len(first))


def test_clipping_bounds_every_row_even_what_is_not_a_number() -> None:
    rows = np.array([[3.0, 4.0], [np.nan, np.inf], [1e300, -1e300], [0.1, 0.2]])
    out = mechanism.clip_norm(rows, 1.0, 2.0**-10)
    assert (np.sqrt((out**2).sum(1)) <= 1.0).all() and np.isfinite(out).all()
    assert out[0] == pytest.approx([0.6, 0.8], abs=2e-3) and out[3] == pytest.approx([0.1, 0.2], abs=2e-3)
    assert np.array_equal(out * 2**10, np.rint(out * 2**10))
