"""What of a locale's monitoring leaves: listed fields, rounded counts; all else is refused on both sides."""

from __future__ import annotations

import json

import pytest

from components.dataset import DatasetConfig, FeatureConfig
from components.drift.findings import (
    Cause,
    Distribution,
    Finding,
    Measurement,
    MonitorReport,
    Null,
    TimeLine,
)
from components.egress import monitoring
from components.egress.config import EgressConfig
from components.egress.monitoring import accepted_monitor, outward_report, released_monitor, to_json
from components.errors import InternalError, ReleaseError

DATASET = DatasetConfig(
    series=("asset",),
    label="label",
    features=(FeatureConfig(name="temp_c", unit="degC"), FeatureConfig(name="on", kind="binary")),
    targets=("temp_c",),
    interval_s=60,
)
POLICY = EgressConfig()


def whole() -> MonitorReport:
    """A region's report with everything that a region may know."""
    measurement = Measurement(
        measure="wasserstein",
        value=1.23456789,
        unit="degC",
        threshold=0.5,
        rule="number",
        n=1727,
        n_baseline=44,
        bins=32,
        p_value=0.00123456,
        null=Null(mean=0.123456, limit=0.2, draws=99, blocks=12, block_s=86_400.0),
        verdict="ALERT",
        reason="no value of Zyxwold on this side",
    )
    cause = Cause(
        name="unit_change",
        words="eu-west: temp_c is 3.141592 times what Zyxwold had.",
        evidence={"factor": 3.141592},
        begin="2024-03-04T17:42:10Z",
        end="",
    )
    finding = Finding(
        comparison="drift",
        locale="eu-west",
        against="span 3",
        baseline="previous",
        feature="temp_c",
        span=4,
        measurements=(measurement,),
        verdict="ALERT",
        cause=cause,
        distribution=Distribution(edges=(17.125, 93.75), share=(1.0,), share_baseline=(1.0,)),
        time_line=TimeLine(
            begin=("2024-03-04T17:00:00Z",), bucket_s=3600, measure="wasserstein", value=(0.5,)
        ),
    )
    return MonitorReport(
        zone="eu-west", sharing="restricted", span=4, alpha=0.01, status="EVALUATED", findings=(finding,)
    )


def crossing() -> dict:
    return to_json(outward_report(whole(), DATASET, POLICY))


def released(content: dict) -> bytes:
    return released_monitor(json.dumps(content).encode(), DATASET, POLICY, "eu-west")


def accepted(content: dict) -> MonitorReport:
    return accepted_monitor(json.dumps(content).encode(), DATASET, "eu-west", 4, "exchange/x")


def test_bins_courses_evidence_and_words_stay_and_numbers_are_rounded():
    text = json.dumps(crossing())
    for stays in ("17.125", "93.75", "3.141592", "Zyxwold", "factor", "17:42", "1.23456789", "1727", "edges"):
        assert stays not in text
    (finding,) = crossing()["findings"]
    (measurement,) = finding["measurements"]
    assert (measurement["value"], measurement["threshold"]) == (1.235, 0.5)
    assert (measurement["n"], measurement["n_baseline"]) == (1730, 40)
    assert (measurement["p_value"], measurement["null"]["mean"]) == (0.001235, 0.1235)
    assert (finding["verdict"], finding["cause"]["name"]) == ("ALERT", "unit_change")
    assert finding["cause"]["begin"] == "2024-03-04T17:00:00+00:00"
    assert "temp_c" in finding["cause"]["words"]


@pytest.mark.parametrize(
    ("words", "leaves"),
    [
        (
            "temp_c repeated one value for far longer than is usual (100.8 h; usual is 30 min at most).",
            "temp_c repeated one value for far longer than is usual.",
        ),
        (
            "temp_c of some series (53% of rows) reads as if converted: psi to kPa (times 6.9, plus 0).",
            "temp_c of some series (53% of rows) reads as if converted: psi to kPa.",
        ),
        (
            "Column temp_c is gone; a new column may be it under another name (Zyxwold).",
            "Column temp_c is gone; a new column may be it under another name.",
        ),
    ],
)
def test_a_sentence_of_a_cause_holds_without_what_is_withheld(words, leaves):
    (finding,) = whole().findings
    cause = finding.cause.model_copy(update={"words": words})
    report = whole().model_copy(update={"findings": (finding.model_copy(update={"cause": cause}),)})
    found = to_json(outward_report(report, DATASET, POLICY))
    assert found["findings"][0]["cause"]["words"] == leaves
    assert accepted(found).findings[0].cause.words == leaves
    said = accepted(changed("findings.0.cause.words", words)).findings[0].cause.words
    assert said == leaves, "the centre's own look"


