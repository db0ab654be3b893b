"""Executor of GeneratorMonitor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from components import executor_base
from components.drift.core.merged_reading import merged_profile
from components.drift.core.profile_file import read_profile
from components.drift.findings import MonitorReport
from components.drift.judging import report
from components.drift.rules import rules_of, tfdv_values
from components.drift_monitor.config import DriftMonitorConfig
from components.drift_monitor.core import find_generator_error
from components.drift_monitor.executor import (
    MONITOR_FILE,
    MONITOR_KEY,
    PROFILE_KEY,
    SCHEMA_KEY,
    STATISTICS_KEY,
    read_comparators,
    write_reports,
)
from components.drift_monitor.spans import sources_of
from components.statistics_gen.statistics_io import read_span_statistics
from components.statistics_gen.summary import summarise
from components.tfx_shim import BaseExecutor

DRIFT_KEY = "drift"
SYNTHETIC_KEY = "synthetic"
SYNTHETIC_STATISTICS_KEY = "synthetic_statistics"

__all__ = [
    "DRIFT_KEY",
    "MONITOR_KEY",
    "PROFILE_KEY",
    "SCHEMA_KEY",
    "STATISTICS_KEY",
    "SYNTHETIC_KEY",
    "SYNTHETIC_STATISTICS_KEY",
    "Executor",
]


class Executor(BaseExecutor):
    """Writes `monitor.json` and `outward.json` of both comparisons."""

    def Do(
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Profiles the synthetic rows on the bins of the real ones and compares the two.

        Args:
          input_dict: `profile`: SpanProfile; `drift`: MonitorReport; `synthetic`: Examples; `statistics`,
            `synthetic_statistics`: ExampleStatistics; `schema`: Schema.
          output_dict: `monitor`: MonitorReport.
          exec_properties: `config`: DriftMonitorConfig; `locale`, `span`.

        Raises:
          DataError: rows, statistics or the profile cannot be read.
        """
        config = executor_base.read_config(exec_properties, DriftMonitorConfig)
        folder, drift, synthetic, statistics, synthetic_statistics, schema = (
            executor_base.single_artifact(input_dict, key)
            for key in (
                PROFILE_KEY,
                DRIFT_KEY,
                SYNTHETIC_KEY,
                STATISTICS_KEY,
                SYNTHETIC_STATISTICS_KEY,
                SCHEMA_KEY,
            )
        )
        monitor = executor_base.single_artifact(output_dict, MONITOR_KEY)
        locale, span = str(exec_properties["locale"]), int(exec_properties["span"])
        real = read_profile(Path(folder.uri))
        made = merged_profile(sources_of(synthetic.uri, config.dataset), config.dataset, real.plan)
        rules = rules_of(
            config.monitoring,
            config.dataset,
            read_comparators(schema),
            seed=config.seed,
            tfdv=tfdv_values(
                summarise(read_span_statistics(statistics.uri)),
                summarise(read_span_statistics(synthetic_statistics.uri)),
                config.dataset.compared_names(),
            ),
            # How many synthetic devices there are, and for how long, is a setting.
            row_rate=False,
        )
        before = MonitorReport.model_validate_json((Path(drift.uri) / MONITOR_FILE).read_bytes())
        findings = find_generator_error(real, made, span, rules, config.monitoring, locale, before.findings)
        found = report(
            [*before.findings, *findings],
            zone=locale,
            sharing=before.sharing,
            span=span,
            monitoring=config.monitoring,
        )
        write_reports(monitor, found, config)
        executor_base.copy_lineage(synthetic, monitor)
