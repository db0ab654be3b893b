"""SkewMonitor: locale against locale and training rows against test rows, with the regions' own findings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from components.drift.findings import Cause, Finding, Measurement, MonitorReport
from components.monitoring import MonitoringConfig
from components.skew_monitor.config import ServedRowsConfig, SkewMonitorConfig
from tests.support.monitoring import DATASET, examples, rows, schema, statistics

pytestmark = pytest.mark.tfx

DEFAULTS = MonitoringConfig(draws=999)
LOCALES = {"eu-west": "restricted", "us-east": "open"}


def _run(
    root: Path,
    tables: dict[str, pa.Table],
    *,
    test: pa.Table | None = None,
    released: dict[str, MonitorReport] | None = None,
    locale_column: str | None = "locale",
    before: Path | None = None,
    served: Path | None = None,
) -> MonitorReport:
    from components.artifacts import MergeReport
    from components.artifacts import MonitorReport as MonitorArtifact
    from components.skew_monitor.executor import Executor

    config = SkewMonitorConfig(
        dataset=DATASET,
        monitoring=DEFAULTS,
        locales=LOCALES,
        locale_column=locale_column,
        served_rows=ServedRowsConfig(folder=str(served)) if served else None,
    )
    merge, monitor = MergeReport(), MonitorArtifact()
    merge.uri, monitor.uri = str(root / "merge"), str(root / "monitor")
    (root / "merge" / "monitors").mkdir(parents=True)
    accepted = [{"locale": name, "span": 4} for name in tables]
    (root / "merge" / "merge.json").write_text(json.dumps({"accepted": accepted}))
    for name, report in (released or {}).items():
        (root / "merge" / "monitors" / f"{name}.json").write_text(report.model_dump_json())
    inputs: dict[str, list[Any]] = {
        "examples": [examples(root / "examples", tables)],
        "statistics": [statistics(root / "statistics", tables)],
        "schema": [schema(root / "schema", DEFAULTS)],
        "merge_report": [merge],
    }
    if test is not None:
        inputs["test_examples"] = [examples(root / "test", {"test": test})]
    properties = {
        "config": config.to_exec_property(),
        "previous_monitor_uri": str(before / "monitor") if before else "",
    }
    Executor().Do(inputs, {"monitor": [monitor]}, properties)
    return MonitorReport.model_validate_json((root / "monitor" / "monitor.json").read_bytes())


def _one(report: MonitorReport, comparison: str, feature: str, locale: str = "eu-west") -> Finding:
    (found,) = [
        item
        for item in report.findings
        if (item.comparison, item.feature, item.locale) == (comparison, feature, locale)
    ]
    return found


def _labelled(locale: str, table: pa.Table) -> pa.Table:
    return table.append_column("locale", pa.array([locale] * table.num_rows))


def test_two_locales_that_differ_by_nature_and_tfdvs_number_of_it(tmp_path: Path) -> None:
    from components.example_validator.tfdv_validation import validate
    from components.schema_gen.curated import parse_schema
    from components.statistics_gen.statistics_io import read_statistics

    report = _run(tmp_path, {"eu-west": rows(1), "us-east": rows(2, mean=26)})
    assert (report.zone, report.sharing, report.span, report.status) == ("central", "central", 4, "EVALUATED")
    temp = _one(report, "skew", "temp")
    assert (temp.verdict, temp.against, temp.span) == ("ALERT", "us-east", 4)
    assert temp.cause is not None and temp.cause.name == "real_regional_difference"
    assert _one(report, "skew", "on").verdict != "ALERT"
    expectations = parse_schema((tmp_path / "schema" / "schema.pbtxt").read_text(), "schema")
    here, there = (read_statistics(tmp_path / "statistics", name) for name in ("eu-west", "us-east"))
    tfdv = {
        info.path.step[0]: measurement.value
        for info in validate(here, expectations, serving=there).drift_skew_info
        for measurement in info.skew_measurements
    }
    measured = {item.measure: item.value for item in temp.measurements}
    assert measured["jensen_shannon_divergence"] == pytest.approx(tfdv["temp"], abs=1e-12)


def _released(comparison: str, value: float, cause: Cause | None = None) -> MonitorReport:
    measurement = Measurement(
        measure="jensen_shannon_divergence",
        value=value,
        threshold=0.2,
        rule="number",
        verdict="ALERT",
        q_value=0.001,
    )
    finding = Finding(
        comparison=comparison,  # type: ignore[arg-type]
        locale="eu-west",
        against="synthetic" if comparison == "generator" else "span 3",
        feature="temp",
        span=4,
        measurements=(measurement,),
        verdict="ALERT",
        cause=cause,
    )
    return MonitorReport(
        zone="eu-west", sharing="restricted", span=4, alpha=0.01, status="EVALUATED", findings=(finding,)
    )


def test_what_the_regions_released_tells_a_generators_error_and_a_fault_from_a_difference(
    tmp_path: Path,
) -> None:
    tables = {"eu-west": rows(1), "us-east": rows(2, mean=26)}
    for name, released in {
        "generator_error": _released("generator", 0.9),
        "drift_in_time": _released("drift", 0.9),
        "unit_change": _released("drift", 0.9, Cause(name="unit_change", words="eu-west: another unit.")),
    }.items():
        report = _run(tmp_path / name, tables, released={"eu-west": released})
        cause = _one(report, "skew", "temp").cause
        assert cause is not None and cause.name == name


def test_a_difference_that_stood_before_is_no_drift_of_now(tmp_path: Path) -> None:
    tables = {"eu-west": rows(1), "us-east": rows(2, mean=26)}
    drift = {"eu-west": _released("drift", 0.9)}
    _run(tmp_path / "before", tables)
    report = _run(tmp_path / "now", tables, released=drift, before=tmp_path / "before")
    cause = _one(report, "skew", "temp").cause
    assert cause is not None and cause.name == "real_regional_difference"


def test_training_rows_against_the_test_rows_of_each_locale(tmp_path: Path) -> None:
    seen = pa.concat_tables([_labelled("eu-west", rows(3, mean=30)), _labelled("us-east", rows(4))])
    report = _run(tmp_path, {"eu-west": rows(1), "us-east": rows(2)}, test=seen)
    eu, us = (_one(report, "serving", "temp", name) for name in LOCALES)
    assert (eu.verdict, us.verdict, eu.against) == ("ALERT", "OK", "test")
    assert eu.cause is not None and eu.cause.name == "drift_in_time"
    assert eu.measurements[0].n == rows(3).num_rows


def test_what_cannot_be_compared_is_said(tmp_path: Path) -> None:
    seen = _labelled("us-east", rows(4))
    report = _run(tmp_path, {"eu-west": rows(1)}, test=seen)
    assert (report.status, report.alerts) == ("NOT_EVALUATED", ())
    assert {finding.verdict for finding in report.findings} == {"UNDEFINED"}
    assert "a skew needs two locales" in report.reason
    assert "the test set has no row of this locale" in report.reason


def test_a_test_set_that_names_no_locale_stands_for_each(tmp_path: Path) -> None:
    report = _run(
        tmp_path, {"eu-west": rows(1), "us-east": rows(2)}, test=rows(3, mean=30), locale_column=None
    )
    assert {_one(report, "serving", "temp", name).verdict for name in LOCALES} == {"ALERT"}


def _record(folder: Path, plan: Path, tables: dict[str, pa.Table]) -> None:
    """What a server keeps of rows that it is asked about, in requests of a day."""
    from pipeline.serving.recording import Recorder, Settings, read_plan

    one = Recorder(Settings(folder), read_plan(str(plan), DATASET), DATASET, tuple(LOCALES), "c" * 64)
    one.start()
    for locale, table in tables.items():
        days = table.column("timestamp").to_numpy() // 86_400_000_000
        for day in sorted(set(days.tolist())):
            one.offer(table.filter(pa.array(days == day)).drop(["label"]), locale)
    one.close()
    assert one.counts()[0] == sum(table.num_rows for table in tables.values())


def test_training_rows_against_what_the_detector_was_asked_about(tmp_path: Path) -> None:
    """The plan of one run, the record of a server on it, the next run's training rows on other bins."""
    _run(tmp_path / "one", {"eu-west": rows(1), "us-east": rows(2)})
    plan = tmp_path / "one" / "monitor" / "serving-plan"
    asked = {"eu-west": rows(3, span=1, mean=26), "us-east": rows(4, span=1), "elsewhere": rows(5, days=1)}
    _record(tmp_path / "record", plan, asked)
    report = _run(tmp_path / "two", {"eu-west": rows(6), "us-east": rows(7)}, served=tmp_path / "record")
    temp = _one(report, "serving", "temp")
    assert (temp.verdict, temp.against, temp.span) == ("ALERT", "serving", 4)
    assert temp.cause is not None and temp.cause.name == "drift_in_time"
    assert {item.n for item in temp.measurements} >= {rows(3).num_rows}
    assert temp.distribution is None and temp.time_line is None  # a restricted locale's
    others = [_one(report, "serving", name, at) for name in ("on", "mode") for at in LOCALES]
    others.append(_one(report, "serving", "temp", "us-east"))
    assert {item.verdict for item in others} == {"OK"}
    assert _one(report, "serving", "temp", "us-east").distribution is not None
    rest = _one(report, "serving", "(all)", "central")
    assert rest.verdict == "UNDEFINED"
    assert rest.reason == "288 recorded rows named no locale of this deployment and are not compared"


