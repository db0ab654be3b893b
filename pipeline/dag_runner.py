"""TFX's LocalDagRunner, with eyes: who runs, what was cached, how long it took.

`LocalDagRunner` runs a pipeline's nodes one after another and says nothing to its caller. This
subclass walks the same nodes with the same launcher and tells a listener what happens.
"""

from __future__ import annotations

import dataclasses
import datetime
import time
from collections.abc import Callable

from ml_metadata.proto import metadata_store_pb2
from tfx.orchestration import metadata
from tfx.orchestration.local import runner_utils
from tfx.orchestration.local.local_dag_runner import LocalDagRunner
from tfx.orchestration.portable import launcher, runtime_parameter_utils
from tfx.proto.orchestration import pipeline_pb2


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


class ObservedDagRunner(LocalDagRunner):
    """Runs a pipeline locally, node by node, and reports each node to a listener."""

    def __init__(self, listener: NodeListener) -> None:
        super().__init__()
        self._listener = listener

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
