"""What holds for every page of the documentation that stands on tests."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def named_tests_exist(page: str, least: int = 6) -> None:
    """Each `file::test` of a page is a test, a later `::test` one of the same file; there are `least`."""
    file, found = "", 0
    for path, test in re.findall(r"`((?:(?:unit|contract)/[\w/]+\.py)?)::(test_\w+)`", page):
        file = path or file
        assert f"def {test}(" in (ROOT / "tests" / file).read_text(), test
        found += 1
    assert found == page.count("::test_") >= least
