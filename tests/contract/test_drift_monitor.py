"""DriftMonitor and GeneratorMonitor: artifacts in, profile and reports out, and never silence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from components.drift.findings import MonitorReport
from components.drift_monitor.baselines import Baselines, BaselineSource
from components.drift_monitor.config import DriftMonitorConfig
from components.monitoring import MonitoringConfig
from tests.support.monitoring import DATASET, STEP_US, examples, rows, schema, split_in_time, statistics

pytestmark = pytest.mark.tfx

DEFAULTS = MonitoringConfig(draws=999)


def _run(
    root: Path,
    table: pa.Table,
    *,
    span: int = 1,
    sources: tuple[BaselineSource, ...] = (),
    plan: str = "",
    config: DriftMonitorConfig | None = None,
    ingest: dict[str, Any] | None = None,
) -> MonitorReport:
    from components.artifacts import MonitorReport as MonitorArtifact
    from components.artifacts import Quarantine, SpanProfile
    from components.drift_monitor.executor import Executor

    config = config or DriftMonitorConfig(dataset=DATASET, monitoring=DEFAULTS)
    splits = split_in_time(table)
    profile, monitor, quarantine = SpanProfile(), MonitorArtifact(), Quarantine()
    for name, artifact in (("profile", profile), ("monitor", monitor), ("quarantine", quarantine)):
        artifact.uri = str(root / name)
    (root / "quarantine").mkdir(parents=True)
    (root / "quarantine" / "ingest.json").write_text(json.dumps(ingest or {}))
    Executor().Do(
        {
            "examples": [examples(root / "examples", splits)],
            "statistics": [statistics(root / "statistics", splits)],
            "schema": [schema(root / "schema", config.monitoring)],
            "quarantine": [quarantine],
        },
        {"profile": [profile], "monitor": [monitor]},
        {
            "config": config.to_exec_property(),
            "locale": "eu-west",
            "sharing": "restricted",
            "span": span,
            "baselines": Baselines(sources=sources, plan=plan).to_exec_property(),
        },
    )
    return MonitorReport.model_validate_json((root / "monitor" / "monitor.json").read_bytes())


def _previous(root: Path) -> dict[str, Any]:
    source = BaselineSource(
        kind="previous", profiles=(str(root / "profile"),), statistics=str(root / "statistics")
    )
    return {"sources": (source,), "plan": str(root / "profile")}


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A first span, which is the baseline of the others."""
    root = tmp_path_factory.mktemp("first") / "span-0"
    _run(root, rows(1), span=0)
    return root


def test_a_first_span_is_profiled_and_says_that_it_has_no_baseline(tmp_path: Path) -> None:
    from components.drift.core.profile_file import read_profile

    absent = BaselineSource(kind="previous", absent="there is no earlier span")
    report = _run(tmp_path / "one", rows(1), span=0, sources=(absent,))
    assert (report.zone, report.span, report.sharing) == ("eu-west", 0, "restricted")
    assert (report.status, report.reason) == ("NOT_EVALUATED", "there is no earlier span")
    (finding,) = report.findings
    assert (finding.verdict, finding.baseline, finding.reason) == ("UNDEFINED", "previous", report.reason)
    profile = read_profile(tmp_path / "one" / "profile")
    assert profile.rows.sum() == rows(1).num_rows
    # Splits are blocks of time: read one by one, each seam would be a gap of twelve hours.
    assert profile.cadence.sum(axis=0)[3] == rows(1).num_rows - 2


def test_the_bins_are_the_first_spans_and_a_quiet_span_is_compared_and_quiet(
    tmp_path: Path, first: Path
) -> None:
    from components.drift.core.profile_file import read_profile

    report = _run(tmp_path / "two", rows(2, span=1, mean=20.02), **_previous(first))
    assert read_profile(tmp_path / "two" / "profile").plan == read_profile(first / "profile").plan
    assert report.status == "EVALUATED" and report.alerts == ()
    by_feature = {finding.feature: finding for finding in report.findings}
    assert set(by_feature) == {"temp", "on", "mode", "(all)"}
    assert {finding.against for finding in report.findings} == {"span 0"}
    temp = {item.measure: item for item in by_feature["temp"].measurements}
    assert temp["jensen_shannon_divergence"].threshold == 0.2  # the schema's comparator
    assert (temp["wasserstein"].unit, temp["wasserstein"].n) == ("degC", rows(2).num_rows)


