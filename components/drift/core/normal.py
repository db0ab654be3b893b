"""The daily course of a baseline: each feature's mean at each hour, and how far buckets stray from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from components.drift.core.fault_model import Grid, slots_of
from components.drift.core.profile import Floats, Ints, Profile


@dataclass(frozen=True)
class Normal:
    """What is usual. S slots of a day (one where buckets do not divide a day), F features.

    Attributes:
      slots: S.
      mean: Mean over the values of each slot, in the feature's unit. Shape [S, F]. NaN for categorical
        features and for features without values.
      square: Mean of `(x - center)^2`. Shape [S, F].
      center: Of the plan. Shape [F].
      deviation: Standard deviation of buckets' means about `mean`, corrected for the means' own error, and at
        least what the spread of values within a bucket gives. Shape [F].
    """

    slots: int
    mean: Floats
    square: Floats
    center: Floats
    deviation: Floats

    @classmethod
    def of(cls, baseline: Profile) -> Normal:
        """Of a profile that has rows."""
        plan = baseline.plan
        slots = max(1, slots_of(plan.bucket_s))
        slot = baseline.bucket % slots
        numeric = np.array([feature.kind == "numeric" for feature in plan.features])
        center = np.array([feature.center for feature in plan.features])
        n = np.add.reduceat(baseline.counts, plan.offsets[:-1], axis=1)
        total = [
            _by_slot(values, slot, slots) for values in (n, baseline.sums[:, :, 0], baseline.sums[:, :, 1])
        ]
        with np.errstate(invalid="ignore", divide="ignore"):
            overall = [
                np.where(numeric, part.sum(axis=0) / total[0].sum(axis=0), np.nan) for part in total[1:]
            ]
            # A slot without values takes the mean of all: a baseline shorter than a day has such.
            first, second = (
                np.where(total[0] > 0, part / total[0], whole[None, :])
                for part, whole in zip(total[1:], overall, strict=True)
            )
            first[:, ~numeric], second[:, ~numeric] = np.nan, np.nan
            inner = np.sqrt(np.maximum(second - first**2, 0.0))
        mean = first + center
        with np.errstate(invalid="ignore", divide="ignore"):
            residual = np.where(numeric, center + baseline.sums[:, :, 0] / n, np.nan) - mean[slot]
        seen = np.maximum(np.sum(~np.isnan(residual), axis=0), 1)
        free = np.maximum(seen - np.minimum(slots, seen // 2), 1)
        strayed = np.sqrt(np.nansum(residual**2, axis=0) / free)
        per_bucket = max(1.0, float(np.median(baseline.rows)))
        floor = np.nanmean(np.where(np.isnan(inner), 0.0, inner), axis=0) / np.sqrt(per_bucket)
        return cls(
            slots=slots,
            mean=mean,
            square=second,
            center=center,
            deviation=np.where(numeric, np.maximum(strayed, floor), 0.0),
        )

    def spread(self, index: int, number: Ints) -> float:
        """Standard deviation of a feature's values over buckets of these numbers, were they as usual."""
        slot = number % self.slots
        first, second = self.mean[slot, index] - self.center[index], self.square[slot, index]
        return float(np.sqrt(max(0.0, np.mean(second) - np.mean(first) ** 2)))

    def expected(self, grid: Grid) -> Floats:
        """The usual mean at each bucket of a grid. Shape [T, F]."""
        return self.mean[grid.number % self.slots]


def moments(profile: Profile, first: int, stop: int, index: int) -> tuple[float, float] | None:
    """Mean and standard deviation of a feature's values in the buckets first to stop - 1, or None."""
    inside = (profile.bucket >= first) & (profile.bucket < stop)
    n = int(profile.counts[inside, profile.plan.columns(index)].sum())
    if n == 0:
        return None
    one, two = profile.sums[inside, index].sum(axis=0) / n
    return float(one + profile.plan.features[index].center), float(np.sqrt(max(0.0, two - one**2)))


def _by_slot(values: np.ndarray, slot: Ints, slots: int) -> Floats:
    """Sums of `values` [B, F] by slot. Shape [S, F]."""
    out = np.zeros((slots, values.shape[1]))
    np.add.at(out, slot, values)
    return out