def test_a_record_that_is_not_there_or_has_too_little_is_said_and_is_never_ok(tmp_path: Path) -> None:
    tables = {"eu-west": rows(1), "us-east": rows(2)}
    report = _run(tmp_path / "one", tables, served=tmp_path / "record")
    (found,) = [item for item in report.findings if item.comparison == "serving"]
    assert (found.verdict, found.reason) == ("UNDEFINED", "the folder of recorded rows is not there")
    few = rows(3, span=1).slice(0, 50)
    _record(tmp_path / "record", tmp_path / "one" / "monitor" / "serving-plan", {"eu-west": few})
    report = _run(tmp_path / "two", tables, served=tmp_path / "record")
    assert _one(report, "serving", "temp").verdict == "UNDEFINED"
    assert _one(report, "serving", "(all)", "us-east").reason == "no row of this locale is recorded"


def test_the_plan_for_a_server_has_bins_and_no_count(tmp_path: Path) -> None:
    from components.drift.core.profile_file import read_profile

    _run(tmp_path, {"eu-west": rows(1), "us-east": rows(2)})
    profile = read_profile(tmp_path / "monitor" / "serving-plan")
    assert len(profile.bucket) == 0 and profile.counts.size == 0
    assert tuple(feature.name for feature in profile.plan.features) == DATASET.feature_names()


