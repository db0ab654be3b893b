"""Adds profiles, and takes buckets out of one."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from components.drift.core.profile import Ints, Profile, ProfilePlan
from components.errors import DataError, InternalError

#: Of the arrays of a profile: those that are added, and those of which the greatest counts.
_ADDED = ("rows", "counts", "missing", "sums", "pairs", "still", "cadence", "labelled", "random", "complete")


def merge(profiles: Sequence[Profile]) -> Profile:
    """The profile of the union of the rows of profiles of one plan.

    Counts, extremes and still times are those of the union exactly; sums and random features up to the
    rounding of floating-point addition, and exactly where each bucket is in one profile only. That holds
    where every series is in one profile. Where the rows of a series are divided in time, each seam lacks
    one step (`cadence`) and up to one pair (`pairs`, `still`) per feature, and a still run over it is two.

    Args:
      profiles: At least one; profiles without buckets add nothing.

    Raises:
      DataError: two plans differ; names the first difference.
      InternalError: no profile is given.
    """
    if not profiles:
        raise InternalError("merge of profiles: none given; at least one is needed for the plan")
    plan = profiles[0].plan
    for other in profiles[1:]:
        difference = plan_difference(plan, other.plan)
        if difference:
            raise DataError(f"merge of profiles: plans differ: {difference}; allowed: profiles of one plan")
    if len(profiles) == 1:
        return profiles[0]
    bucket, position = np.unique(np.concatenate([p.bucket for p in profiles]), return_inverse=True)
    places = np.split(position, np.cumsum([len(p.bucket) for p in profiles])[:-1])
    arrays = {name: _added([getattr(p, name) for p in profiles], places, len(bucket)) for name in _ADDED}
    labelled = any(len(p.positive) for p in profiles)
    arrays["positive"] = (
        _added(
            [p.positive if len(p.positive) else np.zeros_like(p.counts) for p in profiles],
            places,
            len(bucket),
        )
        if labelled
        else np.zeros((0, int(plan.offsets[-1])), np.int64)
    )
    shape = (len(bucket), len(plan.features))
    low, high, longest = np.full(shape, np.nan), np.full(shape, np.nan), np.zeros(shape)
    for profile, at in zip(profiles, places, strict=True):
        low[at] = np.fmin(low[at], profile.low)
        high[at] = np.fmax(high[at], profile.high)
        longest[at] = np.maximum(longest[at], profile.longest_still_s)
    return Profile(plan=plan, bucket=bucket, low=low, high=high, longest_still_s=longest, **arrays)


def _added(parts: Sequence[npt.NDArray[Any]], places: Sequence[Ints], buckets: int) -> npt.NDArray[Any]:
    total = np.zeros((buckets, *parts[0].shape[1:]), parts[0].dtype)
    for part, at in zip(parts, places, strict=True):
        # A profile has each bucket once, so that no sum is lost here.
        total[at] += part
    return total


def select(profile: Profile, buckets: slice | npt.NDArray[np.bool_] | Ints) -> Profile:
    """The profile of some buckets.

    Args:
      profile: Of a span.
      buckets: Positions in `profile.bucket`, ascending: a slice, a mask of shape [B], or numbers. A repeated
        or falling position is refused, since a profile has each bucket once.

    Raises:
      InternalError: positions repeat or fall, or there are none such.
    """
    try:
        chosen = np.arange(len(profile.bucket))[buckets]
    except IndexError as error:
        raise InternalError(f"buckets of a profile: {error}") from None
    if (np.diff(chosen) <= 0).any():
        raise InternalError("buckets of a profile: positions repeat or fall; allowed: ascending ones")
    arrays = {
        field.name: getattr(profile, field.name)[chosen]
        for field in dataclasses.fields(profile)
        if field.name not in ("plan", "positive")
    }
    positive = profile.positive[chosen] if len(profile.positive) else profile.positive
    return Profile(plan=profile.plan, positive=positive, **arrays)


def empty(plan: ProfilePlan) -> Profile:
    """The profile of no rows: what an empty split has."""
    from components.drift.core.accumulating import Accumulator

    return Accumulator(plan, labelled=False).profile()


def plan_difference(one: ProfilePlan, other: ProfilePlan) -> str:
    """The first difference of two plans, in words without a value of a row; empty where they are equal."""
    for name in ("bucket_s", "interval_s", "random_features", "seed", "public"):
        first, second = getattr(one, name), getattr(other, name)
        if first != second:
            return f"{name} is {first} and {second}"
    names, others = ([feature.name for feature in plan.features] for plan in (one, other))
    if names != others:
        apart = sorted(set(names) ^ set(others))
        return f"feature '{apart[0]}' is in one of them only" if apart else "features stand in another order"
    for first, second in zip(one.features, other.features, strict=True):
        for field in dataclasses.fields(first):
            if getattr(first, field.name) != getattr(second, field.name):
                return f"feature '{first.name}' has other {field.name}"
    return ""
