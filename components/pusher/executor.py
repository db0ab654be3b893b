"""Executor of a region's Pusher."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from components.errors import DataError
from components.executor_base import optional_artifact, read_config, single_artifact, write_json
from components.pusher.clearing import push_governed
from components.pusher.config import PusherConfig
from components.pusher.core import RegionInputs
from components.tfx_shim import BaseExecutor


class Executor(BaseExecutor):
    """Publishes a release and writes `push.json`."""

    def Do(
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        """See `push_governed`. Not pushing is no failure: `push.json` says so and why."""
        config = read_config(exec_properties, PusherConfig)
        locale, span = str(exec_properties["locale"]), int(exec_properties["span"])
        examples = single_artifact(input_dict, "examples")
        origin = examples.get_string_custom_property("locale")
        if origin and origin != locale:
            place = f"locale={locale} span={span}"
            raise DataError(f"{place}: the examples are of locale {origin}; nothing was pushed.")
        optional = {key: optional_artifact(input_dict, key) for key in _OPTIONAL}
        folders = {key: Path(artifact.uri) for key, artifact in optional.items() if artifact is not None}
        model = folders.pop("model", None)
        report = push_governed(config, locale, span, RegionInputs(Path(examples.uri), **folders), model)
        pushed = single_artifact(output_dict, "pushed")
        write_json(Path(pushed.uri) / "push.json", report)
        pushed.set_string_custom_property("locale", locale)
        pushed.set_int_custom_property("span", span)
        pushed.set_int_custom_property("pushed", int(report["pushed"]))
        pushed.set_string_custom_property("release_id", str(report["release_id"]))


_OPTIONAL = ("schema", "statistics", "evaluation", "blessing", "model", "monitor", "sketch")
