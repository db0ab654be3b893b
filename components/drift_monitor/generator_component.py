"""GeneratorMonitor: the real rows of a locale against its synthetic ones, inside the region."""

from __future__ import annotations

from components.artifacts import MonitorReport, SpanProfile
from components.drift_monitor.config import DriftMonitorConfig
from components.drift_monitor.generator_executor import (
    DRIFT_KEY,
    MONITOR_KEY,
    PROFILE_KEY,
    SCHEMA_KEY,
    STATISTICS_KEY,
    SYNTHETIC_KEY,
    SYNTHETIC_STATISTICS_KEY,
    Executor,
)
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


class GeneratorMonitorSpec(ComponentSpec):
    """Channels and exec properties of GeneratorMonitor."""

    PARAMETERS = {
        "config": ExecutionParameter(type=str),
        "locale": ExecutionParameter(type=str),
        "span": ExecutionParameter(type=int),
        "isthmus_version": ExecutionParameter(type=str),
    }
    INPUTS = {
        PROFILE_KEY: ChannelParameter(type=SpanProfile),
        DRIFT_KEY: ChannelParameter(type=MonitorReport),
        SYNTHETIC_KEY: ChannelParameter(type=standard_artifacts.Examples),
        STATISTICS_KEY: ChannelParameter(type=standard_artifacts.ExampleStatistics),
        SYNTHETIC_STATISTICS_KEY: ChannelParameter(type=standard_artifacts.ExampleStatistics),
        SCHEMA_KEY: ChannelParameter(type=standard_artifacts.Schema),
    }
    OUTPUTS = {MONITOR_KEY: ChannelParameter(type=MonitorReport)}


class GeneratorMonitor(BaseComponent):
    """Adds to what DriftMonitor found how far the synthetic rows are from the real ones; it stops nothing.

    Inputs: `profile` (SpanProfile of the real rows), `drift` (MonitorReport of DriftMonitor), `synthetic`
    (Examples of SyntheticGen), `statistics` and `synthetic_statistics` (ExampleStatistics of either),
    `schema` (Schema). Output: `monitor` (MonitorReport of both comparisons).
    """

    SPEC_CLASS = GeneratorMonitorSpec
    EXECUTOR_SPEC = ExecutorClassSpec(Executor)

    def __init__(
        self,
        config: DriftMonitorConfig,
        profile: BaseChannel,
        drift: BaseChannel,
        synthetic: BaseChannel,
        statistics: BaseChannel,
        synthetic_statistics: BaseChannel,
        schema: BaseChannel,
        *,
        locale: str,
        span: int,
    ) -> None:
        """Args are the configuration and the channels above, the locale's name and the span's number."""
        super().__init__(
            spec=GeneratorMonitorSpec(
                config=config.to_exec_property(),
                locale=locale,
                span=span,
                isthmus_version=__version__,
                profile=profile,
                drift=drift,
                synthetic=synthetic,
                statistics=statistics,
                synthetic_statistics=synthetic_statistics,
                schema=schema,
                monitor=Channel(type=MonitorReport),
            )
        )
