"""A deployment with channels, in a folder of its own."""

from __future__ import annotations

import pytest

from tests.support.alerting import World


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)
