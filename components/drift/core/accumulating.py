"""The arrays of a profile while it is built: rows are added for buckets as they are met."""

from __future__ import annotations

import numpy as np

from components.drift.core.profile import CADENCE_EDGES, Ints, Profile, ProfilePlan


class Accumulator:
    """A profile whose buckets stand in the order in which they were met; attributes as in `Profile`."""

    def __init__(self, plan: ProfilePlan, labelled: bool) -> None:
        """Args: plan: the bins; labelled: whether the data set has a label column."""
        self._plan, self._row_of = plan, dict[int, int]()
        features, bins, random = len(plan.features), int(plan.offsets[-1]), plan.random_features
        self._has_labels = labelled
        self.rows = np.zeros(0, np.int64)
        self.counts = np.zeros((0, bins), np.int64)
        self.missing = np.zeros((0, features), np.int64)
        self.sums = np.zeros((0, features, 2))
        self.low = np.zeros((0, features))
        self.high = np.zeros((0, features))
        self.pairs = np.zeros((0, features), np.int64)
        self.still = np.zeros((0, features), np.int64)
        self.longest_still_s = np.zeros((0, features))
        self.cadence = np.zeros((0, len(CADENCE_EDGES) + 1), np.int64)
        self.labelled = np.zeros((0, 2), np.int64)
        self.positive = np.zeros((0, bins), np.int64)
        self.random = np.zeros((0, random))
        self.complete = np.zeros(0, np.int64)

    def positions(self, buckets: Ints) -> Ints:
        """Where these buckets stand in the arrays, which grow for new ones. Shape as `buckets`."""
        for bucket in buckets.tolist():
            self._row_of.setdefault(bucket, len(self._row_of))
        if len(self._row_of) > len(self.rows):
            self._grow(max(len(self._row_of), 2 * len(self.rows)))
        return np.array([self._row_of[bucket] for bucket in buckets.tolist()], np.int64)

    def _grow(self, rows: int) -> None:
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray) and not (name == "positive" and not self._has_labels):
                grown = np.zeros((rows, *value.shape[1:]), value.dtype)
                if name in ("low", "high"):
                    grown[:] = np.inf if name == "low" else -np.inf
                grown[: len(value)] = value
                setattr(self, name, grown)

    def profile(self) -> Profile:
        """The profile so far, its buckets ascending."""
        numbers = np.array(list(self._row_of), np.int64)
        order = np.argsort(numbers)
        arrays = {
            name: value[order] if len(value) or not len(order) else value
            for name, value in vars(self).items()
            if isinstance(value, np.ndarray)
        }
        for name in ("low", "high"):
            arrays[name] = np.where(np.isfinite(arrays[name]), arrays[name], np.nan)
        return Profile(plan=self._plan, bucket=numbers[order], **arrays)
