"""Nothing of how a restricted locale's rows are distributed is in what lies outside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.drift.findings import Cause, Finding, MonitorReport, MonitorRun
from components.errors import InternalError
from pipeline.monitor_report.outward_view import is_outward, outward_view, own_part
from pipeline.monitor_report.render import write, write_own
from tests.support.made_up_monitoring import SECRET_CATEGORY, SECRET_EDGE, finding

RESTRICTED = ("eu-west", "ap-south", "sa-north")


def _of(run: MonitorRun, *zones: str) -> list[Finding]:
    return [item for report in run.reports if report.zone in zones for item in report.findings]


def _restricted(run: MonitorRun) -> MonitorRun:
    """The restricted locales alone: what they and the open ones have in common would tell nothing."""
    return run.model_copy(update={"reports": tuple(one for one in run.reports if one.zone in RESTRICTED)})


def _texts(folder: Path) -> dict[str, str]:
    """Every file below a folder."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes().decode(errors="replace") for path in files}


def _secrets(run: MonitorRun) -> set[str]:
    """Edges, shares, categories and values of time lines, as a file would have them."""
    shapes = [item.distribution for item in _of(run, *RESTRICTED) if item.distribution is not None]
    lines = [item.time_line for item in _of(run, *RESTRICTED) if item.time_line is not None]
    values = [x for shape in shapes for x in (*shape.edges, *shape.share, *shape.share_baseline)]
    values += [x for line in lines for x in line.value if x is not None]
    return {SECRET_CATEGORY, *(repr(x) for x in values if len(repr(x)) >= 8)}


def test_no_edge_category_or_course_of_a_restricted_locale_is_outside(
    run: MonitorRun, tmp_path: Path
) -> None:
    secrets = _secrets(run)
    assert len(secrets) > 500 and repr(SECRET_EDGE) in secrets
    write(_restricted(run), tmp_path)
    outside = _texts(tmp_path)
    assert {"monitor.html", "monitor.json", "junit.xml", "summary.md", "monitor/eu-west.html"} <= set(outside)
    assert "monitor/eu-west/span/SchemaDiff.pb" in outside
    for name, text in outside.items():
        assert [secret for secret in secrets if secret in text] == [], name
        assert 'role="img"' not in text, "a picture is a shape of the data"


def test_what_stays_in_the_locale_has_them(run: MonitorRun, tmp_path: Path) -> None:
    write_own(run, "eu-west", tmp_path)
    own = _texts(tmp_path)
    assert sum(secret in own["monitor.json"] for secret in _secrets(run)) > 100
    assert SECRET_CATEGORY in own["monitor.json"] and repr(SECRET_EDGE) in own["monitor.json"]
    assert "Havranek" in own["monitor.html"] and 'role="img"' in own["monitor.html"]


def test_distances_counts_and_causes_leave(run: MonitorRun) -> None:
    before, after = _of(run, "eu-west")[0], _of(outward_view(run), "eu-west")[0]
    assert after.measurements == before.measurements
    assert (after.verdict, after.severity, after.feature) == ("ALERT", "critical", "temperature")
    assert before.cause is not None and after.cause is not None
    assert (after.cause.name, after.cause.begin) == ("unit_change", "2026-11-18T00:00:00+00:00")
    assert before.cause.evidence and after.cause.evidence == {}


def test_open_and_central_reports_are_as_they_were(run: MonitorRun) -> None:
    for zone in ("us-east", "central"):
        assert own_part(outward_view(run), zone) == own_part(run, zone)


def test_what_the_view_gives_is_outward_and_stays_as_it_is(run: MonitorRun) -> None:
    assert not is_outward(run)
    once = outward_view(run)
    assert is_outward(once) and outward_view(once) == once


@pytest.mark.parametrize("sharing", ["restricted", "open"])
def test_words_that_are_not_ours_stay_in_a_restricted_locale(sharing: str) -> None:
    cause = Cause(
        name="unknown", words=f"{SECRET_CATEGORY} was seen", begin="2026-11-18T07:41:13Z", end="soon"
    )
    one = finding("flow", "eu-west", 2.0).model_copy(update={"cause": cause, "reason": "card 4929123456789"})
    item = one.measurements[0].model_copy(update={"reason": "Ludmilla"})
    report = MonitorReport(
        zone="eu-west",
        sharing=sharing,  # type: ignore[arg-type]
        span=1,
        alpha=0.05,
        status="EVALUATED",
        reason="Havranek",
        findings=(one.model_copy(update={"measurements": (item,)}),),
    )
    run = MonitorRun(
        deployment="d",
        run_id="r",
        finished="",
        isthmus_version="0",
        reports=(report,),
        missing={"ap-south": "Havranek failed"},
    )
    shown = outward_view(run)
    text = shown.model_dump_json()
    held = [secret for secret in ("Ludmilla", "4929123456789", "41:13", "soon") if secret in text]
    assert held == ([] if sharing == "restricted" else ["Ludmilla", "4929123456789", "41:13", "soon"])
    assert shown.missing == {"ap-south": "… failed"}
    if sharing == "restricted":
        kept = shown.reports[0].findings[0].cause
        assert kept is not None
        assert (kept.begin, kept.end) == ("2026-11-18T07:00:00+00:00", "")
        assert "Havranek" in outward_view(run, ["Havranek"]).model_dump_json(), "names of the deployment may"


def test_a_zone_that_is_not_in_the_run_is_our_fault(run: MonitorRun) -> None:
    with pytest.raises(InternalError, match="zone 'nowhere' is not among those of the run"):
        own_part(run, "nowhere")
