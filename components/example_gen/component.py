"""ExampleGen: a span of source files becomes Examples; what is wrong with it, Quarantine."""

from __future__ import annotations

from typing import ClassVar

from components.artifacts import Quarantine
from components.example_gen.config import ExampleGenConfig
from components.example_gen.executor import EXAMPLES_KEY, QUARANTINE_KEY, Executor
from components.tfx_shim import (
    BaseComponent,
    Channel,
    ChannelParameter,
    ComponentSpec,
    ExecutionParameter,
    ExecutorClassSpec,
    standard_artifacts,
)
from components.version import __version__


class ExampleGenSpec(ComponentSpec):
    """Channels and exec properties of ExampleGen."""

    PARAMETERS: ClassVar[dict[str, ExecutionParameter]] = {
        "config": ExecutionParameter(type=str),
        "locale": ExecutionParameter(type=str),
        "span": ExecutionParameter(type=int),
        "seed": ExecutionParameter(type=int),
        "fingerprint": ExecutionParameter(type=str),
        "isthmus_version": ExecutionParameter(type=str),
    }
    INPUTS: ClassVar[dict[str, ChannelParameter]] = {}
    OUTPUTS: ClassVar[dict[str, ChannelParameter]] = {
        EXAMPLES_KEY: ChannelParameter(type=standard_artifacts.Examples),
        QUARANTINE_KEY: ChannelParameter(type=Quarantine),
    }


class ExampleGen(BaseComponent):
    """Reads CSV, Parquet or TFRecord, sets bad rows aside, applies the PII policy, divides.

    Outputs: `examples` (Examples), `quarantine` (Quarantine).
    """

    SPEC_CLASS = ExampleGenSpec
    EXECUTOR_SPEC = ExecutorClassSpec(Executor)

    def __init__(
        self,
        config: ExampleGenConfig,
        *,
        locale: str,
        span: int = 0,
        seed: int = 0,
        fingerprint: str = "",
    ) -> None:
        """Connects the component.

        Args:
          config: What to read, and how.
          locale: Whose data.
          span: Which span; resolve it with `core.spans.resolve_sources` when the pipeline is built, or
            `NEWEST_SPAN`.
          seed: Of the splits.
          fingerprint: Of the span's files, from the same function: a cached run can then never serve
            other data. "" reads what there is.
        """
        super().__init__(
            spec=ExampleGenSpec(
                config=config.to_exec_property(),
                locale=locale,
                span=span,
                seed=seed,
                fingerprint=fingerprint,
                isthmus_version=__version__,
                examples=Channel(type=standard_artifacts.Examples),
                quarantine=Channel(type=Quarantine),
            )
        )
