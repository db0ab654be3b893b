"""The report in Chromium: nothing is asked of the network, no error, legible on a phone and a desk."""

from __future__ import annotations

import base64
import importlib.util
import itertools
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.report.collect import collect
from pipeline.report.render import render

pytestmark = pytest.mark.browser

CHROMIUM = next((found for found in map(shutil.which, ("chromium", "chromium-browser")) if found), None)
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--remote-debugging-pipe",
)


class Browser:
    """Chromium over its debugging pipe (file descriptors 3 and 4): JSON messages, each ended by NUL."""

    def __init__(self, profile: Path) -> None:
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()

        def wire() -> None:
            # Copies first, far up, so that neither pipe overwrites the other on its way to 3 and 4.
            high_in, high_out = os.dup2(theirs_in, 100), os.dup2(theirs_out, 101)
            os.dup2(high_in, 3)
            os.dup2(high_out, 4)

        self.process = subprocess.Popen(
            [str(CHROMIUM), *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            preexec_fn=wire,
            close_fds=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self.read_end, self.write_end = ours_in, ours_out
        self.buffer = b""
        self.events: list[dict[str, Any]] = []
        self.number = 0
        self.session = ""

    def open(self) -> None:
        """Attaches to the first tab and listens to its network, its console and its errors."""
        deadline = time.monotonic() + 30
        pages: list[dict[str, Any]] = []
        while not pages and time.monotonic() < deadline:
            targets = self.send("Target.getTargets")["targetInfos"]
            pages = [target for target in targets if target["type"] == "page"]
        attached = self.send("Target.attachToTarget", targetId=pages[0]["targetId"], flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Sends a command and returns its result; events that come meanwhile are kept."""
        self.number += 1
        message: dict[str, Any] = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.write_end, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self.number:
                assert "error" not in answer, answer["error"]
                return dict(answer["result"])
            self.events.append(answer)

    def wait_for(self, method: str) -> None:
        """Waits until an event has come."""
        while not any(event.get("method") == method for event in self.events):
            self.events.append(self._receive())

    def show(self, page: Path, width: int, dark: bool = False) -> None:
        """Loads a page in a window of the given width, in CSS pixels."""
        self.events.clear()
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        self.send("Page.navigate", url=page.as_uri())
        self.wait_for("Page.loadEventFired")

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        result = self.send("Runtime.evaluate", expression=expression, returnByValue=True)
        return result["result"].get("value")

    def screenshot(self, path: Path) -> None:
        """The whole page, beyond the window, as PNG."""
        shot = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def close(self) -> None:
        """Ends the browser."""
        self.process.terminate()
        self.process.wait(timeout=20)
        os.close(self.read_end)
        os.close(self.write_end)

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.read_end], [], [], 60)
            assert ready, "Chromium does not answer"
            chunk = os.read(self.read_end, 1 << 20)
            assert chunk, f"Chromium ended with {self.process.poll()}"
            self.buffer += chunk
        raw, self.buffer = self.buffer.split(b"\0", 1)
        return dict(json.loads(raw))


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


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium)")
    found = Browser(tmp_path_factory.mktemp("profile"))
    try:
        found.open()
        yield found
    finally:
        found.close()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_page_is_quiet_and_fits(browser: Browser, page: Path, tmp_path: Path, width: int, dark: bool) -> None:
    browser.show(page, width, dark)
    shots = Path(os.environ.get("ISTHMUS_SCREENSHOTS", tmp_path))
    shot = shots / f"report-{width}-{'dark' if dark else 'light'}.png"
    browser.screenshot(shot)
    assert shot.stat().st_size > 20_000
    requests = [
        e["params"]["request"]["url"]
        for e in browser.events
        if e.get("method") == "Network.requestWillBeSent"
    ]
    assert requests, "the network log is empty, so it shows nothing"
    assert [url for url in requests if url != page.as_uri() and not url.startswith("data:")] == []
    noise = [
        event
        for event in browser.events
        if event.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled")
    ]
    assert noise == []
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    background = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") is not dark


def test_text_in_pictures_is_legible_on_a_phone_and_on_a_desk(browser: Browser, page: Path) -> None:
    sizes = """[...document.querySelectorAll('figure svg')].filter(s => s.getBoundingClientRect().width > 0)
      .flatMap(s => [...s.querySelectorAll('text')].map(t => parseFloat(getComputedStyle(t).fontSize)
      * s.getBoundingClientRect().width / s.viewBox.baseVal.width))"""
    for width in (390, 1280):
        browser.show(page, width)
        found = browser.evaluate(sizes)
        assert len(found) > 50
        assert min(found) >= 9, f"{min(found):.1f} px at a width of {width}"


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
