"""Component configurations out of sections of a deployment file."""

from __future__ import annotations

import typing
from typing import Any, TypeVar

import pydantic

from components.config_base import ComponentConfig
from components.errors import ConfigError
from components.example_gen.config import PiiRule, SourceConfig
from components.monitoring import MonitoringConfig, strangers
from pipeline.config.model import Deployment, LocaleSection, Section

T = TypeVar("T", bound=ComponentConfig)
#: Keys and positions that lead to a section of the file.
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


def typed(model: type[T], prefix: Location, section: Section, **given: Any) -> T:
    """A component's configuration from its section and what the deployment says already."""
    clash = sorted(set(section) & set(given))
    try:
        if clash:
            # Known to the model, but not to be said twice.
            return model.model_validate({**section, f"{clash[0]} (set by the deployment)": None})
        return model.model_validate({**section, **given})
    except pydantic.ValidationError as error:
        raise SectionError(error, model, prefix) from None


def monitoring_of(deployment: Deployment, name: str | None = None) -> MonitoringConfig:
    """What is watched at the centre, or in a locale, whose own section goes before the deployment's.

    Raises:
      SectionError: a section breaks a rule.
      ConfigError: it names a feature that the deployment does not have.
    """
    dataset = deployment.dataset
    features = dataset.compared_names()
    names = [locale.name for locale in deployment.locales]
    common = typed(MonitoringConfig, ("monitoring",), deployment.monitoring)
    if stranger := strangers(common, features):
        raise ConfigError(f"monitoring.{stranger}")
    own = deployment.locale(name).monitoring if name is not None else {}
    if name is None or not own:
        return common
    at = ("locales", names.index(name), "monitoring")
    if stranger := strangers(typed(MonitoringConfig, at, own), features):
        raise ConfigError(f"locales[{at[1]}].monitoring.{stranger}")
    return typed(MonitoringConfig, at, {**deployment.monitoring, **own})


def named_source(source: SourceConfig, name: str) -> SourceConfig:
    """A source under another name."""
    return SourceConfig(**{**source.model_dump(), "name": name})


def pii_rules(locale: LocaleSection, at: Location) -> tuple[PiiRule, ...]:
    """A locale's PII policy; `at` is where the locale stands in the file."""
    return tuple(typed(PiiRule, (*at, "pii", i), rule) for i, rule in enumerate(locale.pii))
