"""Libraries that print while they are imported, kept away from the terminal."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO


@contextlib.contextmanager
def without_stderr() -> Iterator[None]:
    """Sends standard error nowhere, at the level of file descriptors: TensorFlow writes from C++."""
    sys.stderr.flush()
    kept = os.dup(2)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)


@contextlib.contextmanager
def own_stderr() -> Iterator[TextIO]:
    """Standard error for us alone: what libraries write there goes nowhere, as in `without_stderr`."""
    if sys.stderr is not sys.__stderr__:  # already somebody's own, such as a test's
        with without_stderr():
            yield sys.stderr
        return
    with os.fdopen(os.dup(2), "w") as ours, without_stderr():
        yield ours
