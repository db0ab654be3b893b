"""Component configurations out of sections of a deployment file."""

from __future__ import annotations

import typing
from typing import Any, TypeVar

import pydantic

from components.config_base import ComponentConfig
from components.example_gen.config import PiiRule, SourceConfig
from components.monitoring import MonitoringConfig
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


def monitoring_of(deployment: Deployment) -> MonitoringConfig:
    """Thresholds of skew and drift."""
    return typed(MonitoringConfig, ("monitoring",), deployment.monitoring)


def named_source(source: SourceConfig, name: str) -> SourceConfig:
    """A source under another name."""
    return SourceConfig(**{**source.model_dump(), "name": name})


def pii_rules(locale: LocaleSection, at: Location) -> tuple[PiiRule, ...]:
    """A locale's PII policy; `at` is where the locale stands in the file."""
    return tuple(typed(PiiRule, (*at, "pii", i), rule) for i, rule in enumerate(locale.pii))
