"""What a training costs in privacy, known from its configuration before it looks at the data."""

from __future__ import annotations

from components.governance.core.events import PrivacyCost, PrivacyUnit
from components.synthesizer_trainer.config import SynthesizerTrainerConfig


def planned_cost(config: SynthesizerTrainerConfig, unit: PrivacyUnit) -> PrivacyCost:
    """The cost of one model trained with this configuration.

    Args:
      config: How the synthesizer is fitted.
      unit: The unit of the locale's budget.

    Returns:
      An infinite cost: neither the linear core nor the adversarial training bounds what one unit does.
    """
    return PrivacyCost.non_private(unit)
