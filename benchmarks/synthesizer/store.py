"""Results on disk, a JSON file per data set, generator and seed; and, apart from them, the rows made.

A result holds numbers about rows and no row. It says what it stands on (`digests`): where the code that made
the rows, the code that measured them or the data are others now, it is stale. Rows stay in a folder that is
not committed, so that they can be measured again without being made again.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import math
import os
import platform
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from benchmarks.synthesizer.runners import Made
from components.executor_base import write_json

#: Significant digits kept of a measure.
DIGITS = 6
#: Measures that need `networks`.
NETWORKS = ("tstr", "auc")


def slug(name: str) -> str:
    """A name as a folder's."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def machine() -> str:
    """This machine in words: cores, memory, kind."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return f"{os.cpu_count()} cores, {memory:.0f} GB, {platform.system()} {platform.machine()}, one thread"


@dataclasses.dataclass(frozen=True)
class Digests:
    """What a result stands on, each as a digest (`digests.py`; decided by `runners.digest_of` for `made`).

    Attributes:
      made: The code that made the rows.
      data: The data set and its division.
      measured: The code that measured them, without the long range.
      long_range: The code that measured the long range; empty where it was not measured.
    """

    made: str
    data: str
    measured: str
    long_range: str = ""


@dataclasses.dataclass(frozen=True)
class Result:
    """One generator on one data set with one seed.

    Attributes:
      data: The data set.
      generator: The generator; `real` for real rows against real ones.
      seed: Of the model, of the sample and of the measures.
      rows: `train` and `period`.
      measures: Of the rows, and what they cost.
      versions: Of the packages that made them.
      settings: How the generator was used.
      machine: Where, in words.
      day: When, year-month-day.
      digests: What it stands on.
    """

    data: str
    generator: str
    seed: int
    rows: dict[str, int]
    measures: dict[str, float]
    versions: dict[str, str]
    settings: dict[str, Any]
    machine: str
    day: str
    digests: Digests


class Results:
    """The results under a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, data: str, generator: str, seed: int) -> Path:
        """Where a result stands."""
        return self.folder / slug(data) / slug(generator) / f"seed-{seed}.json"

    def read(self, data: str, generator: str, seed: int) -> Result | None:
        """A result, stale or not; None where there is none, or none that can be read."""
        return _parsed(self.path(data, generator, seed))

    def write(self, result: Result) -> None:
        """Writes a result, whole or not at all."""
        path = self.path(result.data, result.generator, result.seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        short = {
            key: float(f"{value:.{DIGITS}g}")
            for key, value in result.measures.items()
            if math.isfinite(value)
        }
        write_json(path, dataclasses.asdict(result) | {"measures": short})

    def all(self) -> dict[str, dict[str, list[Result]]]:
        """Every result that can be read, by data set and generator, seeds in order."""
        found: dict[str, dict[str, list[Result]]] = {}
        for path in sorted(self.folder.glob("*/*/seed-*.json")):
            if result := _parsed(path):
                found.setdefault(result.data, {}).setdefault(result.generator, []).append(result)
        for generators in found.values():
            for own in generators.values():
                own.sort(key=lambda one: one.seed)
        return found


def _parsed(path: Path) -> Result | None:
    try:
        read = json.loads(path.read_text())
        return Result(**read | {"digests": Digests(**read["digests"])})
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None


def wanting(result: Result | None, digests: Digests, networks: bool) -> str:
    """Why a result has to be made (again), in a word or two; empty where it stands.

    The long range does not count: a result without it is completed (`session.complete`), not made again.
    """
    if result is None:
        return "missing"
    changed = [name for name in ("made", "data", "measured")
               if getattr(result.digests, name) != getattr(digests, name)]  # fmt: skip
    if changed:
        return f"stale: {' and '.join(changed)}"
    return "without networks" if networks and not set(NETWORKS) <= set(result.measures) else ""


def today() -> str:
    """Year-month-day, UTC."""
    return datetime.datetime.now(datetime.timezone.utc).date().isoformat()


class Rows:
    """Rows made, kept to be measured again and to be drawn; never committed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _place(self, data: str, generator: str, seed: int) -> Path:
        return self.folder / slug(data) / slug(generator) / f"seed-{seed}"

    def read(self, data: str, generator: str, seed: int, digests: Digests | None) -> Made | None:
        """Rows of this very code and data (of any where `digests` is None); None where there are none."""
        place = self._place(data, generator, seed)
        if not (place / "made.json").exists():
            return None
        told = json.loads((place / "made.json").read_text())
        if digests is not None and (told["made"], told["data"]) != (digests.made, digests.data):
            return None
        release = place / "release.parquet"
        return Made(
            pq.read_table(place / "sampled.parquet"),
            pq.read_table(release) if told["release"] else None,
            told["result"],
        )

    def write(self, data: str, generator: str, seed: int, digests: Digests, made: Made) -> None:
        """Keeps rows; `made.json` is written last and vouches for the rest."""
        place = self._place(data, generator, seed)
        place.mkdir(parents=True, exist_ok=True)
        (place / "made.json").unlink(missing_ok=True)
        pq.write_table(made.sampled, place / "sampled.parquet")
        if made.release is not None:
            pq.write_table(made.release, place / "release.parquet")
        told: Mapping[str, Any] = {"made": digests.made, "data": digests.data, "machine": machine()}
        write_json(place / "made.json", {**told, "release": made.release is not None, "result": made.result})
