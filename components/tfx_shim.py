"""The only place that knows where TFX keeps things.

Written for TFX 1.16 on Python 3.10, the only line that is locked and that the tests have run with.
1.21 (Python 3.11 to 3.13) was never run: it does not resolve on glibc 2.36. Nothing is bridged; a
move to another line starts with the names of this module, but the pipeline also uses what the
runner's parts give back, and `pipeline.dag_runner` composes the cache's key as 1.16 does.

Submodules are imported instead of `tfx.v1`, which costs 14 s and 830 MB, most of it for parts that
Isthmus does not use.
"""

from __future__ import annotations

from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.dsl.components.base.base_component import BaseComponent
from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.dsl.components.base.executor_spec import BeamExecutorSpec, ExecutorClassSpec
from tfx.orchestration import data_types_utils, metadata
from tfx.orchestration.local import runner_utils
from tfx.orchestration.local.local_dag_runner import LocalDagRunner
from tfx.orchestration.pipeline import Pipeline
from tfx.orchestration.portable import (
    cache_utils,
    inputs_utils,
    launcher,
    outputs_utils,
    runtime_parameter_utils,
)
from tfx.proto.orchestration import pipeline_pb2
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.artifact import Artifact
from tfx.types.channel import BaseChannel, Channel, ExternalPipelineChannel
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
    "ExternalPipelineChannel",
    "LocalDagRunner",
    "Pipeline",
    "artifact_utils",
    "cache_utils",
    "data_types_utils",
    "inputs_utils",
    "launcher",
    "metadata",
    "outputs_utils",
    "pipeline_pb2",
    "runner_utils",
    "runtime_parameter_utils",
    "standard_artifacts",
]
