"""What a deployment says about differential privacy, brought together from its sections. Imports no TFX."""

from __future__ import annotations

from components.data_quality.config import ROW_BY_ROW
from components.egress.categories import OTHER
from components.errors import ConfigError
from components.example_gen.config import SplitConfig
from components.governance.config import BudgetConfig
from components.governance.core.events import PrivacyCost
from components.release.privacy import PrivacyClaim
from components.synthesizer_trainer.config import SynthesizerTrainerConfig
from components.synthetic_gen.config import SyntheticGenConfig
from pipeline.config.model import Deployment, LocaleSection, Section

#: Methods of the synthesizer that keep an epsilon.
PRIVATE = ("dp_linear", "dp_gan")


def budgeted(section: Section, locale: LocaleSection, place: str) -> Section:
    """A synthesizer section with the locale's budget in its `dp` part.

    Args:
      section: As given.
      locale: Says epsilon and delta.
      place: Where the section stands, for messages.

    Raises:
      ConfigError: the section says epsilon or delta itself, or the locale says none.
    """
    given = section.get("dp")
    if isinstance(given, dict):
        for key in ("epsilon", "delta"):
            if key in given:
                raise ConfigError(
                    f"{place}.dp.{key}: found {given[key]}; allowed: say it once, as the locale's "
                    f"privacy.target_{key}"
                )
    method = section.get("method")
    if method not in PRIVATE and not isinstance(given, dict):
        return section
    assert locale.privacy is not None  # the deployment's own rule
    if locale.privacy.target_epsilon is None:
        raise ConfigError(
            f"locale {locale.name}: privacy.target_epsilon: found none; the synthesizer's method "
            f"'{method if method in PRIVATE else 'dp_linear'}' needs it, and target_delta; allowed: "
            "epsilon greater than 0, delta in (0, 1)"
        )
    budget = {"epsilon": locale.privacy.target_epsilon, "delta": locale.privacy.target_delta}
    return {**section, "dp": {**(given or {}), **budget}}


def check_budget(config: SynthesizerTrainerConfig, locale: LocaleSection) -> None:
    """Checks that an epsilon is kept by something, and that what is released has a public domain.

    Raises:
      ConfigError: an epsilon without a DP synthesizer, or a feature without a public domain.
    """
    assert locale.privacy is not None  # the deployment's own rule
    if not config.is_private:
        if locale.privacy.target_epsilon is not None:
            # Accepting an epsilon that nothing enforces would be the worst kind of lie.
            raise ConfigError(
                f"locale {locale.name}: privacy.target_epsilon: found {locale.privacy.target_epsilon:g}, "
                "but the synthesizer's method 'gan' has no differential privacy, so it would not be kept; "
                "allowed: synthesizer: {method: dp_linear} (or dp_gan), or null (the gate's attacks are the "
                "only measure)"
            )
        return
    # Parses the curated schema.
    from components.synthesizer_trainer.public_domains import public_domains

    try:
        public_domains(config)
    except ConfigError as error:
        raise ConfigError(f"locale {locale.name}: {error}") from None


def check_public_grid(config: SyntheticGenConfig, synthesizer: SynthesizerTrainerConfig, locale: str) -> None:
    """Checks that a DP release stands on a grid that reveals nothing: how many rows, of when.

    Raises:
      ConfigError: it would take rows, times or the number of series from the data.
    """
    if synthesizer.dp is None:
        return
    if config.grid == "real":
        raise ConfigError(
            f"locale {locale}: generation.grid: found 'real', which releases times and number of real rows; "
            f"allowed with method '{synthesizer.method}': regular or rows"
        )
    if config.sessions is None:
        raise ConfigError(
            f"locale {locale}: generation.sessions: found none; allowed with method "
            f"'{synthesizer.method}': a number of synthetic series, because that of the real ones is not "
            "released"
        )
    if synthesizer.dp.period is None and (config.grid != "rows" or config.start is None):
        raise ConfigError(
            f"locale {locale}: synthesizer.dp.period: found none; allowed: the period that the rows are read "
            "from, or generation: {grid: rows, rows: .., start: ..}, because no time of the data is released"
        )


def check_imputation(
    deployment: Deployment, synthesizer: SynthesizerTrainerConfig | None, locale: str
) -> None:
    """Checks that under differential privacy a training row depends on its own source row alone.

    Raises:
      ConfigError: a missing value would be filled from other rows, whose share in it nobody accounts for.
    """
    if synthesizer is None or synthesizer.dp is None:
        return
    for feature, policy in deployment.quality.imputation.policies(deployment.dataset).items():
        if policy not in ROW_BY_ROW:
            raise ConfigError(
                f"locale {locale}: quality.imputation: found '{policy}' for '{feature}', which fills a row "
                "from other rows, so that one row more changes others; allowed with method "
                f"'{synthesizer.method}': {' or '.join(ROW_BY_ROW)}"
            )


def check_amplification(
    generation: SyntheticGenConfig, synthesizer: SynthesizerTrainerConfig, locale: str
) -> None:
    """Checks that factors by kind name the kind that rare ones are merged into.

    Raises:
      ConfigError: they do not, so that a merged kind would silently lose the factor of its own name.
    """
    factors = generation.label_amplification
    if synthesizer.rare_events.below != "merge" or not isinstance(factors, dict) or OTHER in factors:
        return
    raise ConfigError(
        f"locale {locale}: generation.label_amplification: found {', '.join(sorted(factors)) or 'no kind'}, "
        f"but synthesizer.rare_events.below is merge, which releases rare kinds as '{OTHER}'; allowed: a "
        f"factor for '{OTHER}' as well, or one number for all"
    )


def splits_for(splits: SplitConfig, synthesizer: SynthesizerTrainerConfig | None) -> SplitConfig:
    """The splits of a locale: under differential privacy a row's split depends on that row alone."""
    if synthesizer is None or synthesizer.dp is None:
        return splits
    return splits.model_copy(update={"deal": "by_time"})


def privacy_claim(synthesizer: SynthesizerTrainerConfig | None) -> PrivacyClaim | None:
    """What the manifest claims; None without differential privacy."""
    if synthesizer is None or synthesizer.dp is None:
        return None
    from components.synthesizer_trainer.core.dp.statement import claim

    return claim(synthesizer)


def check_fits(cost: PrivacyCost, budget: BudgetConfig, locale: str) -> None:
    """Checks that the locale's budget bounds what a release costs, and that one release fits in it.

    Raises:
      ConfigError: another unit or adjacency, or a release costs more than the whole budget.
    """
    if (cost.unit, cost.neighboring_relation) != (budget.unit, budget.neighboring_relation):
        raise ConfigError(
            f"locale {locale}: privacy.budget.unit: found {budget.unit} ({budget.neighboring_relation}), but "
            f"a release is accounted per {cost.unit} ({cost.neighboring_relation}); allowed: the same in "
            "privacy.budget and synthesizer.dp.unit"
        )
    from components.governance.core.accounting import spent_epsilon

    first = spent_epsilon([cost], budget.delta, budget.neighboring_relation)
    if first > budget.epsilon:
        raise ConfigError(
            f"locale {locale}: privacy.budget.epsilon: found {budget.epsilon:g}, but a single release costs "
            f"{first:.4g} at delta {budget.delta:g}; allowed: a larger budget, or a smaller "
            "privacy.target_epsilon"
        )
