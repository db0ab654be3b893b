"""What a fault of the data path is, and the time grid on which faults are looked for."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from components.drift.core.profile import Floats, Ints, Profile

FaultName = Literal["stuck_sensor", "unit_change", "clock_shift", "silent_gap", "schema_change"]
Mask = npt.NDArray[np.bool_]

DAY_S = 86_400


@dataclass(frozen=True)
class Fault:
    """A fault of the data path in one span of one locale.

    Attributes:
      name: One of `findings.DATA_FAULTS`.
      feature: Name, or `findings.ALL_FEATURES`.
      begin: ISO 8601 in UTC: the begin of the first bucket that it touches; empty where unknown.
      end: The end of the last bucket; empty where it had not ended with the span, or is unknown.
      evidence: Numbers that decided, by name; seconds end in `_s`. None is a value of a row.
      words: One sentence. What a border may withhold (numbers, names of new columns) stands in parentheses
        and can be left out.
    """

    name: FaultName
    feature: str
    begin: str
    end: str
    evidence: dict[str, float] = field(default_factory=dict)
    words: str = ""


@dataclass(frozen=True)
class SchemaChange:
    """The columns of a source against those of an earlier span.

    Attributes:
      lost: Columns of the data set that were there before and are not now.
      gained: Columns that were not there before, whether the data set names them or not.
    """

    lost: tuple[str, ...] = ()
    gained: tuple[str, ...] = ()

    @classmethod
    def between(
        cls,
        absent: tuple[str, ...],
        dropped: tuple[str, ...],
        absent_before: tuple[str, ...],
        dropped_before: tuple[str, ...],
    ) -> SchemaChange:
        """From two `ingest.json`.

        Args:
          absent: `columns_absent` of the span: columns of the data set that its source lacks.
          dropped: `columns_dropped` of the span: its columns that the data set does not name.
          absent_before: `columns_absent` of the earlier span.
          dropped_before: `columns_dropped` of the earlier span.
        """
        return cls(
            lost=tuple(name for name in absent if name not in absent_before),
            gained=tuple(name for name in dropped if name not in dropped_before)
            + tuple(name for name in absent_before if name not in absent),
        )


@dataclass(frozen=True)
class Grid:
    """A profile on all buckets from its first to its last; buckets without rows are zero. T buckets.

    Attributes:
      first: Number of the first bucket.
      bucket_s: Length of a bucket, in seconds.
      rows: Shape [T].
      n: Values. Shape [T, F].
      mean: Of the values, in the feature's unit, NaN without. Shape [T, F]. NaN for categorical features.
      missing: Rows without a value. Shape [T, F].
    """

    first: int
    bucket_s: int
    rows: Ints
    n: Ints
    mean: Floats
    missing: Ints

    @property
    def number(self) -> Ints:
        """Of each bucket. Shape [T]."""
        return np.arange(self.first, self.first + len(self.rows), dtype=np.int64)

    @property
    def slots(self) -> int:
        """As `slots_of`."""
        return slots_of(self.bucket_s)


def slots_of(bucket_s: int) -> int:
    """Buckets in a day; 0 where they do not divide it, or a day has fewer than six."""
    return DAY_S // bucket_s if DAY_S % bucket_s == 0 and DAY_S // bucket_s >= 6 else 0


def grid_of(profile: Profile) -> Grid:
    """A profile on all buckets between its first and last one. The profile must have a row."""
    plan = profile.plan
    first, last = int(profile.bucket[0]), int(profile.bucket[-1])
    place = profile.bucket - first
    total = last - first + 1
    n_sparse = np.add.reduceat(profile.counts, plan.offsets[:-1], axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_sparse = np.array([f.center for f in plan.features]) + profile.sums[:, :, 0] / n_sparse
    mean_sparse[:, [f.kind == "categorical" for f in plan.features]] = np.nan
    return Grid(
        first=first,
        bucket_s=plan.bucket_s,
        rows=spread(profile.rows, place, total, 0),
        n=spread(n_sparse, place, total, 0),
        mean=spread(mean_sparse, place, total, np.nan),
        missing=spread(profile.missing, place, total, 0),
    )


def spread(values: npt.NDArray[np.generic], place: Ints, total: int, fill: float) -> npt.NDArray:
    """`values` [B, ...] put at `place` [B] of an array [total, ...] of `fill`."""
    out = np.full((total, *values.shape[1:]), fill, dtype=values.dtype)
    out[place] = values
    return out


def iso(bucket: float, bucket_s: int) -> str:
    """Begin of a bucket, ISO 8601 in UTC."""
    begin = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=float(bucket) * bucket_s)
    return begin.isoformat(timespec="seconds") + "Z"


def runs(mask: Mask) -> list[tuple[int, int]]:
    """Where `mask` [T] is true: runs [begin, end) in order."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def best_segment(score: Floats) -> tuple[int, int, float]:
    """The segment [begin, end) with the greatest sum of `score` [T], and that sum (Kadane's algorithm).

    Sums of prefixes: the best segment that ends at t begins after the least prefix before t.
    """
    prefix = np.concatenate([[0.0], np.cumsum(score)])
    least = np.minimum.accumulate(prefix)
    gain = prefix - least
    end = int(np.argmax(gain))
    begin = int(np.argmin(prefix[: end + 1]))
    return begin, end, float(gain[end])


def best_totals(score: Floats) -> Floats:
    """As `best_segment`, of every column of `score` [T, F], the sums alone. Shape [F]. NaN counts nothing."""
    prefix = np.cumsum(np.nan_to_num(score, nan=0.0), axis=0)
    least = np.minimum.accumulate(np.minimum(prefix, 0.0), axis=0)
    before = np.concatenate([np.zeros((1, score.shape[1])), least[:-1]])
    return np.maximum(np.max(prefix - before, axis=0, initial=0.0), 0.0)


def times(grid: Grid, begin: int, end: int) -> tuple[str, str]:
    """ISO begin and end of the buckets [begin, end) of a grid; the end is empty where the span ends."""
    done = iso(grid.first + end, grid.bucket_s) if end < len(grid.rows) else ""
    return iso(grid.first + begin, grid.bucket_s), done


def hours(seconds: float) -> str:
    """A length of time in words."""
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.0f} min"


def bucket_of(time: str, bucket_s: int) -> int:
    """The bucket that an ISO time from `iso` begins."""
    begin = datetime.datetime.fromisoformat(time.replace("Z", "+00:00"))
    return int(begin.timestamp()) // bucket_s
