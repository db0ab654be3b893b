"""The command line of a step's container."""

from __future__ import annotations

from pathlib import Path

import pytest

import pipeline
from pipeline.entrypoint.arguments import parse

BASE = [
    "--task=eu-onboard",
    "--step=onboard",
    "--role=region",
    "--sharing=restricted",
    "--executor_input",
    "{}",
]


def test_what_the_compiler_writes_is_read() -> None:
    found = parse([*BASE[:4], "--timeout-s=60", '--store={"uri":"s3://b"}', "--state=/state", *BASE[4:]])
    assert (found.task, found.step, found.role, found.sharing) == (
        "eu-onboard",
        "onboard",
        "region",
        "restricted",
    )
    assert (found.timeout_s, found.store, found.state, found.executor_input) == (
        60,
        '{"uri":"s3://b"}',
        "/state",
        "{}",
    )


def test_what_may_be_left_out() -> None:
    found = parse(BASE)
    assert (found.timeout_s, found.store, found.state) == (0, "", "")


@pytest.mark.parametrize(
    "arguments",
    [
        BASE[1:],
        BASE[:4],
        [*BASE, "--role=owner"],
        [*BASE, "--sharing=public"],
        [*BASE, "--timeout-s=soon"],
        [*BASE, "--more=1"],
    ],
)
def test_what_is_wrong_ends_with_status_2(arguments: list[str], capsys) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(arguments)
    assert caught.value.code == 2 and "python -m pipeline.entrypoint: error:" in capsys.readouterr().err


def test_the_entrypoint_reads_what_the_compiler_writes() -> None:
    """`pipeline.compiler.lower` writes the arguments; a name that one of them changes is found here."""
    source = (Path(pipeline.__file__).parent / "compiler" / "lower.py").read_text()
    for name in (
        "--task=",
        "--step=",
        "--role=",
        "--sharing=",
        "--timeout-s=",
        "--store=",
        "--state=",
        "--executor_input",
    ):
        assert name in source
