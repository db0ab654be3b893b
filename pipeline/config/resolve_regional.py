"""What each component of a region is configured with, resolved from a deployment."""

from __future__ import annotations

import dataclasses

from components.drift_monitor.config import DriftMonitorConfig
from components.egress.config import EgressConfig
from components.errors import ConfigError, list_briefly
from components.example_gen.config import ExampleGenConfig, SplitConfig
from components.example_validator.config import ExampleValidatorConfig
from components.governance.config import BudgetConfig, GovernanceConfig, LedgerAccess
from components.pusher.config import PusherConfig
from components.release_evaluator.config import GateConfig, ReleaseEvaluatorConfig, privacy_checks
from components.schema_gen.config import SchemaGenConfig
from components.sketch_gen.config import SketchGenConfig
from components.statistics_gen.config import StatisticsGenConfig
from components.synthesizer_trainer.config import SynthesizerTrainerConfig
from components.synthetic_gen.config import SyntheticGenConfig
from pipeline.config.model import Deployment, LocaleSection
from pipeline.config.privacy import (
    budgeted,
    check_amplification,
    check_budget,
    check_imputation,
    check_public_grid,
    privacy_claim,
    splits_for,
)
from pipeline.config.sections import Location, monitoring_of, named_source, pii_rules, typed
from pipeline.config.sketching import sketch_config


@dataclasses.dataclass(frozen=True)
class RegionalConfigs:
    """Configurations of one region's components; those after the pusher's are None for an open locale.

    `sketch` is None wherever no sketch is released.
    """

    example_gen: ExampleGenConfig
    statistics_gen: StatisticsGenConfig
    schema_gen: SchemaGenConfig
    example_validator: ExampleValidatorConfig
    drift_monitor: DriftMonitorConfig
    pusher: PusherConfig
    synthesizer: SynthesizerTrainerConfig | None
    generation: SyntheticGenConfig | None
    evaluator: ReleaseEvaluatorConfig | None
    sketch: SketchGenConfig | None = None


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
    monitoring = monitoring_of(deployment, name)
    restricted = locale.sharing == "restricted"
    policy = egress_config(deployment, name)
    synthesizer = _synthesizer(deployment, locale, at, small) if restricted else None
    check_imputation(deployment, synthesizer, name)
    sketch = sketch_config(deployment, name, policy, synthesizer)
    return RegionalConfigs(
        example_gen=_regional_source(deployment, locale, at, splits_for(deployment.splits, synthesizer)),
        statistics_gen=StatisticsGenConfig(dataset=deployment.dataset),
        schema_gen=SchemaGenConfig(dataset=deployment.dataset, monitoring=monitoring.for_schema()),
        example_validator=ExampleValidatorConfig(monitoring=monitoring.for_schema()),
        drift_monitor=DriftMonitorConfig(
            dataset=deployment.dataset,
            monitoring=monitoring,
            egress=policy.without_sketch(),
            seed=deployment.seed,
        ),
        pusher=PusherConfig(
            kind="synthetic" if restricted else "open",
            exchange_uri=deployment.exchange.uri,
            storage=deployment.exchange.storage_options,
            signing_key=locale.signing_key,
            config_digest=deployment.file_digest,
            dataset=deployment.dataset,
            egress=policy,
            operator_holds_rows=restricted and deployment.central.ideal,
            governance=governance_config(deployment, name),
            privacy=privacy_claim(synthesizer),
            rare_events=synthesizer.rare_events if synthesizer else None,
        ),
        synthesizer=synthesizer,
        generation=_generation(deployment, locale, at) if restricted else None,
        evaluator=_evaluator(deployment, locale, at) if restricted else None,
        sketch=sketch,
    )


def governance_config(deployment: Deployment, name: str) -> GovernanceConfig | None:
    """Where a locale's ledger and audit log are; None where it has neither budget nor policy."""
    locale, budget = deployment.locale(name), budget_of(deployment, name)
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


