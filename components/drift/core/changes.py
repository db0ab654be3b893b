"""A feature's distance from its baseline along a span, and where its level changes."""

from __future__ import annotations

import datetime
import itertools
from dataclasses import dataclass

import numpy as np

from components.drift.core import measures
from components.drift.core.blocks import block_starts
from components.drift.core.pairing import DAY_S, phase
from components.drift.core.profile import Floats, Ints, Profile
from components.drift.findings import TimeLine

#: Points of a time line: what a report can draw.
MAX_POINTS = 200
#: Fewest values in a point; with fewer, the distance is mostly noise.
MIN_VALUES = 10
#: Rows that a point should have.
GOOD_VALUES = 30
#: Fewest points between changes.
MIN_SEGMENT = 3


@dataclass(frozen=True)
class Points:
    """The points of time lines: buckets of a profile, several together where there are many.

    Attributes:
      starts: Position of each point's first bucket. Shape [points].
      begin: Number of that bucket. Shape [points].
      per_point: Buckets in a point.
    """

    starts: Ints
    begin: Ints
    per_point: int


def make_points(profile: Profile) -> Points:
    """Points of equal length, at most `MAX_POINTS`: a part of a day, or whole days, where possible."""
    bucket, bucket_s = profile.bucket, profile.plan.bucket_s
    extent = int(bucket[-1] - bucket[0]) + 1
    typical = max(float(profile.rows.mean()), 1e-9)
    least = min(max(-(-extent // MAX_POINTS), int(np.ceil(GOOD_VALUES / typical))), extent)
    per_day = DAY_S // bucket_s if DAY_S % bucket_s == 0 else 0
    fitting = [size for size in range(least, per_day + 1) if per_day % size == 0]
    if per_day and not fitting:
        fitting = [-(-least // per_day) * per_day]
    per_point = fitting[0] if fitting else least
    starts = block_starts(bucket, per_point)
    return Points(starts, bucket[starts], per_point)


def time_line(current: Profile, here: int, baseline: Profile, there: int, points: Points) -> TimeLine | None:
    """The distance of each point from the baseline at the same hours of the day, with its change points.

    Kolmogorov-Smirnov for a numeric feature, L-infinity for a categorical one. Where the baseline has an hour
    of the day, a point is compared with that hour, so that the daily course is not a change of level.

    Args:
      current: First side.
      here: Position of the feature there.
      baseline: The other side.
      there: Position of the feature there.
      points: Those of the first side.

    Returns:
      None where no point has enough values.
    """
    plan = current.plan.features[here]
    counts = np.add.reduceat(current.counts[:, current.plan.columns(here)], points.starts, axis=0)
    reference = _reference(baseline, there, current, points)
    n = counts.sum(axis=1)
    known = (n >= MIN_VALUES) & (reference.sum(axis=1) >= MIN_VALUES)
    if not known.any():
        return None
    values = np.full(n.shape, np.nan)
    distance = measures.kolmogorov_smirnov if plan.kind == "numeric" else measures.infinity_norm
    values[known] = distance(measures.shares(counts[known]), measures.shares(reference[known]))
    bucket_s = current.plan.bucket_s
    return TimeLine(
        begin=tuple(_iso(int(begin) * bucket_s) for begin in points.begin),
        bucket_s=float(points.per_point * bucket_s),
        measure="kolmogorov_smirnov" if plan.kind == "numeric" else "infinity_norm",
        value=tuple(None if np.isnan(value) else float(value) for value in values),
        change_points=tuple(change_points(values)),
    )


def _reference(baseline: Profile, there: int, current: Profile, points: Points) -> Ints:
    """The baseline's counts at each point's hours of the day, or all of them. Shape [points, bins]."""
    counts = baseline.counts[:, baseline.plan.columns(there)]
    bucket_s = current.plan.bucket_s
    per_day = max(DAY_S // bucket_s, 1)
    whole = np.broadcast_to(counts.sum(axis=0), (points.starts.size, counts.shape[1]))
    if DAY_S % bucket_s or per_day % points.per_point or per_day == points.per_point:
        return whole
    by_phase = np.zeros((per_day, counts.shape[1]), dtype=np.int64)
    np.add.at(by_phase, phase(baseline.bucket, bucket_s), counts)
    first = phase(points.begin, bucket_s)
    hours = (first[:, None] + np.arange(points.per_point)) % per_day
    at_hour = by_phase[hours].sum(axis=1)
    # One baseline day is one draw of each hour: too little to be told from noise.
    enough = np.unique(baseline.bucket // per_day).size >= 3
    return at_hour if enough else whole


def change_points(values: Floats) -> list[int]:
    """Positions at which the level of a series changes, by the pruned exact search for the best division.

    The cost of a segment is its sum of squares about its mean; each change costs 6 log(points) times the
    long-run variance, as in Bayes' information criterion, but with the variance of a mean of dependent points
    in place of that of one point: a series that wanders by itself would otherwise break into many levels.

    Args:
      values: A series in time; NaN where unknown. Shape [points].

    Returns:
      Positions in `values`, ascending: the first point of each new level.

    Source: Killick, Fearnhead & Eckley (2012), JASA 107(500) (PELT); the penalty under dependence as in
    Lavielle & Moulines (2000), J. Time Ser. Anal. 21(1).
    """
    known = np.flatnonzero(~np.isnan(values))
    series = np.asarray(values, dtype=np.float64)[known]
    if series.size < 2 * MIN_SEGMENT:
        return []
    penalty = float(6 * np.log(series.size) * long_run_variance(series))
    # Rounding alone must not divide a series that is constant but for a few levels.
    penalty = max(penalty, 1e-9 * float((series * series).sum()), 1e-300)
    return [int(known[position]) for position in _pelt(series, penalty)]


def long_run_variance(series: Floats) -> float:
    """Variance of a point times the factor that dependence gives to a mean's, whatever the levels do.

    Of a first-order process: variance times (1 + r) / (1 - r), r the correlation of neighbours, after the
    best division into three levels has been taken out, so that a change of level is not taken for memory.

    Args:
      series: Without NaN. Shape [points], at least 2 * `MIN_SEGMENT`.
    """
    series = np.asarray(series, dtype=np.float64)
    left = series - _three_levels(series)
    power = float((left * left).sum())
    if power <= 1e-12 * float((series * series).sum()):
        return 0.0
    size = series.size
    correlation = float((left[1:] * left[:-1]).sum()) / power
    # Three means were fitted, each of which takes about (1 + r) / size off the correlation.
    correlation = float(np.clip(correlation + 3 * (1 + correlation) / size, 0.0, 0.9))
    return power / max(size - 3, 1) * (1 + correlation) / (1 - correlation)


def _three_levels(series: Floats) -> Floats:
    """The best division into three levels of at least `MIN_SEGMENT` points, or their mean where too few."""
    size = series.size
    if size < 3 * MIN_SEGMENT:
        return np.full(size, series.mean())
    total = np.concatenate([[0.0], np.cumsum(series)])
    place = np.arange(size + 1)
    length = np.maximum(place[None, :] - place[:, None], 1)
    # What a segment from row to column explains; the squares' sum is the same for every division.
    explained = (total[None, :] - total[:, None]) ** 2 / length
    explained[place[None, :] - place[:, None] < MIN_SEGMENT] = -np.inf
    whole = explained[0][:, None] + explained + explained[:, -1][None, :]
    first, second = np.unravel_index(int(np.argmax(whole)), whole.shape)
    bounds = [0, int(first), int(second), size]
    return np.concatenate(
        [np.full(end - begin, series[begin:end].mean()) for begin, end in itertools.pairwise(bounds)]
    )


def _pelt(series: Floats, penalty: float) -> list[int]:
    total = np.concatenate([[0.0], np.cumsum(series)])
    squares = np.concatenate([[0.0], np.cumsum(series * series)])
    size = series.size
    best = np.full(size + 1, np.inf)
    best[0] = -penalty
    last = np.zeros(size + 1, dtype=np.int64)
    candidates = np.array([0])
    for end in range(MIN_SEGMENT, size + 1):
        length = end - candidates
        cost = squares[end] - squares[candidates] - (total[end] - total[candidates]) ** 2 / length
        whole = best[candidates] + np.maximum(cost, 0.0) + penalty
        chosen = int(np.argmin(whole))
        best[end], last[end] = whole[chosen], candidates[chosen]
        # A begin that is already worse without a change after it can never be the best one.
        candidates = candidates[whole - penalty <= best[end]]
        candidates = np.append(candidates, end - MIN_SEGMENT + 1)
    found, end = [], size
    while end > 0:
        end = int(last[end])
        if end > 0:
            found.append(end)
    return found[::-1]


def _iso(second: int) -> str:
    moment = datetime.datetime.fromtimestamp(second, datetime.timezone.utc)
    return moment.isoformat().replace("+00:00", "Z")
