"""SchemaGen: a curated or inferred schema that carries the drift and skew comparators."""

from __future__ import annotations

from components.schema_gen.config import SchemaGenConfig
from components.schema_gen.curated import schema_fingerprint
from components.schema_gen.executor import SCHEMA_KEY, STATISTICS_KEY, Executor
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


class SchemaGenSpec(ComponentSpec):
    """Channels and exec properties of SchemaGen."""

    PARAMETERS = {
        "config": ExecutionParameter(type=str),
        "fingerprint": ExecutionParameter(type=str),
        "isthmus_version": ExecutionParameter(type=str),
    }
    INPUTS = {STATISTICS_KEY: ChannelParameter(type=standard_artifacts.ExampleStatistics)}
    OUTPUTS = {SCHEMA_KEY: ChannelParameter(type=standard_artifacts.Schema)}


class SchemaGen(BaseComponent):
    """The schema: curated where the data set names one, else inferred from all splits.

    Inputs: `statistics` (ExampleStatistics). Outputs: `schema` (Schema).
    """

    SPEC_CLASS = SchemaGenSpec
    EXECUTOR_SPEC = ExecutorClassSpec(Executor)

    def __init__(
        self, config: SchemaGenConfig, statistics: BaseChannel, *, fingerprint: str | None = None
    ) -> None:
        """Connects the component.

        Args:
          config: What the schema is made from.
          statistics: Channel of ExampleStatistics.
          fingerprint: Digest of the curated schema's text, so that an edit of the file is seen by the
            cache; None computes it here.
        """
        super().__init__(
            spec=SchemaGenSpec(
                config=config.to_exec_property(),
                fingerprint=schema_fingerprint(config.dataset.schema_name)
                if fingerprint is None
                else fingerprint,
                isthmus_version=__version__,
                statistics=statistics,
                schema=Channel(type=standard_artifacts.Schema),
            )
        )
