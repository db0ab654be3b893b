"""What a DP release guarantees, in sentences and as JSON; from the cost and the configuration alone."""

from __future__ import annotations

import math
from typing import Any

from components.governance.core.accounting import Tally, epsilon_of
from components.governance.core.events import Gaussian, PrivacyCost
from components.release.privacy import PrivacyClaim
from components.synthesizer_trainer.config import DpConfig, SynthesizerTrainerConfig
from components.synthesizer_trainer.core.dp.domains import Domains
from components.synthesizer_trainer.core.dp.mechanism import (
    Stage,
    noise_multiplier,
    stage_multipliers,
    touched,
)
from components.synthesizer_trainer.core.dp.queries import stages

MECHANISM = "Gaussian mechanism on clipped sufficient statistics (dp_linear)"

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
    multipliers = ", ".join(
        f"{event.noise_multiplier:.3g}" for event in cost.events if isinstance(event, Gaussian)
    )
    return (
        "The rows were drawn from a linear model that was fitted to noisy statistics: with epsilon "
        f"{epsilon:g} and delta {delta:g} it is differentially private for "
        f"{_UNITS[cost.unit]}{rows} coming or going (add/remove adjacency).",
        f"Mechanism: {len(cost.events)} Gaussian releases of clipped counts and moments over all training "
        f"rows, without sampling, noise multipliers {multipliers}, noise from the operating system's "
        "entropy, accounted with privacy loss distributions (dp-accounting).",
        *NOTES,
    )


def claim(config: SynthesizerTrainerConfig) -> PrivacyClaim:
    """What a release's manifest claims of a `dp_linear` configuration."""
    dp = config.dp
    assert dp is not None  # the configuration's own rule
    rows = "" if dp.unit == "record" else f" (at most {dp.most_rows} rows of one series)"
    return PrivacyClaim(
        mechanism=MECHANISM,
        epsilon=dp.epsilon,
        delta=dp.delta,
        unit=dp.unit,
        adjacency="add_or_remove_one",
        sampling=f"none: every training row is in every statistic{rows}",
        notes=NOTES,
    )


def epsilon_by_unit(dp: DpConfig, planned: tuple[Stage, ...]) -> dict[str, float]:
    """The same noise, read for every unit of privacy: epsilon at the configured delta.

    A unit that touches r times as many terms of a statistic has r times the sensitivity, so r times less
    noise multiplier; the largest r of a stage's statistics bounds the stage.

    Returns:
      `record`, `window` (of `window_rows`), and `series` where `max_rows_per_series` bounds it; infinity is
      left out.
    """
    sizes = {"record": (1, False), "window": (dp.window_rows, False)}
    if dp.max_rows_per_series is not None:
        sizes["series"] = (dp.max_rows_per_series, True)
    whole = dp.unit == "series"
    multipliers = stage_multipliers(noise_multiplier(dp.epsilon, dp.delta), planned)
    found = {}
    for name, (rows, is_series) in sizes.items():
        if whole and not is_series:
            # The first rows of a series are read: a row that goes lets another one in.
            rows, is_series = min(2 * rows, dp.most_rows), False
        events = []
        for stage, multiplier in zip(planned, multipliers):
            ratio = max(
                touched(rows, is_series, query.order) / touched(dp.most_rows, whole, query.order)
                for query in stage.queries
            )
            events.append(Gaussian(noise_multiplier=multiplier / ratio))
        epsilon = epsilon_of(Tally.of(events), dp.delta)
        if math.isfinite(epsilon):
            found[name] = epsilon
    return found


def privacy_block(config: SynthesizerTrainerConfig, domains: Domains, cost: PrivacyCost) -> dict[str, Any]:
    """The `privacy` block of the training report: public settings alone."""
    dp = config.dp
    assert dp is not None
    planned = stages(config, domains)
    return {
        "mechanism": MECHANISM,
        "epsilon": dp.epsilon,
        "delta": dp.delta,
        "unit": dp.unit,
        "unit_rows": dp.most_rows,
        "neighboring_relation": cost.neighboring_relation,
        "sampling": "none: every training row is in every statistic",
        "accountant": "PLD (dp-accounting)",
        "noise_multiplier": noise_multiplier(dp.epsilon, dp.delta),
        "stages": {
            stage.name: {"share": stage.share, "statistics": {q.name: q.share for q in stage.queries}}
            for stage in planned
        },
        "epsilon_by_unit": epsilon_by_unit(dp, planned),
        "sentences": list(
            privacy_sentences(cost, dp.epsilon, dp.delta, dp.most_rows if dp.unit != "record" else None)
        ),
    }
