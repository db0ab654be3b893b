"""Executor of StatisticsGen: one `FeatureStats.pb` per split, and one of all splits together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tensorflow_metadata.proto.v0.statistics_pb2 import DatasetFeatureStatisticsList

from components import executor_base, split_io
from components.read_ahead import read_ahead
from components.statistics_gen.config import StatisticsGenConfig
from components.statistics_gen.statistics_io import SPAN_FOLDER, STATISTICS_FILE
from components.statistics_gen.tfdv_stats import StatisticsAccumulator, accumulate, merge_accumulators
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
        """Writes `Split-<name>/FeatureStats.pb` for every split, and `span/FeatureStats.pb` for all rows.

        Args:
          input_dict: `examples`: Examples.
          output_dict: `statistics`: ExampleStatistics.
          exec_properties: `config`: StatisticsGenConfig.
        """
        config = executor_base.read_config(exec_properties, StatisticsGenConfig)
        examples = executor_base.single_artifact(input_dict, EXAMPLES_KEY)
        output = executor_base.single_artifact(output_dict, STATISTICS_KEY)
        splits = artifact_utils.decode_split_names(examples.split_names)
        whole: list[StatisticsAccumulator] = []
        for split in splits:
            batches = split_io.read_list_batches(
                examples.uri, split, dataset=config.dataset, batch_rows=config.batch_rows
            )
            partial = accumulate(read_ahead(batches), config)
            if len(splits) > 1:
                whole.append(partial.copy())
            statistics = partial.extract(split)
            _write(statistics, Path(split_io.split_path(output.uri, split)))
        if whole:
            statistics = merge_accumulators(whole).extract()
        statistics.datasets[0].name = SPAN_FOLDER  # one split's statistics are the span's
        _write(statistics, Path(output.uri) / SPAN_FOLDER)
        output.split_names = artifact_utils.encode_split_names(splits)
        executor_base.copy_lineage(examples, output)


def _write(statistics: DatasetFeatureStatisticsList, folder: Path) -> None:
    executor_base.write_atomically(folder / STATISTICS_FILE, statistics.SerializeToString(deterministic=True))
