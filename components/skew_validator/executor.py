"""Executor of SkewValidator: locale against locale."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

from tensorflow_metadata.proto.v0 import schema_pb2

from components import executor_base
from components.example_validator.tfdv_validation import Statistics, validate
from components.schema_gen.curated import SCHEMA_FILE, parse_schema
from components.skew_validator import core
from components.skew_validator.config import SkewValidatorConfig
from components.statistics_gen.statistics_io import read_statistics
from components.statistics_gen.summary import comparators, summarise
from components.tfx_shim import BaseExecutor, artifact_utils

STATISTICS_KEY = "statistics"
SCHEMA_KEY = "schema"
SKEW_KEY = "skew"
SKEW_FILE = "skew.json"


class Executor(BaseExecutor):
    """Writes `skew.json`."""

    def Do(
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Compares every pair of locales.

        Args:
          input_dict: `statistics`: ExampleStatistics of the merged Examples, one split per locale;
            `schema`: Schema.
          output_dict: `skew`: SkewReport.
          exec_properties: `config`: SkewValidatorConfig.
        """
        config = executor_base.read_config(exec_properties, SkewValidatorConfig)
        artifact = executor_base.single_artifact(input_dict, STATISTICS_KEY)
        schema_path = Path(executor_base.single_artifact(input_dict, SCHEMA_KEY).uri) / SCHEMA_FILE
        output = executor_base.single_artifact(output_dict, SKEW_KEY)

        schema = parse_schema(schema_path.read_text(), str(schema_path))
        locales = artifact_utils.decode_split_names(artifact.split_names)
        statistics = {locale: read_statistics(artifact.uri, locale) for locale in locales}
        report = core.make_report(
            {locale: summarise(statistics[locale]) for locale in locales},
            comparators(schema, "skew"),
            _tfdv_values(statistics, schema),
            config.monitoring.min_count,
        )
        executor_base.write_json(Path(output.uri) / SKEW_FILE, report.to_json())
        executor_base.copy_lineage(artifact, output)


def _tfdv_values(
    statistics: dict[str, Statistics], schema: schema_pb2.Schema
) -> dict[tuple[str, str, str], float]:
    """TFDV's skew of every pair of locales, keyed by (a, b, feature)."""
    values = {}
    for a, b in combinations(statistics, 2):
        found = validate(statistics[a], schema, serving=statistics[b])
        for info in found.drift_skew_info:
            for measurement in info.skew_measurements:
                values[(a, b, ".".join(info.path.step))] = measurement.value
    return values