def test_what_was_made_for_leaving_leaves_and_is_read_at_the_centre():
    content = crossing()
    assert json.loads(released(content)) == content
    assert to_json(accepted(content)) == content
    assert accepted(content).alerts[0].feature == "temp_c"


def changed(path: str, value) -> dict:
    content = crossing()
    target = content
    *parents, last = path.split(".")
    for part in parents:
        target = target[int(part)] if part.isdigit() else target[part]
    target[last] = value
    return content


ANOTHER = [
    ("findings.0.sample", [17.125]),
    ("quantiles", [17.125]),
    ("findings.0.measurements.0.edges", [17.125]),
    ("findings.0.cause.witness", "asset 7"),
    ("findings.0.distribution", {"edges": [17.125], "share": [1.0], "share_baseline": [1.0]}),
    (
        "findings.0.time_line",
        {
            "begin": ["2024-03-04T17:00:00Z"],
            "bucket_s": 60,
            "measure": "wasserstein",
            "value": [17.125],
            "change_points": [],
        },
    ),
    ("findings.0.cause.evidence", {"still": 17.125}),
    ("findings.0.feature", "asset-17"),
    ("findings.0.against", "the day that asset 17.125 broke"),
    ("findings.0.locale", "ap-south"),
    ("findings.0.cause.begin", "2024-03-04T17:42:10+00:00"),
    ("findings.0.measurements.0.unit", "17.125"),
    ("findings.0.measurements.0.reason", "x" * 500),
    ("zone", "ap-south"),
]


@pytest.mark.parametrize(("path", "value"), ANOTHER)
def test_a_field_a_bin_or_a_free_name_is_refused_on_both_sides_and_not_quoted(path, value):
    with pytest.raises(InternalError, match="nothing was released") as ours:
        released(changed(path, value))
    with pytest.raises(ReleaseError, match=r"monitor\.json") as theirs:
        accepted(changed(path, value))
    for caught in (ours, theirs):
        assert "17.125" not in str(caught.value) and "asset" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("findings.0.reason", "the pump of Zyxwold"),
        ("findings.0.cause.words", "temp_c read 93.718 at Zyxwold"),
        ("reason", "Zyxwold"),
        ("findings.0.measurements.0.n", 1727),
        ("findings.0.measurements.0.value", 1.23456789),
    ],
)
def test_free_text_and_exact_numbers_do_not_leave(path, value):
    with pytest.raises(InternalError, match="not one of this program's own, or a number that is not rounded"):
        released(changed(path, value))


def test_free_text_of_another_program_is_withheld_at_the_centre():
    found = accepted(changed("findings.0.cause.words", "temp_c read 93.718 at Zyxwold"))
    assert found.findings[0].cause.words == "temp_c read … at …"


def test_a_new_field_of_a_finding_must_be_put_on_a_list(monkeypatch):
    without = monitoring._FIELDS[Finding][0] - {"severity"}
    monkeypatch.setitem(monitoring._FIELDS, Finding, (without, monitoring._FIELDS[Finding][1]))
    with pytest.raises(InternalError, match=r"Finding\.severity is on no list"):
        crossing()


def test_what_the_data_set_does_not_name_is_left_out_rather_than_stopping_a_release():
    report = whole()
    stranger = report.findings[0].model_copy(update={"feature": "serial-17"})
    odd = report.findings[0].model_copy(
        update={"measurements": (report.findings[0].measurements[0].model_copy(update={"unit": "furlong"}),)}
    )
    report = report.model_copy(update={"findings": (stranger, odd)})
    content = to_json(outward_report(report, DATASET, POLICY))
    assert [item["feature"] for item in content["findings"]] == ["temp_c"]
    assert content["findings"][0]["measurements"][0]["unit"] == ""
    released(content)


def test_a_report_of_another_span_or_too_large_is_refused(monkeypatch):
    with pytest.raises(ReleaseError, match="is not of locale eu-west span 5"):
        accepted_monitor(json.dumps(crossing()).encode(), DATASET, "eu-west", 5, "x")
    monkeypatch.setattr(monitoring, "MAX_BYTES", 10)
    with pytest.raises(ReleaseError, match="larger than 10 bytes"):
        accepted(crossing())
    with pytest.raises(InternalError, match=r"is not JSON|another form"):
        released_monitor(b"nothing", DATASET, POLICY, "eu-west")
