"""Executor of ExampleGen: source files to Examples and Quarantine."""

from __future__ import annotations

from typing import Any

from components import executor_base
from components.example_gen.config import ExampleGenConfig
from components.example_gen.core.ingest import ingest
from components.tfx_shim import BaseExecutor, artifact_utils

EXAMPLES_KEY = "examples"
QUARANTINE_KEY = "quarantine"
#: In place of a span's number: the newest there is (a test set belongs to no locale's span).
NEWEST_SPAN = -1


class Executor(BaseExecutor):
    """Reads a span of the sources and writes the splits and what was set aside."""

    def Do(
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes `Split-<name>/` and the quarantine's files.

        Args:
          input_dict: Nothing.
          output_dict: `examples`: Examples. `quarantine`: Quarantine.
          exec_properties: `config`: ExampleGenConfig. `locale`, `span`, `seed`, `fingerprint`.

        Raises:
          ConfigError, DataError: as `ingest`.
        """
        config = executor_base.read_config(exec_properties, ExampleGenConfig)
        examples = executor_base.single_artifact(output_dict, EXAMPLES_KEY)
        quarantine = executor_base.single_artifact(output_dict, QUARANTINE_KEY)
        span = int(exec_properties["span"])
        report = ingest(
            config,
            examples.uri,
            quarantine.uri,
            locale=exec_properties["locale"],
            span="latest" if span == NEWEST_SPAN else span,
            seed=int(exec_properties["seed"]),
            fingerprint=exec_properties["fingerprint"],
        )
        examples.split_names = artifact_utils.encode_split_names(report.split_names)
        for artifact in (examples, quarantine):
            artifact.set_string_custom_property("locale", report.locale)
            artifact.set_int_custom_property("span", report.span)
            artifact.set_string_custom_property("data_digest", report.data_digest)
        quarantine.set_int_custom_property("rows_quarantined", report.rows_quarantined)
