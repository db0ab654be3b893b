"""What every attack gets, and what it gives back.

An attack is a function of a `World`: a release, the real rows that its synthesizer saw (train) and real
rows of the same time that it never saw (holdout). It measures how much better it does on train than on
holdout; a release that knows no more of the one than of the other scores 0, whatever else it reveals.

    risk = (attack - control) / (1 - control)

with `attack` the success on train and `control` the success on holdout: the share of the attacker's way
from the control's success to certainty that is owed to the release's knowledge of its training rows.

Source: Giomi, Boenisch, Wehmeyer and Tasnadi (2023), "A unified framework for quantifying privacy risk in
synthetic data", PoPETs 2023(2), equation 4 and section 3.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Union

import numpy as np

from components.errors import InsufficientDataError, UndefinedMetricError
from components.release_evaluator.core.frames import Columns, Encoder
from components.release_evaluator.core.metrics import Evidence, Interval
from components.release_evaluator.core.records import Neighbours, Records, neighbours

#: Fewest time chunks on each side; below, a block bootstrap says nothing.
MIN_CHUNKS = 8
#: Fewest records on each side.
MIN_RECORDS = 100
#: Numbers in the pool of a search at most (128 MB).
MAX_NUMBERS = 16_000_000
#: Which real neighbour spans the ball in which the density attack counts. Few, so that the ball stays
#: local; more than one, so that a twin does not set it.
DENSITY_NEIGHBOUR = 5


class NotApplicable(Exception):
    """The data hold nothing that this attack could go for; its text says what is missing."""


@dataclasses.dataclass(frozen=True)
class Measured:
    """A value with its interval, its control, the number of records and, for an attack, its parts."""

    value: float
    interval: Interval | None
    control: float | None
    n: int
    evidence: Evidence | None = None


@dataclasses.dataclass(frozen=True)
class Sampling:
    """Bounds of the work: records asked about, records searched, bootstrap draws, level."""

    max_records: int
    max_candidates: int
    draws: int
    confidence: float

    def candidates(self, dimension: int) -> int:
        """Records of that many numbers that are searched at most."""
        return max(1, min(self.max_candidates, MAX_NUMBERS // max(1, dimension)))

    def reduced(self, records: int, candidates: int) -> Sampling:
        """With tighter bounds."""
        return dataclasses.replace(
            self,
            max_records=min(self.max_records, records),
            max_candidates=min(self.max_candidates, candidates),
        )


@dataclasses.dataclass(frozen=True)
class Sides:
    """Records of train, holdout and synthetic rows, and the hash of every row of each.

    Chunk numbers of train and holdout do not overlap.
    """

    train: Records
    holdout: Records
    synthetic: Records
    hashes: dict[str, np.ndarray]

    def require_enough(self) -> None:
        """Refuses to measure on too little.

        Raises:
          InsufficientDataError: fewer than `MIN_RECORDS` records or `MIN_CHUNKS` chunks on a side.
          UndefinedMetricError: nothing varies.
        """
        for name, records in (
            ("train", self.train),
            ("holdout", self.holdout),
            ("synthetic", self.synthetic),
        ):
            if len(records) < MIN_RECORDS:
                raise InsufficientDataError(
                    f"{name} has {len(records)} records, needs at least {MIN_RECORDS}"
                )
            chunks = len(np.unique(records.chunk))
            if name != "synthetic" and chunks < MIN_CHUNKS:
                raise InsufficientDataError(f"{name} has {chunks} time blocks, needs at least {MIN_CHUNKS}")
        if self.train.points.shape[1] == 0:
            raise UndefinedMetricError("no feature varies in the real rows")

    @property
    def balance(self) -> float:
        """Train records per holdout record."""
        return len(self.train) / len(self.holdout)


@dataclasses.dataclass(frozen=True)
class Asked:
    """Real records that attacks ask about, and what lies around them.

    Attributes:
      records: A sample of one side.
      synthetic: Around each, the synthetic records; `count` is within `real.kth`.
      real: Around each, the real records of other chunks.
    """

    records: Records
    synthetic: Neighbours
    real: Neighbours


@dataclasses.dataclass(frozen=True)
class World:
    """What is attacked.

    Attributes:
      columns: Rows of `train`, `holdout` and `synthetic`.
      rows: The same as single rows.
      windows: The same as windows of consecutive rows.
      encoder: Made the points of both.
      sampling: Bounds of the work.
      seed: Of all subsampling.
      previous: Rows of the locale's previous release; None where there is none.
      secrets: Columns that attribute inference goes for; empty for all that vary.
      rare_supporters: A value is rare in train below this many time blocks that hold it.
    """

    columns: Mapping[str, Columns]
    rows: Sides
    windows: Sides
    encoder: Encoder
    sampling: Sampling
    seed: int
    previous: Columns | None = None
    secrets: tuple[str, ...] = ()
    rare_supporters: int = 5

    def sides(self, unit: str) -> Sides:
        """Records by unit, `rows` or `windows`."""
        return self.rows if unit == "rows" else self.windows

    def rng(self, name: str) -> np.random.Generator:
        """An attack's own stream: what one draws does not move another's result."""
        return np.random.default_rng([self.seed, *name.encode()])

    @functools.cached_property
    def _asked(self) -> dict[str, dict[str, Asked]]:
        return {}

    def asked(self, unit: str) -> dict[str, Asked]:
        """Samples of `train` and `holdout` with their neighbours, found once and shared by attacks.

        Raises:
          InsufficientDataError: too few records or time blocks.
        """
        if unit not in self._asked:
            self._asked[unit] = _ask(self.sides(unit), self.sampling, self.rng(f"asked_{unit}"))
        return self._asked[unit]

    def distinctive(self, limit: int) -> list[Records]:
        """Rows of train and of holdout, `limit` of each at most, that no other block of the real rows holds.

        Raises:
          NotApplicable: hardly any row of train is distinctive: the others identify nobody.
          InsufficientDataError: too few records or time blocks, or distinctive rows of holdout.
        """
        asked, rng = self.asked("rows"), self.rng("distinctive")
        found = [side.records.take(side.real.distance > 0) for side in asked.values()]
        if len(found[0]) < MIN_RECORDS:
            raise NotApplicable(
                f"of {len(asked['train'].records)} rows of train only {len(found[0])} are distinctive: the "
                "others repeat elsewhere and identify nobody"
            )
        if not enough(found[1].chunk):
            raise InsufficientDataError(
                f"holdout has {len(found[1])} distinctive rows in {len(np.unique(found[1].chunk))} time "
                f"blocks, needs at least {MIN_RECORDS} in {MIN_CHUNKS}"
            )
        return [side.sample(limit, rng) for side in found]

    def usual(self, unit: str) -> float:
        """Distance of a distinctive real record to the nearest real one of another chunk that nine in ten
        do not exceed; 0 where there is none."""
        pooled = np.concatenate([side.real.distance for side in self.asked(unit).values()])
        positive = pooled[np.isfinite(pooled) & (pooled > 0)]
        return float(np.quantile(positive, 0.9)) if len(positive) else 0.0


def _ask(sides: Sides, sampling: Sampling, rng: np.random.Generator) -> dict[str, Asked]:
    sides.require_enough()
    limit = sampling.candidates(sides.train.dimension)
    real = joined(sides.train, sides.holdout).sample(limit, rng)
    synthetic = sides.synthetic.sample(limit, rng)
    found = {}
    for name, side in (("train", sides.train), ("holdout", sides.holdout)):
        records = side.sample(sampling.max_records, rng)
        around = neighbours(records, real, records.chunk, k=DENSITY_NEIGHBOUR)
        found[name] = Asked(records, neighbours(records, synthetic, radius=around.kth), around)
    return found


def joined(train: Records, holdout: Records) -> Records:
    """Train's records, then holdout's, over one array of points."""
    return Records(
        np.vstack([train.points, holdout.points]),
        train.length,
        np.concatenate([train.starts, holdout.starts + len(train.points)]),
        np.concatenate([train.chunk, holdout.chunk]),
        np.concatenate([train.rare, holdout.rare]),
    )


def enough(chunk: np.ndarray) -> bool:
    """Whether records of these chunks can be judged at all."""
    return len(chunk) >= MIN_RECORDS and len(np.unique(chunk)) >= MIN_CHUNKS


#: What an attack gives: its metrics by name. One that has nothing to go for raises `NotApplicable`, or puts
#: it in the place of the metric that it has nothing for.
Findings = Mapping[str, Union[Measured, NotApplicable]]
Run = Callable[[World], Findings]


@dataclasses.dataclass(frozen=True)
class Attack:
    """One entry of the registry.

    Attributes:
      name: Short name.
      metrics: Names of what it measures.
      run: Does it.
      calibrated: The metrics that are also measured on the stand-in, a release that cannot leak.
    """

    name: str
    metrics: tuple[str, ...]
    run: Run
    calibrated: tuple[str, ...] = ()
