"""Who of a private synthesizer gets how much of the budget, known before any row is seen.

Method `dp_linear`: all of it goes to the core's Gaussian releases. Method `dp_gan`: the core keeps the
share 1 - s of the precision 1 / sigma^2 that one Gaussian mechanism of the whole budget has, and the
critic's noise is the least for which the core's releases and T steps of DP-SGD together are (epsilon,
delta)-private by PLD accounting, composed as

    Gaussian(sigma_core) ..., T x PoissonSampled(q', Gaussian(sigma_critic)).

A unit that touches k windows (`slots`): q' = 1 - (1 - q)^k, and noise in units of k clipping norms. Right
for k > 1 where all k windows come or go together (a series): given that any is drawn, the step's mean
moves by a vector of norm k C at most; hockey-stick divergence is jointly convex, so the worst such vector
bounds the mixture in both directions, and Poisson sampling of it is what the accountant counts (Balle,
Barthe and Gaboardi 2018, "Privacy amplification by subsampling"; dominating pairs compose adaptively: Zhu,
Dong and Wang 2022, theorem 10). Where windows may come while others go, `revealed_epsilon` bounds the loss
without any amplification: an attacker who is told at which steps a touched window was drawn.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np
from scipy import optimize, special, stats

from components.errors import InternalError
from components.governance.core.accounting import Tally, epsilon_of
from components.governance.core.events import (
    Gaussian,
    PoissonSampled,
    PrivacyCost,
    SelfComposed,
)
from components.synthesizer_trainer.config import DpConfig, SynthesizerTrainerConfig
from components.synthesizer_trainer.core.dp.domains import Domains
from components.synthesizer_trainer.core.dp.mechanism import (
    Stage,
    noise_multiplier,
    plan,
    stage_multipliers,
    touched,
)
from components.synthesizer_trainer.core.dp.queries import stages
from components.synthesizer_trainer.core.dp.sgd import Mechanism

#: Grid of privacy losses while the noise is searched for; the ledger's own, finer one has the last word.
_SEARCH_INTERVAL = 2e-3
_TOLERANCE = 1e-3


def touched_windows(unit_rows: int, whole_series: bool, slot_rows: int) -> int:
    """Windows that come or go with one unit of privacy, at most; see `slots`.

    Args:
      unit_rows: Rows of the unit that follow one another, or, of a whole series, that are read.
      whole_series: Whether the unit is a series.
      slot_rows: W.
    """
    if whole_series:
        return max(unit_rows // slot_rows, 1)
    return 1 if unit_rows == 1 else 2 + (unit_rows - 2) // slot_rows


def unit_windows(dp: DpConfig, slot_rows: int) -> int:
    """`touched_windows` of the configured unit."""
    return touched_windows(dp.most_rows, dp.unit == "series", slot_rows)


def core_multipliers(config: SynthesizerTrainerConfig, planned: Sequence[Stage]) -> list[float]:
    """Noise multiplier of every stage of the core."""
    return stage_multipliers(_core_sigma(config), planned)


def _core_sigma(config: SynthesizerTrainerConfig) -> float:
    assert config.dp is not None  # the configuration's own rule
    sigma = noise_multiplier(config.dp.epsilon, config.dp.delta)
    critic = config.critic
    return sigma if critic is None else sigma / math.sqrt(1 - critic.budget_share)


def critic_event(config: SynthesizerTrainerConfig) -> SelfComposed:
    """The critic's steps as the unit of privacy pays for them."""
    dp, critic = config.dp, config.critic
    assert dp is not None and critic is not None
    count = unit_windows(dp, critic.slot_rows)
    rate = _any_of(count, critic.sampling_rate)
    sigma = critic_multiplier(dp.epsilon, dp.delta, critic.budget_share, rate, critic.steps)
    return _steps(rate, sigma, critic.steps)


def critic_mechanism(config: SynthesizerTrainerConfig) -> Mechanism:
    """What every step of the critic does."""
    dp, critic = config.dp, config.critic
    assert dp is not None and critic is not None
    sampled = critic_event(config).event
    assert isinstance(sampled, PoissonSampled)
    std = sampled.event.noise_multiplier * unit_windows(dp, critic.slot_rows)
    return Mechanism(critic.sampling_rate, critic.clip_norm, std)


def _any_of(count: int, rate: float) -> float:
    """Probability that any of `count` windows is drawn."""
    return rate if count == 1 else -math.expm1(count * math.log1p(-rate)) if rate < 1 else 1.0


def _steps(rate: float, sigma: float, count: int) -> SelfComposed:
    sampled = PoissonSampled(sampling_probability=rate, event=Gaussian(noise_multiplier=sigma))
    return SelfComposed(event=sampled, count=count)


