"""SkewValidator: the skew between locales, at the centre."""

from __future__ import annotations

from components.artifacts import SkewReport
from components.skew_validator.config import SkewValidatorConfig
from components.skew_validator.executor import SCHEMA_KEY, SKEW_KEY, STATISTICS_KEY, Executor
from components.tfx_shim import (
    BaseChannel,
    BaseComponent,
    Channel,
    ChannelParameter,
    ComponentSpec,
    ExecutionParameter,
    ExecutorClassSpec,
    standard_artifacts,
)
from components.version import __version__


class SkewValidatorSpec(ComponentSpec):
    """Channels and exec properties of SkewValidator."""

    PARAMETERS = {
        "config": ExecutionParameter(type=str),
        "isthmus_version": ExecutionParameter(type=str),
    }
    INPUTS = {
        STATISTICS_KEY: ChannelParameter(type=standard_artifacts.ExampleStatistics),
        SCHEMA_KEY: ChannelParameter(type=standard_artifacts.Schema),
    }
    OUTPUTS = {SKEW_KEY: ChannelParameter(type=SkewReport)}


class SkewValidator(BaseComponent):
    """Compares every locale with every other on what crossed.

    Inputs: `statistics` (ExampleStatistics, one split per locale), `schema` (Schema).
    Outputs: `skew` (SkewReport).
    """

    SPEC_CLASS = SkewValidatorSpec
    EXECUTOR_SPEC = ExecutorClassSpec(Executor)

    def __init__(self, config: SkewValidatorConfig, statistics: BaseChannel, schema: BaseChannel) -> None:
        """Connects the component.

        Args:
          config: How few values make a distance undefined.
          statistics: Channel of ExampleStatistics with one split per locale.
          schema: Channel of Schema.
        """
        super().__init__(
            spec=SkewValidatorSpec(
                config=config.to_exec_property(),
                isthmus_version=__version__,
                statistics=statistics,
                schema=schema,
                skew=Channel(type=SkewReport),
            )
        )
