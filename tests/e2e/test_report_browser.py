"""The report in Chromium: nothing is asked of the network, no error, legible on a phone and a desk."""

from __future__ import annotations

import importlib.util
import itertools
from pathlib import Path

import pytest

from pipeline.report.collect import collect
from pipeline.report.render import render
from tests.support.chromium import Browser
from tests.support.page_checks import legible_pictures, quiet_and_fitting

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = Path(__file__).parents[1] / "unit" / "report" / "made_up_run.py"
    spec = importlib.util.spec_from_file_location("made_up_run_for_browser", source)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    run_dir = module.MadeUpRun(tmp_path_factory.mktemp("run")).run_dir
    out = Path(run_dir) / "report.html"
    render(collect(run_dir), out)
    return out


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_page_is_quiet_and_fits(browser: Browser, page: Path, tmp_path: Path, width: int, dark: bool) -> None:
    quiet_and_fitting(browser, page, "report", width, dark, tmp_path)


def test_text_in_pictures_is_legible_on_a_phone_and_on_a_desk(browser: Browser, page: Path) -> None:
    legible_pictures(browser, page, 50)


def test_screen_readers_and_keyboards_find_their_way(browser: Browser, page: Path) -> None:
    browser.show(page, 1280)
    assert browser.evaluate("document.querySelectorAll('h1').length") == 1
    assert browser.evaluate("document.documentElement.lang") == "en"
    assert browser.evaluate(
        "[...document.querySelectorAll('svg[role=img]')].every(s => s.querySelector('title'))"
    )
    assert browser.evaluate("[...document.images].every(i => i.alt)")
    assert browser.evaluate("[...document.querySelectorAll('.scroll')].every(e => e.tabIndex === 0)")
    ids = browser.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))
    dead = (
        "[...document.querySelectorAll('a[href^=\"#\"]')].filter(a => !document.querySelector(a.hash)).length"
    )
    assert browser.evaluate(dead) == 0
    # Levels never jump: h2 is not followed by h4.
    levels = browser.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map(h => +h.tagName[1])")
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
