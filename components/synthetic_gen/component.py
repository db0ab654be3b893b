"""SyntheticGen: samples a locale's synthesizer."""

from __future__ import annotations

from components.synthetic_gen.config import SyntheticGenConfig
from components.synthetic_gen.executor import (
    EXAMPLES_KEY,
    MODEL_KEY,
    SCHEMA_KEY,
    SYNTHETIC_KEY,
    Executor,
)
from components.tfx_shim import (
    BaseChannel,
    BaseComponent,
    BeamExecutorSpec,
    Channel,
    ChannelParameter,
    ComponentSpec,
    ExecutionParameter,
    standard_artifacts,
)
from components.version import __version__


class SyntheticGenSpec(ComponentSpec):
    """Channels and exec properties of SyntheticGen."""

    PARAMETERS = {
        "config": ExecutionParameter(type=str),
        "locale": ExecutionParameter(type=str),
        "span": ExecutionParameter(type=int),
        "seed": ExecutionParameter(type=int),
        "isthmus_version": ExecutionParameter(type=str),
    }
    INPUTS = {
        MODEL_KEY: ChannelParameter(type=standard_artifacts.Model),
        SCHEMA_KEY: ChannelParameter(type=standard_artifacts.Schema),
        EXAMPLES_KEY: ChannelParameter(type=standard_artifacts.Examples, optional=True),
    }
    OUTPUTS = {SYNTHETIC_KEY: ChannelParameter(type=standard_artifacts.Examples)}


class SyntheticGen(BaseComponent):
    """Synthetic rows from a synthesizer, sampled by Beam in shards.

    Inputs: `model` (Model), `schema` (Schema), `examples` (Examples; of `train`, timestamps and series are
    read for the grid `real`, series and categories to count the supporters of each category).
    Outputs: `synthetic` (Examples, split `train`).
    """

    SPEC_CLASS = SyntheticGenSpec
    EXECUTOR_SPEC = BeamExecutorSpec(Executor)

    def __init__(
        self,
        config: SyntheticGenConfig,
        model: BaseChannel,
        schema: BaseChannel,
        examples: BaseChannel | None = None,
        *,
        locale: str,
        span: int,
        seed: int,
    ) -> None:
        """Connects the component.

        Args:
          config: What is sampled.
          model: Channel of the synthesizer.
          schema: Channel of the Schema that the rows must conform to.
          examples: Channel of the real Examples, for the grid `real` and for counting supporters.
          locale: Name of the locale.
          span: Number of the span.
          seed: Same seed, same rows, however many workers there are.
        """
        inputs = {} if examples is None else {EXAMPLES_KEY: examples}
        super().__init__(
            spec=SyntheticGenSpec(
                config=config.to_exec_property(),
                locale=locale,
                span=span,
                seed=seed,
                isthmus_version=__version__,
                model=model,
                schema=schema,
                synthetic=Channel(type=standard_artifacts.Examples),
                **inputs,
            )
        )