def test_tfdvs_own_numbers_are_in_the_report(tmp_path: Path, first: Path) -> None:
    from components.example_validator.tfdv_validation import validate
    from components.schema_gen.curated import parse_schema
    from components.statistics_gen.statistics_io import read_span_statistics

    report = _run(tmp_path / "two", rows(2, span=1, mean=23, share=0.6), **_previous(first))
    expectations = parse_schema((tmp_path / "two" / "schema" / "schema.pbtxt").read_text(), "schema")
    here, there = (read_span_statistics(root / "statistics") for root in (tmp_path / "two", first))
    tfdv = {
        (info.path.step[0], measurement.type): measurement.value
        for info in validate(here, expectations, previous=there).drift_skew_info
        for measurement in info.drift_measurements
    }
    found = {
        (finding.feature, item.measure): item.value
        for finding in report.findings
        for item in finding.measurements
    }
    assert found["temp", "jensen_shannon_divergence"] == pytest.approx(tfdv["temp", 2], abs=1e-12)
    assert found["on", "infinity_norm"] == pytest.approx(tfdv["on", 1], abs=1e-12)
    assert found["mode", "infinity_norm"] == pytest.approx(tfdv["mode", 1], abs=1e-12)


def test_a_drift_alerts_with_its_cause_and_nothing_of_rows_is_in_what_may_leave(
    tmp_path: Path, first: Path
) -> None:
    report = _run(tmp_path / "two", rows(2, span=1, mean=23), **_previous(first))
    (alert,) = [finding for finding in report.alerts if finding.feature == "temp"]
    assert report.findings[0].verdict == "ALERT"
    assert alert.cause is not None and alert.cause.name == "drift_in_time"
    assert alert.distribution is not None
    outward = json.loads((tmp_path / "two" / "monitor" / "outward.json").read_text())
    text = json.dumps(outward)
    assert "distribution" not in text and "evidence" not in text and "edges" not in text
    assert {item["feature"] for item in outward["findings"]} == {"temp", "on", "mode", "(all)"}
    (crossing,) = [item for item in outward["findings"] if item["feature"] == "temp"]
    assert (crossing["verdict"], crossing["cause"]["name"]) == ("ALERT", "drift_in_time")
    assert crossing["measurements"][0]["n"] % 10 == 0


def test_a_fault_is_named_though_no_threshold_is_passed(tmp_path: Path, first: Path) -> None:
    table = rows(2, span=1)
    time = table.column("timestamp").to_numpy()
    start = time.min() + 5 * 144 * STEP_US
    gap = (time >= start) & (time < start + 100 * STEP_US)
    report = _run(tmp_path / "two", table.filter(pa.array(~gap)), **_previous(first))
    (alert,) = [finding for finding in report.alerts if finding.feature == "(all)"]
    assert alert.cause is not None and alert.cause.name == "silent_gap"
    begin = np.datetime64(alert.cause.begin.rstrip("Z"))
    assert abs(begin - np.datetime64(int(start), "us")) <= np.timedelta64(1, "h")


def test_lost_columns_of_the_source_are_a_change_of_its_schema(tmp_path: Path, first: Path) -> None:
    table = rows(2, span=1)
    empty = table.set_column(2, "temp", pa.nulls(table.num_rows, pa.float32()))
    report = _run(tmp_path / "two", empty, ingest={"columns_absent": ["temp"]}, **_previous(first))
    (alert,) = [finding for finding in report.alerts if finding.feature == "temp"]
    assert alert.cause is not None and alert.cause.name == "schema_change"


