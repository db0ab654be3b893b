"""The centre's Pusher as a TFX component."""

from __future__ import annotations

from components.artifacts import MergeReport
from components.pusher.config import ModelPusherConfig
from components.pusher.model_executor import Executor
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


class ModelPusherSpec(ComponentSpec):
    """Inputs and outputs of `ModelPusher`."""

    PARAMETERS = {
        "config": ExecutionParameter(type=str),
        "fingerprint": ExecutionParameter(type=str),
        "isthmus_version": ExecutionParameter(type=str),
    }
    INPUTS = {
        "model": ChannelParameter(type=standard_artifacts.Model),
        "blessing": ChannelParameter(type=standard_artifacts.ModelBlessing, optional=True),
        "evaluation": ChannelParameter(type=standard_artifacts.ModelEvaluation, optional=True),
        "merge_report": ChannelParameter(type=MergeReport, optional=True),
    }
    OUTPUTS = {"pushed": ChannelParameter(type=standard_artifacts.PushedModel)}


class ModelPusher(BaseComponent):
    """Publishes a blessed detector as the next version in the registry.

    Inputs: `model` (Model: the detector), `blessing` (ModelBlessing; without it nothing is pushed),
    `evaluation` (ModelEvaluation), `merge_report` (MergeReport: the releases it was built on).
    Output: `pushed` (PushedModel).
    """

    SPEC_CLASS = ModelPusherSpec
    EXECUTOR_SPEC = ExecutorClassSpec(Executor)

    def __init__(
        self,
        config: ModelPusherConfig,
        model: BaseChannel,
        blessing: BaseChannel | None = None,
        evaluation: BaseChannel | None = None,
        merge_report: BaseChannel | None = None,
        fingerprint: str = "",
    ) -> None:
        """Args are the configuration and channels above; another `fingerprint` means another execution."""
        super().__init__(
            ModelPusherSpec(
                config=config.to_exec_property(),
                fingerprint=fingerprint,
                isthmus_version=__version__,
                model=model,
                blessing=blessing,
                evaluation=evaluation,
                merge_report=merge_report,
                pushed=Channel(type=standard_artifacts.PushedModel),
            )
        )
