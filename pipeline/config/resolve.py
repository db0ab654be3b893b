"""From a deployment to the typed configuration of each component. Imports no TFX.

A deployment says things once (the data set, the seed, the locale's policy); every component gets
them here. `check` builds all of them, so that `isthmus validate` finds a wrong key in any section.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

from components.data_quality.config import OutlierConfig
from components.errors import ConfigError
from components.example_gen.config import ExampleGenConfig, PiiRule, SplitConfig
from components.governance.core.events import PrivacyCost, together
from components.merge_gen.config import MergeGenConfig, MergeLocale
from components.prophet_evaluator.config import ProphetEvaluatorConfig
from components.pusher.config import ModelPusherConfig
from components.schema_gen.config import SchemaGenConfig
from components.skew_monitor.config import SkewMonitorConfig
from components.skew_validator.config import SkewValidatorConfig
from components.statistics_gen.config import StatisticsGenConfig
from components.synthesizer_trainer.config import SynthesizerTrainerConfig
from components.synthesizer_trainer.privacy_cost import planned_cost
from pipeline.config.model import Deployment, LocaleSection
from pipeline.config.privacy import (
    check_fits,
)
from pipeline.config.resolve_beam import check_beam
from pipeline.config.resolve_regional import (
    regional_configs,
)
from pipeline.config.sections import monitoring_of, named_source, pii_rules, typed
from pipeline.config.sketching import planned_sketch


@dataclasses.dataclass(frozen=True)
class CentralConfigs:
    """Configurations of the centre's components; `ideal` is None where raw rows are not at hand."""

    merge_gen: MergeGenConfig
    test: ExampleGenConfig
    ideal: ExampleGenConfig | None
    statistics_gen: StatisticsGenConfig
    schema_gen: SchemaGenConfig
    skew_validator: SkewValidatorConfig
    skew_monitor: SkewMonitorConfig
    evaluator: ProphetEvaluatorConfig
    pusher: ModelPusherConfig


def central_configs(deployment: Deployment) -> CentralConfigs:
    """Configurations of the centre's components.

    Raises:
      SectionError: a section breaks a rule.
    """
    central, dataset = deployment.central, deployment.dataset
    monitoring = monitoring_of(deployment)
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
            sources=(named_source(central.test_set, "test"),),
            splits=SplitConfig(mode="single", name="test"),
            quality=deployment.quality,
        ),
        ideal=_ideal(deployment) if central.ideal else None,
        statistics_gen=StatisticsGenConfig(dataset=dataset),
        schema_gen=SchemaGenConfig(dataset=dataset, monitoring=monitoring.for_schema()),
        skew_validator=SkewValidatorConfig(monitoring=monitoring.for_schema()),
        skew_monitor=SkewMonitorConfig(
            dataset=dataset,
            monitoring=monitoring,
            locales={locale.name: locale.sharing for locale in deployment.locales},
            locale_column=central.test_set.locale_column,
            seed=deployment.seed,
            served_rows=central.served_rows,
        ),
        evaluator=typed(
            ProphetEvaluatorConfig,
            ("central", "detector"),
            central.detector,
            dataset=dataset,
            locale_column=central.test_set.locale_column or "locale",
            open_locales=tuple(x.name for x in deployment.locales if x.sharing == "open"),
            restricted_locales=tuple(x.name for x in deployment.locales if x.sharing == "restricted"),
            seed=deployment.seed,
        ),
        pusher=typed(
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
        _check_budget(locale, configs.synthesizer, planned_sketch(configs.sketch))
    central_configs(deployment)
    check_beam(deployment)
    if deployment.central.ideal:
        ideal_span(deployment)


def _check_budget(
    locale: LocaleSection, synthesizer: SynthesizerTrainerConfig | None, sketch: list[PrivacyCost]
) -> None:
    """Refuses a budget that not even one release fits in, because its cost has no bound."""
    budget = locale.privacy.budget if locale.privacy else None
    if budget is None or synthesizer is None:
        return
    cost = planned_cost(synthesizer, budget.unit)
    if cost.is_private:
        check_fits(together([cost, *sketch]), budget, locale.name)
    else:
        raise ConfigError(
            f"locale {locale.name}: privacy.budget: found epsilon {budget.epsilon:g}, and a synthesizer "
            "without differential privacy, whose every release costs an infinite epsilon; "
            "allowed: a differentially private synthesizer, or no budget"
        )


def _ideal(deployment: Deployment) -> ExampleGenConfig:
    """All raw rows of the restricted locales, one split per locale, under their common PII policy."""
    restricted = [
        (i, locale) for i, locale in enumerate(deployment.locales) if locale.sharing == "restricted"
    ]
    rules: dict[str, PiiRule] = {}
    for i, locale in restricted:
        for rule in pii_rules(locale, ("locales", i)):
            if rules.setdefault(rule.column, rule) != rule:
                # One locale's milder rule must not be applied to another's rows.
                raise ConfigError(
                    f"central.ideal: the restricted locales have different pii rules for '{rule.column}'; "
                    "allowed: the same rule in each, or ideal: false"
                )
    return ExampleGenConfig(
        dataset=deployment.dataset,
        sources=tuple(named_source(x.source, x.name) for _, x in restricted),
        pii=tuple(rules.values()),
        refuse_identifiers=True,
        splits=SplitConfig(mode="per_source"),
        max_bad_fraction=max((x.max_bad_fraction for _, x in restricted), default=0.0),
        # Filled as in the regions; outliers are counted there.
        quality=deployment.quality.model_copy(update={"outliers": OutlierConfig(enabled=False)}),
    )
