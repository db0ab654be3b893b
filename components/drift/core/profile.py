"""The mergeable sketch of a span: counts and sums per bucket of time, on agreed bins.

Everything that monitoring compares is linear in these arrays: adding the buckets of two profiles gives the
profile of the union, a block bootstrap draws buckets, and a rolling window concatenates spans. A profile
holds no row, yet it is as confidential as the rows: rare bins name them. What leaves a region goes through
`outward`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

#: Upper ends of the bins of the step between rows of a series, in nominal intervals; the last bin is open.
CADENCE_EDGES = (0.0, 0.5, 0.9, 1.1, 2.5, 10.5, 100.5)


@dataclass(frozen=True)
class FeaturePlan:
    """The agreed bins of one feature.

    Attributes:
      name: Feature name.
      kind: `numeric` or `categorical` (binary features and texts).
      edges: Inner edges of a numeric feature, strictly ascending, in its unit: bin k holds
        `edges[k - 1] < x <= edges[k]`, the first and the last bin are open. Shape [bins - 1].
      categories: Of a categorical feature; its last bin counts all others. Shape [bins - 1].
      center: Subtracted before sums are taken (numeric), so that squares keep their digits.
      scale: What a standardised value is divided by; > 0.
    """

    name: str
    kind: Literal["numeric", "categorical"]
    edges: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()
    center: float = 0.0
    scale: float = 1.0

    @property
    def bins(self) -> int:
        """Number of bins."""
        return len(self.edges if self.kind == "numeric" else self.categories) + 1


@dataclass(frozen=True)
class ProfilePlan:
    """What two profiles must share to be compared or merged.

    Attributes:
      features: In the order of the arrays.
      bucket_s: Length of a bucket of time, in whole seconds; buckets begin at its multiples (UTC). At most an
        hour where the daily course is to be read.
      interval_s: Nominal cadence of a series, in seconds.
      random_features: D, the number of random Fourier features of the multivariate test; 0 for none.
      seed: Of their frequencies.
      public: Whether the bins were made from public bounds (`planning.public_plan`) and not from rows. What
        leaves a region needs that.
    """

    features: tuple[FeaturePlan, ...]
    bucket_s: int
    interval_s: float
    random_features: int = 0
    seed: int = 0
    public: bool = False

    @cached_property
    def offsets(self) -> Ints:
        """Where each feature's bins begin in the arrays' last axis. Shape [features + 1]."""
        return np.concatenate([[0], np.cumsum([feature.bins for feature in self.features])]).astype(np.int64)

    def columns(self, feature: int) -> slice:
        """A feature's bins in the arrays' last axis."""
        return slice(int(self.offsets[feature]), int(self.offsets[feature + 1]))


@dataclass(frozen=True)
class Profile:
    """Counts and sums of the rows of a span, bucket by bucket. B buckets, F features, K bins of all features.

    Attributes:
      plan: The agreed bins.
      bucket: Number of each bucket: its begin divided by `bucket_s`; ascending, unique. Shape [B].
      rows: Rows. Shape [B].
      counts: Values per bin; NaN, infinities and nulls are in `missing`. Shape [B, K].
      missing: Rows without a finite value. Shape [B, F].
      sums: Of `x - center`, its square, over values. Shape [B, F, 2]. Zero for categorical features.
      low: Least value, NaN without values. Shape [B, F]. NaN for categorical features.
      high: Greatest value. Shape [B, F].
      pairs: Values whose series' previous row has one too. Shape [B, F].
      still: Of these, how many repeat it exactly. Shape [B, F].
      longest_still_s: Longest time that one series repeated one value exactly, ending in the bucket, in
        seconds. Shape [B, F].
      cadence: Steps between rows of a series by `CADENCE_EDGES`. Shape [B, len(CADENCE_EDGES) + 1].
      labelled: Rows by label: of those, how many are 1. Shape [B, 2] (rows with a label, rows with label 1).
      positive: Of `counts`, those in rows with label 1. Shape [B, K]; [0, K] without labels.
      random: Sums of the random Fourier features of standardised numeric values over rows with all of
        them. Shape [B, D].
      complete: Those rows. Shape [B].
    """

    plan: ProfilePlan
    bucket: Ints
    rows: Ints
    counts: Ints
    missing: Ints
    sums: Floats
    low: Floats
    high: Floats
    pairs: Ints
    still: Ints
    longest_still_s: Floats
    cadence: Ints
    labelled: Ints
    positive: Ints
    random: Floats
    complete: Ints
