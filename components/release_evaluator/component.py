"""ReleaseEvaluator: may these synthetic rows leave?"""

from __future__ import annotations

from components.release_evaluator.config import ReleaseEvaluatorConfig
from components.release_evaluator.executor import (
    BLESSING_KEY,
    EVALUATION_KEY,
    EXAMPLES_KEY,
    SCHEMA_KEY,
    SYNTHETIC_KEY,
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


class ReleaseEvaluatorSpec(ComponentSpec):
    """Channels and exec properties of ReleaseEvaluator."""

    PARAMETERS = {
        "config": ExecutionParameter(type=str),
        "locale": ExecutionParameter(type=str),
        "span": ExecutionParameter(type=int),
        "seed": ExecutionParameter(type=int),
        "isthmus_version": ExecutionParameter(type=str),
    }
    INPUTS = {
        EXAMPLES_KEY: ChannelParameter(type=standard_artifacts.Examples),
        SYNTHETIC_KEY: ChannelParameter(type=standard_artifacts.Examples),
        SCHEMA_KEY: ChannelParameter(type=standard_artifacts.Schema, optional=True),
    }
    OUTPUTS = {
        EVALUATION_KEY: ChannelParameter(type=standard_artifacts.ModelEvaluation),
        BLESSING_KEY: ChannelParameter(type=standard_artifacts.ModelBlessing),
    }


class ReleaseEvaluator(BaseComponent):
    """Fidelity, utility and privacy of synthetic rows, and the verdict of the gate.

    Inputs: `examples` (Examples: real, splits train and holdout), `synthetic` (Examples, split train),
    `schema` (Schema, optional). Outputs: `evaluation` (ModelEvaluation), `blessing` (ModelBlessing).
    """

    SPEC_CLASS = ReleaseEvaluatorSpec
    EXECUTOR_SPEC = ExecutorClassSpec(Executor)

    def __init__(
        self,
        config: ReleaseEvaluatorConfig,
        examples: BaseChannel,
        synthetic: BaseChannel,
        schema: BaseChannel | None = None,
        *,
        locale: str = "",
        span: int = 0,
    ) -> None:
        """Connects the component.

        Args:
          config: What is measured, and the gate.
          examples: Channel of real Examples.
          synthetic: Channel of synthetic Examples.
          schema: Channel of the Schema, or None.
          locale: The locale, for the operator.
          span: The span, for the operator.
        """
        super().__init__(
            spec=ReleaseEvaluatorSpec(
                config=config.to_exec_property(),
                locale=locale,
                span=span,
                seed=config.seed,
                isthmus_version=__version__,
                examples=examples,
                synthetic=synthetic,
                schema=schema,
                evaluation=Channel(type=standard_artifacts.ModelEvaluation),
                blessing=Channel(type=standard_artifacts.ModelBlessing),
            )
        )
