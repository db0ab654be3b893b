"""The process's exit status is the run's; an interrupt says how to go on."""

from __future__ import annotations

import sys

import pytest

from pipeline import cli


@pytest.mark.parametrize("exit_status", [0, 1, 2, 3])
def test_the_exit_status_of_a_run_is_that_of_the_process(exit_status, monkeypatch):
    monkeypatch.setattr(cli, "run_and_report", lambda *given: exit_status)
    monkeypatch.setattr(sys, "argv", ["isthmus", "run", "x.yaml"])
    assert cli._run_app() == exit_status


def test_an_interrupt_says_how_to_go_on(monkeypatch, capsys):
    def interrupt(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "run_and_report", interrupt)
    monkeypatch.setattr(sys, "argv", ["isthmus", "run", "x.yaml"])
    assert cli._run_app() == 130
    assert "interrupted; the next run goes on" in capsys.readouterr().err


def test_a_usage_error_is_bad_input(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["isthmus", "run"])
    assert cli._run_app() == 2
    assert "Missing argument" in capsys.readouterr().err


def test_a_simulated_fleet_is_not_mixed_with_another(tmp_path, monkeypatch, capsys):
    out = str(tmp_path / "fleet")
    monkeypatch.setattr(sys, "argv", ["isthmus", "simulate", out, "--size", "small"])
    assert cli._run_app() == 0
    assert cli._run_app() == 2
    assert "holds a fleet already" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(sys, "argv", ["isthmus", "simulate", str(tmp_path / "file" / "x"), "--size", "small"])
    assert cli._run_app() == 2
    assert "cannot be written (Not a directory)" in capsys.readouterr().err
