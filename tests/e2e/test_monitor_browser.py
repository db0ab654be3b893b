"""The monitoring pages in Chromium: quiet, legible, accessible, at a desk's and a phone's width."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from components.executor_base import write_atomically
from pipeline.monitor_report.outward_view import outward_view, own_part
from pipeline.monitor_report.render import render_html, write, write_own
from pipeline.monitor_report.spans import history_of
from tests.support.chromium import Browser
from tests.support.made_up_monitoring import make_history, make_run
from tests.support.page_checks import legible_pictures, quiet_and_fitting
from tests.support.page_tools import axe_source

pytestmark = pytest.mark.browser

#: The run's page, a restricted locale's own with pictures, and one of a zone without a baseline.
PAGES = ("monitor.html", "own/monitor.html", "monitor/sa-north.html")
#: Everything that is folded is unfolded, so that it is judged too.
AXE = """(async () => {
  for (const item of document.querySelectorAll('details')) item.open = true;
  const found = await axe.run(document, {resultTypes: ['violations']});
  const told = v => v.id + ': ' + v.help + ': ' + v.nodes.map(n => n.html.slice(0, 150)).join(' | ');
  return [found.passes.length, found.violations.map(told)];
})()"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages; in `short` those with three spans of history, since axe looks at every cell for a while."""
    out = tmp_path_factory.mktemp("monitored")
    run, history = make_run(), make_history()
    write(run, out, history=history)
    write_own(run, "eu-west", out / "own", history=history)
    short = out / "short"
    for name, part in (("monitor.html", outward_view(run)), ("own/monitor.html", own_part(run, "eu-west"))):
        page = render_html(part, history_of(part, history[-2:]), parts=name == "monitor.html")
        write_atomically(short / name, page)
    return out


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", PAGES)
def test_pages_are_quiet_and_fit(
    browser: Browser, folder: Path, tmp_path: Path, name: str, width: int, dark: bool
) -> None:
    quiet_and_fitting(browser, folder / name, name.replace("/", "-"), width, dark, tmp_path)


def _axe(browser: Browser) -> tuple[int, list[str]]:
    """How many rules of axe passed on what is shown, and what does not pass."""
    browser.send("Runtime.evaluate", expression=axe_source())
    answer = browser.send("Runtime.evaluate", expression=AXE, awaitPromise=True, returnByValue=True)
    passed, violations = answer["result"]["value"]
    return passed, violations


@pytest.mark.parametrize(
    ("name", "width", "dark"),
    [
        ("short/monitor.html", 1280, False),
        ("short/monitor.html", 390, True),
        ("short/own/monitor.html", 390, False),
        ("short/own/monitor.html", 1280, True),
        ("monitor/sa-north.html", 1280, False),
    ],
)
def test_pages_are_accessible(browser: Browser, folder: Path, name: str, width: int, dark: bool) -> None:
    browser.show(folder / name, width, dark)
    passed, violations = _axe(browser)
    assert violations == []
    assert passed > 15, "axe looked at next to nothing"


def test_axe_would_find_violations(browser: Browser, tmp_path: Path) -> None:
    bad = tmp_path / "bad.html"
    bad.write_text(
        "<!DOCTYPE html><html><title>t</title><img src='data:,'><p style='color:#ccc'>pale</p></html>"
    )
    browser.show(bad, 1280)
    found = " ".join(_axe(browser)[1])
    assert [name for name in ("image-alt", "html-has-lang", "color-contrast") if name not in found] == []


def test_text_in_pictures_is_legible(browser: Browser, folder: Path) -> None:
    legible_pictures(browser, folder / "own" / "monitor.html", 30)


def test_no_label_in_a_picture_overlaps_another_or_is_cut(browser: Browser, folder: Path) -> None:
    browser.show(folder / "own" / "monitor.html", 1280)
    browser.evaluate("document.querySelectorAll('details').forEach(item => item.open = true)")
    boxes = browser.evaluate(
        """[...document.querySelectorAll('figure svg')].map(s => {
          const outer = s.getBoundingClientRect();
          return [[outer.left, outer.top, outer.right, outer.bottom],
                  [...s.querySelectorAll('text')].map(t => {
                    const b = t.getBoundingClientRect();
                    return [b.left, b.top, b.right, b.bottom, t.textContent];
                  })];
        })"""
    )
    assert len(boxes) >= 6
    for (left, top, right, bottom), texts in boxes:
        for text in texts:
            inside = (
                text[0] >= left - 1 and text[2] <= right + 1 and text[1] >= top - 2 and text[3] <= bottom + 2
            )
            assert inside, f"'{text[4]}' is cut"
        for one, other in itertools.combinations(texts, 2):
            wide = min(one[2], other[2]) - max(one[0], other[0])
            high = min(one[3], other[3]) - max(one[1], other[1])
            # Boxes of text are higher than its letters.
            assert wide <= 1 or high <= 4, f"'{one[4]}' overlaps '{other[4]}'"


def test_a_link_to_a_finding_unfolds_it_and_headings_never_jump(browser: Browser, folder: Path) -> None:
    browser.show(folder / "monitor.html", 1280)
    last = "[...document.querySelectorAll('details.finding')].at(-1)"
    assert browser.evaluate(f"{last}.open") is False
    browser.evaluate(f"location.hash = {last}.querySelector('.inside').id")
    assert browser.evaluate(f"{last}.open") is True
    levels = browser.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map(h => +h.tagName[1])")
    assert levels[0] == 1 and all(after - before <= 1 for before, after in itertools.pairwise(levels))
    dead = (
        "[...document.querySelectorAll('a[href^=\"#\"]')].filter(a => !document.querySelector(a.hash)).length"
    )
    assert browser.evaluate(dead) == 0
    ids = browser.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))
    without = (
        "[...document.querySelectorAll('table')].filter(t => !t.caption || !t.querySelector('th[scope]'))"
    )
    assert browser.evaluate(f"{without}.length") == 0


def test_print_shows_what_is_folded_and_no_navigation(browser: Browser, folder: Path) -> None:
    browser.show(folder / "own" / "monitor.html", 1280)
    browser.send("Emulation.setEmulatedMedia", media="print")
    try:
        inside = "[...document.querySelectorAll('details.finding .inside')]"
        heights = browser.evaluate(f"{inside}.map(e => e.getBoundingClientRect().height)")
        assert len(heights) >= 6 and min(heights) > 100
        assert browser.evaluate("getComputedStyle(document.querySelector('nav')).display") == "none"
    finally:
        browser.send("Emulation.setEmulatedMedia", media="")
