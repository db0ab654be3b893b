"""The page on profiles names tests, options, risks and numbers that the code has."""

from __future__ import annotations

import json
import re
from typing import get_args

import pytest
import typer

from components.profiler.core import cost, kinds, leakage, likeness, proposing
from pipeline.cli import app
from tests.support.doc_pages import ROOT, named_tests_exist

PAGE = (ROOT / "docs" / "profile.md").read_text()


def test_every_test_and_benchmark_that_is_named_exists() -> None:
    named_tests_exist(PAGE)
    for name in re.findall(r"python -m ([\w.]+)", PAGE):
        assert (ROOT / (name.replace(".", "/") + ".py")).is_file(), name


def test_every_option_exists() -> None:
    command = typer.main.get_command(app).commands["profile"]
    known = {name for item in command.params for name in item.opts}
    for call in re.findall(r"isthmus profile ([^\n#]*)", PAGE):
        assert {word for word in call.split() if word.startswith("-")} <= known, call


def test_kinds_and_risks_are_those_of_the_code() -> None:
    told = PAGE.split("## Properties")[1].split("## ")[0]
    for name in (*get_args(kinds.Kind), *get_args(leakage.Risk)):
        assert f"`{name}`" in told, name


def test_keys_that_may_depart_and_their_thresholds() -> None:
    told = PAGE.split("## The proposal")[1].split("## ")[0]
    assert f"fewer than {proposing.ROWS_PER_KNOT} normal" in told
    assert f"fewer than {proposing.CROWD} rows" in told
    assert f"fewer than {proposing.WINDOWS_PER_BATCH * 32} windows" in told


def test_the_coefficients_are_those_of_the_code() -> None:
    told = PAGE.split("## Expected cost")[1].split("## ")[0]
    for terms in (cost.CPU, cost.MEMORY):
        for value in terms.values():
            assert f"{value:g}" in told.replace(",", ""), value
    assert f"Beyond {cost.LIMITS['rows']:,} rows, {cost.LIMITS['numeric']} numbers" in told


def test_the_measured_fidelity_is_that_of_the_synthesizers_results() -> None:
    # What a band adds is wider; a result that moves further than this has to be taken over.
    keys = ("marginal", "worst", "pair", "acf", "acf_local", "step")
    folders = {"dense": "dense-simulated-server", "SMAP A-2": "smap-a-2"}
    for case in (likeness.DENSE, likeness.SMAP, likeness.FLEET):
        folder = ROOT / "benchmarks" / "synthesizer" / "results" / folders.get(case.name, "simulated-eu-west")
        for generator, numbers in (("ours", case.ours), ("real", case.real)):
            runs = [json.loads(path.read_text()) for path in (folder / generator).glob("seed-*.json")]
            for key, number in zip(keys, numbers, strict=True):
                found = [run["measures"][key] for run in runs]
                assert sum(found) / len(found) == pytest.approx(number, abs=0.01), (case.name, generator, key)
            assert all(run["rows"]["train"] == case.rows for run in runs)
