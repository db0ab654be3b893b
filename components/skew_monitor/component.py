"""SkewMonitor: what crossed, locale against locale, and against what the deployed detector sees."""

from __future__ import annotations

from components.artifacts import MergeReport, MonitorReport
from components.skew_monitor.config import SkewMonitorConfig
from components.skew_monitor.executor import (
    EXAMPLES_KEY,
    MERGE_KEY,
    MONITOR_KEY,
    SCHEMA_KEY,
    STATISTICS_KEY,
    TEST_KEY,
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


class SkewMonitorSpec(ComponentSpec):
    """Channels and exec properties of SkewMonitor."""

    PARAMETERS = {
        "config": ExecutionParameter(type=str),
        "previous_monitor_uri": ExecutionParameter(type=str),
        "fingerprint": ExecutionParameter(type=str),
        "isthmus_version": ExecutionParameter(type=str),
    }
    INPUTS = {
        EXAMPLES_KEY: ChannelParameter(type=standard_artifacts.Examples),
        STATISTICS_KEY: ChannelParameter(type=standard_artifacts.ExampleStatistics),
        SCHEMA_KEY: ChannelParameter(type=standard_artifacts.Schema),
        TEST_KEY: ChannelParameter(type=standard_artifacts.Examples, optional=True),
        MERGE_KEY: ChannelParameter(type=MergeReport, optional=True),
    }
    OUTPUTS = {MONITOR_KEY: ChannelParameter(type=MonitorReport)}


class SkewMonitor(BaseComponent):
    """Compares locales with one another and training rows with test rows; it stops nothing.

    Inputs: `examples` (merged Examples, one split per locale), `statistics` (ExampleStatistics of them),
    `schema` (Schema), `test_examples` (Examples of the labelled test set), `merge_report` (MergeReport, with
    what the regions' own monitoring released). Output: `monitor` (MonitorReport).
    """

    SPEC_CLASS = SkewMonitorSpec
    EXECUTOR_SPEC = ExecutorClassSpec(Executor)

    def __init__(
        self,
        config: SkewMonitorConfig,
        examples: BaseChannel,
        statistics: BaseChannel,
        schema: BaseChannel,
        test_examples: BaseChannel | None = None,
        merge_report: BaseChannel | None = None,
        *,
        previous_monitor_uri: str = "",
        fingerprint: str = "",
    ) -> None:
        """Args are the configuration and the channels above, and the centre's report of earlier spans.

        Args:
          config: What is watched.
          examples, statistics, schema, test_examples, merge_report: Channels.
          previous_monitor_uri: Folder of the latest MonitorReport of earlier spans; empty for none.
          fingerprint: Its digest, so that the cache sees a change.
        """
        optional = {TEST_KEY: test_examples, MERGE_KEY: merge_report}
        super().__init__(
            spec=SkewMonitorSpec(
                config=config.to_exec_property(),
                previous_monitor_uri=previous_monitor_uri,
                fingerprint=fingerprint,
                isthmus_version=__version__,
                examples=examples,
                statistics=statistics,
                schema=schema,
                monitor=Channel(type=MonitorReport),
                **{key: channel for key, channel in optional.items() if channel is not None},
            )
        )
