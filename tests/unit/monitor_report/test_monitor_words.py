"""The headline and the order of findings."""

from __future__ import annotations

import pytest

from components.drift.findings import ALL_FEATURES, Cause, Finding, Measurement, MonitorReport, MonitorRun
from pipeline.monitor_report import words
from tests.support.made_up_monitoring import finding, make_run, undefined


def _run(*findings: Finding, missing: dict[str, str] | None = None, status: str = "EVALUATED") -> MonitorRun:
    report = MonitorReport(
        zone="eu-west",
        sharing="open",
        span=3,
        alpha=0.05,
        status=status,  # type: ignore[arg-type]
        reason="" if status == "EVALUATED" else "no baseline",
        findings=findings,
    )
    return MonitorRun(
        deployment="d",
        run_id="r",
        finished="",
        isthmus_version="0",
        reports=(report,),
        missing=missing or {},
    )


def test_headline_names_number_place_feature_cause_time_and_value_of_the_worst() -> None:
    assert words.headline(make_run()) == (
        "10 alerts in eu-west, ap-south and us-east. The worst: temperature of eu-west, data fault: unit "
        "change, since 18 Nov 2026, 00:00 UTC; "
        "Jensen-Shannon divergence 0.410 bit against a threshold of 0.100."
    )
    assert words.tone(make_run()) == "bad"


def test_headline_of_a_quiet_run_says_what_was_compared() -> None:
    quiet = _run(finding("flow", "eu-west", 0.4), finding("rpm", "eu-west", 0.2))
    assert words.headline(quiet) == "No alert: 2 comparisons in 1 zone within their limits."
    assert (words.tone(quiet), words.remarks(quiet)) == ("good", [])


@pytest.mark.parametrize(
    "run",
    [
        _run(),
        _run(undefined("flow", "eu-west", "no baseline")),
        _run(status="NOT_EVALUATED"),
        MonitorRun(
            deployment="d", run_id="r", finished="", isthmus_version="0", missing={"eu-west": "failed"}
        ),
    ],
    ids=["empty", "undefined", "not evaluated", "missing"],
)
def test_nothing_evaluated_is_never_no_alert(run: MonitorRun) -> None:
    assert words.headline(run) == "Nothing could be evaluated; that there is no alert says nothing."
    assert words.tone(run) == "unknown"


def test_a_part_that_was_not_compared_spoils_the_good_tone_and_is_told() -> None:
    quiet = finding("flow", "eu-west", 0.4)
    for run, told in (
        (
            _run(quiet, undefined("rpm", "eu-west", "one row only")),
            "1 comparison of eu-west could not be made: one row only",
        ),
        (_run(quiet, missing={"us-east": "it failed"}), "us-east was not monitored: it failed"),
    ):
        assert words.tone(run) == "unknown"
        assert words.remarks(run) == [told]


def test_order_is_severity_then_distance_past_the_limit_then_undefined_then_quiet() -> None:
    mild = finding("a", "x", 1.2)
    far = finding("b", "x", 2.9)
    critical = finding("c", "x", 1.1, severity="critical")
    quiet, unsure = finding("d", "x", 0.9), undefined("e", "x", "why")
    ordered = sorted([quiet, unsure, mild, far, critical], key=words.urgency)
    assert [item.feature for item in ordered] == ["c", "b", "a", "e", "d"]


def test_the_deciding_measurement_is_an_alerting_one_even_where_a_quiet_one_is_higher() -> None:
    high = Measurement(measure="wasserstein", value=9.0, threshold=1.0, rule="kept")
    alert = Measurement(measure="chi_squared", value=2.0, threshold=1.0, rule="number", verdict="ALERT")
    one = finding("a", "x", 2.0, measurements=(high, alert))
    assert words.decisive(one) == alert
    assert words.ratio(high) is None, "what judges nothing has no limit"
    assert words.decisive(finding("a", "x", 0.5, measurements=())) is None


def test_a_fault_that_moves_no_distance_is_not_told_by_one() -> None:
    within = Measurement(measure="cadence", value=0.111, threshold=0.119, rule="number")
    gap = finding("(all)", "x", 2.0, measurements=(within,))
    assert words.decided_by(gap) == "The fault itself was found; no distance is past its limit"
    assert "noise" not in words.headline(_run(gap)) and "The fault itself" in words.headline(_run(gap))
    past = within.model_copy(update={"value": 0.2, "verdict": "ALERT"})
    assert words.decided_by(finding("(all)", "x", 2.0, measurements=(past,))) == (words.value_against(past))
    assert words.decided_by(finding("(all)", "x", 2.0, measurements=())) == ""


def test_a_threshold_of_zero_has_no_ratio_and_its_reason_is_told() -> None:
    item = Measurement(
        measure="schema",
        value=1.0,
        threshold=0.0,
        rule="number",
        verdict="ALERT",
        reason="this side lacks it",
    )
    assert words.ratio(item) is None
    assert words.value_against(item) == "Schema 1.000: this side lacks it"


def test_values_against_noise_name_its_limit_and_q() -> None:
    noisy = finding("temperature", "x", 2.0).measurements[-1]
    assert words.value_against(noisy) == (
        "Wasserstein distance 1.600 °C against 0.900 that noise reaches, q = 0.007"
    )
    assert words.value_against(Measurement(measure="cadence", reason="one row")) == (
        "Change of cadence undefined: one row"
    )


def test_since_says_begin_end_and_spans_in_a_row() -> None:
    cause = Cause(name="silent_gap", words="x", begin="2026-11-18T00:00:00Z", end="2026-11-19T07:00:00Z")
    one = finding(ALL_FEATURES, "x", 2.0).model_copy(update={"cause": cause})
    assert words.since(one) == "from 18 Nov 2026, 00:00 UTC to 19 Nov 2026, 07:00 UTC"
    assert words.since(finding("a", "x", 2.0, "skew"), 4) == "in span 30; 4 spans in a row"


def test_what_was_compared_in_words() -> None:
    assert words.compared(finding("a", "x", 2.0)) == "Drift in time, against spans 27 to 29 (window)"
    assert words.compared(finding("a", "x", 2.0, "skew", split="eval")) == (
        "Locale against locale, against us-east, split eval"
    )
    assert words.brief(finding("a", "x", 2.0, "generator")) == "real against synthetic"
    assert words.brief(finding("a", "x", 2.0)) == "drift in time, window"


def test_names_are_listed_up_to_a_number() -> None:
    assert [words.listed(names, 2) for names in ([], ["a"], ["a", "b", "a"], ["a", "b", "c"])] == [
        "",
        "a",
        "a and b",
        "a, b and 1 more",
    ]


def test_the_reason_is_that_of_the_measure_that_could_not_judge() -> None:
    remark = Measurement(measure="infinity_norm", value=0.1, rule="number", threshold=0.2, reason="a remark")
    kept = Measurement(measure="concept_shift", verdict="UNDEFINED", reason="no labels")
    judging = Measurement(measure="chi_squared", rule="noise", verdict="UNDEFINED", reason="too few blocks")
    found = Finding(
        comparison="drift",
        locale="us-east",
        against="span 0",
        feature="mode",
        span=1,
        verdict="UNDEFINED",
        measurements=(remark, kept, judging),
    )
    assert words.reason_of(found) == "too few blocks"
    assert words.reason_of(found.model_copy(update={"reason": "its own"})) == "its own"
    assert words.reason_of(found.model_copy(update={"measurements": (remark, kept)})) == "no labels"
