"""From a deployment to the typed configuration of each component. Imports no TFX.

A deployment says things once (the data set, the seed, the locale's policy); every component gets
them here. `check` builds all of them, so that `isthmus validate` finds a wrong key in any section.
"""

from __future__ import annotations

import dataclasses
import typing
from typing import Any, Literal, TypeVar

import pydantic

from components.config_base import ComponentConfig
from components.egress.config import EgressConfig
from components.errors import ConfigError, list_briefly
from components.example_gen.config import ExampleGenConfig, PiiRule, SourceConfig, SplitConfig
from components.example_validator.config import ExampleValidatorConfig
from components.governance.config import GovernanceConfig, LedgerAccess
from components.merge_gen.config import MergeGenConfig, MergeLocale
from components.monitoring import MonitoringConfig
from components.prophet_evaluator.config import ProphetEvaluatorConfig
from components.pusher.config import ModelPusherConfig, PusherConfig
from components.release_evaluator.config import GateConfig, ReleaseEvaluatorConfig, privacy_checks
from components.schema_gen.config import SchemaGenConfig
from components.skew_validator.config import SkewValidatorConfig
from components.statistics_gen.config import StatisticsGenConfig
from components.synthesizer_trainer.config import SynthesizerTrainerConfig
from components.synthesizer_trainer.privacy_cost import planned_cost
from components.synthetic_gen.config import SyntheticGenConfig
from pipeline.config.model import Deployment, LocaleSection, Section
from pipeline.config.privacy import (
    budgeted,
    check_budget,
    check_fits,
    check_public_grid,
    privacy_claim,
    splits_for,
)

T = TypeVar("T", bound=ComponentConfig)
Location = tuple[typing.Union[int, str], ...]


class SectionError(Exception):
    """A section breaks a rule of the component that reads it.

    Attributes:
      error: What pydantic found.
      model: The component's configuration.
      prefix: Where the section stands in the deployment file.
    """

    def __init__(
        self, error: pydantic.ValidationError, model: type[ComponentConfig], prefix: Location
    ) -> None:
        super().__init__(str(error))
        self.error, self.model, self.prefix = error, model, prefix


@dataclasses.dataclass(frozen=True)
class RegionalConfigs:
    """Configurations of one region's components; the last three are None for an open locale."""

    example_gen: ExampleGenConfig
    statistics_gen: StatisticsGenConfig
    schema_gen: SchemaGenConfig
    example_validator: ExampleValidatorConfig
    pusher: PusherConfig
    synthesizer: SynthesizerTrainerConfig | None
    generation: SyntheticGenConfig | None
    evaluator: ReleaseEvaluatorConfig | None


@dataclasses.dataclass(frozen=True)
class CentralConfigs:
    """Configurations of the centre's components; `ideal` is None where raw rows are not at hand."""

    merge_gen: MergeGenConfig
    test: ExampleGenConfig
    ideal: ExampleGenConfig | None
    statistics_gen: StatisticsGenConfig
    schema_gen: SchemaGenConfig
    skew_validator: SkewValidatorConfig
    evaluator: ProphetEvaluatorConfig
    pusher: ModelPusherConfig


def regional_configs(deployment: Deployment, name: str, *, small: bool = False) -> RegionalConfigs:
    """Configurations of a locale's components.

    Args:
      deployment: The deployment.
      name: The locale's name.
      small: The synthesizer's small preset.

    Raises:
      SectionError: a section breaks a rule.
    """
    index = [locale.name for locale in deployment.locales].index(name)
    locale, at = deployment.locales[index], ("locales", index)
    monitoring = _monitoring(deployment)
    restricted = locale.sharing == "restricted"
    synthesizer = _synthesizer(deployment, locale, at, small) if restricted else None
    return RegionalConfigs(
        example_gen=_regional_source(deployment, locale, at, splits_for(deployment.splits, synthesizer)),
        statistics_gen=StatisticsGenConfig(dataset=deployment.dataset),
        schema_gen=SchemaGenConfig(dataset=deployment.dataset, monitoring=monitoring),
        example_validator=ExampleValidatorConfig(monitoring=monitoring),
        pusher=PusherConfig(
            kind="synthetic" if restricted else "open",
            exchange_uri=deployment.exchange.uri,
            storage=deployment.exchange.storage_options,
            signing_key=locale.signing_key,
            config_digest=deployment.file_digest,
            dataset=deployment.dataset,
            egress=egress_config(deployment, locale.name),
            operator_holds_rows=restricted and deployment.central.ideal,
            governance=governance_config(deployment, name),
            privacy=privacy_claim(synthesizer),
        ),
        synthesizer=synthesizer,
        generation=_generation(deployment, locale, at) if restricted else None,
        evaluator=_evaluator(deployment, locale, at) if restricted else None,
    )


