"""A run's files become the report's model; what is absent is said in words."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.errors import DataError
from pipeline.report.collect import collect
from pipeline.report.collect_region import training_curves
from pipeline.report.forecasts import MAX_POINTS, thin
from pipeline.report.model import RunReport
from pipeline.report.reading import as_bounds, as_count, as_number
from pipeline.report.render import render_html

MakeRun = Callable[..., Any]


def region(report: RunReport, name: str) -> Any:
    return next(item for item in report.locales if item.locale == name)


def test_every_section_is_read(make_run: MakeRun) -> None:
    report = collect(make_run().run_dir)
    assert report.run.seconds == 192  # 03:51:00 to 03:54:12
    assert report.run.seed == 7
    eu = region(report, "eu-west")
    assert (eu.ingest.content.rows_read, eu.ingest.content.rows_quarantined) == (20_160, 9)
    assert eu.ingest.content.reasons == {"timestamp_repeated": 6, "value_not_finite": 3}
    assert [row.verdict for row in eu.drift.content.features] == ["DRIFT", "OK", "OK", "OK"]
    # Three numeric features with three curves each, and one categorical one with its shares.
    assert sorted(curve.kind for curve in eu.curves.content) == sorted(
        ["density", "autocorrelation", "daily"] * 3 + ["share"]
    )
    training = eu.training.content
    assert [curve.name for curve in training.curves] == ["distance", "score"]
    assert (training.seconds, training.parameters, training.stopped) == (58.1, 45_109 + 13_320, "max_steps")
    assert training.facts["best step"] == 1950
    assert training.rare_events.endswith("were released as one kind, other.")
    assert "jam" not in training.model_dump_json()
    assert eu.ingest.content.splits == {"train": 14_106}
    assert eu.ingest.content.pii == {"operator_email": "drop"}
    assert eu.push.content.rows == 20_151
    assert report.central.blessing.content is not None
    assert report.central.skew.content is not None and len(report.central.skew.content.pairs) == 3 * 4
    assert report.verdict.tone == "good" and report.verdict.details == ()


def test_scenarios_keep_their_order_and_their_intervals(make_run: MakeRun) -> None:
    detection = collect(make_run().run_dir).central.detection.content
    assert detection is not None
    assert [(row.scenario, row.detector) for row in detection.scenarios] == [
        (scenario, detector)
        for scenario in ("no_sharing", "naive_synthetic", "isthmus", "ideal")
        for detector in ("interval", "classifier")
    ]
    best = detection.scenarios[5]
    assert best.overall.f1.value == pytest.approx(0.79)
    assert best.overall.f1.interval is not None
    assert (best.overall.f1.interval.lo, best.overall.f1.interval.hi) == pytest.approx((0.76, 0.82))
    assert (best.overall.tp, best.overall.fp, best.overall.fn, best.overall.tn) == (261, 19, 69, 4651)
    assert best.overall.events == (9, 11)
    assert set(best.by_locale) == {"eu-west", "ap-south", "us-east"}
    gains = {(row.scenario, row.detector): row.value for row in detection.differences}
    assert gains["isthmus", "classifier"] == pytest.approx(0.38)
    assert all(row.baseline == "no_sharing" for row in detection.differences)


def test_evidence_joins_metric_and_gate(make_run: MakeRun) -> None:
    rows = {row.name: row for row in region(collect(make_run().run_dir), "eu-west").quality.content.evidence}
    membership = rows["membership_trained_risk_windows"]
    assert membership.family == "privacy"
    assert (membership.value, membership.control) == (0.51, 0.5)
    assert (membership.interval.lo, membership.interval.hi) == (0.489, 0.531)
    assert [(check.rule, check.passed) for check in membership.checks] == [("high bound <= 0.6", True)]
    assert rows["exact_copy_risk_rows"].range == (None, 1.0)
    assert rows["tstr_label_f1"].value is None and rows["tstr_label_f1"].status == "UNDEFINED"
    assert rows["pairwise_fidelity"].checks == ()


def test_a_check_without_its_metric_is_shown_as_failed(make_run: MakeRun) -> None:
    run = make_run()
    path = run.file("eu-west", "ReleaseEvaluator", "evaluation", "evaluation.json")
    evaluation = json.loads(path.read_text())
    evaluation["metrics"] = [item for item in evaluation["metrics"] if item["name"] != "marginal_fidelity"]
    evaluation["gate"]["checks"][0] |= {"passed": None, "reason": "the metric is missing"}
    path.write_text(json.dumps(evaluation))
    rows = region(collect(run.run_dir), "eu-west").quality.content.evidence
    found = next(row for row in rows if row.name == "marginal_fidelity")
    assert (found.status, found.checks[0].passed) == ("UNDEFINED", False)


def test_marks_of_the_forecast_follow_label_and_flag(make_run: MakeRun) -> None:
    run = make_run()
    path = run.file("central", "ProphetEvaluator", "evaluation", "forecast.json")
    curve = {"locale": "eu", "series": "s", "target": "t", "unit": "V", "timestamp_us": [0, 1, 2, 3]}
    curve |= {"y": [1, None, 3, 4], "yhat": [1] * 4, "lower": [0] * 4, "upper": [2] * 4}
    curve |= {"label": [0, 1, 1, 0], "flag": [1, 1, 0, 0]}
    short = {**curve, "yhat": [1, 1]}
    path.write_text(json.dumps({"detector": "interval", "scenario": "Isthmus", "series": [curve, short]}))
    forecasts = collect(run.run_dir).central.forecasts.content
    assert forecasts is not None
    (panel,) = forecasts.panels
    assert panel.mark == ("fp", "tp", "fn", "")
    assert (panel.detector, panel.unit, panel.y[1]) == ("interval", "V", None)


def test_thinning_keeps_extremes_and_every_kind_of_mark() -> None:
    y = [0.0] * 10_000
    y[4321], y[7777] = 9.0, -9.0
    marks = [""] * 10_000
    marks[1234] = "fn"
    kept = thin(marks, tuple(y), MAX_POINTS)
    assert {0, 1234, 4321, 7777, 9_999} <= set(kept)
    assert kept == sorted(set(kept))
    assert len(kept) <= 2 * MAX_POINTS


def test_an_open_locale_says_why_it_has_no_synthesizer(make_run: MakeRun) -> None:
    us = region(collect(make_run().run_dir), "us-east")
    for part in (us.quality, us.curves, us.training, us.blessing):
        assert part.content is None
        assert "us-east is open" in part.absent


@pytest.mark.parametrize(
    ("pipeline", "component", "part"),
    [
        ("eu-west", "ExampleGen", "ingest"),
        ("eu-west", "ExampleValidator", "drift"),
        ("eu-west", "SynthesizerTrainer", "training"),
        ("eu-west", "ReleaseEvaluator", "quality"),
        ("eu-west", "ReleaseEvaluator", "curves"),
        ("eu-west", "ReleaseEvaluator", "blessing"),
        ("eu-west", "Pusher", "push"),
        ("central", "MergeGen", "merge"),
        ("central", "ProphetEvaluator", "detection"),
        ("central", "ProphetEvaluator", "forecasts"),
        ("central", "SkewValidator", "skew"),
        ("central", "ModelPusher", "push"),
    ],
)
def test_a_failed_component_is_named_with_its_error(
    make_run: MakeRun, pipeline: str, component: str, part: str
) -> None:
    run = make_run()
    run.stop(pipeline, component, "locale=eu-west span=1: 41 rows, at least 64 are needed.\nTraceback ...")
    report = collect(run.save())
    section = report.central if pipeline == "central" else region(report, pipeline)
    found = getattr(section, part)
    assert found.content is None
    assert found.absent.startswith(f"{component} failed: locale=eu-west span=1: 41 rows")
    assert "Traceback" not in report.model_dump_json()


def test_what_comes_after_a_failure_says_so(make_run: MakeRun) -> None:
    run = make_run()
    run.stop("ap-south", "ExampleValidator", "feature=mode: ERROR")
    run.state["exit_status"] = 2
    report = collect(run.save())
    push = region(report, "ap-south").push
    assert push.absent == "Pusher did not run because ap-south failed before it: feature=mode: ERROR"
    assert report.verdict.tone == "broken"
    assert "2 of 3 locales released" in report.verdict.sentence
    assert "ap-south failed: feature=mode: ERROR" in report.verdict.details


def test_a_run_that_was_killed_says_what_has_not_ended(make_run: MakeRun) -> None:
    run = make_run()
    run.state["locales"]["eu-west"] |= {"status": "running", "components": []}
    run.state["exit_status"] = None
    report = collect(run.save())
    why = "Pusher has not ended: eu-west is still running, or was killed."
    assert region(report, "eu-west").push.absent == why
    assert report.verdict.tone == "unknown"


def test_a_locale_that_a_killed_run_did_not_come_to_was_not_started(make_run: MakeRun) -> None:
    run = make_run()
    run.state["locales"]["eu-west"] |= {"status": "not started", "components": []}
    run.state["exit_status"] = None
    report = collect(run.save())
    why = "The run ended before eu-west was started, so there is no record of what was pushed."
    assert region(report, "eu-west").push.absent == why
    assert "eu-west was not started." in report.verdict.details
    assert "The run ended before eu-west was started." in render_html(report)


def test_a_run_that_stopped_before_the_centre(make_run: MakeRun) -> None:
    run = make_run()
    run.state["central"] = {"status": "skipped", "components": [], "error": None}
    report = collect(run.save())
    assert (
        report.central.detection.absent
        == "the centre was skipped in this run, so there is no scenario table."
    )
    assert report.lineage == ()
    assert "no detector was judged" in report.verdict.sentence


@pytest.mark.parametrize("damage", ["missing", "truncated", "list", "folder"])
def test_damaged_files_are_said_in_words(make_run: MakeRun, damage: str) -> None:
    run = make_run()
    path = run.file("central", "SkewValidator", "skew", "skew.json")
    path.unlink()
    if damage == "truncated":
        path.write_text('{"pairs": [')
    elif damage == "list":
        path.write_text("[]")
    elif damage == "folder":
        shutil.rmtree(path.parent)
    words = {
        "missing": "SkewValidator wrote no skew.json, so there is no skew matrix.",
        "truncated": "skew.json of SkewValidator cannot be read.",
        "list": "skew.json of SkewValidator is not a JSON object.",
        "folder": "The files of SkewValidator are not on this machine, so the skew matrix cannot be shown.",
    }
    assert collect(run.run_dir).central.skew.absent == words[damage]


def test_files_of_another_shape_do_not_stop_the_report(make_run: MakeRun) -> None:
    run = make_run()
    for path in run.root.rglob("*.json"):
        if path.name != "run.json":
            value = json.loads(path.read_text())
            path.write_text(json.dumps(dict.fromkeys(value, "unexpected")))
    report = collect(run.run_dir)
    assert report.central.detection.absent == "evaluation.json of ProphetEvaluator names no scenario."
    assert region(report, "eu-west").curves.absent == "plots.json of ReleaseEvaluator holds no curve."


def test_refused_and_missing_releases_are_named(make_run: MakeRun) -> None:
    run = make_run()
    path = run.file("central", "MergeGen", "merge_report", "merge.json")
    merge = json.loads(path.read_text())
    refused = merge["accepted"].pop(0)
    merge["accepted"].pop(0)
    reason = "digest of data differs"
    merge |= {
        "refused": [{"locale": refused["locale"], "uri": "u", "reason": reason}],
        "missing": ["ap-south"],
    }
    path.write_text(json.dumps(merge))
    report = collect(run.run_dir)
    assert [edge.locale for edge in report.lineage] == ["us-east"]
    assert report.lineage[0].detector == "orbital-fleet version 3"
    assert "The centre refused a release of eu-west: digest of data differs" in report.verdict.details
    assert "No release came from ap-south." in report.verdict.details


def test_a_negative_gate_gives_its_reasons(make_run: MakeRun) -> None:
    run = make_run()
    path = run.file("eu-west", "ReleaseEvaluator", "blessing", "verdict.json")
    path.write_text(json.dumps({"verdict": "NOT_BLESSED", "reasons": ["exact_copy_risk_rows: value 0.9"]}))
    push = run.file("eu-west", "Pusher", "pushed", "push.json")
    push.write_text(json.dumps({"pushed": False, "reason": "NOT_BLESSED", "rows": 0}))
    run.state["exit_status"] = 1
    report = collect(run.save())
    assert report.verdict.tone == "bad"
    assert report.verdict.details == (
        "The release of eu-west was not blessed: exact_copy_risk_rows: value …",
    )


def test_a_scenario_that_was_not_evaluated_keeps_its_reason(make_run: MakeRun) -> None:
    run = make_run()
    path = run.file("central", "ProphetEvaluator", "evaluation", "evaluation.json")
    evaluation = json.loads(path.read_text())
    evaluation["scenarios"]["Ideal"] = {"status": "NOT_EVALUATED", "reason": "no raw rows are connected"}
    path.write_text(json.dumps(evaluation))
    detection = collect(run.run_dir).central.detection.content
    assert detection is not None
    ideal = [row for row in detection.scenarios if row.scenario == "ideal"]
    assert [row.absent for row in ideal] == ["no raw rows are connected"] * 2


def test_keys_that_no_component_writes_count_as_not_recorded(make_run: MakeRun) -> None:
    run = make_run()
    path = run.file("eu-west", "ReleaseEvaluator", "evaluation", "evaluation.json")
    evaluation = json.loads(path.read_text())
    evaluation["metrics"] = [{"name": "dcr", "family": "privacy", "value": 1.0, "ci": [0.9, 1.1]}]
    path.write_text(json.dumps(evaluation))
    found = region(collect(run.run_dir), "eu-west").quality.content.evidence[0]
    assert (found.family, found.status, found.interval) == ("not recorded", "UNDEFINED", None)
    path = run.file("central", "ProphetEvaluator", "evaluation", "evaluation.json")
    evaluation = json.loads(path.read_text())
    evaluation["scenarios"]["Isthmus"]["classifier"] = {"metrics": {"f1": 0.9}}
    path.write_text(json.dumps(evaluation))
    detection = collect(run.run_dir).central.detection.content
    assert detection is not None
    (row,) = (row for row in detection.scenarios if (row.scenario, row.detector) == ("isthmus", "classifier"))
    assert row.absent == "it was not evaluated in this run"


def test_no_run_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"run\.json: not found; name a run's folder"):
        collect(tmp_path)
    (tmp_path / "run.json").write_text("[]")
    with pytest.raises(DataError, match="expected a JSON object, found list"):
        collect(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(DataError, match="not JSON"):
        collect(tmp_path)


def test_an_empty_run_is_a_report_too(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    report = collect(tmp_path)
    assert report.verdict.tone == "unknown"
    assert report.run.run_id == tmp_path.name


@pytest.mark.parametrize(
    ("value", "expected"), [(1, 1.0), (True, None), ("1", None), (float("nan"), None), (float("inf"), None)]
)
def test_only_finite_numbers_are_numbers(value: Any, expected: float | None) -> None:
    assert as_number(value) == expected


def test_bounds_need_two_finite_ends() -> None:
    found = as_bounds(1, 2)
    assert found is not None and (found.lo, found.hi) == (1, 2)
    assert as_bounds(1, None) is None
    assert as_bounds(float("-inf"), 1) is None
    assert as_count(2.6) == 3


def test_training_logs() -> None:
    points = [{"step": 0, "loss": 3.0, "lr": 0.1}, {"step": 10, "loss": None}, {"step": 20, "loss": 1.0}]
    assert [(curve.name, curve.step, curve.value) for curve in training_curves(points)] == [
        ("loss", (0.0, 20.0), (3.0, 1.0))
    ]
    long = training_curves([{"step": i, "loss": float(i)} for i in range(5_000)])
    assert len(long[0].step) <= 300
    assert training_curves("nothing") == ()
