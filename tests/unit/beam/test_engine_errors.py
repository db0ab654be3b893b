"""What engines report becomes one line, and quotes nobody but us."""

from __future__ import annotations

import pytest

from components.beam.engine_errors import engine_errors
from components.errors import ConfigError, DataError, InternalError

TRACEBACK = """Pipeline job-f5ac failed in state FAILED: Traceback (most recent call last):
  File "worker.py", line 1, in process
pyarrow.lib.ArrowInvalid: value secret-7 is out of range
ValueError: secret-7
"""


@pytest.mark.parametrize(
    ("raised", "kind", "line"),
    [
        (DataError("cannot read x\nand a second line"), DataError, "cannot read x"),
        (DataError("cannot read x [while running 'Sample-ptransform-9']"), DataError, "cannot read x"),
        (
            RuntimeError(
                "Traceback\n  File a\ncomponents.errors.ConfigError: no such place\n\nDuring handling"
            ),
            ConfigError,
            "no such place",
        ),
        (
            RuntimeError("…\\ncomponents.errors.InternalError: m.zip: changed [while running 'Sample']\\n"),
            InternalError,
            "m.zip: changed",
        ),
        (
            RuntimeError(TRACEBACK),
            InternalError,
            "locale=eu: beam: the engine reported RuntimeError → ValueError; the step's log has the rest",
        ),
        (
            ConnectionError("secret-7"),
            InternalError,
            "locale=eu: beam: the engine reported ConnectionError; the step's log has the rest",
        ),
    ],
)
def test_one_line(raised: Exception, kind: type[Exception], line: str) -> None:
    with pytest.raises(kind) as caught, engine_errors("locale=eu"):
        raise raised
    assert type(caught.value) is kind and str(caught.value) == line
