"""What holds for every page that we write, as Chromium shows it."""

from __future__ import annotations

import os
from pathlib import Path

from tests.support.chromium import Browser


def quiet_and_fitting(
    browser: Browser, page: Path, name: str, width: int, dark: bool, tmp_path: Path
) -> None:
    """Nothing is asked of the network, nothing is logged, nothing is wider than the window; and a picture.

    Args:
      browser: Shows it.
      page: The file.
      name: Of the picture, which lies in `ISTHMUS_SCREENSHOTS` where that is set.
      width: Of the window, in pixels.
      dark: Whether the reader wants it dark.
      tmp_path: Where the picture lies otherwise.
    """
    browser.show(page, width, dark)
    shots = Path(os.environ.get("ISTHMUS_SCREENSHOTS", tmp_path))
    shot = shots / f"{name}-{width}-{'dark' if dark else 'light'}.png"
    browser.screenshot(shot)
    assert shot.stat().st_size > 20_000
    requests = browser.requests()
    assert requests, "the network log is empty, so it shows nothing"
    assert [url for url in requests if url != page.as_uri() and not url.startswith("data:")] == []
    assert browser.noise() == []
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    background = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") is not dark


def legible_pictures(browser: Browser, page: Path, least: int) -> None:
    """Text in pictures has 9 pixels or more, on a phone and at a desk; `least` texts there are."""
    sizes = """[...document.querySelectorAll('figure svg')].filter(s => s.getBoundingClientRect().width > 0)
      .flatMap(s => [...s.querySelectorAll('text')].map(t => parseFloat(getComputedStyle(t).fontSize)
      * s.getBoundingClientRect().width / s.viewBox.baseVal.width))"""
    for width in (390, 1280):
        browser.show(page, width)
        found = browser.evaluate(sizes)
        assert len(found) > least
        assert min(found) >= 9, f"{min(found):.1f} px at a width of {width}"
