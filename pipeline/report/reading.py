"""Reading of a run's files by the keys that the components write; what is not there is said in words.

A report must come out of every run, above all of one that failed, so nothing here raises for a
missing file, a missing key or a value of another type: it counts as not recorded.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.errors import DataError
from pipeline.report.model import Bounds, ComponentRun, Part, PipelineRun


def read_run(run_folder: Path) -> dict[str, Any]:
    """A run's record, `run.json`.

    Args:
      run_folder: `<root>/runs/<run_id>`.

    Raises:
      DataError: it is missing or is no JSON object: then there is no run to report on.
    """
    path = run_folder / "run.json"
    try:
        run = json.loads(path.read_text())
    except FileNotFoundError:
        raise DataError(f"{path}: not found; name a run's folder, as `isthmus status` lists them") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not JSON ({type(error).__name__}); run it again") from None
    if not isinstance(run, dict):
        raise DataError(f"{path}: expected a JSON object, found {type(run).__name__}; run it again")
    return run


def as_mapping(value: Any) -> dict[str, Any]:
    """The value if it is a mapping, else an empty one."""
    return {str(key): item for key, item in value.items()} if isinstance(value, Mapping) else {}


def as_list(value: Any) -> list[Any]:
    """The value if it is a list, else an empty one."""
    return list(value) if isinstance(value, list | tuple) else []


def as_text(value: Any, default: str = "") -> str:
    """Text as it is, numbers and booleans as text, lists joined; everything else is the default."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return str(value)
    if isinstance(value, list | tuple):
        return "; ".join(as_text(item) for item in value)
    return default


def as_number(value: Any) -> float | None:
    """A finite float, else None; a bool is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def as_count(value: Any) -> int | None:
    """A finite number rounded to int, else None."""
    number = as_number(value)
    return None if number is None else round(number)


def as_numbers(values: Any) -> tuple[float | None, ...]:
    """Each entry of a list through `as_number`."""
    return tuple(as_number(value) for value in as_list(values))


def as_counts(value: Any) -> dict[str, int]:
    """A mapping of names to counts, without the entries that are none."""
    found = {name: as_count(count) for name, count in as_mapping(value).items()}
    return {name: count for name, count in found.items() if count is not None}


def as_bounds(low: Any, high: Any) -> Bounds | None:
    """An interval; None unless both ends are finite."""
    lo, hi = as_number(low), as_number(high)
    return None if lo is None or hi is None else Bounds(lo=lo, hi=hi)


def as_sentences(value: Any) -> tuple[str, ...]:
    """The texts of a list, without empty ones."""
    return tuple(text for text in map(as_text, as_list(value)) if text)


def as_comparison(row: Mapping[str, Any]) -> dict[str, Any]:
    """What a row of `drift.json` and one of `skew.json` have in common, as fields of `Comparison`."""
    return {
        "feature": as_text(row.get("feature"), "?"),
        "measure": as_text(row.get("measure")),
        "value": as_number(row.get("value")),
        "threshold": as_number(row.get("threshold")),
        "verdict": as_text(row.get("verdict"), "unknown"),
        "reason": as_text(row.get("reason")),
    }


class PipelineFiles:
    """One pipeline of a run (a locale's or the centre's): its status and its artifacts.

    Args:
      name: The locale, or `the centre`; begins the reason of what is absent.
      entry: The pipeline's mapping in `run.json`; None where it never started.
    """

    def __init__(self, name: str, entry: Any) -> None:
        self.name = name
        self.entry = as_mapping(entry)
        self.components = [as_mapping(item) for item in as_list(self.entry.get("components"))]

    @property
    def error(self) -> str:
        """The first line of the error that ended the pipeline; empty where there is none."""
        lines = as_text(self.entry.get("error")).strip().splitlines()
        return lines[0] if lines else ""

    def pipeline_run(self) -> PipelineRun:
        """Status and timings."""
        return PipelineRun(
            status=as_text(self.entry.get("status"), "unknown"),
            error=self.error,
            log=as_text(self.entry.get("log")),
            seconds=as_number(self.entry.get("seconds")),
            components=tuple(
                ComponentRun(
                    id=as_text(item.get("id"), "?"),
                    component=as_text(item.get("component")),
                    state=as_text(item.get("state"), "unknown"),
                    seconds=as_number(item.get("seconds")),
                )
                for item in self.components
            ),
        )

    def component(self, name: str) -> dict[str, Any] | None:
        """The component with this id."""
        return next((item for item in self.components if item.get("id") == name), None)

    def folder(self, component: str, channel: str) -> Path | None:
        """The folder of a component's artifact, or None where there is none on this machine."""
        outputs = as_mapping((self.component(component) or {}).get("outputs"))
        uri = as_text(outputs.get(channel))
        return Path(uri) if uri and Path(uri).is_dir() else None

    def why_absent(self, component: str, subject: str) -> str:
        """Why a component's output is not there, as a sentence."""
        found = self.component(component)
        status = self.entry.get("status")
        if found is None and status == "skipped":
            return f"{self.name} was skipped in this run, so there is no {subject}."
        if found is None and status == "not started":
            return f"The run ended before {self.name} was started, so there is no {subject}."
        if found is None and status == "running":
            return f"{component} has not ended: {self.name} is still running, or was killed."
        if found is None and status == "failed":
            cause = f": {self.error}" if self.error else ""
            return f"{component} did not run because {self.name} failed before it{cause}"
        if found is None:
            return f"{component} is not part of this run for {self.name}, so there is no {subject}."
        if found.get("state") == "failed":
            return f"{component} failed{f': {self.error}' if self.error else ''}"
        return f"The files of {component} are not on this machine, so the {subject} cannot be shown."

    def read(self, component: str, channel: str, file: str, subject: str) -> Part[dict[str, Any]]:
        """A JSON file of a component's artifact, or the reason why it cannot be shown."""
        folder = self.folder(component, channel)
        if folder is None:
            return Part[dict[str, Any]](absent=self.why_absent(component, subject))
        path = folder / file
        try:
            value = json.loads(path.read_text())
        except FileNotFoundError:
            return Part[dict[str, Any]](absent=f"{component} wrote no {file}, so there is no {subject}.")
        except (OSError, ValueError):
            return Part[dict[str, Any]](absent=f"{file} of {component} cannot be read.")
        if not isinstance(value, dict):
            return Part[dict[str, Any]](absent=f"{file} of {component} is not a JSON object.")
        return Part[dict[str, Any]](content=value)
