"""The files of a ModelBlessing: how a verdict is written, for everyone who gives one."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from components import executor_base

#: Only the first pushes.
VERDICTS = ("BLESSED", "NOT_BLESSED", "NOT_EVALUATED")
VERDICT_FILE = "verdict.json"


def write_blessing(root: str | os.PathLike[str], verdict: str, reasons: Iterable[str]) -> None:
    """Writes `verdict.json`, then the one empty marker file: a crash in between blesses nothing."""
    folder = Path(root)
    for name in VERDICTS:
        (folder / name).unlink(missing_ok=True)
    executor_base.write_json(folder / VERDICT_FILE, {"verdict": verdict, "reasons": list(reasons)})
    executor_base.write_atomically(folder / verdict, b"")
