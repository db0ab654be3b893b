"""What a training costs in privacy, known from its configuration before it looks at the data."""

from __future__ import annotations

from components.governance.core.events import PrivacyCost, PrivacyUnit
from components.synthesizer_trainer.config import SynthesizerTrainerConfig


def planned_cost(config: SynthesizerTrainerConfig, unit: PrivacyUnit) -> PrivacyCost:
    """The cost of one model trained with this configuration.

    Args:
      config: How the synthesizer is fitted.
      unit: The unit of the locale's budget, for a synthesizer that has none of its own.

    Returns:
      Of methods `dp_linear` and `dp_gan` what their releases cost, per their own unit. Of method `gan` an
      infinite cost: neither the linear core nor the adversarial training bounds what one unit does.

    Raises:
      ConfigError: a feature of a private method's configuration has no public domain.
    """
    if not config.is_private:
        return PrivacyCost.non_private(unit)
    from components.synthesizer_trainer.core.dp.budget import plan_release
    from components.synthesizer_trainer.public_domains import public_domains

    return plan_release(config, public_domains(config))