@functools.lru_cache(maxsize=64)
def critic_multiplier(epsilon: float, delta: float, share: float, rate: float, steps: int) -> float:
    """Least noise multiplier of the critic beside a core of the other share; see the module's docstring.

    Raises:
      InternalError: none was found.
    """
    import dp_accounting
    from dp_accounting import pld

    total = noise_multiplier(epsilon, delta)
    core = Gaussian(noise_multiplier=total / math.sqrt(1 - share))

    def excess(log_sigma: float) -> float:
        accountant = pld.PLDAccountant(
            dp_accounting.NeighboringRelation.ADD_OR_REMOVE_ONE,
            _SEARCH_INTERVAL * max(1.0, epsilon / 10),
        )
        inner = dp_accounting.GaussianDpEvent(math.exp(log_sigma))
        accountant.compose(dp_accounting.GaussianDpEvent(core.noise_multiplier))
        accountant.compose(dp_accounting.PoissonSampledDpEvent(rate, inner), steps)
        return float(accountant.get_epsilon(delta)) - epsilon

    # Without sampling the precisions add up, so this is enough; the central limit (Dong, Roth and Su 2022,
    # section 5) says about where it is with sampling.
    most = math.log(total * math.sqrt(steps / share))
    guess = -0.5 * math.log(math.log1p(share / (total**2 * rate**2 * steps)))
    high = min(guess + 0.2, most)
    while high < most and excess(high) > 0:
        high = min(high + 0.3, most)
    low = high - 0.3
    while excess(low) <= 0:
        low, high = low - 0.3, low
        if low < math.log(1e-2):
            break
    found = high if high == most else optimize.brentq(excess, low, high, xtol=_TOLERANCE) + _TOLERANCE
    sigma = math.exp(found)
    for attempt in range(20):
        if epsilon_of(Tally.of([core, _steps(rate, sigma, steps)]), delta) <= epsilon:
            return sigma
        sigma *= 1 + 1e-3 * 2**attempt
    raise InternalError(
        f"no noise multiplier found for epsilon {epsilon:g}, delta {delta:g}, {steps} steps, rate {rate:g}"
    )


def plan_release(config: SynthesizerTrainerConfig, domains: Domains) -> PrivacyCost:
    """What a release will cost. Needs no data, so that a ledger can reserve it before training.

    Args:
      config: Of a private method.
      domains: Public bounds and vocabularies.

    Raises:
      InternalError: the shares do not add up to 1.
    """
    dp, planned = config.dp, stages(config, domains)
    assert dp is not None
    further = () if config.critic is None else (critic_event(config),)
    return plan(dp, planned, core_multipliers(config, planned), further)


def epsilon_by_unit(config: SynthesizerTrainerConfig, planned: Sequence[Stage]) -> dict[str, float]:
    """The same noise, read for every unit of privacy: epsilon at the configured delta.

    A unit that touches r times as many terms of a statistic has r times the sensitivity, so r times less
    noise multiplier; the largest r of a stage's statistics bounds the stage. The critic: PLD accounting for
    the configured unit, `revealed_epsilon` for the others.

    Returns:
      `record`, `window` (of `window_rows`), and `series` where `max_rows_per_series` bounds it; infinity is
      left out.
    """
    dp = config.dp
    assert dp is not None
    sizes = {"record": (1, False), "window": (dp.window_rows, False)}
    if dp.max_rows_per_series is not None:
        sizes["series"] = (dp.max_rows_per_series, True)
    whole = dp.unit == "series"
    multipliers = core_multipliers(config, planned)
    found = {}
    for name, (rows, is_series) in sizes.items():
        count = 0 if config.critic is None else touched_windows(rows, is_series, config.critic.slot_rows)
        if whole and not is_series:
            # The first rows of a series are read: a row that goes lets another one in.
            rows, is_series, count = min(2 * rows, dp.most_rows), False, 2 * count
        events: list[Gaussian | SelfComposed] = []
        for stage, multiplier in zip(planned, multipliers):
            ratio = max(
                touched(rows, is_series, query.order) / touched(dp.most_rows, whole, query.order)
                for query in stage.queries
            )
            events.append(Gaussian(noise_multiplier=multiplier / ratio))
        if config.critic is None:
            epsilon = epsilon_of(Tally.of(events), dp.delta)
        elif name == dp.unit:
            epsilon = epsilon_of(Tally.of([*events, critic_event(config)]), dp.delta)
        else:
            own = critic_mechanism(config)
            epsilon = revealed_epsilon(Tally.of(events).precision, own, count, config.critic.steps, dp.delta)
        if math.isfinite(epsilon):
            found[name] = epsilon
    return found


def revealed_epsilon(precision: float, own: Mechanism, count: int, steps: int, delta: float) -> float:
    """An upper bound for a unit whose windows may come while others go.

    Told at which N of the steps any of its k windows was drawn, an attacker faces one Gaussian mechanism of
    precision core + N (k C / sigma)^2; N is binomial. Being told more makes no loss smaller.

    Args:
      precision: Of the core, for this unit.
      own: Of every step.
      count: k.
      steps: T.
      delta: Probability.
    """
    drawn = np.arange(steps + 1)
    chance = stats.binom.pmf(drawn, steps, _any_of(count, own.sampling_rate))
    # Distance of the two worlds in noise.
    mu = np.sqrt(precision + drawn * (count / own.std) ** 2)

    def excess(epsilon: float) -> float:
        # Balle and Wang 2018, theorem 8.
        one = special.log_ndtr(mu / 2 - epsilon / mu)
        other = epsilon + special.log_ndtr(-mu / 2 - epsilon / mu)
        return float(chance @ np.maximum(np.exp(one) - np.exp(np.minimum(other, one)), 0.0)) - delta

    high = 1.0
    while excess(high) > 0:
        high *= 2
    return float(optimize.brentq(excess, 0.0, high, xtol=1e-9)) if excess(0.0) > 0 else 0.0
