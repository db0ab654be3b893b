"""Executor of the centre's Pusher."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from components.executor_base import optional_artifact, read_config, single_artifact, write_json
from components.pusher.config import ModelPusherConfig
from components.pusher.registry import ModelInputs, push_model
from components.tfx_shim import BaseExecutor


class Executor(BaseExecutor):
    """Publishes a detector and writes `push.json`."""

    def Do(
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        """See `push_model`. Not pushing is no failure: `push.json` says so and why."""
        config = read_config(exec_properties, ModelPusherConfig)
        optional = {key: optional_artifact(input_dict, key) for key in _OPTIONAL}
        folders = {key: Path(artifact.uri) for key, artifact in optional.items() if artifact is not None}
        model = single_artifact(input_dict, "model")
        report = push_model(config, ModelInputs(model=Path(model.uri), **folders))
        pushed = single_artifact(output_dict, "pushed")
        write_json(Path(pushed.uri) / "push.json", report)
        pushed.set_int_custom_property("pushed", int(report["pushed"]))
        pushed.set_int_custom_property("version", int(report["version"]))


_OPTIONAL = ("blessing", "evaluation", "merge_report")
