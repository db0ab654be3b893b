"""Executor of SchemaGen: the curated schema, or an inferred one, with its comparators."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from components import executor_base
from components.schema_gen import core
from components.schema_gen.config import SchemaGenConfig
from components.schema_gen.curated import SCHEMA_FILE, curated_schema
from components.schema_gen.tfdv_schema import infer_schema
from components.statistics_gen.statistics_io import read_statistics
from components.tfx_shim import BaseExecutor, artifact_utils

STATISTICS_KEY = "statistics"
SCHEMA_KEY = "schema"


class Executor(BaseExecutor):
    """Writes `schema.pbtxt`."""

    def Do(
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the schema of a data set.

        Args:
          input_dict: `statistics`: ExampleStatistics.
          output_dict: `schema`: Schema.
          exec_properties: `config`: SchemaGenConfig.

        Raises:
          ConfigError: the curated schema does not fit the data set.
        """
        config = executor_base.read_config(exec_properties, SchemaGenConfig)
        statistics = executor_base.single_artifact(input_dict, STATISTICS_KEY)
        output = executor_base.single_artifact(output_dict, SCHEMA_KEY)
        schema = self._make_schema(config, statistics)
        text = text_format.MessageToString(schema)
        executor_base.write_atomically(Path(output.uri) / SCHEMA_FILE, text)
        executor_base.copy_lineage(statistics, output)

    def _make_schema(self, config: SchemaGenConfig, statistics: Any) -> schema_pb2.Schema:
        dataset, monitoring, absent = config.dataset, config.monitoring, config.absent_columns
        if dataset.schema_name:
            curated = curated_schema(dataset.schema_name)
            return core.complete_curated_schema(curated, dataset, monitoring, absent)
        splits = artifact_utils.decode_split_names(statistics.split_names)
        inferred = infer_schema([read_statistics(statistics.uri, split) for split in splits])
        return core.complete_inferred_schema(inferred, dataset, monitoring, absent)
