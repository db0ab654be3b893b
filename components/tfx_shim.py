"""The only place that knows where TFX keeps things.

Written for TFX 1.16 on Python 3.10, the only line that is locked and that the tests have run with.
1.21 (Python 3.11 to 3.13) was never run: it does not resolve on glibc 2.36. Nothing is bridged; a
move to another line starts with the names of this module, but the pipeline also uses what the
runner's parts give back, and `pipeline.dag_runner` composes the cache's key as 1.16 does.

Submodules are imported instead of `tfx.v1`, which costs 14 s and 830 MB, most of it for parts that
Isthmus does not use; and each when its name is first asked for, because an executor in a pod needs a base
class and an artifact type, not the local runner and Beam (half of the seconds that all of them take).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tfx  # noqa: F401  what is imported by name below, for whoever looks at imports only

#: Name to the package or module that has it.
_HOMES = {
    "Artifact": "tfx.types.artifact",
    "BaseBeamExecutor": "tfx.dsl.components.base.base_beam_executor",
    "BaseChannel": "tfx.types.channel",
    "BaseComponent": "tfx.dsl.components.base.base_component",
    "BaseExecutor": "tfx.dsl.components.base.base_executor",
    "BeamExecutorSpec": "tfx.dsl.components.base.executor_spec",
    "Channel": "tfx.types.channel",
    "ChannelParameter": "tfx.types.component_spec",
    "ComponentSpec": "tfx.types.component_spec",
    "ExecutionParameter": "tfx.types.component_spec",
    "ExecutorClassSpec": "tfx.dsl.components.base.executor_spec",
    "ExternalPipelineChannel": "tfx.types.channel",
    "LocalDagRunner": "tfx.orchestration.local.local_dag_runner",
    "Pipeline": "tfx.orchestration.pipeline",
    "artifact_utils": "tfx.types",
    "cache_utils": "tfx.orchestration.portable",
    "data_types_utils": "tfx.orchestration",
    "inputs_utils": "tfx.orchestration.portable",
    "launcher": "tfx.orchestration.portable",
    "metadata": "tfx.orchestration",
    "outputs_utils": "tfx.orchestration.portable",
    "pipeline_pb2": "tfx.proto.orchestration",
    "runner_utils": "tfx.orchestration.local",
    "runtime_parameter_utils": "tfx.orchestration.portable",
    "standard_artifacts": "tfx.types",
}


def __getattr__(name: str) -> Any:
    """Imports a name's module when the name is first asked for."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(home)
    # A package need not have imported the submodule that is asked for.
    found = getattr(module, name) if hasattr(module, name) else importlib.import_module(f"{home}.{name}")
    globals()[name] = found
    return found
