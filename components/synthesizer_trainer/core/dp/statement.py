"""What a DP release guarantees, in sentences and as JSON; from the cost and the configuration alone."""

from __future__ import annotations

from typing import Any

from components.governance.core.events import Event, Gaussian, PoissonSampled, PrivacyCost, SelfComposed
from components.release.privacy import PrivacyClaim
from components.synthesizer_trainer.config import SynthesizerTrainerConfig
from components.synthesizer_trainer.core.dp.budget import core_multipliers, epsilon_by_unit, unit_windows
from components.synthesizer_trainer.core.dp.domains import Domains
from components.synthesizer_trainer.core.dp.mechanism import noise_multiplier
from components.synthesizer_trainer.core.dp.queries import stages

MECHANISM = "Gaussian mechanism on clipped sufficient statistics (dp_linear)"
GAN_MECHANISM = "Gaussian mechanism on clipped sufficient statistics, and DP-SGD on a critic (dp_gan)"

NOTES = (
    "Covered by differential privacy: the model, and every row drawn from it on a public grid, against "
    "every attack and whatever else an attacker knows.",
    "Not covered by it: the gate's verdict and metrics, which are computed on real rows; that a run "
    "succeeded or failed, and how long it took; rows that depend on the unit but are not part of it; what "
    "the configuration itself says (bounds, vocabularies, kinds, cycles).",
)

_UNITS = {
    "record": "one row",
    "window": "any window of consecutive rows of one series, up to the configured length,",
    "series": "all rows of one series",
}


def privacy_sentences(
    cost: PrivacyCost, epsilon: float, delta: float, unit_rows: int | None = None
) -> tuple[str, ...]:
    """The privacy statement of a release's manifest.

    Args:
      cost: What was done to the rows.
      epsilon, delta: The guarantee.
      unit_rows: Rows of a window or, at most, of a series.
    """
    rows = f" ({unit_rows} rows at most)" if unit_rows and cost.unit != "record" else ""
    core = [event for event in cost.events if isinstance(event, Gaussian)]
    multipliers = ", ".join(f"{event.noise_multiplier:.3g}" for event in core)
    steps = [sentence for event in cost.events for sentence in _critic_sentences(event)]
    fitted = "linear model that was fitted to noisy statistics"
    if steps:
        fitted += ", and a residual on it that was trained against a critic with noisy gradients"
    return (
        f"The rows were drawn from a {fitted}: with epsilon "
        f"{epsilon:g} and delta {delta:g} it is differentially private for "
        f"{_UNITS[cost.unit]}{rows} coming or going (add/remove adjacency).",
        f"Mechanism: {len(core)} Gaussian releases of clipped counts and moments over all training "
        f"rows, without sampling, noise multipliers {multipliers}, noise from the operating system's "
        "entropy, accounted with privacy loss distributions (dp-accounting).",
        *steps,
        *NOTES,
    )


def _critic_sentences(event: Event) -> tuple[str, ...]:
    if not isinstance(event, SelfComposed) or not isinstance(event.event, PoissonSampled):
        return ()
    sampled = event.event
    return (
        f"Mechanism: {event.count} steps of DP-SGD on the critic. In each, the unit is drawn with "
        f"probability {sampled.sampling_probability:.3g} (Poisson sampling of windows that share no row) and "
        "moves a sum of clipped gradients, under noise of multiplier "
        f"{sampled.event.noise_multiplier:.3g}; the generator saw nothing but the critic.",
    )


def claim(config: SynthesizerTrainerConfig) -> PrivacyClaim:
    """What a release's manifest claims of a private configuration."""
    dp = config.dp
    assert dp is not None  # the configuration's own rule
    return PrivacyClaim(
        mechanism=_mechanism(config),
        epsilon=dp.epsilon,
        delta=dp.delta,
        unit=dp.unit,
        adjacency="add_or_remove_one",
        sampling=_sampling(config)
        + ("" if dp.unit == "record" else f" (at most {dp.most_rows} rows of one series)"),
        notes=NOTES,
    )


def _mechanism(config: SynthesizerTrainerConfig) -> str:
    return MECHANISM if config.critic is None else GAN_MECHANISM


def _sampling(config: SynthesizerTrainerConfig) -> str:
    critic = config.critic
    if critic is None:
        return "none: every training row is in every statistic"
    return (
        "none in the statistics, which hold every training row; Poisson in the critic: each window of "
        f"{critic.slot_rows} rows is in each of {critic.steps} batches with probability "
        f"{critic.sampling_rate:g}, independently"
    )


def privacy_block(config: SynthesizerTrainerConfig, domains: Domains, cost: PrivacyCost) -> dict[str, Any]:
    """The `privacy` block of the training report: public settings alone."""
    dp, critic = config.dp, config.critic
    assert dp is not None
    planned = stages(config, domains)
    block: dict[str, Any] = {
        "mechanism": _mechanism(config),
        "epsilon": dp.epsilon,
        "delta": dp.delta,
        "unit": dp.unit,
        "unit_rows": dp.most_rows,
        "neighboring_relation": cost.neighboring_relation,
        "sampling": _sampling(config),
        "accountant": "PLD (dp-accounting)",
        "noise_multiplier": noise_multiplier(dp.epsilon, dp.delta),
        "stages": {
            stage.name: {"share": stage.share, "statistics": {q.name: q.share for q in stage.queries}}
            for stage in planned
        },
        "epsilon_by_unit": epsilon_by_unit(config, planned),
        "sentences": list(
            privacy_sentences(cost, dp.epsilon, dp.delta, dp.most_rows if dp.unit != "record" else None)
        ),
    }
    if critic is not None:
        block["core_noise_multipliers"] = core_multipliers(config, planned)
        block["critic"] = {
            **critic.model_dump(mode="json"),
            "windows_per_unit": unit_windows(dp, critic.slot_rows),
            "event": cost.events[-1].model_dump(mode="json"),
        }
    return block
