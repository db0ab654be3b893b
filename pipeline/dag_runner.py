"""TFX's LocalDagRunner, with eyes: who runs, what was cached, how long it took.

`LocalDagRunner` runs a pipeline's nodes one after another and says nothing to its caller. This
subclass walks the same nodes with the same launcher and tells a listener what happens.

TFX's cache knows inputs and parameters only. A node whose answer can become untrue while both stay as
they were, a Pusher, has a judge: where it finds the answer that the cache would give outdated, the node
runs, and its new answer is what the cache gives next.
"""

from __future__ import annotations

import dataclasses
import datetime
import logging
import time
from collections.abc import Callable, Mapping

from ml_metadata.proto import metadata_store_pb2

from components.tfx_shim import (
    LocalDagRunner,
    cache_utils,
    data_types_utils,
    inputs_utils,
    launcher,
    metadata,
    outputs_utils,
    pipeline_pb2,
    runner_utils,
    runtime_parameter_utils,
)


@dataclasses.dataclass(frozen=True)
class NodeResult:
    """What became of one node.

    Attributes:
      id: Node id.
      component: Component class path.
      state: `executed` or `cached`.
      seconds: Wall-clock seconds.
      outputs: Channel name -> artifact URI.
    """

    id: str
    component: str
    state: str
    seconds: float
    outputs: dict[str, str]


#: Called with (event, node id, result): event is `running` or `finished`.
NodeListener = Callable[[str, str, "NodeResult | None"], None]
#: Called with the URIs of a cached answer by channel; says why the answer is outdated, "" if it is not.
Judge = Callable[[dict[str, str]], str]

_LOG = logging.getLogger(__name__)


class ObservedDagRunner(LocalDagRunner):
    """Runs a pipeline locally, node by node, and reports each node to a listener."""

    def __init__(self, listener: NodeListener, judges: Mapping[str, Judge] | None = None) -> None:
        """Runs nothing yet.

        Args:
          listener: Hears of every node.
          judges: Node id to who looks at its cached answer before it is given.
        """
        super().__init__()
        self._listener = listener
        self._judges = dict(judges or {})

    def run_with_ir(
        self, pipeline: pipeline_pb2.Pipeline, run_options: pipeline_pb2.RunOptions | None = None
    ) -> None:
        """Runs the nodes in their (topological) order; stops at the first that fails.

        Args:
          pipeline: The pipeline's intermediate representation.
          run_options: Not supported; a stage is chosen by leaving nodes out of the pipeline.

        Raises:
          Exception: whatever the failing executor raised.
        """
        if run_options is not None:
            raise NotImplementedError("partial runs are made by leaving nodes out of the pipeline")
        runtime_parameter_utils.substitute_runtime_parameter(
            pipeline, {"pipeline-run-id": datetime.datetime.now(datetime.timezone.utc).isoformat()}
        )
        config = runner_utils.extract_local_deployment_config(pipeline)
        connection = config.metadata_connection_config
        connection_config = getattr(connection, connection.WhichOneof("connection_config"))
        for node in pipeline.nodes:
            self._run_node(pipeline, node.pipeline_node, config, connection_config)

    def _run_node(self, pipeline, node, config, connection_config) -> None:  # type: ignore[no-untyped-def]
        node_id = node.node_info.id
        self._listener("running", node_id, None)
        started = time.monotonic()
        if judge := self._judges.get(node_id):
            cached = _cached_outputs(pipeline, node, config, connection_config)
            if why := judge(cached) if cached else "":
                _LOG.info("%s: not taken from the cache: %s", node_id, why)
                node.execution_options.caching_options.enable_cache = False
        node_launcher = launcher.Launcher(
            pipeline_node=node,
            mlmd_connection=metadata.Metadata(connection_config),
            pipeline_info=pipeline.pipeline_info,
            pipeline_runtime_spec=pipeline.runtime_spec,
            executor_spec=runner_utils.extract_executor_spec(config, node_id),
            custom_driver_spec=runner_utils.extract_custom_driver_spec(config, node_id),
        )
        info = node_launcher.launch()
        state, outputs = _outcome(connection_config, info.execution_id)
        result = NodeResult(
            id=node_id,
            component=node.node_info.type.name,
            state=state,
            seconds=round(time.monotonic() - started, 3),
            outputs=outputs,
        )
        self._listener("finished", node_id, result)


def _cached_outputs(pipeline, node, config, connection_config) -> dict[str, str]:  # type: ignore[no-untyped-def]
    """Channel name -> URI of the answer that the launcher would take from the cache; empty without one.

    Composes the cache's key as `Launcher` does (tfx 1.16, `orchestration/portable/launcher.py`).
    """
    if not node.execution_options.caching_options.enable_cache:
        return {}
    with metadata.Metadata(connection_config) as handle:
        resolved = inputs_utils.resolve_input_artifacts(pipeline_node=node, metadata_handle=handle)
        if isinstance(resolved, inputs_utils.Skip) or len(resolved) != 1:
            return {}  # the launcher says what is wrong
        outputs = outputs_utils.OutputsResolver(node, pipeline.pipeline_info, pipeline.runtime_spec)
        key = cache_utils.get_cache_context(
            metadata_handle=handle,
            pipeline_node=node,
            pipeline_info=pipeline.pipeline_info,
            executor_spec=runner_utils.extract_executor_spec(config, node.node_info.id),
            input_artifacts=resolved[0],
            output_artifacts=outputs.generate_output_artifacts(0),
            parameters=data_types_utils.build_parsed_value_dict(
                inputs_utils.resolve_parameters_with_schema(node_parameters=node.parameters)
            ),
        )
        found = cache_utils.get_cached_outputs(metadata_handle=handle, cache_context=key) or {}
    return {channel: artifacts[0].uri for channel, artifacts in found.items() if artifacts}


def _outcome(connection_config, execution_id: int) -> tuple[str, dict[str, str]]:  # type: ignore[no-untyped-def]
    """State of an execution and its outputs, from the metadata store.

    The launcher's own return value has no outputs when the result came from the cache.
    """
    with metadata.Metadata(connection_config) as handle:
        (execution,) = handle.store.get_executions_by_id([execution_id])
        events = [
            event
            for event in handle.store.get_events_by_execution_ids([execution_id])
            if event.type == metadata_store_pb2.Event.OUTPUT
        ]
        artifacts = handle.store.get_artifacts_by_id([event.artifact_id for event in events])
    uris = {artifact.id: artifact.uri for artifact in artifacts}
    outputs = {event.path.steps[0].key: uris[event.artifact_id] for event in events}
    cached = execution.last_known_state == metadata_store_pb2.Execution.CACHED
    return ("cached" if cached else "executed"), outputs
