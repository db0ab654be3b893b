"""The only place that knows where TFX keeps things.

Both TFX lines live (1.16 on Python 3.10, 1.21 on 3.11 to 3.13). What differs between them is
bridged here, and nowhere else. Submodules are imported instead of `tfx.v1`, which costs 14 s and
830 MB, most of it for parts that Isthmus does not use.
"""

from __future__ import annotations

from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.dsl.components.base.base_component import BaseComponent
from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.dsl.components.base.executor_spec import BeamExecutorSpec, ExecutorClassSpec
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.artifact import Artifact
from tfx.types.channel import BaseChannel, Channel
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

__all__ = [
    "Artifact",
    "BaseBeamExecutor",
    "BaseChannel",
    "BaseComponent",
    "BaseExecutor",
    "BeamExecutorSpec",
    "Channel",
    "ChannelParameter",
    "ComponentSpec",
    "ExecutionParameter",
    "ExecutorClassSpec",
    "artifact_utils",
    "standard_artifacts",
]
