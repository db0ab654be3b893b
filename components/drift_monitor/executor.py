"""Executor of DriftMonitor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from components import executor_base
from components.drift.core.merged_reading import merged_profile, tables_of
from components.drift.core.profile_file import write_profile
from components.drift.findings import MonitorReport
from components.drift.judging import report
from components.drift.rules import rules_of, tfdv_values
from components.drift_monitor.baselines import Baselines
from components.drift_monitor.config import DriftMonitorConfig
from components.drift_monitor.core import find_drift
from components.drift_monitor.spans import (
    SPAN_FILE,
    OpenedBaseline,
    open_baseline,
    plan_for,
    record_of,
    sources_of,
)
from components.egress.monitoring import OUTWARD_FILE, outward_report, to_json
from components.schema_gen.curated import SCHEMA_FILE, parse_schema
from components.statistics_gen.statistics_io import SPAN_FOLDER, read_span_statistics
from components.statistics_gen.summary import Comparator, FeatureSummary, comparators, summarise
from components.tfx_shim import BaseExecutor

EXAMPLES_KEY = "examples"
STATISTICS_KEY = "statistics"
SCHEMA_KEY = "schema"
QUARANTINE_KEY = "quarantine"
PROFILE_KEY = "profile"
MONITOR_KEY = "monitor"
MONITOR_FILE = "monitor.json"


class Executor(BaseExecutor):
    """Writes the span's profile, `monitor.json` and `outward.json`."""

    def Do(
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Profiles a span and compares it with its baselines; a finding never fails the locale.

        Args:
          input_dict: `examples`: Examples, all splits; `statistics`: ExampleStatistics; `schema`: Schema;
            optionally `quarantine`: Quarantine.
          output_dict: `profile`: SpanProfile; `monitor`: MonitorReport.
          exec_properties: `config`: DriftMonitorConfig; `locale`, `sharing`, `span`; `baselines`: Baselines.

        Raises:
          DataError: rows, statistics or an earlier profile cannot be read.
        """
        config = executor_base.read_config(exec_properties, DriftMonitorConfig)
        baselines = Baselines.from_exec_property(exec_properties["baselines"])
        locale, span = str(exec_properties["locale"]), int(exec_properties["span"])
        examples = executor_base.single_artifact(input_dict, EXAMPLES_KEY)
        statistics = executor_base.single_artifact(input_dict, STATISTICS_KEY)
        schema = executor_base.single_artifact(input_dict, SCHEMA_KEY)
        quarantine = executor_base.optional_artifact(input_dict, QUARANTINE_KEY)
        profile_artifact = executor_base.single_artifact(output_dict, PROFILE_KEY)
        monitor = executor_base.single_artifact(output_dict, MONITOR_KEY)

        sources = sources_of(examples.uri, config.dataset)
        rows = tables_of(sources)
        plan, note = plan_for(rows, config.dataset, config.monitoring, baselines, config.seed)
        profile = merged_profile(sources, config.dataset, plan)
        record = record_of(span, config.dataset, quarantine)
        folder = Path(profile_artifact.uri)
        write_profile(folder, profile)
        executor_base.write_json(folder / SPAN_FILE, record.model_dump(mode="json"))

        watched = read_comparators(schema)
        summaries = summarise(read_span_statistics(statistics.uri))

        def rules_for(baseline: OpenedBaseline) -> Any:
            earlier = _summaries_of(baseline.source.statistics)
            return rules_of(
                config.monitoring,
                config.dataset,
                watched,
                seed=config.seed,
                tfdv=tfdv_values(summaries, earlier, config.dataset.compared_names()),
            )

        opened = [open_baseline(source, plan, note) for source in baselines.sources]
        findings = find_drift(profile, record, opened, rules_for, config.monitoring, locale)
        sharing: Any = str(exec_properties["sharing"])
        found = report(findings, zone=locale, sharing=sharing, span=span, monitoring=config.monitoring)
        write_reports(monitor, found, config)
        for output in (profile_artifact, monitor):
            executor_base.copy_lineage(examples, output)


def write_reports(monitor: Any, found: MonitorReport, config: DriftMonitorConfig) -> None:
    """Writes `monitor.json` for the region and `outward.json` with what may leave it."""
    folder = Path(monitor.uri)
    executor_base.write_json(folder / MONITOR_FILE, found.model_dump(mode="json"))
    outward = outward_report(found, config.dataset, config.egress)
    executor_base.write_json(folder / OUTWARD_FILE, to_json(outward))


def read_comparators(schema: Any) -> dict[str, Comparator]:
    """The drift comparators of a Schema artifact."""
    path = Path(schema.uri) / SCHEMA_FILE
    return comparators(parse_schema(path.read_text(), str(path)), "drift")


def _summaries_of(uri: str) -> dict[str, FeatureSummary]:
    """Summaries of an earlier span; none where a baseline has several spans, or none."""
    there = uri and (Path(uri) / SPAN_FOLDER).is_dir()
    return summarise(read_span_statistics(uri)) if there else {}
