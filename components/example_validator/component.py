"""ExampleValidator: schema anomalies, and drift against the previous span."""

from __future__ import annotations

from components.artifacts import DriftReport
from components.example_validator.config import ExampleValidatorConfig
from components.example_validator.executor import (
    ANOMALIES_KEY,
    DRIFT_KEY,
    PREVIOUS_KEY,
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


class ExampleValidatorSpec(ComponentSpec):
    """Channels and exec properties of ExampleValidator."""

    PARAMETERS = {
        "config": ExecutionParameter(type=str),
        "locale": ExecutionParameter(type=str),
        "span": ExecutionParameter(type=int),
        "previous_statistics_uri": ExecutionParameter(type=str),
        "fingerprint": ExecutionParameter(type=str),
        "isthmus_version": ExecutionParameter(type=str),
    }
    INPUTS = {
        STATISTICS_KEY: ChannelParameter(type=standard_artifacts.ExampleStatistics),
        SCHEMA_KEY: ChannelParameter(type=standard_artifacts.Schema),
        PREVIOUS_KEY: ChannelParameter(type=standard_artifacts.ExampleStatistics, optional=True),
    }
    OUTPUTS = {
        ANOMALIES_KEY: ChannelParameter(type=standard_artifacts.ExampleAnomalies),
        DRIFT_KEY: ChannelParameter(type=DriftReport),
    }


class ExampleValidator(BaseComponent):
    """Validates statistics against the schema and the previous span; fails closed on ERROR.

    Inputs: `statistics` (ExampleStatistics), `schema` (Schema), optionally `previous_statistics`
    (ExampleStatistics). Outputs: `anomalies` (ExampleAnomalies), `drift` (DriftReport).
    """

    SPEC_CLASS = ExampleValidatorSpec
    EXECUTOR_SPEC = ExecutorClassSpec(Executor)

    def __init__(
        self,
        config: ExampleValidatorConfig,
        statistics: BaseChannel,
        schema: BaseChannel,
        previous_statistics: BaseChannel | None = None,
        *,
        locale: str,
        span: int,
        previous_statistics_uri: str = "",
        fingerprint: str = "",
    ) -> None:
        """Connects the component.

        Args:
          config: What stops a locale.
          statistics: Channel of ExampleStatistics.
          schema: Channel of Schema.
          previous_statistics: Channel of the previous span's ExampleStatistics; or
          previous_statistics_uri: its folder, where no channel reaches it; empty for none.
          locale: Locale, for messages.
          span: Span, for messages.
          fingerprint: Digest of what `previous_statistics_uri` names, so that the cache sees a change.
        """
        inputs = {} if previous_statistics is None else {PREVIOUS_KEY: previous_statistics}
        super().__init__(
            spec=ExampleValidatorSpec(
                config=config.to_exec_property(),
                locale=locale,
                span=span,
                previous_statistics_uri=previous_statistics_uri,
                fingerprint=fingerprint,
                isthmus_version=__version__,
                statistics=statistics,
                schema=schema,
                anomalies=Channel(type=standard_artifacts.ExampleAnomalies),
                drift=Channel(type=DriftReport),
                **inputs,
            )
        )
