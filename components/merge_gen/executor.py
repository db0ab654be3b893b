"""Executor of MergeGen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from components.executor_base import read_config, single_artifact, write_json
from components.merge_gen.config import MergeGenConfig
from components.merge_gen.core import merge_releases
from components.merge_gen.resolution import Resolution, resolve_releases
from components.merge_gen.result import MONITORS_FOLDER, SKETCHES_FOLDER
from components.tfx_shim import BaseExecutor, artifact_utils


class Executor(BaseExecutor):
    """Verifies, copies and reports; fails when the quorum is not met."""

    def Do(
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Takes the releases that were resolved before the run, or else those that are there now.

        Raises:
          DataError: the quorum is not met (`merge.json` is written all the same), or the exchange
            cannot be read.
        """
        config = read_config(exec_properties, MergeGenConfig)
        examples = single_artifact(output_dict, "examples")
        report = single_artifact(output_dict, "merge_report")
        pinned = exec_properties.get("releases") or ""
        if pinned:
            resolution = Resolution.from_exec_property(pinned)
        else:
            resolution = resolve_releases(config)
        beside = Path(report.uri)
        result = merge_releases(
            config, resolution, Path(examples.uri), beside / MONITORS_FOLDER, beside / SKETCHES_FOLDER
        )
        write_json(Path(report.uri) / "merge.json", result.to_json())
        result.require_quorum()
        examples.split_names = artifact_utils.encode_split_names([item.locale for item in result.accepted])
        examples.set_string_custom_property("data_digest", result.data_digest)
        examples.set_int_custom_property("span", max(item.span for item in result.accepted))
        examples.set_string_custom_property(
            "releases", json.dumps({item.locale: item.release_id for item in result.accepted}, sort_keys=True)
        )
        report.set_string_custom_property("data_digest", result.data_digest)
