"""The command line, in this process."""

from __future__ import annotations

import sys

import pytest

from pipeline import cli


@pytest.fixture
def isthmus(monkeypatch, capsys):
    """Calls `isthmus`; gives the exit status, stdout and stderr."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["isthmus", *map(str, arguments)])
        exit_status = cli._run_app()
        captured = capsys.readouterr()
        return exit_status, captured.out, captured.err

    return call
