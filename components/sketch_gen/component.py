"""SketchGen: what a restricted locale tells of its real rows, for the comparison of locales."""

from __future__ import annotations

from components.artifacts import SpanSketch
from components.governance.config import LedgerAccess
from components.sketch_gen.config import SketchGenConfig
from components.sketch_gen.executor import EXAMPLES_KEY, SKETCH_KEY, Executor
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


class SketchGenSpec(ComponentSpec):
    """Channels and exec properties of SketchGen."""

    PARAMETERS = {
        "config": ExecutionParameter(type=str),
        "locale": ExecutionParameter(type=str),
        "span": ExecutionParameter(type=int),
        "ledger": ExecutionParameter(type=str),
        "isthmus_version": ExecutionParameter(type=str),
    }
    INPUTS = {EXAMPLES_KEY: ChannelParameter(type=standard_artifacts.Examples)}
    OUTPUTS = {SKETCH_KEY: ChannelParameter(type=SpanSketch)}


class SketchGen(BaseComponent):
    """Counts the real rows on public bins, and hides or noises what is told of them.

    Input: `examples` (Examples, real rows of all splits). Output: `sketch` (SpanSketch). It has no other
    input, so that a model that is trained anew draws no noise anew.
    """

    SPEC_CLASS = SketchGenSpec
    EXECUTOR_SPEC = ExecutorClassSpec(Executor)

    def __init__(
        self,
        config: SketchGenConfig,
        examples: BaseChannel,
        *,
        locale: str,
        span: int,
        ledger: LedgerAccess | None = None,
    ) -> None:
        """Connects the component.

        Args:
          config: What is told.
          examples: Channel of Examples.
          locale: Name of the locale.
          span: Number of the span.
          ledger: Where what the noise costs is reserved; needed with noise.
        """
        super().__init__(
            spec=SketchGenSpec(
                config=config.to_exec_property(),
                locale=locale,
                span=span,
                ledger=ledger.to_exec_property() if ledger else "",
                isthmus_version=__version__,
                examples=examples,
                sketch=Channel(type=SpanSketch),
            )
        )