def budget_of(deployment: Deployment, name: str) -> BudgetConfig | None:
    """A locale's privacy budget; None where it has none."""
    privacy = deployment.locale(name).privacy
    return privacy.budget if privacy else None


def ledger_access(deployment: Deployment, name: str) -> LedgerAccess | None:
    """What a locale's trainer needs to reserve its cost; None where the locale has no budget."""
    governance = governance_config(deployment, name)
    if governance is None or governance.budget_unit is None:
        return None
    return LedgerAccess(governance=governance, signing_key=deployment.locale(name).signing_key)


def _regional_source(
    deployment: Deployment, locale: LocaleSection, at: Location, splits: SplitConfig
) -> ExampleGenConfig:
    return typed(
        ExampleGenConfig,
        at,
        {},
        dataset=deployment.dataset,
        sources=(named_source(locale.source, locale.name),),
        pii=pii_rules(locale, at),
        refuse_identifiers=locale.sharing == "restricted",
        splits=splits,
        max_bad_fraction=locale.max_bad_fraction,
        quality=deployment.quality,
    )


def egress_config(deployment: Deployment, name: str) -> EgressConfig:
    """What a locale lets out.

    Raises:
      SectionError: the section breaks a rule.
      ConfigError: a locale with differential privacy lets distances of its real rows out, which no noise
        covers.
    """
    index = [locale.name for locale in deployment.locales].index(name)
    locale = deployment.locales[index]
    policy = typed(EgressConfig, ("locales", index, "egress"), locale.egress)
    if locale.privacy is None or locale.privacy.target_epsilon is None:
        return policy
    if locale.egress.get("monitoring") == "listed":
        raise ConfigError(
            f"locale {name}: egress.monitoring: found 'listed', distances of real rows that the release's "
            "epsilon does not cover; allowed with privacy.target_epsilon: withheld"
        )
    return policy.model_copy(update={"monitoring": "withheld"})


def _synthesizer(
    deployment: Deployment, locale: LocaleSection, at: Location, small: bool
) -> SynthesizerTrainerConfig:
    dataset = deployment.dataset
    common = budgeted(deployment.synthesizer, locale, "synthesizer")
    own = budgeted(locale.synthesizer, locale, f"locales[{at[1]}].synthesizer")
    typed(SynthesizerTrainerConfig, ("synthesizer",), common, dataset=dataset)
    typed(SynthesizerTrainerConfig, (*at, "synthesizer"), own, dataset=dataset)
    said = {**common, **own}
    config = typed(SynthesizerTrainerConfig, (*at, "synthesizer"), said, dataset=dataset)
    check_budget(config, locale)
    return SynthesizerTrainerConfig.small(dataset, **said) if small else config


def _generation(deployment: Deployment, locale: LocaleSection, at: Location) -> SyntheticGenConfig:
    policy = egress_config(deployment, locale.name)
    given = {"dataset": deployment.dataset, "egress": policy.without_sketch()}
    typed(SyntheticGenConfig, ("generation",), deployment.generation, **given)
    typed(SyntheticGenConfig, (*at, "generation"), locale.generation, **given)
    said = {**deployment.generation, **locale.generation}
    synthesizer = _synthesizer(deployment, locale, at, False)
    if policy.timestamps == "made" and said.setdefault("grid", "regular") == "real":
        raise ConfigError(
            f"locale {locale.name}: generation.grid: found 'real', which releases the times of real rows; "
            "allowed: regular or rows, or egress: {timestamps: real}"
        )
    config = SyntheticGenConfig(**given, **said)
    check_public_grid(config, synthesizer, locale.name)
    check_amplification(config, synthesizer, locale.name)
    return config


def _evaluator(deployment: Deployment, locale: LocaleSection, at: Location) -> ReleaseEvaluatorConfig:
    assert locale.privacy is not None  # the deployment's own rule
    gate = typed(GateConfig, (*at, "privacy", "gate"), locale.privacy.gate)
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