def governance_config(deployment: Deployment, name: str) -> GovernanceConfig | None:
    """Where a locale's ledger and audit log are; None where it has neither budget nor policy."""
    locale = deployment.locale(name)
    budget = locale.privacy.budget if locale.privacy else None
    section = locale.governance
    if budget is None and section is None:
        return None
    return GovernanceConfig(
        locale=name,
        folder=f"{deployment.root}/{name}/governance",
        trusted_keys=tuple(trusted.key for trusted in locale.trusted_key),
        budget_unit=budget.unit if budget else None,
        policy=section.policy if section else None,
        required_approvals=section.required_approvals if section else 0,
    )


def ledger_access(deployment: Deployment, name: str) -> LedgerAccess | None:
    """What a locale's trainer needs to reserve its cost; None where the locale has no budget."""
    governance = governance_config(deployment, name)
    if governance is None or governance.budget_unit is None:
        return None
    return LedgerAccess(governance=governance, signing_key=deployment.locale(name).signing_key)


def central_configs(deployment: Deployment) -> CentralConfigs:
    """Configurations of the centre's components.

    Raises:
      SectionError: a section breaks a rule.
    """
    central, dataset = deployment.central, deployment.dataset
    monitoring = _monitoring(deployment)
    return CentralConfigs(
        merge_gen=MergeGenConfig(
            dataset=dataset,
            exchange_uri=deployment.exchange.uri,
            storage=deployment.exchange.storage_options,
            memory_uri=f"{deployment.root}/central",
            locales=tuple(
                MergeLocale(name=locale.name, sharing=locale.sharing, trusted_key=locale.trusted_key)
                for locale in deployment.locales
            ),
            quorum=central.quorum,
            # A locale that is set to a span is merged with that one, whatever else the exchange holds.
            spans={x.name: x.span for x in deployment.locales if isinstance(x.span, int)} or "latest",
        ),
        test=ExampleGenConfig(
            dataset=dataset,
            sources=(_named(central.test_set, "test"),),
            splits=SplitConfig(mode="single", name="test"),
        ),
        ideal=_ideal(deployment) if central.ideal else None,
        statistics_gen=StatisticsGenConfig(dataset=dataset),
        schema_gen=SchemaGenConfig(dataset=dataset, monitoring=monitoring),
        skew_validator=SkewValidatorConfig(monitoring=monitoring),
        evaluator=_typed(
            ProphetEvaluatorConfig,
            ("central", "detector"),
            central.detector,
            dataset=dataset,
            locale_column=central.test_set.locale_column or "locale",
            open_locales=tuple(x.name for x in deployment.locales if x.sharing == "open"),
            restricted_locales=tuple(x.name for x in deployment.locales if x.sharing == "restricted"),
            seed=deployment.seed,
        ),
        pusher=_typed(
            ModelPusherConfig,
            ("central",),
            {},
            registry_uri=central.registry,
            storage=central.registry_storage_options,
            signing_key=central.signing_key,
            name=central.model_name,
            config_digest=deployment.file_digest,
        ),
    )


def ideal_span(deployment: Deployment) -> int | Literal["latest"]:
    """The span that the scenario *Ideal* reads: that of the restricted locales.

    Raises:
      ConfigError: they are set to different spans.
    """
    spans = {locale.span for locale in deployment.locales if locale.sharing == "restricted"}
    if len(spans) > 1:
        raise ConfigError(
            f"central.ideal: found restricted locales at the spans {', '.join(sorted(map(str, spans)))}; "
            "allowed: the same span for all of them, or ideal: false"
        )
    return next(iter(spans), "latest")


def check(deployment: Deployment) -> None:
    """Builds every configuration once.

    Raises:
      SectionError: a section breaks a rule.
      ConfigError: sections contradict one another.
    """
    for locale in deployment.locales:
        configs = regional_configs(deployment, locale.name)
        _check_budget(locale, configs.synthesizer)
    central_configs(deployment)
    if deployment.central.ideal:
        ideal_span(deployment)


def _check_budget(locale: LocaleSection, synthesizer: SynthesizerTrainerConfig | None) -> None:
    """Refuses a budget that not even one release fits in, because its cost has no bound."""
    budget = locale.privacy.budget if locale.privacy else None
    if budget is None or synthesizer is None:
        return
    cost = planned_cost(synthesizer, budget.unit)
    if cost.is_private:
        check_fits(cost, budget, locale.name)
    else:
        raise ConfigError(
            f"locale {locale.name}: privacy.budget: found epsilon {budget.epsilon:g}, and a synthesizer "
            "without differential privacy, whose every release costs an infinite epsilon; "
            "allowed: a differentially private synthesizer, or no budget"
        )


def _typed(model: type[T], prefix: Location, section: Section, **given: Any) -> T:
    """A component's configuration from its section and what the deployment says already."""
    clash = sorted(set(section) & set(given))
    try:
        if clash:
            # Known to the model, but not to be said twice.
            return model.model_validate({**section, f"{clash[0]} (set by the deployment)": None})
        return model.model_validate({**section, **given})
    except pydantic.ValidationError as error:
        raise SectionError(error, model, prefix) from None


