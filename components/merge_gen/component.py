"""MergeGen as a TFX component."""

from __future__ import annotations

from components.artifacts import MergeReport
from components.merge_gen.config import MergeGenConfig
from components.merge_gen.executor import Executor
from components.merge_gen.resolution import Resolution
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


class MergeGenSpec(ComponentSpec):
    """Parameters and outputs of `MergeGen`; it reads the exchange, not an artifact."""

    PARAMETERS = {
        "config": ExecutionParameter(type=str),
        "releases": ExecutionParameter(type=str),
        "fingerprint": ExecutionParameter(type=str),
        "isthmus_version": ExecutionParameter(type=str),
    }
    INPUTS: dict[str, ChannelParameter] = {}
    OUTPUTS = {
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "merge_report": ChannelParameter(type=MergeReport),
    }


class MergeGen(BaseComponent):
    """Merges the releases that verify.

    Outputs: `examples` (Examples, one split per locale), `merge_report` (MergeReport).
    """

    SPEC_CLASS = MergeGenSpec
    EXECUTOR_SPEC = ExecutorClassSpec(Executor)

    def __init__(
        self, config: MergeGenConfig, resolution: Resolution | None = None, fingerprint: str = ""
    ) -> None:
        """Builds the component.

        Args:
          config: What to accept.
          resolution: What `resolve_releases` found before the run. None (a graph that is compiled
            before the releases exist) finds them in the executor; such a task must not be cached.
          fingerprint: Names the state of the exchange; taken from `resolution` when it is given.
        """
        super().__init__(
            MergeGenSpec(
                config=config.to_exec_property(),
                releases=resolution.to_exec_property() if resolution else "",
                fingerprint=resolution.fingerprint if resolution else fingerprint,
                isthmus_version=__version__,
                examples=Channel(type=standard_artifacts.Examples),
                merge_report=Channel(type=MergeReport),
            )
        )