def test_a_deployment_that_records_nothing_keeps_its_form(tmp_path: Path) -> None:
    config = SkewMonitorConfig(dataset=DATASET, locales=LOCALES)
    assert "served_rows" not in config.to_exec_property()
    named = config.model_copy(update={"served_rows": ServedRowsConfig(folder="/record", days=7)})
    assert SkewMonitorConfig.from_exec_property(named.to_exec_property()) == named
    with pytest.raises(ValueError, match="found a URI; allowed: a folder"):
        ServedRowsConfig(folder="s3://bucket/record")


def test_component_construction() -> None:
    from components.artifacts import MonitorReport as MonitorArtifact
    from components.skew_monitor.component import SkewMonitor
    from components.tfx_shim import Channel, standard_artifacts

    config = SkewMonitorConfig(dataset=DATASET, locales=LOCALES)
    data, stats, expectations = (
        Channel(type=kind)
        for kind in (
            standard_artifacts.Examples,
            standard_artifacts.ExampleStatistics,
            standard_artifacts.Schema,
        )
    )
    component = SkewMonitor(config, data, stats, expectations)
    assert SkewMonitorConfig.from_exec_property(component.exec_properties["config"]) == config
    assert component.outputs["monitor"].type is MonitorArtifact
    assert set(component.inputs) == {"examples", "statistics", "schema"}
    with pytest.raises(TypeError):
        SkewMonitor(config, stats, data, expectations)


def test_real_rows_are_compared_by_their_sketches_and_what_has_none_by_what_crossed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The generators agree with one another, the real rows do not; and the other way round."""
    from components.egress.sketch import to_bytes
    from tests.support import sketches

    monkeypatch.setattr(sketches.public, "curated_schema", lambda name: sketches.SCHEMA)
    monkeypatch.setitem(globals(), "DATASET", sketches.CURATED)
    monkeypatch.setitem(LOCALES, "us-east", "restricted")
    alike = {"eu-west": rows(1), "us-east": rows(2)}
    apart = {"eu-west": rows(1), "us-east": rows(2, mean=33)}

    def compared(name: str, tables: dict[str, pa.Table], real: dict[str, pa.Table]) -> MonitorReport:
        folder = tmp_path / name / "merge" / "sketches"
        folder.mkdir(parents=True)
        for locale, table in real.items():
            (folder / f"{locale}.json").write_bytes(to_bytes(sketches.sketch(table, period_s=3 * 86_400)))
        return _run(tmp_path / name, tables)

    hidden = _one(compared("hidden", alike, apart), "skew", "temp")
    assert (hidden.verdict, hidden.basis) == ("ALERT", "sketches")
    assert hidden.cause is not None and hidden.cause.name == "real_regional_difference"
    made_up = compared("made up", apart, alike)
    assert (_one(made_up, "skew", "temp").verdict, _one(made_up, "skew", "temp").basis) != (
        "ALERT",
        "sketches",
    )
    # Nothing is told of all features together: that stays on what crossed.
    assert _one(made_up, "skew", "(all)").basis == "releases"
    for name, real in (("one", {"eu-west": rows(1)}), ("none", {})):
        report = compared(name, apart, real)
        assert {item.basis for item in report.findings if item.comparison == "skew"} == {"releases"}
        assert _one(report, "skew", "temp").verdict == "ALERT"
    monkeypatch.setitem(LOCALES, "us-east", "open")
    mixed = _one(compared("mixed", apart, {"eu-west": rows(1)}), "skew", "temp")
    assert (mixed.verdict, mixed.basis) == ("ALERT", "sketches")
