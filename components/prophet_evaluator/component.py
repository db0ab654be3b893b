"""The component: channels and the typed configuration."""

from __future__ import annotations

from components.prophet_evaluator.config import ProphetEvaluatorConfig
from components.prophet_evaluator.executor import Executor
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


class ProphetEvaluatorSpec(ComponentSpec):
    """Parameters and channels of ProphetEvaluator."""

    PARAMETERS = {
        "config": ExecutionParameter(type=str),
        "seed": ExecutionParameter(type=int),
        "isthmus_version": ExecutionParameter(type=str),
    }
    INPUTS = {
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "test_examples": ChannelParameter(type=standard_artifacts.Examples),
        "ideal_examples": ChannelParameter(type=standard_artifacts.Examples, optional=True),
    }
    OUTPUTS = {
        "model": ChannelParameter(type=standard_artifacts.Model),
        "evaluation": ChannelParameter(type=standard_artifacts.ModelEvaluation),
        "blessing": ChannelParameter(type=standard_artifacts.ModelBlessing),
    }


class ProphetEvaluator(BaseComponent):
    """Trains the central detector and judges what sharing is worth.

    Inputs:
      examples: Merged Examples, one split per locale.
      test_examples: Examples with the split `test`: labelled rows with a locale column.
      ideal_examples: Optional Examples, one split per restricted locale, raw rows (simulation only).
    Outputs:
      model: Model: the detector.
      evaluation: ModelEvaluation: `evaluation.json`, `fairness.json`, `forecast.json`,
        `plots/<locale>.png`.
      blessing: ModelBlessing: the verdict.
    """

    SPEC_CLASS = ProphetEvaluatorSpec
    EXECUTOR_SPEC = ExecutorClassSpec(Executor)

    def __init__(
        self,
        config: ProphetEvaluatorConfig,
        examples: BaseChannel,
        test_examples: BaseChannel,
        ideal_examples: BaseChannel | None = None,
        seed: int | None = None,
    ) -> None:
        """Builds the node.

        Args:
          config: What is trained and how it is judged.
          examples: See the class.
          test_examples: See the class.
          ideal_examples: See the class.
          seed: In place of `config.seed`.
        """
        if seed is not None:
            config = config.model_copy(update={"seed": seed})
        super().__init__(
            ProphetEvaluatorSpec(
                config=config.to_exec_property(),
                seed=config.seed,
                isthmus_version=__version__,
                examples=examples,
                test_examples=test_examples,
                ideal_examples=ideal_examples,
                model=Channel(type=standard_artifacts.Model),
                evaluation=Channel(type=standard_artifacts.ModelEvaluation),
                blessing=Channel(type=standard_artifacts.ModelBlessing),
            )
        )
