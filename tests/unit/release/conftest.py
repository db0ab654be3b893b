"""The two kinds of exchange that need no server."""

from __future__ import annotations

import uuid

import pytest

from components.release.storage import open_store


@pytest.fixture(params=["file", "memory"])
def store(request, tmp_path):
    if request.param == "file":
        return open_store(f"file://{tmp_path}/exchange")
    return open_store(f"memory://exchange-{uuid.uuid4().hex}")