def _monitoring(deployment: Deployment) -> MonitoringConfig:
    return _typed(MonitoringConfig, ("monitoring",), deployment.monitoring)


def _named(source: SourceConfig, name: str) -> SourceConfig:
    return SourceConfig(**{**source.model_dump(), "name": name})


def _pii(locale: LocaleSection, at: Location) -> tuple[PiiRule, ...]:
    return tuple(_typed(PiiRule, (*at, "pii", i), rule) for i, rule in enumerate(locale.pii))


def _regional_source(
    deployment: Deployment, locale: LocaleSection, at: Location, splits: SplitConfig
) -> ExampleGenConfig:
    return _typed(
        ExampleGenConfig,
        at,
        {},
        dataset=deployment.dataset,
        sources=(_named(locale.source, locale.name),),
        pii=_pii(locale, at),
        refuse_identifiers=locale.sharing == "restricted",
        splits=splits,
        max_bad_fraction=locale.max_bad_fraction,
    )


def _ideal(deployment: Deployment) -> ExampleGenConfig:
    """All raw rows of the restricted locales, one split per locale, under their common PII policy."""
    restricted = [
        (i, locale) for i, locale in enumerate(deployment.locales) if locale.sharing == "restricted"
    ]
    rules: dict[str, PiiRule] = {}
    for i, locale in restricted:
        for rule in _pii(locale, ("locales", i)):
            if rules.setdefault(rule.column, rule) != rule:
                # One locale's milder rule must not be applied to another's rows.
                raise ConfigError(
                    f"central.ideal: the restricted locales have different pii rules for '{rule.column}'; "
                    "allowed: the same rule in each, or ideal: false"
                )
    return ExampleGenConfig(
        dataset=deployment.dataset,
        sources=tuple(_named(x.source, x.name) for _, x in restricted),
        pii=tuple(rules.values()),
        refuse_identifiers=True,
        splits=SplitConfig(mode="per_source"),
        max_bad_fraction=max((x.max_bad_fraction for _, x in restricted), default=0.0),
    )


def egress_config(deployment: Deployment, name: str) -> EgressConfig:
    """What a locale lets out.

    Raises:
      SectionError: the section breaks a rule.
    """
    index = [locale.name for locale in deployment.locales].index(name)
    return _typed(EgressConfig, ("locales", index, "egress"), deployment.locales[index].egress)


def _synthesizer(
    deployment: Deployment, locale: LocaleSection, at: Location, small: bool
) -> SynthesizerTrainerConfig:
    dataset = deployment.dataset
    common = budgeted(deployment.synthesizer, locale, "synthesizer")
    own = budgeted(locale.synthesizer, locale, f"locales[{at[1]}].synthesizer")
    _typed(SynthesizerTrainerConfig, ("synthesizer",), common, dataset=dataset)
    _typed(SynthesizerTrainerConfig, (*at, "synthesizer"), own, dataset=dataset)
    said = {**common, **own}
    config = _typed(SynthesizerTrainerConfig, (*at, "synthesizer"), said, dataset=dataset)
    check_budget(config, locale)
    return SynthesizerTrainerConfig.small(dataset, **said) if small else config


def _generation(deployment: Deployment, locale: LocaleSection, at: Location) -> SyntheticGenConfig:
    policy = egress_config(deployment, locale.name)
    given = {"dataset": deployment.dataset, "egress": policy}
    _typed(SyntheticGenConfig, ("generation",), deployment.generation, **given)
    _typed(SyntheticGenConfig, (*at, "generation"), locale.generation, **given)
    said = {**deployment.generation, **locale.generation}
    synthesizer = _synthesizer(deployment, locale, at, False)
    if policy.timestamps == "made" and said.setdefault("grid", "regular") == "real":
        raise ConfigError(
            f"locale {locale.name}: generation.grid: found 'real', which releases the times of real rows; "
            "allowed: regular or rows, or egress: {timestamps: real}"
        )
    config = SyntheticGenConfig(**given, **said)
    check_public_grid(config, synthesizer, locale.name)
    return config


def _evaluator(deployment: Deployment, locale: LocaleSection, at: Location) -> ReleaseEvaluatorConfig:
    assert locale.privacy is not None  # the deployment's own rule
    gate = _typed(GateConfig, (*at, "privacy", "gate"), locale.privacy.gate)
    known = {check.metric for check in privacy_checks()}
    if not known & {check.metric for check in gate.checks}:
        raise ConfigError(
            f"locale {locale.name}: privacy.gate.checks: found no rule on privacy; allowed: at least one on "
            f"{list_briefly(sorted(known), limit=20)}"
        )
    return ReleaseEvaluatorConfig(
        dataset=deployment.dataset,
        gate=gate,
        seed=deployment.seed,
    )
