"""One Chromium for all browser tests of a session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.chromium import CHROMIUM, Browser


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium)")
    found = Browser(tmp_path_factory.mktemp("profile"))
    try:
        found.open()
        yield found
    finally:
        found.close()
