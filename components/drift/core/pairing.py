"""Two profiles side by side: which features can be compared, and on which hours of the day."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from components.drift.core.profile import FeaturePlan, Floats, Ints, Profile

DAY_S = 86_400
#: Total variation between the two sides' hours of the day above which they are matched. A missing hour in
#: two weeks is below, a span that ends at noon of its third day above.
HOURS_DIFFER = 0.02


@dataclass(frozen=True)
class Features:
    """Features of both sides by name.

    Attributes:
      shared: Name, position on the first side, position on the baseline; same bins.
      other_bins: Names that both sides have on different bins: their arrays cannot be compared.
      only_current: Names that only the first side has.
      only_baseline: Names that only the baseline has.
    """

    shared: tuple[tuple[FeaturePlan, int, int], ...]
    other_bins: tuple[str, ...]
    only_current: tuple[str, ...]
    only_baseline: tuple[str, ...]


def pair_features(current: Profile, baseline: Profile) -> Features:
    """Pairs the features by name; the order is the first side's."""
    there = {plan.name: position for position, plan in enumerate(baseline.plan.features)}
    shared: list[tuple[FeaturePlan, int, int]] = []
    other: list[str] = []
    only: list[str] = []
    for position, plan in enumerate(current.plan.features):
        if plan.name not in there:
            only.append(plan.name)
        elif baseline.plan.features[there[plan.name]] != plan:
            other.append(plan.name)
        else:
            shared.append((plan, position, there[plan.name]))
    here = {plan.name for plan in current.plan.features}
    return Features(
        tuple(shared), tuple(other), tuple(only), tuple(name for name in there if name not in here)
    )


@dataclass(frozen=True)
class Hours:
    """Weights that give both sides the same mixture of hours of the day.

    Attributes:
      current: Weight of each bucket of the first side. Shape [B]. All 1 where nothing had to be matched.
      baseline: Of the other side.
      matched: Whether weights differ from 1.
      phases: Number of each bucket in its day, of both sides; empty where nothing was matched.
      reason: Why the sides cannot be matched (no hour in common); else empty.
    """

    current: Floats
    baseline: Floats
    matched: bool = False
    phases: tuple[Ints, ...] = ()
    reason: str = ""


def phase(bucket: Ints, bucket_s: int) -> Ints:
    """Number of the bucket within its day (UTC). Shape [B]. 0 for buckets of a day or more."""
    per_day = max(DAY_S // bucket_s, 1)
    return np.asarray(bucket) % per_day


def match_hours(current: Profile, baseline: Profile) -> Hours:
    """Weights by which the hours of the day count alike on both sides.

    A span that ends at noon has more mornings than its baseline; with a daily course that alone looks like
    drift. Each hour that both sides have counts with the mean of its two shares of the buckets; hours that
    one side lacks count nothing. Shares are of buckets with rows, not of rows, so that lost rows still show.

    Args:
      current: First side.
      baseline: The other side, with buckets of the same length.
    """
    ones = Hours(np.ones(current.bucket.size), np.ones(baseline.bucket.size))
    bucket_s = current.plan.bucket_s
    per_day = max(DAY_S // bucket_s, 1)
    if DAY_S % bucket_s or per_day == 1 or not current.bucket.size or not baseline.bucket.size:
        return ones
    phases = [phase(side.bucket, bucket_s) for side in (current, baseline)]
    mixes = [
        np.bincount(of[side.rows > 0], minlength=per_day) / max(int((side.rows > 0).sum()), 1)
        for of, side in zip(phases, (current, baseline))
    ]
    if np.abs(mixes[0] - mixes[1]).sum() / 2 <= HOURS_DIFFER:
        return ones
    common = np.where((mixes[0] > 0) & (mixes[1] > 0), (mixes[0] + mixes[1]) / 2, 0.0)
    if not common.any():
        return Hours(ones.current, ones.baseline, reason="the two sides have no hour of the day in common")
    weights = [
        np.divide(common / common.sum(), mix, out=np.zeros_like(mix), where=mix > 0)[of]
        for mix, of in zip(mixes, phases)
    ]
    return Hours(weights[0], weights[1], matched=True, phases=tuple(phases))
