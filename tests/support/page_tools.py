"""Where `make page-tools` puts axe-core and the JUnit schema; skips where they are not, unless required."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / ".venvs" / "page-tools"


def page_tool(name: str) -> Path:
    """Path of a tool's file."""
    path = FOLDER / name
    if not path.is_file():
        told = f"{path} is missing: make page-tools"
        if os.environ.get("ISTHMUS_PAGE_TOOLS") == "required":
            pytest.fail(told)
        pytest.skip(told)
    return path


def axe_source() -> str:
    """axe-core, to be evaluated in a page."""
    return page_tool("axe_playwright_python/axe.min.js").read_text()
