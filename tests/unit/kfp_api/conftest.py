"""A simulated KFP server, an API on it, a compiled pipeline, and the command line in this process."""

from __future__ import annotations

import sys

import pytest

from pipeline import cli
from pipeline.kfp_api import connection
from pipeline.kfp_api.client import Api
from tests.support import kfp_api_specs
from tests.support.kfp_server import KfpServer


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch, tmp_path):
    """No endpoint, token or pod of whoever runs the tests."""
    for name in (connection.ENDPOINT_VARIABLE, connection.TOKEN_FILE_VARIABLE, connection.POD_TOKEN_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(connection, "POD_TOKEN_FILE", tmp_path / "no-pod-token")


@pytest.fixture
def server():
    with KfpServer() as found:
        yield found


@pytest.fixture
def pauses():
    """Seconds that the API slept."""
    return []


@pytest.fixture
def api(server, pauses):
    return Api(connection.connect(server.endpoint), sleep=pauses.append)


@pytest.fixture
def spec_file(tmp_path):
    path = tmp_path / "pipeline.yaml"
    path.write_text(kfp_api_specs.text())
    return path


@pytest.fixture
def isthmus(monkeypatch, capsys):
    """Calls `isthmus`; gives the exit status, stdout and stderr."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["isthmus", *map(str, arguments)])
        exit_status = cli._run_app()
        captured = capsys.readouterr()
        return exit_status, captured.out, captured.err

    return call