@pytest.mark.parametrize("columns", [{"columns_absent": ["label"]}, {"columns_dropped": ["temp_v2"]}])
def test_a_column_that_is_no_feature_is_the_affair_of_all(
    tmp_path: Path, first: Path, columns: dict[str, list[str]]
) -> None:
    report = _run(tmp_path / "two", rows(2, span=1), ingest=columns, **_previous(first))
    assert {item.feature: item.cause.name for item in report.alerts if item.cause} == {
        "(all)": "schema_change"
    }
    # The name of a column that the data set does not have stays in the region.
    assert "temp_v2" not in (tmp_path / "two" / "monitor" / "outward.json").read_text()


def test_a_window_is_one_baseline_of_several_spans(tmp_path: Path, first: Path) -> None:
    _run(tmp_path / "two", rows(2, span=1), **_previous(first))
    window = BaselineSource(
        kind="window", profiles=(str(first / "profile"), str(tmp_path / "two" / "profile"))
    )
    report = _run(tmp_path / "three", rows(3, span=2), span=2, sources=(window,), plan=str(first / "profile"))
    assert {(finding.baseline, finding.against) for finding in report.findings} == {
        ("window", "spans 0 to 1")
    }
    (temp,) = [finding for finding in report.findings if finding.feature == "temp"]
    assert temp.measurements[0].n_baseline == 2 * rows(1).num_rows


def test_another_dataset_section_makes_new_bins_and_says_so(tmp_path: Path, first: Path) -> None:
    changed = DATASET.model_copy(update={"interval_s": 601.0})
    config = DriftMonitorConfig(dataset=changed, monitoring=DEFAULTS)
    report = _run(tmp_path / "two", rows(2, span=1), config=config, **_previous(first))
    assert report.status == "NOT_EVALUATED"
    assert report.reason.startswith("the dataset section changed after span 0, so that the bins are new")
    assert report.findings[0].against == "span 0"


def test_the_severity_is_the_configured_one(tmp_path: Path, first: Path) -> None:
    severe = DEFAULTS.model_copy(
        update={"severity": DEFAULTS.severity.model_copy(update={"features": {"te*": "critical"}})}
    )
    config = DriftMonitorConfig(dataset=DATASET, monitoring=severe)
    report = _run(tmp_path / "two", rows(2, span=1, mean=25), config=config, **_previous(first))
    assert {item.severity for item in report.alerts if item.feature == "temp"} == {"critical"}


def test_real_rows_against_synthetic_ones(tmp_path: Path, first: Path) -> None:
    from components.artifacts import MonitorReport as MonitorArtifact
    from components.artifacts import SpanProfile
    from components.drift_monitor.generator_executor import Executor
    from components.tfx_shim import standard_artifacts

    profile, drift, monitor = SpanProfile(), MonitorArtifact(), MonitorArtifact()
    profile.uri, drift.uri = str(first / "profile"), str(first / "monitor")
    monitor.uri = str(tmp_path / "monitor")
    real_statistics = standard_artifacts.ExampleStatistics()
    real_statistics.uri = str(first / "statistics")
    synthetic = rows(9, mean=24)
    made = {"train": synthetic.filter(pc.equal(synthetic.column("asset"), "pump-1"))}
    config = DriftMonitorConfig(dataset=DATASET, monitoring=DEFAULTS)
    Executor().Do(
        {
            "profile": [profile],
            "drift": [drift],
            "synthetic": [examples(tmp_path / "synthetic", made)],
            "statistics": [real_statistics],
            "synthetic_statistics": [statistics(tmp_path / "made", made)],
            "schema": [schema(tmp_path / "schema", DEFAULTS)],
        },
        {"monitor": [monitor]},
        {"config": config.to_exec_property(), "locale": "eu-west", "span": 0},
    )
    report = MonitorReport.model_validate_json((tmp_path / "monitor" / "monitor.json").read_bytes())
    found = {finding.feature: finding for finding in report.findings if finding.comparison == "generator"}
    assert set(found) == {"temp", "on", "mode", "(all)"}
    assert (found["temp"].verdict, found["temp"].against) == ("ALERT", "synthetic")
    assert found["temp"].cause is not None and found["temp"].cause.name == "generator_error"
    assert found["on"].verdict != "ALERT"
    # Half as many synthetic devices are a setting, no finding.
    cadence = {item.measure: item.verdict for item in found["(all)"].measurements}["cadence"]
    assert cadence == "OK"
    assert (tmp_path / "monitor" / "outward.json").exists()


