"""DriftMonitor: a span's profile, and what differs from earlier spans."""

from __future__ import annotations

from components.artifacts import MonitorReport, Quarantine, SpanProfile
from components.drift_monitor.baselines import NO_BASELINES, Baselines
from components.drift_monitor.config import DriftMonitorConfig
from components.drift_monitor.executor import (
    EXAMPLES_KEY,
    MONITOR_KEY,
    PROFILE_KEY,
    QUARANTINE_KEY,
    SCHEMA_KEY,
    STATISTICS_KEY,
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


class DriftMonitorSpec(ComponentSpec):
    """Channels and exec properties of DriftMonitor."""

    PARAMETERS = {
        "config": ExecutionParameter(type=str),
        "locale": ExecutionParameter(type=str),
        "sharing": ExecutionParameter(type=str),
        "span": ExecutionParameter(type=int),
        "baselines": ExecutionParameter(type=str),
        "fingerprint": ExecutionParameter(type=str),
        "isthmus_version": ExecutionParameter(type=str),
    }
    INPUTS = {
        EXAMPLES_KEY: ChannelParameter(type=standard_artifacts.Examples),
        STATISTICS_KEY: ChannelParameter(type=standard_artifacts.ExampleStatistics),
        SCHEMA_KEY: ChannelParameter(type=standard_artifacts.Schema),
        QUARANTINE_KEY: ChannelParameter(type=Quarantine, optional=True),
    }
    OUTPUTS = {
        PROFILE_KEY: ChannelParameter(type=SpanProfile),
        MONITOR_KEY: ChannelParameter(type=MonitorReport),
    }


class DriftMonitor(BaseComponent):
    """Profiles a span and compares it with earlier ones; it stops nothing.

    Inputs: `examples` (Examples, real rows of all splits), `statistics` (ExampleStatistics of them),
    `schema` (Schema), optionally `quarantine` (Quarantine). Outputs: `profile` (SpanProfile, stays in the
    region), `monitor` (MonitorReport: `monitor.json` for the region, `outward.json` with what may leave).
    """

    SPEC_CLASS = DriftMonitorSpec
    EXECUTOR_SPEC = ExecutorClassSpec(Executor)

    def __init__(
        self,
        config: DriftMonitorConfig,
        examples: BaseChannel,
        statistics: BaseChannel,
        schema: BaseChannel,
        quarantine: BaseChannel | None = None,
        *,
        locale: str,
        sharing: str,
        span: int,
        baselines: Baselines = NO_BASELINES,
        fingerprint: str = "",
    ) -> None:
        """Connects the component.

        Args:
          config: What is watched.
          examples: Channel of Examples.
          statistics: Channel of ExampleStatistics.
          schema: Channel of Schema.
          quarantine: Channel of Quarantine, whose `ingest.json` says which columns the source has.
          locale: Locale's name.
          sharing: `restricted` or `open`.
          span: Span's number.
          baselines: Where the profiles and statistics of earlier spans are.
          fingerprint: Digest of what `baselines` names, so that the cache sees a change.
        """
        inputs = {} if quarantine is None else {QUARANTINE_KEY: quarantine}
        super().__init__(
            spec=DriftMonitorSpec(
                config=config.to_exec_property(),
                locale=locale,
                sharing=sharing,
                span=span,
                baselines=baselines.to_exec_property(),
                fingerprint=fingerprint,
                isthmus_version=__version__,
                examples=examples,
                statistics=statistics,
                schema=schema,
                profile=Channel(type=SpanProfile),
                monitor=Channel(type=MonitorReport),
                **inputs,
            )
        )
