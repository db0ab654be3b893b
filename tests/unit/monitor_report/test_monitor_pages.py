"""The pages: what they show, what they leave to the twin, and that they stay small."""

from __future__ import annotations

import html
import re
from pathlib import Path

import numpy as np
import pytest
from markupsafe import escape

from components.drift.findings import Distribution, Measurement, MonitorReport, MonitorRun, Null, TimeLine
from components.drift.glossary import GLOSSARY
from components.errors import InternalError
from pipeline.monitor_report import plots, render, views
from pipeline.monitor_report.render import render_html, write, write_own
from pipeline.monitor_report.spans import history_of
from tests.support.made_up_monitoring import finding, make_run, wide_run

ALL_FILES = {"monitor.html", "monitor.json", "junit.xml", "summary.md"}


def _text(page: str) -> str:
    """What a reader sees: no markup, one space between words."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page[page.index("<body>") :])).split())


def _one(*findings: object, **more: object) -> MonitorRun:
    values = {"zone": "x", "sharing": "open", "span": 30, "alpha": 0.05, "status": "EVALUATED", **more}
    report = MonitorReport(findings=findings, **values)  # type: ignore[arg-type]
    return MonitorRun(deployment="d", run_id="r", finished="", isthmus_version="0", reports=(report,))


def test_the_files(written: Path) -> None:
    found = {str(path.relative_to(written)) for path in written.rglob("*") if path.is_file()}
    zones = {"eu-west", "ap-south", "us-east", "central"}
    assert found == {
        *ALL_FILES,
        *(f"own/{name}" for name in ALL_FILES),
        *(f"monitor/{zone}.html" for zone in (*zones, "sa-north")),
        *(
            f"{folder}/span/{name}"
            for folder in (*(f"monitor/{zone}" for zone in zones), "own")
            for name in ("anomalies.pbtxt", "SchemaDiff.pb")
        ),
    }


def test_the_run_page_reads_in_a_minute(written: Path) -> None:
    text = _text((written / "monitor.html").read_text())
    assert "10 alerts in eu-west, ap-south and us-east. The worst: temperature of eu-west" in text
    assert (
        "critical temperature of eu-west : data fault: unit change "
        "Since 18 Nov 2026, 00:00 UTC; 3 spans in a row"
    ) in text
    order = [
        text.index(name) for name in ("temperature of eu-west : ", "flow of ap-south : ", "vibration of ap")
    ]
    assert order == sorted(order)
    assert "me-central was not monitored" in text and "sa-north was not evaluated" in text
    assert "Of restricted locales this page shows distances and counts only." in text


def test_every_measure_stands_with_all_that_decided(written: Path) -> None:
    page = (written / "own" / "monitor.html").read_text()
    row = next(
        row for row in re.findall(r"<tr class=\"judged\">.*?</tr>", page, re.S) if "Wasserstein" in row
    )
    told = _text(f"<body>{row}")
    assert told.startswith("Wasserstein distance ")  # then its formula
    assert told.endswith(
        " 3.280 °C 0.900 °C noise noise: mean 0.409 °C, limit 0.900 °C; 400 draws, "
        "56 blocks of 6 h 40,320 120,960 – 0.002 0.007 alert"
    )
    assert "real rows" in page and "this span (n) against baseline" in page


def test_the_own_page_has_pictures_and_the_outward_one_of_the_same_locale_has_none(written: Path) -> None:
    own, outward = (written / "own" / "monitor.html", written / "monitor" / "eu-west.html")
    assert own.read_text().count('<svg role="img"') >= 6
    assert 'role="img"' not in outward.read_text()
    assert "stays below its root" in _text(own.read_text())
    assert (written / "monitor" / "us-east.html").read_text().count('<svg role="img"') >= 8


def test_the_heat_map_has_thirty_spans_and_a_gap(written: Path) -> None:
    page = (written / "own" / "monitor.html").read_text()
    heat = page[page.index('<table class="heat">') :]
    row = re.search(r"<tr><th scope=\"row\">.*?</tr>", heat, re.S)
    assert row is not None
    cells = re.findall(r"<td[^>]*>(.*?)</td>", row[0])
    assert len(cells) == 30 and cells[10] == ""
    assert [cell for cell in cells if "alert" in cell] == [
        *['1.3<span class="sr"> alert, drift in time</span>'] * 2,
        *['4.1<span class="sr"> alert, data fault: unit change</span>'] * 3,
    ]


def test_a_zone_without_a_baseline_says_so_and_not_that_all_is_well(written: Path) -> None:
    text = _text((written / "monitor" / "sa-north.html").read_text())
    assert "Nothing could be evaluated; that there is no alert says nothing." in text
    assert "the first span of the locale" in text
    assert "No alert, but not everything was compared" in text


def test_no_request_can_leave_any_page(written: Path) -> None:
    for page in written.rglob("*.html"):
        text = page.read_text()
        assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in text
        assert not re.search(r"<script|<iframe|<object|\ssrc=|url\((?!#)|@import", text), page
        links = set(re.findall(r'href="([^"]*)"', text))
        assert all(link.startswith(("#", "monitor/", "../monitor.html", "data:,")) for link in links), links


def test_names_are_shown_as_text(no_pictures: None) -> None:
    run = _one(finding("<img src=x onerror=alert(1)>", "x", 2.0))
    page = render_html(run, history_of(run))
    assert "<img" not in page and "&lt;img src=x" in page


def test_the_same_run_gives_the_same_page() -> None:
    run = _one(finding("a", "x", 2.0, cause="drift_in_time"))
    assert render_html(run, history_of(run)) == render_html(run, history_of(run))


def test_many_features_stay_a_small_page_that_says_what_it_left_out(
    tmp_path: Path, no_pictures: None
) -> None:
    run = wide_run(500)
    text = _text(write(run, tmp_path).read_text())
    assert (tmp_path / "monitor.html").stat().st_size < 1_500_000
    assert (
        f"{150 - views.MOST_HEADLINES} more alerts are in the sections below, and all in monitor.json" in text
    )
    assert f"{1500 - views.MOST_HEAT_ROWS:,} comparisons that were further from their limits" in text
    assert f"{1500 - views.MOST_CARDS:,} more are in All comparisons and monitor.json" in text
    assert "1,500 comparisons; the 150 worst are shown" in text
    assert MonitorRun.model_validate_json((tmp_path / "monitor.json").read_bytes()) == run


def test_only_cards_are_drawn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    drawn: list[str] = []
    monkeypatch.setattr(
        render.Pictures,
        "_draw",
        lambda self, item, name: drawn.append(name) or [],  # type: ignore[func-returns-value]
    )
    write(wide_run(100), tmp_path)
    assert len(drawn) == views.MOST_CARDS, "once for both pages"


@pytest.mark.parametrize("bad", ["../up", "", ".hidden", "a/b"])
def test_names_that_are_no_files_are_refused_before_anything_is_written(tmp_path: Path, bad: str) -> None:
    for run in (_one(zone=bad), _one(finding("a", "x", 0.2, split=f"{bad}/.."))):
        with pytest.raises(InternalError, match="is no name of a file"):
            write(run, tmp_path / "out")
    assert not (tmp_path / "out" / "monitor.html").exists()


def test_a_page_that_cannot_be_made_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_pictures: None
) -> None:
    quiet = _one(finding("a", "x", 0.2, shapes=False))
    page = write(quiet, tmp_path)
    before = page.read_text()
    monkeypatch.setattr(render, "summary_markdown", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write(make_run(), tmp_path)
    assert page.read_text() == before
    assert not list(tmp_path.rglob(".*"))


def test_write_own_refuses_another_zone(tmp_path: Path) -> None:
    with pytest.raises(InternalError, match="zone 'y' is not among those"):
        write_own(_one(finding("a", "x", 0.2)), "y", tmp_path)


def test_a_value_past_its_limit_that_the_control_lets_pass_is_explained(no_pictures: None) -> None:
    null = Null(mean=0.1, limit=0.2, draws=99, blocks=8, block_s=60.0)
    item = Measurement(measure="cadence", value=0.3, rule="noise", null=null, p_value=0.04, q_value=0.3)
    run = _one(finding("(all)", "x", 0.5, measurements=(item,)))
    told = "past its own limit, but q is above α"
    assert told in render_html(run, history_of(run))
    low = item.model_copy(update={"value": 0.1})
    run = _one(finding("(all)", "x", 0.5, measurements=(low,)))
    assert told not in render_html(run, history_of(run))


# --- the glossary ---------------------------------------------------------------------------------------


def test_the_glossary_explains_the_measures_that_the_page_shows(no_pictures: None) -> None:
    term = GLOSSARY["kolmogorov_smirnov"]
    run = _one(finding("a", "x", 2.0))
    page = render_html(run, history_of(run))
    (shown,) = (one.measurements for one in run.reports[0].findings)
    assert page.count('id="term-') == len({one.measure for one in shown}) < len(GLOSSARY)
    assert 'href="#term-kolmogorov-smirnov"' in page
    assert page.count(str(escape(term.formula))) == 2, "beside the value and in the glossary"
    assert str(escape(f"{term.meaning} {term.worrying}")) in page
    assert str(escape(f"Source: {term.source}")) in page


# --- pictures -------------------------------------------------------------------------------------------


def test_even_bars_keep_the_shares() -> None:
    shape = Distribution(edges=(0.0, 1.0, 1.0, 4.0), share=(0.25, 0.5, 0.25), share_baseline=(1.0, 0.0, 0.0))
    ours, theirs = plots.evened(shape, (0.0, 4.0))
    assert ours.sum() == pytest.approx(1.0) and theirs.sum() == pytest.approx(1.0)
    assert ours.max() == pytest.approx(0.5 + 0.025, abs=0.02), "an atom is one bar"
    half = plots.evened(shape, (0.0, 1.5))[0]
    assert half.sum() == pytest.approx(0.25 + 0.5 + 0.25 / 6)


def test_a_far_tail_does_not_press_the_rest_into_a_line() -> None:
    low, high = plots.view_of(np.array([-5000.0, 0.0, 1.0, 2.0, 3.0, 9000.0]))
    assert (low, high) == pytest.approx((-4.5 - 0.24, 7.5 + 0.24))
    assert plots.view_of(np.array([7.0, 7.0])) == (6.5, 7.5)


def test_pictures_have_their_content_in_words() -> None:
    one = finding("temperature", "x", 2.0)
    assert plots.ecdf_alt(one).startswith(
        "Empirical distribution functions of temperature: furthest apart at "
    )
    assert "°C" in plots.histogram_alt(one)
    assert "categories of mode. The largest difference is at running: 0.420 in this span, 0.610" in (
        plots.histogram_alt(finding("mode", "x", 2.0))
    )
    assert "The level changes on 18 Nov 2026, 00:00 UTC." in plots.time_line_alt(one)
    empty = TimeLine(begin=("2026-11-18T00:00:00Z",), bucket_s=60.0, measure="wasserstein", value=(None,))
    blank = one.model_copy(update={"time_line": empty})
    assert plots.time_line_alt(blank).endswith("along the span: no bucket has enough values.")
    assert "<svg" in plots.time_line_svg(blank, "n")


def test_threshold_and_limit_of_noise_are_drawn_in() -> None:
    one = finding("temperature", "x", 2.0)
    dashed, dotted = "stroke-dasharray: 4.4", "stroke-dasharray: 1.4"
    drawn = plots.time_line_svg(one, "n")
    assert dashed in drawn and dotted in drawn and "var(--miss)" in drawn
    bare = plots.time_line_svg(one.model_copy(update={"measurements": ()}), "n")
    assert dashed not in bare and dotted not in bare
