"""SynthesizerTrainer: fits a locale's synthesizer inside the locale."""

from __future__ import annotations

from components.governance.config import LedgerAccess
from components.synthesizer_trainer.config import SynthesizerTrainerConfig
from components.synthesizer_trainer.executor import (
    EXAMPLES_KEY,
    MODEL_KEY,
    SCHEMA_KEY,
    STATISTICS_KEY,
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


class SynthesizerTrainerSpec(ComponentSpec):
    """Channels and exec properties of SynthesizerTrainer."""

    PARAMETERS = {
        "config": ExecutionParameter(type=str),
        "locale": ExecutionParameter(type=str),
        "seed": ExecutionParameter(type=int),
        "ledger": ExecutionParameter(type=str),
        "isthmus_version": ExecutionParameter(type=str),
    }
    INPUTS = {
        EXAMPLES_KEY: ChannelParameter(type=standard_artifacts.Examples),
        STATISTICS_KEY: ChannelParameter(type=standard_artifacts.ExampleStatistics),
        SCHEMA_KEY: ChannelParameter(type=standard_artifacts.Schema),
    }
    OUTPUTS = {MODEL_KEY: ChannelParameter(type=standard_artifacts.Model)}


class SynthesizerTrainer(BaseComponent):
    """A linear-recurrent core and an adversarial residual, fitted to the `train` split.

    Inputs: `examples` (Examples; `eval` stops the training early where it exists, `holdout` is never
    read), `statistics` (ExampleStatistics), `schema` (Schema; its domains bound what is emitted).
    Outputs: `model` (Model: a SavedModel and `synthesizer.json`).
    """

    SPEC_CLASS = SynthesizerTrainerSpec
    EXECUTOR_SPEC = BeamExecutorSpec(Executor)

    def __init__(
        self,
        config: SynthesizerTrainerConfig,
        examples: BaseChannel,
        statistics: BaseChannel,
        schema: BaseChannel,
        *,
        locale: str,
        seed: int,
        ledger: LedgerAccess | None = None,
    ) -> None:
        """Connects the component.

        Args:
          config: How the synthesizer is fitted.
          examples: Channel of Examples.
          statistics: Channel of ExampleStatistics.
          schema: Channel of Schema.
          locale: Name of the locale.
          seed: Seed of everything that is drawn.
          ledger: Where the training's privacy cost is reserved; None where the locale has no budget.
        """
        super().__init__(
            spec=SynthesizerTrainerSpec(
                config=config.to_exec_property(),
                locale=locale,
                seed=seed,
                ledger=ledger.to_exec_property() if ledger else "",
                isthmus_version=__version__,
                examples=examples,
                statistics=statistics,
                schema=schema,
                model=Channel(type=standard_artifacts.Model),
            )
        )
