"""Executor of SkewMonitor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from components import executor_base, split_io
from components.drift.core.building import build_profile
from components.drift.core.merging import empty
from components.drift.core.planning import plan_profile
from components.drift.core.profile import Profile, ProfilePlan
from components.drift.core.profile_file import write_profile
from components.drift.core.rules import Rules
from components.drift.findings import MonitorReport
from components.drift.judging import report
from components.drift.rules import rules_of, tfdv_values
from components.merge_gen.result import MONITORS_FOLDER, SKETCHES_FOLDER
from components.schema_gen.curated import SCHEMA_FILE, parse_schema
from components.skew_monitor.config import SkewMonitorConfig
from components.skew_monitor.core import CENTRAL, Crossed, find_serving, find_skew
from components.skew_monitor.served import compare_served
from components.skew_monitor.sketches import find_real_skew, in_place_of, read_sketches
from components.statistics_gen.statistics_io import read_statistics
from components.statistics_gen.summary import comparators, summarise
from components.tfx_shim import BaseExecutor, artifact_utils

EXAMPLES_KEY = "examples"
STATISTICS_KEY = "statistics"
SCHEMA_KEY = "schema"
TEST_KEY = "test_examples"
MERGE_KEY = "merge_report"
MONITOR_KEY = "monitor"
MONITOR_FILE = "monitor.json"
PLAN_FOLDER = "serving-plan"


class Executor(BaseExecutor):
    """Writes `monitor.json` of the centre, and `serving-plan`, the bins of the rows that crossed."""

    def Do(
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Compares locales with one another and with the test rows; a finding never fails the centre.

        Args:
          input_dict: `examples`: merged Examples, one split per locale; `statistics`: ExampleStatistics of
            them; `schema`: Schema; optionally `test_examples`: Examples; `merge_report`: MergeReport.
          output_dict: `monitor`: MonitorReport.
          exec_properties: `config`: SkewMonitorConfig; `previous_monitor_uri`: folder of the centre's report
            of earlier spans, empty for none.

        Raises:
          DataError: rows or statistics cannot be read.
        """
        config = executor_base.read_config(exec_properties, SkewMonitorConfig)
        examples = executor_base.single_artifact(input_dict, EXAMPLES_KEY)
        statistics = executor_base.single_artifact(input_dict, STATISTICS_KEY)
        schema = executor_base.single_artifact(input_dict, SCHEMA_KEY)
        test = executor_base.optional_artifact(input_dict, TEST_KEY)
        merge = executor_base.optional_artifact(input_dict, MERGE_KEY)
        monitor = executor_base.single_artifact(output_dict, MONITOR_KEY)

        there = set(artifact_utils.decode_split_names(examples.split_names))
        locales = [name for name in config.locales if name in there]
        tables = {name: split_io.read_table(examples.uri, name, dataset=config.dataset) for name in locales}
        settings = config.monitoring
        plan = plan_profile(
            tables.values(), config.dataset, bins=settings.bins, bucket_s=settings.bucket_s, seed=config.seed
        )
        spans, released = _merged(merge)
        crossed = [
            Crossed(
                name,
                spans.get(name, examples.get_int_custom_property("span") or 0),
                build_profile([tables[name]], config.dataset, plan),
                released.get(name),
            )
            for name in locales
        ]
        path = Path(schema.uri) / SCHEMA_FILE
        watched = comparators(parse_schema(path.read_text(), str(path)), "skew")
        summaries = {name: summarise(read_statistics(statistics.uri, name)) for name in locales}
        names = config.dataset.compared_names()

        def rules_for(one: str, other: str) -> Rules:
            own = tfdv_values(summaries[one], summaries[other], names)
            return rules_of(settings, config.dataset, watched, seed=config.seed, tfdv=own, row_rate=False)

        before = _before(exec_properties)
        findings = find_skew(crossed, rules_for, settings, before)
        real: dict[str, Any] = {name: tables[name] for name in locales if config.locales[name] == "open"}
        if merge is not None:
            real |= read_sketches(Path(merge.uri) / SKETCHES_FOLDER, config.dataset, locales)
        sketched = find_real_skew(crossed, real, config.dataset, rules_for, settings, before)
        findings = in_place_of(findings, sketched)
        rules = rules_of(settings, config.dataset, watched, seed=config.seed, row_rate=False)
        if test is not None:
            seen = _seen(test.uri, config, plan, locales)
            findings += find_serving(crossed, seen, rules, settings)
        if config.served_rows is not None:
            findings += compare_served(config, config.served_rows, crossed, tables, rules)
        span = max((one.span for one in crossed), default=0)
        found = report(findings, zone=CENTRAL, sharing="central", span=span, monitoring=settings)
        executor_base.write_json(Path(monitor.uri) / MONITOR_FILE, found.model_dump(mode="json"))
        # What `isthmus serve --record-plan` takes: the bins alone, and no count.
        write_profile(Path(monitor.uri) / PLAN_FOLDER, empty(plan))
        executor_base.copy_lineage(examples, monitor)


def _before(exec_properties: dict[str, Any]) -> MonitorReport | None:
    uri = exec_properties.get("previous_monitor_uri") or ""
    return MonitorReport.model_validate_json((Path(uri) / MONITOR_FILE).read_bytes()) if uri else None


def _merged(merge: Any | None) -> tuple[dict[str, int], dict[str, MonitorReport]]:
    """Span of each merged locale, and what its monitoring released; from the verified releases alone."""
    if merge is None:
        return {}, {}
    folder = Path(merge.uri)
    accepted = executor_base.read_json(folder / "merge.json")["accepted"]
    spans = {str(item["locale"]): int(item["span"]) for item in accepted}
    files = {name: folder / MONITORS_FOLDER / f"{name}.json" for name in spans}
    released = {
        name: MonitorReport.model_validate_json(file.read_bytes())
        for name, file in files.items()
        if file.exists()
    }
    return spans, released


def _seen(
    uri: str, config: SkewMonitorConfig, plan: ProfilePlan, locales: Iterable[str]
) -> dict[str, Profile]:
    """Profile of each locale's test rows; all rows stand for each locale where the test set names none."""
    (split,) = split_io.list_splits(uri)[:1] or [""]
    column = config.locale_column
    names = split_io.arrow_schema(config.dataset).names
    stored = split_io.stored_schema(uri, split).names
    if column is None or column not in stored:
        table = split_io.read_table(uri, split, dataset=config.dataset)
        profile = build_profile([table], config.dataset, plan)
        return dict.fromkeys(locales, profile)
    wanted = names if column in names else [*names, column]
    table = split_io.read_table(uri, split, dataset=config.dataset, columns=wanted)
    return dict(_by_locale(table, column, config, plan, locales))


def _by_locale(
    table: pa.Table, column: str, config: SkewMonitorConfig, plan: ProfilePlan, locales: Iterable[str]
) -> Iterator[tuple[str, Profile]]:
    texts = table.column(column).cast(pa.string())
    for name in locales:
        rows = table.filter(pc.equal(texts, name))
        if rows.num_rows:
            yield name, build_profile([rows], config.dataset, plan)
