"""What a locale's `egress.sketch` may say, given its budget and its synthesizer. Imports no TFX."""

from __future__ import annotations

from components.drift.core import outward
from components.drift.public import outward_plan
from components.egress.config import EgressConfig
from components.errors import ConfigError
from components.governance.core.events import PrivacyCost
from components.sketch_gen.config import SketchGenConfig
from components.synthesizer_trainer.config import SynthesizerTrainerConfig
from pipeline.config.model import Deployment


def sketch_config(
    deployment: Deployment, name: str, policy: EgressConfig, synthesizer: SynthesizerTrainerConfig | None
) -> SketchGenConfig | None:
    """What a locale's SketchGen is configured with; None where its policy withholds a sketch.

    Args:
      deployment: The deployment.
      name: The locale's name.
      policy: What the locale lets out.
      synthesizer: Its synthesizer's configuration; None for an open locale.

    Raises:
      ConfigError: no bins are public; counts without noise would go beside an epsilon; or noise has no
        budget, or another unit than the budget and the synthesizer.
    """
    mode, noise = policy.sketch.mode, policy.sketch.noise
    if mode == "withheld" or synthesizer is None:
        return None
    place = f"locale {name}: egress.sketch"
    privacy = deployment.locale(name).privacy
    budget = privacy.budget if privacy else None
    if mode == "suppressed" and (budget is not None or synthesizer.dp is not None):
        raise ConfigError(
            f"{place}.mode: found 'suppressed', counts of real rows that no epsilon covers; allowed with "
            "privacy.target_epsilon or a budget: withheld or noised"
        )
    if noise is not None:
        if budget is None:
            raise ConfigError(
                f"{place}.mode: found 'noised' without privacy.budget, so that nobody adds up what sketches "
                "cost; allowed: a budget (and the method dp_linear), or mode suppressed or withheld"
            )
        if noise.unit != budget.unit:
            raise ConfigError(
                f"{place}.noise.unit: found {noise.unit}, the budget is per {budget.unit}; allowed: record "
                "or window, as privacy.budget.unit and synthesizer.dp.unit (a series has no bounded number "
                "of rows)"
            )
        rows = synthesizer.dp.most_rows if synthesizer.dp is not None else 1
        if noise.unit_rows != rows:
            raise ConfigError(
                f"{place}.noise.unit_rows: found {noise.unit_rows}, the synthesizer's unit has {rows}; "
                "allowed: the same, or their costs do not add up"
            )
    try:
        outward_plan(deployment.dataset)
    except ConfigError as error:
        raise ConfigError(f"{place}: {error}") from None
    return SketchGenConfig(dataset=deployment.dataset, sketch=policy.sketch)


def planned_sketch(config: SketchGenConfig | None) -> list[PrivacyCost]:
    """What a locale's sketch costs beside its model: one cost, or none where it has no noise."""
    rules = config.sketch.rules() if config is not None else None
    return [outward.cost(rules)] if rules is not None and rules.noise is not None else []