def test_component_construction() -> None:
    from components.artifacts import MonitorReport as MonitorArtifact
    from components.artifacts import SpanProfile
    from components.drift_monitor.component import DriftMonitor
    from components.drift_monitor.generator_component import GeneratorMonitor
    from components.tfx_shim import Channel, standard_artifacts

    config = DriftMonitorConfig(dataset=DATASET)
    data, stats, expectations = (
        Channel(type=kind)
        for kind in (
            standard_artifacts.Examples,
            standard_artifacts.ExampleStatistics,
            standard_artifacts.Schema,
        )
    )
    one = DriftMonitor(config, data, stats, expectations, locale="eu-west", sharing="open", span=7)
    assert DriftMonitorConfig.from_exec_property(one.exec_properties["config"]) == config
    assert (one.exec_properties["locale"], one.exec_properties["span"]) == ("eu-west", 7)
    assert Baselines.from_exec_property(one.exec_properties["baselines"]) == Baselines()
    assert (one.outputs["profile"].type, one.outputs["monitor"].type) == (SpanProfile, MonitorArtifact)
    assert "quarantine" not in one.inputs
    two = GeneratorMonitor(
        config,
        one.outputs["profile"],
        one.outputs["monitor"],
        data,
        stats,
        stats,
        expectations,
        locale="eu-west",
        span=7,
    )
    assert two.outputs["monitor"].type is MonitorArtifact
    with pytest.raises(TypeError):
        DriftMonitor(config, stats, data, expectations, locale="eu-west", sharing="open", span=7)


def _odd(name: str) -> pa.Table:
    table = rows(1)
    values = {
        "all null": pa.nulls(table.num_rows, pa.float32()),
        "constant": pa.array([5.0] * table.num_rows, pa.float32()),
        "NaN": pa.array([float("nan")] * table.num_rows, pa.float32()),
    }
    if name in values:
        return table.set_column(2, "temp", values[name])
    return table.slice(0, {"single row": 1, "empty": 0}[name])


@pytest.mark.parametrize("name", ["all null", "constant", "NaN", "single row", "empty"])
@pytest.mark.parametrize("against", ["usual", "the same"])
@pytest.mark.parametrize("is_baseline", [False, True])
def test_what_can_hardly_be_compared_is_never_no_anomaly(name: str, against: str, is_baseline: bool) -> None:
    from components.drift.core.building import build_profile
    from components.drift.core.planning import plan_profile
    from components.drift.judging import report
    from components.drift.rules import rules_of
    from components.drift_monitor.core import find_drift
    from components.drift_monitor.spans import OpenedBaseline, SpanRecord
    from components.egress.config import EgressConfig
    from components.egress.monitoring import outward_report, released_monitor, to_json

    sides = [_odd(name), rows(2) if against == "usual" else _odd(name)]
    current, baseline = sides[::-1] if is_baseline else sides
    plan = plan_profile([baseline], DATASET)
    here, there = (build_profile([table], DATASET, plan) for table in (current, baseline))
    records = [SpanRecord(span=span, dataset_digest="") for span in (0, 1)]
    opened = OpenedBaseline(BaselineSource(kind="previous"), "span 0", there, records[0])
    rules = rules_of(DEFAULTS, DATASET, {}, seed=0)
    found = find_drift(here, records[1], [opened], lambda _: rules, DEFAULTS, "eu-west")
    (temp,) = [finding for finding in found if finding.feature == "temp"]
    assert temp.verdict in ("ALERT", "UNDEFINED")
    assert temp.cause or temp.reason or any(item.reason for item in temp.measurements)
    made = report(found, zone="eu-west", sharing="restricted", span=1, monitoring=DEFAULTS)
    policy = EgressConfig()
    crossing = json.dumps(to_json(outward_report(made, DATASET, policy))).encode()
    released_monitor(crossing, DATASET, policy, "eu-west")
