"""What a search has found so far: one JSON file per training, so that one that was killed goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from components.errors import ConfigError
from components.executor_base import write_atomically
from components.tuner.core.scoring import Outcome
from components.tuner.core.study import Values
from pipeline.root_lock import hold_folder

#: Says which search a folder holds.
STUDY_FILE = "study.json"
#: What the trainings print.
LOG = "trials.log"
#: What a search leaves beside its records.
RESULTS = ("tuning.json", "tuning.png", "proposed.yaml")
#: The operator's alone: scores of rows that no gate has seen.
PRIVATE = 0o600


class RecordFolder:
    """Outcomes below a folder. Made by `open_records`."""

    def __init__(self, folder: Path) -> None:
        """Reads nothing yet; `folder` exists."""
        self.folder = folder

    def get(self, trial: int, repeat: int, values: Values) -> Outcome | None:
        """The outcome of a training; None where there is none.

        Raises:
          ConfigError: the file is of another form, or of other values.
        """
        path = self._path(trial, repeat)
        if not path.exists():
            return None
        found = _read(path)
        if found.get("values") != values:
            raise ConfigError(f"{path}: holds other values than this search tries; allowed: --fresh")
        try:
            return Outcome.from_json(found["outcome"])
        except (KeyError, TypeError):
            raise ConfigError(f"{path}: is no record of a trial; allowed: --fresh") from None

    def put(self, trial: int, repeat: int, values: Values, outcome: Outcome) -> None:
        """Writes an outcome, whole or not at all.

        Raises:
          ConfigError: it cannot be written.
        """
        record = {"trial": trial, "repeat": repeat, "values": values, "outcome": outcome.to_json()}
        try:
            write_private(self._path(trial, repeat), record)
        except OSError as error:
            raise ConfigError(f"-o {self.folder}: cannot be written ({error.strerror})") from None

    def spent_s(self) -> float:
        """Seconds that all recorded trainings took."""
        found = 0.0
        for path in sorted(self.folder.glob("trial-*.json")):
            outcome = _read(path).get("outcome")
            found += float(outcome.get("wall_s", 0.0)) if isinstance(outcome, dict) else 0.0
        return found

    def _path(self, trial: int, repeat: int) -> Path:
        return self.folder / f"trial-{trial:04d}-repeat-{repeat}.json"


@contextmanager
def open_records(folder: Path, study: dict[str, Any], fresh: bool) -> Iterator[RecordFolder]:
    """Holds a folder for one search; released by the system even when the process is killed.

    Args:
      folder: Made where it is not there.
      study: What makes a search the same one; kept as `study.json`.
      fresh: Whether records of a search before are removed.

    Raises:
      BusyError: another process searches there.
      ConfigError: it cannot be written, or holds the records of another search.
    """
    with hold_folder(folder, f"-o {folder}"):
        mark = folder / STUDY_FILE
        if fresh:
            for path in (mark, *(folder / name for name in (*RESULTS, LOG)), *folder.glob("trial-*.json")):
                path.unlink(missing_ok=True)
        if mark.exists():
            changed = sorted(name for name, value in study.items() if _read(mark).get(name) != value)
            if changed:
                raise ConfigError(
                    f"-o {folder}: holds a search with another {', '.join(changed)}; allowed: --fresh, which "
                    "removes its trials, or another folder"
                )
        else:
            write_private(mark, study)
        yield RecordFolder(folder)


def write_private(path: Path, value: Any) -> None:
    """Writes indented JSON for the operator alone, atomically."""
    text = json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n"
    write_atomically(path, text, mode=PRIVATE)


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        raise ConfigError(f"{path}: cannot be read as JSON; allowed: --fresh") from None
    if not isinstance(found, dict):
        raise ConfigError(f"{path}: is no record of a search; allowed: --fresh")
    return found
