"""Executor of ExampleValidator: anomalies per split, drift of the whole span against the previous one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from components import executor_base, split_io
from components.errors import VerdictError, list_briefly
from components.example_validator import core
from components.example_validator.config import ExampleValidatorConfig
from components.example_validator.tfdv_validation import Statistics, validate
from components.schema_gen.curated import SCHEMA_FILE, parse_schema
from components.statistics_gen.statistics_io import SPAN_FOLDER, read_span_statistics, read_statistics
from components.statistics_gen.summary import comparators, summarise
from components.tfx_shim import BaseExecutor, artifact_utils

STATISTICS_KEY = "statistics"
SCHEMA_KEY = "schema"
PREVIOUS_KEY = "previous_statistics"
ANOMALIES_KEY = "anomalies"
DRIFT_KEY = "drift"
ANOMALIES_FILE = "SchemaDiff.pb"
DRIFT_FILE = "drift.json"


class Executor(BaseExecutor):
    """Writes `SchemaDiff.pb` per split and for the span, and `drift.json`; stops the locale where it must."""

    def Do(
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Validates every split.

        Args:
          input_dict: `statistics`: ExampleStatistics; `schema`: Schema; optionally
            `previous_statistics`: ExampleStatistics of the previous span.
          output_dict: `anomalies`: ExampleAnomalies; `drift`: DriftReport.
          exec_properties: `config`: ExampleValidatorConfig; `locale`, `span`;
            `previous_statistics_uri`: folder of the previous span's ExampleStatistics where there is
            no channel for it, empty for none.

        Raises:
          VerdictError: an anomaly of severity ERROR (`monitoring.fail_on`), or a drift
            (`monitoring.on_drift`); raised after everything is written.
        """
        config = executor_base.read_config(exec_properties, ExampleValidatorConfig)
        statistics = executor_base.single_artifact(input_dict, STATISTICS_KEY)
        schema_path = Path(executor_base.single_artifact(input_dict, SCHEMA_KEY).uri) / SCHEMA_FILE
        anomalies = executor_base.single_artifact(output_dict, ANOMALIES_KEY)
        drift = executor_base.single_artifact(output_dict, DRIFT_KEY)

        schema = parse_schema(schema_path.read_text(), str(schema_path))
        splits = artifact_utils.decode_split_names(statistics.split_names)
        current = {split: read_statistics(statistics.uri, split) for split in splits}
        span = read_span_statistics(statistics.uri)
        previous, absent = _read_previous(input_dict, exec_properties)
        found = {split: validate(current[split], schema) for split in splits}
        folders = {split_io.split_path(anomalies.uri, split): found[split] for split in splits}
        folders[Path(anomalies.uri) / SPAN_FOLDER] = validate(span, schema, previous=previous)
        for folder, diff in folders.items():
            diff_bytes = diff.SerializeToString(deterministic=True)
            executor_base.write_atomically(folder / ANOMALIES_FILE, diff_bytes)
        anomalies.split_names = artifact_utils.encode_split_names(splits)
        report = core.make_report(
            {split: summarise(current[split]) for split in splits},
            summarise(span),
            core.Baseline(summarise(previous) if previous else {}, absent),
            comparators(schema, "drift"),
            found,
            config.monitoring.min_count,
        )
        executor_base.write_json(Path(drift.uri) / DRIFT_FILE, report.to_json())
        _keep_for_the_region(report, exec_properties)
        for output in (anomalies, drift):
            executor_base.copy_lineage(statistics, output)
        _stop_if_refused(report, config, exec_properties)


def _read_previous(
    input_dict: dict[str, list[Any]], exec_properties: dict[str, Any]
) -> tuple[Statistics | None, str]:
    """The previous span's statistics over all its rows, or none and why."""
    artifact = executor_base.optional_artifact(input_dict, PREVIOUS_KEY)
    root = artifact.uri if artifact else exec_properties.get("previous_statistics_uri") or ""
    if not root:
        return None, "there are no statistics of a previous span"
    if not (Path(root) / SPAN_FOLDER).is_dir():
        return None, f"no statistics of a whole span under {root}, which should hold the previous one's"
    return read_span_statistics(root), ""


def _keep_for_the_region(report: core.DriftReport, exec_properties: dict[str, Any]) -> None:
    # TFX deletes the outputs of an execution that raises; the reasons must outlast the refusal.
    work = os.environ.get("ISTHMUS_WORK_DIR")
    if work:
        name = f"span-{exec_properties.get('span', 0)}"
        executor_base.write_json(Path(work) / "ExampleValidator" / name / DRIFT_FILE, report.to_json())


def _stop_if_refused(
    report: core.DriftReport, config: ExampleValidatorConfig, exec_properties: dict[str, Any]
) -> None:
    found = core.refusals(report, config.monitoring)
    if found:
        place = f"locale={exec_properties.get('locale') or '?'} span={exec_properties.get('span', '?')}"
        raise VerdictError(
            f"{place} {list_briefly(found, limit=3)}. Mend the source or the schema, or relax `monitoring` "
            "(fail_on, on_drift)."
        )
