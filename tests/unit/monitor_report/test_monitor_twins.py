"""The twins of a page: JSON and its schema, TFDV's proto, JUnit XML, Markdown."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest
from google.protobuf import text_format
from lxml import etree
from tensorflow_metadata.proto.v0 import anomalies_pb2

from components.drift.findings import Finding, Measurement, MonitorReport, MonitorRun
from pipeline.monitor_report.anomalies import anomalies_of, folder_of, table_rows
from pipeline.monitor_report.junit import junit_xml
from pipeline.monitor_report.outward_view import outward_view
from pipeline.monitor_report.schema import schema_path, schema_text
from pipeline.monitor_report.spans import history_of
from pipeline.monitor_report.summary import summary_markdown
from tests.support.made_up_monitoring import finding, undefined
from tests.support.page_tools import page_tool

KIND = anomalies_pb2.AnomalyInfo.Type


def _report(*findings: Finding, **more: object) -> MonitorReport:
    values = {"zone": "x", "sharing": "open", "span": 1, "alpha": 0.05, "status": "EVALUATED", **more}
    return MonitorReport(findings=findings, **values)  # type: ignore[arg-type]


def _run(*reports: MonitorReport, **more: object) -> MonitorRun:
    values = {"deployment": "d", "run_id": "r", "finished": "", "isthmus_version": "0", **more}
    return MonitorRun(reports=reports, **values)  # type: ignore[arg-type]


# --- JSON ---------------------------------------------------------------------------------------------


def test_the_published_schema_is_current() -> None:
    assert schema_path().read_text() == schema_text(), "run: python -m pipeline.monitor_report.schema"


def test_the_json_twin_is_what_the_schema_says_and_reads_back(run: MonitorRun, written: Path) -> None:
    schema = json.loads(schema_path().read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    twin = (written / "monitor.json").read_text()
    jsonschema.validate(json.loads(twin), schema)
    assert MonitorRun.model_validate_json(twin) == outward_view(run)
    for change in ({"version": 2}, {"rows": [1]}, {"deployment": 7}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**json.loads(twin), **change}, schema)


# --- TFDV ---------------------------------------------------------------------------------------------


def test_distances_stand_with_their_types_whether_they_alert_or_not() -> None:
    noise_only = Measurement(
        measure="infinity_norm",
        value=0.02,
        null={"mean": 0.01, "limit": 0.03, "draws": 9, "blocks": 4, "block_s": 60.0},  # type: ignore[arg-type]
        rule="noise",
    )
    found = anomalies_of(
        [
            finding("a", "x", 0.4),
            finding("a", "x", 2.0, "skew"),
            finding("b", "x", 0.4, measurements=(noise_only,)),
            finding("c", "x", 0.4, measurements=(Measurement(measure="cadence", value=1.0),)),
        ],
        "(span)",
    )
    kinds = anomalies_pb2.DriftSkewInfo.Measurement.Type
    both = {info.path.step[0]: info for info in found.drift_skew_info}
    assert set(both) == {"a", "b"}
    assert [(m.type, m.value, m.threshold) for m in both["a"].drift_measurements] == [
        (kinds.JENSEN_SHANNON_DIVERGENCE, 0.1 * 0.4, 0.1),
        (kinds.L_INFTY, 0.04 * 0.4, 0.05),
    ]
    assert [m.value for m in both["a"].skew_measurements] == [0.2, 0.08]
    assert both["b"].drift_measurements[0].threshold == 0.03, "the limit of the noise"
    assert set(found.anomaly_info) == {"a"}, "what is within its limits is no anomaly"


def test_alerts_carry_the_comparators_types_and_their_cause_once() -> None:
    one = finding("a", "x", 4.0, cause="unit_change")
    info = anomalies_of([one], "(span)").anomaly_info["a"]
    assert [reason.type for reason in info.reason] == [
        KIND.COMPARATOR_JENSEN_SHANNON_DIVERGENCE_HIGH,
        *[KIND.CUSTOM_VALIDATION] * 3,
    ]
    assert info.reason[0].short_description == (
        "High approximate Jensen-Shannon divergence between current and previous"
    )
    assert info.description.startswith(
        "The approximate Jensen-Shannon divergence between current and previous is 0.4 "
        "(up to six significant digits), above the threshold 0.1."
    )
    assert info.description.endswith("Cause: data fault: unit change.")
    assert info.description.count("Cause") == 1
    assert (info.short_description, info.severity) == ("Multiple errors", anomalies_pb2.AnomalyInfo.ERROR)
    linf = Measurement(
        measure="infinity_norm", value=0.3, threshold=0.1, rule="number", verdict="ALERT", n=1, n_baseline=1
    )
    mild = anomalies_of([finding("a", "x", 2.0, measurements=(linf,))], "(span)").anomaly_info["a"]
    assert mild.reason[0].type == KIND.COMPARATOR_L_INFTY_HIGH
    assert (mild.short_description, mild.severity) == (
        "High Linfty distance between current and previous",
        anomalies_pb2.AnomalyInfo.WARNING,
    )


def test_all_features_together_are_the_anomaly_of_the_dataset() -> None:
    report = _report(finding("(all)", "x", 2.0, cause="silent_gap"), finding("a", "x", 0.2))
    found = anomalies_of(report.findings, "(span)")
    assert found.HasField("dataset_anomaly_info") and not found.anomaly_info
    assert [row["feature"] for row in table_rows(report)] == ["[dataset anomaly]"]


def test_a_side_without_data_is_an_anomaly_and_not_silence() -> None:
    none = Measurement(measure="wasserstein", n=0, n_baseline=9, verdict="UNDEFINED", reason="no value here")
    found = anomalies_of(
        [
            undefined("a", "x", "no value on the other side"),
            undefined("b", "x", "", measurements=(none,)),
            undefined("c", "x", "no baseline", measurements=()),
        ],
        "(span)",
    )
    told = {name: (info.reason[0].type, info.description) for name, info in found.anomaly_info.items()}
    assert told == {
        "a": (KIND.COMPARATOR_CONTROL_DATA_MISSING, "no value on the other side"),
        "b": (KIND.COMPARATOR_TREATMENT_DATA_MISSING, "no value here"),
        "c": (KIND.COMPARATOR_CONTROL_DATA_MISSING, "no baseline"),
    }


def test_an_alert_without_a_measurement_tells_its_cause() -> None:
    one = finding("a", "x", 2.0, cause="stuck_sensor").model_copy(update={"measurements": ()})
    info = anomalies_of([one], "(span)").anomaly_info["a"]
    assert info.short_description == "Data fault: stuck sensor"
    assert info.description.startswith("One value was repeated")


def test_both_forms_are_written_for_every_split(tmp_path: Path, run: MonitorRun, written: Path) -> None:
    from pipeline.monitor_report.anomalies import write_anomalies

    report = _report(finding("a", "x", 2.0, split="train"), finding("a", "x", 0.2))
    files = write_anomalies(report, tmp_path)
    assert [str(path.relative_to(tmp_path)) for path in files] == [
        "Split-train/anomalies.pbtxt",
        "Split-train/SchemaDiff.pb",
        "span/anomalies.pbtxt",
        "span/SchemaDiff.pb",
    ]
    for split in ("train", "(span)"):
        folder = tmp_path / folder_of(split)
        binary = anomalies_pb2.Anomalies.FromString((folder / "SchemaDiff.pb").read_bytes())
        text = text_format.Parse((folder / "anomalies.pbtxt").read_text(), anomalies_pb2.Anomalies())
        assert binary == text == anomalies_of(report.findings, split)
    assert (written / "monitor" / "ap-south" / "span" / "SchemaDiff.pb").stat().st_size > 1000


# --- JUnit --------------------------------------------------------------------------------------------


def test_alerts_fail_and_what_was_not_compared_is_skipped() -> None:
    report = _report(
        finding("a", "x", 4.0, cause="unit_change"),
        finding("b", "x", 0.3, split="eval"),
        undefined("c", "x", "no value"),
    )
    new = _report(zone="y", status="NOT_EVALUATED", reason="first span")
    root = ElementTree.fromstring(junit_xml(_run(report, new, missing={"z": "it failed"})))
    cases = {
        (suite.get("name"), case.get("classname"), case.get("name")): [child.tag for child in case]
        for suite in root
        for case in suite
    }
    assert cases == {
        ("x", "x.drift.window", "a"): ["failure"],
        ("x", "x.drift.window", "b [eval]"): [],
        ("x", "x.drift.reference", "c"): ["skipped"],
        ("y", "y", "monitoring"): ["skipped"],
        ("z", "z", "monitoring"): ["skipped"],
    }
    assert [(suite.get("tests"), suite.get("failures"), suite.get("skipped")) for suite in root] == [
        ("3", "1", "1"),
        ("1", "0", "1"),
        ("1", "0", "1"),
    ]
    assert (root.get("tests"), root.get("failures")) == ("5", "1")
    failure = root.find(".//failure")
    assert failure is not None and failure.text is not None
    assert failure.get("message") == (
        "data fault: unit change: Jensen-Shannon divergence 0.400 bit against a threshold of 0.100"
    )
    assert failure.get("type") == "critical"
    assert "since 18 Nov 2026, 00:00 UTC" in failure.text
    assert [case.get("message") for case in root.iter("skipped")] == ["no value", "first span", "it failed"]


def test_names_that_xml_cannot_hold_are_replaced() -> None:
    text = junit_xml(_run(_report(finding('a\x00<b>"&', "x", 2.0))))
    case = ElementTree.fromstring(text).find(".//testcase")
    assert case is not None and case.get("name") == 'a\N{REPLACEMENT CHARACTER}<b>"&'


# --- Markdown -----------------------------------------------------------------------------------------


def test_the_summary_has_headline_alerts_and_zones(run: MonitorRun, history: list[MonitorRun]) -> None:
    text = summary_markdown(run, history_of(run, history))
    lines = text.splitlines()
    assert lines[:1] == ["# Monitoring of three-plants"]
    assert lines[2].startswith("10 alerts in eu-west, ap-south and us-east.")
    assert (
        "| critical | eu-west | temperature | data fault: unit change | since 18 Nov 2026, 00:00 UTC; "
        "3 spans in a row | Jensen-Shannon divergence 0.410 bit against a threshold of 0.100 | "
        "Drift in time, against spans 27 to 29 (window) |"
    ) in lines
    assert sum(line.startswith(("| critical", "| warning")) for line in lines) == 10
    assert any(line.startswith("| sa-north | restricted | 0 | 0 | 0 | 0 | not evaluated: ") for line in lines)
    assert "- me-central was not monitored: the locale failed before it was monitored" in lines


def test_the_summary_shows_names_as_they_are() -> None:
    run = _run(_report(finding("a|b_<script>*", "x", 2.0)))
    assert r"| a\|b\_\<script\>\* |" in summary_markdown(run, history_of(run))


def test_a_long_list_of_alerts_is_cut_and_says_so() -> None:
    run = _run(_report(*(finding(f"f{i}", "x", 2.0, shapes=False) for i in range(30))))
    text = summary_markdown(run, history_of(run))
    assert text.count("| warning |") == 25 and "5 more alerts are in `monitor.json`." in text


@pytest.mark.slow
def test_junit_is_what_the_common_schema_says(written: Path) -> None:
    """Slow only because its schema is among the tools that `make test` fetches."""
    schema = etree.XMLSchema(etree.parse(str(page_tool("junit-10.xsd"))))
    for name in ("junit.xml", "own/junit.xml"):
        schema.assertValid(etree.parse(str(written / name)))
    empty = etree.fromstring(junit_xml(_run(_report(), missing={"z": "failed"})).encode())
    schema.assertValid(empty)
    del empty[0].attrib["name"]
    assert not schema.validate(empty)
