"""Executor of StatisticsGen: one `FeatureStats.pb` per split."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from components import executor_base, split_io
from components.statistics_gen.config import StatisticsGenConfig
from components.statistics_gen.prefetch import read_ahead
from components.statistics_gen.statistics_io import STATISTICS_FILE
from components.statistics_gen.tfdv_stats import compute_statistics
from components.tfx_shim import BaseExecutor, artifact_utils

EXAMPLES_KEY = "examples"
STATISTICS_KEY = "statistics"


class Executor(BaseExecutor):
    """Reads every split of Examples and writes its statistics, as TFX lays them out."""

    def Do(
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes `Split-<name>/FeatureStats.pb` for every split of the input.

        Args:
          input_dict: `examples`: Examples.
          output_dict: `statistics`: ExampleStatistics.
          exec_properties: `config`: StatisticsGenConfig.
        """
        config = executor_base.read_config(exec_properties, StatisticsGenConfig)
        examples = executor_base.single_artifact(input_dict, EXAMPLES_KEY)
        output = executor_base.single_artifact(output_dict, STATISTICS_KEY)
        splits = artifact_utils.decode_split_names(examples.split_names)
        for split in splits:
            batches = split_io.read_list_batches(
                examples.uri, split, dataset=config.dataset, batch_rows=config.batch_rows
            )
            statistics = compute_statistics(read_ahead(batches), config, name=split)
            path = Path(split_io.split_path(output.uri, split)) / STATISTICS_FILE
            executor_base.write_atomically(path, statistics.SerializeToString(deterministic=True))
        output.split_names = artifact_utils.encode_split_names(splits)
        executor_base.copy_lineage(examples, output)
