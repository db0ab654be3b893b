"""The page: self-contained, whole or not at all, free of restricted rows, never broken by a gap."""

from __future__ import annotations

import html.parser
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.report import plots, words
from pipeline.report.collect import collect, collect_own
from pipeline.report.model import Bounds, Curve, Part, RunReport
from pipeline.report.plots import curve_alt, curve_svg
from pipeline.report.render import render, render_html
from pipeline.report.views import flow_rows

MakeRun = Callable[..., Any]
SECTIONS = ("detection", "forecasts", "releases", "skew", "timings", "environment")
VOID = {"meta", "link", "br", "img", "hr", "input", "path", "circle", "use"}


class Page(html.parser.HTMLParser):
    """Ids, tags, addresses and text of a page; complains about tags that do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        assert self.open == [], f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        found = {name: value or "" for name, value in attrs}
        self.ids += [found["id"]] if "id" in found else []
        self.addresses += [found[name] for name in ("href", "src", "action", "xlink:href") if name in found]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
            self.open.pop()

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


def test_page_and_twin_are_written_side_by_side(make_run: MakeRun, tmp_path: Path) -> None:
    report = collect(make_run(restricted=("eu-west",), features=1).run_dir)
    out = tmp_path / "deep" / "report.html"
    render(report, out)
    assert sorted(path.name for path in out.parent.iterdir()) == ["report.html", "report.json"]
    twin = json.loads(out.with_suffix(".json").read_text())
    assert (twin["format"], twin["format_version"]) == ("isthmus.report", 1)
    assert RunReport.model_validate(twin) == report
    assert out.stat().st_size < 1_000_000


def test_page_is_well_formed_and_asks_for_nothing(whole_page: str) -> None:
    page = Page(whole_page)
    assert len(page.ids) == len(set(page.ids))
    assert set(SECTIONS) | {"locale-eu-west", "locale-ap-south", "locale-us-east"} <= set(page.ids)
    assert [item for item in page.addresses if not item.startswith(("#", "data:"))] == []
    assert all(item[1:] in page.ids for item in page.addresses if item.startswith("#"))
    assert "script" not in page.tags
    assert re.findall(r"https?://|@import|url\((?!#)", whole_page) == []
    assert "default-src 'none'" in whole_page


def test_page_shows_the_table_and_the_evidence(whole_page: str) -> None:
    text = Page(whole_page).text
    for expected in (
        "3 of 3 locales released, and the detector was blessed; every verdict was positive.",
        "the releases of 2 restricted ones",
        "0.760 to 0.820",
        "9 of 11",
        "5,000 rows, 330 of them anomalous in 11 events",
        "membership trained risk windows",
        "high bound ≤ 0.6",
        "there is no labelled window to replay",
        "20,160 rows read, 20,151 kept, 9 quarantined. Columns not stored: operator_email.",
        "Drift against the previous span: evaluated.",
        "orbital-fleet version 3",
        "Unexpected string values",
        "3 min 12 s",
        "2.16.2",
        "Is the detector as good for everyone?",
        "equalised odds difference 0.137 0.123 to 0.151 eu-west, ap-south us-east",
        "disparate impact ratio 0.731",
        "the test rows have no column for slices by 'series'",
        "20,143 of 20,151 rows lack no value. Of 10,000 rows judged, the isolation forest calls 31 outliers, "
        "12 of them labelled anomalous.",
        "bus_voltage interpolate 8 0.0 % 5 3 47",
        "panel_temperature none 1 0.0 % 0 1 –",
        "label label: never imputed 0",
    ):
        assert expected in text, expected


def test_no_value_of_a_restricted_row_is_in_page_or_twin(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(restricted=("eu-west",), features=1)
    secret = "patient-4711"
    holders = [path for path in run.root.rglob("*.*") if secret in path.read_text()]
    assert holders, "the made-up run hides the secret nowhere, so the test shows nothing"
    out = tmp_path / "page" / "report.html"
    render(collect(run.run_dir), out)
    assert secret not in out.read_text()
    assert secret not in out.with_suffix(".json").read_text()


def test_gaps_and_hours_of_a_restricted_locale_are_in_its_own_report_alone(make_run: MakeRun) -> None:
    run = make_run(restricted=("eu-west",), features=2)
    outside = collect(run.run_dir)
    shown = {item.locale: item.data_quality.content for item in outside.locales}
    assert [column.missing for column in shown["eu-west"].columns][:2] == [8, 1]
    assert {(c.longest_gap_rows, c.longest_gap_s, c.by_hour) for c in shown["eu-west"].columns} == {
        (None, None, ())
    }
    # An open locale releases its rows, and the test rows are the centre's.
    test = outside.central.test_quality.content
    for content in (shown["us-east"], test):
        assert (content.columns[0].longest_gap_rows, content.columns[0].longest_gap_s) == (6, 361.0)
        assert content.columns[0].by_hour[13] == 8
    own = collect_own(run.run_dir, "eu-west").locales[0].data_quality.content
    assert own.columns[0].by_hour[13] == 8
    assert "13:00" in Page(render_html(collect_own(run.run_dir, "eu-west"))).text


@pytest.mark.parametrize("spoilt", ["{}", "[1]", "not JSON", '{"scenarios": {"Isthmus": {"interval": 3}}}'])
def test_a_report_comes_out_of_spoilt_files(make_run: MakeRun, no_pictures: None, spoilt: str) -> None:
    run = make_run(restricted=("eu-west",), features=1)
    run.file("central", "ProphetEvaluator", "evaluation", "fairness.json").write_text(spoilt)
    run.file("eu-west", "ExampleGen", "quarantine", "quality.json").write_text(spoilt)
    report = collect(run.run_dir)
    assert report.central.fairness.content is None
    assert "fairness.json of ProphetEvaluator" in Page(render_html(report)).text


def test_a_curve_of_single_rows_is_not_shown(make_run: MakeRun) -> None:
    run = make_run()
    path = run.file("eu-west", "ReleaseEvaluator", "evaluation", "plots.json")
    rows = list(range(5_000))
    path.write_text(
        json.dumps({"features": {"x": {"edges": [*rows, 5_000], "real": rows, "synthetic": rows}}})
    )
    assert collect(run.run_dir).locales[0].curves.content is None


def test_text_from_files_is_escaped(make_run: MakeRun) -> None:
    run = make_run(restricted=("eu-west",), features=1)
    run.state["name"] = "<script>alert(1)</script>"
    path = run.file("eu-west", "ReleaseEvaluator", "evaluation", "plots.json")
    plots = json.loads(path.read_text())
    plots["features"] = {'"><img src=x onerror=1>': plots["features"]["bus_voltage"]}
    path.write_text(json.dumps(plots))
    page = Page(render_html(collect(run.save())))
    assert "script" not in page.tags
    assert "img" not in page.tags


def test_same_report_same_bytes(make_run: MakeRun) -> None:
    report = collect(make_run(restricted=("eu-west",), features=1).run_dir)
    assert render_html(report) == render_html(report)


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize("component", ["ExampleGen", "SynthesizerTrainer", "ReleaseEvaluator", "Pusher"])
def test_page_of_a_run_that_failed(make_run: MakeRun, component: str) -> None:
    run = make_run(restricted=("eu-west",), features=1)
    run.stop("eu-west", component, "locale=eu-west: 3 rows < 64; widen the span")
    run.stop("central", "MergeGen", "merge: 1 release verifies, central.quorum needs 2")
    report = collect(run.save())
    page = Page(render_html(report))
    assert set(SECTIONS) <= set(page.ids)
    assert (
        "failed locale=eu-west: 3 rows < 64; widen the span Log: /srv/isthmus/eu-west/logs/run.log"
        in page.text
    )
    # Whatever is absent is said, in the part of the page where it would have been.
    eu, centre = report.locales[0], report.central
    parts: list[Part[Any]] = [eu.ingest, eu.drift, eu.training, eu.quality, eu.blessing, eu.curves, eu.push]
    parts += [centre.merge, centre.detection, centre.forecasts, centre.skew, centre.push]
    absent = [part.absent for part in parts if part.content is None]
    assert len(absent) >= 6
    assert [reason for reason in absent if reason not in page.text] == []


@pytest.mark.usefixtures("no_pictures")
def test_page_of_a_run_whose_gates_refused(make_run: MakeRun) -> None:
    run = make_run(restricted=("eu-west",), features=1)
    for pipeline, component in (("eu-west", "ReleaseEvaluator"), ("central", "ProphetEvaluator")):
        verdict = {"verdict": "NOT_BLESSED", "reasons": [f"{component} says no"]}
        run.file(pipeline, component, "blessing", "verdict.json").write_text(json.dumps(verdict))
    text = render_html(collect(run.run_dir))
    assert text.count('<span class="fail">not blessed</span>') == 2
    assert '<span class="pass">blessed</span>' not in text
    assert {"ReleaseEvaluator says no", "ProphetEvaluator says no"} <= set(Page(text).words)


@pytest.mark.usefixtures("no_pictures")
def test_fates_of_the_releases_are_told(make_run: MakeRun) -> None:
    run = make_run(restricted=("eu-west", "ap-south"), features=1)
    path = run.file("central", "MergeGen", "merge_report", "merge.json")
    merge = json.loads(path.read_text())
    merge["accepted"] = merge["accepted"][2:]
    merge["refused"] = [{"locale": "eu-west", "uri": "u", "reason": "digest of data differs"}]
    merge["missing"] = ["ap-south"]
    path.write_text(json.dumps(merge))
    fates = {row["locale"]: (row["fate"], row["detector"]) for row in flow_rows(collect(run.run_dir))}
    assert fates == {
        "eu-west": ("refused", ""),
        "ap-south": ("missing", ""),
        "us-east": ("merged", "orbital-fleet version 3"),
    }
    text = Page(render_html(collect(run.run_dir))).text
    assert "refused digest of data differs" in text
    assert "Missing: ap-south." in text


def test_page_of_an_empty_run(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    page = Page(render_html(collect(tmp_path)))
    assert set(SECTIONS) <= set(page.ids)
    assert "the run did not end" in page.text


def test_a_large_fleet_is_a_small_page(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    # One picture of each kind is drawn, for up to 0.2 s, and stands in for its like: size and number count.
    drawn: dict[str, str] = {}

    def draws_once(draw: Callable[..., str]) -> Callable[..., str]:
        def stand_in(content: Any, name: str, **options: Any) -> str:
            kind = f"{draw.__name__} {getattr(content, 'kind', '')} {options}"
            if kind not in drawn:
                drawn[kind] = draw(content, name="stand-in", **options)
            return drawn[kind].replace("stand-in", name)

        return stand_in

    for draw in (plots.curve_svg, plots.training_svg, plots.forecast_svg):
        monkeypatch.setattr(plots, draw.__name__, draws_once(draw))
    run = make_run(restricted=tuple(f"region-{number}" for number in range(10)), features=12)
    text = render_html(collect(run.run_dir))
    assert len(text.encode()) < 5_000_000
    # 200 curves, two of training in each region, 11 forecasts and the scores, the last two for either width.
    assert 100 < text.count('<svg role="img"') <= 200 + 2 * 10 + 2 * 11 + 2
    assert "more curves are in" in text
    assert len(drawn) == 6  # three kinds of curves, training, forecasts in two widths


def test_pictures_say_in_words_what_they_show() -> None:
    x = (0.0, 1.0, 2.0)
    density = Curve(kind="density", feature="v", x=x, real=(0.1, 0.9, 0.1), synthetic=(0.1, 0.2, 0.7))
    assert curve_alt(density) == "Density of v: real rows peak at 1.000, synthetic rows at 2.000."
    # Gaps are 0, 0.5 and 0.1: the widest is at lag 2, their mean is 0.2.
    acf = Curve(kind="autocorrelation", feature="v", x=(1, 2, 3), real=(1, 0.5, 0.1), synthetic=(1, 0, 0))
    assert curve_alt(acf) == (
        "Autocorrelation of v: real and synthetic differ by 0.500 at most, at lag 2, and by 0.200 on average."
    )
    gone = Curve(kind="density", feature="v", x=x, real=(None,) * 3, synthetic=(0.1, 0.2, 0.7))
    assert curve_alt(gone) == "v: no value in common between real and synthetic."


def test_a_synthetic_peak_above_the_real_one_is_not_cut_off() -> None:
    x = tuple(float(i) for i in range(9))
    low, high = (0.1,) * 9, (0.1, 0.1, 0.1, 0.1, 5.0, 0.1, 0.1, 0.1, 0.1)
    svg = curve_svg(Curve(kind="density", feature="v", x=x, real=low, synthetic=high), name="p1")
    frame = float(re.search(r'viewBox="0 0 [\d.]+ ([\d.]+)"', svg)[1])  # type: ignore[index]
    (dashed,) = re.findall(r'<path d="([^"]+)"[^>]*stroke-dasharray', svg)
    # The highest drawn point keeps clear of the axes' upper end, 14 % below the upper edge.
    assert min(float(y) for _, y in re.findall(r"([\d.]+) (-?[\d.]+)", dashed)) > 0.14 * frame


def test_pictures_follow_the_theme_and_keep_their_digits() -> None:
    x = tuple(np.linspace(0.12345, 0.12945, 7))
    curve = Curve(kind="density", feature="a<b", x=x, real=(1.0,) * 7, synthetic=(2.0,) * 7)
    svg = curve_svg(curve, name="p1")
    assert "var(--real)" in svg and "var(--synthetic)" in svg and "#0102" not in svg
    assert "a&lt;b" in svg and '<title id="p1-alt">' in svg
    ticks = re.findall(r">(0\.\d+)</text>", svg)
    assert any(len(tick) > 4 for tick in ticks), ticks
    assert not re.search(r"\d\.\d{3}", "".join(re.findall(r"<[^>]+>", svg))), (
        "coordinates need no third digit"
    )
    assert set(re.findall(r'(?:url\(#|href="#)([^)"]+)', svg)) <= set(re.findall(r' id="([^"]+)"', svg))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0, "0"),
        (0.5, "0.500"),
        (-0.25, "−0.250"),
        (1e-9, "1.0e-9"),
        (20_151, "20,151"),
        (0.0, "0.000"),
    ],
)
def test_numbers(value: float | int | None, text: str) -> None:
    assert words.number(value) == text


def test_other_words() -> None:
    assert [words.duration(s) for s in (None, 0.44, 41, 200, 3900)] == [
        "–",
        "0.4 s",
        "41 s",
        "3 min 20 s",
        "1 h 5 min",
    ]
    assert words.moment("2026-11-21T05:51:00+02:00") == "21 Nov 2026, 03:51 UTC"
    assert words.moment("yesterday") == "yesterday"
    assert words.bounds(Bounds(lo=-0.1, hi=0.2)) == "−0.100 to 0.200"
    assert [words.limits(pair) for pair in ((0, 1), (0, None), (None, 1), (None, None))] == [
        "0 to 1", "0 or more", "at most 1", "",
    ]  # fmt: skip
    assert words.short_digest("sha256:" + "ab" * 32) == "abababababab"
    assert words.scenario_name("my_own") == "My own"
