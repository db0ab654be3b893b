"""StatisticsGen: TFDV statistics of every split."""

from __future__ import annotations

from components.statistics_gen.config import StatisticsGenConfig
from components.statistics_gen.executor import EXAMPLES_KEY, STATISTICS_KEY, Executor
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


class StatisticsGenSpec(ComponentSpec):
    """Channels and exec properties of StatisticsGen."""

    PARAMETERS = {
        "config": ExecutionParameter(type=str),
        "isthmus_version": ExecutionParameter(type=str),
    }
    INPUTS = {EXAMPLES_KEY: ChannelParameter(type=standard_artifacts.Examples)}
    OUTPUTS = {STATISTICS_KEY: ChannelParameter(type=standard_artifacts.ExampleStatistics)}


class StatisticsGen(BaseComponent):
    """Statistics of every split, the same `FeatureStats.pb` as TFX's StatisticsGen.

    Inputs: `examples` (Examples). Outputs: `statistics` (ExampleStatistics).
    """

    SPEC_CLASS = StatisticsGenSpec
    EXECUTOR_SPEC = ExecutorClassSpec(Executor)

    def __init__(self, config: StatisticsGenConfig, examples: BaseChannel) -> None:
        """Connects the component.

        Args:
          config: How statistics are computed.
          examples: Channel of Examples.
        """
        super().__init__(
            spec=StatisticsGenSpec(
                config=config.to_exec_property(),
                isthmus_version=__version__,
                examples=examples,
                statistics=Channel(type=standard_artifacts.ExampleStatistics),
            )
        )
