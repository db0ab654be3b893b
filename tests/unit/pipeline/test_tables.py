"""What the terminal shows: whole messages, whatever they hold, in 80 columns."""

from __future__ import annotations

import io

from rich.console import Console

from components.executor_base import write_json
from pipeline import tables


def shown(item, width=80):
    out = io.StringIO()
    console = Console(file=out, width=width)
    item(console) if callable(item) else console.print(item)
    return out.getvalue()


def test_brackets_in_a_message_are_text(tmp_path):
    error = "source '/data/[ab]/*.csv': no file matches; see locales[0] [/x]"
    failed = {"status": "failed", "error": error, "log": "/logs/[bold]/x.log", "components": []}
    skipped = {"status": "skipped", "components": []}
    write_json(tmp_path / "run.json", {"locales": {"eu-west": failed}, "central": skipped})
    text = shown(lambda console: tables.print_outcome(tmp_path, console))
    assert f"eu-west: {error}" in text
    assert "/logs/[bold]/x.log" in text


def test_a_release_that_was_refused_says_why_in_the_tree():
    merge = {"refused": [{"locale": "eu-west", "reason": "lists files [/odd] that no release may hold"}]}
    lineage = {"run_id": "r", "config_digest": "d", "regions": {}, "merge": merge, "detector": {}}
    assert "eu-west: lists files [/odd]" in shown(tables.lineage_tree(lineage))


def ended(pipelines, exit_status, exit_reason=""):
    """What `pipeline.inspect.status` gives of a run that has ended."""
    told = {"exit_status": exit_status, "exit_reason": exit_reason, "pipelines": pipelines}
    return {"run_id": "r", "state": "finished", "finished_at": "2026-11-22T00:00:00+00:00"} | told


def test_the_status_fits_a_terminal_of_80_columns():
    row = {"sharing": "restricted", "status": "succeeded", "components": 9, "cached": 9, "seconds": 123.4}
    row |= {"verdict": "NOT_BLESSED", "release": {"release_id": "ba9c33fb8c48"}}
    lines = shown(tables.status_table(ended({"ap-south": row}, exit_status=0)))
    for whole in ("ap-south", "restricted", "succeeded", "123.4", "NOT_BLESSED", "ba9c33fb8c48"):
        assert whole in lines
    assert lines.split()[-3:] == ["exit", "status", "0"]


def test_the_status_of_a_run_says_why_it_ended():
    reason = "bad input: eu-west; see locales[0] [/x]"
    text = " ".join(shown(tables.status_table(ended({}, exit_status=2, exit_reason=reason))).split())
    assert text.endswith(f"exit status 2: {reason}")


def test_the_outcome_ends_with_the_reason_of_its_exit_status(tmp_path):
    skipped = {"status": "skipped", "components": []}
    reason = "a verdict was negative: eu-west NOT_BLESSED; the quorum was not met"
    state = {"locales": {}, "central": skipped, "exit_status": 1, "exit_reason": reason}
    write_json(tmp_path / "run.json", state)
    text = shown(lambda console: tables.print_outcome(tmp_path, console))
    assert text.splitlines()[-1] == f"exit status 1: {reason}"
