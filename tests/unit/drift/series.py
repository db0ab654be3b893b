"""Profiles of hand-made series, straight from arrays of values."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.signal import lfilter

from components.drift.core.profile import CADENCE_EDGES, FeaturePlan, Profile, ProfilePlan

INTERVAL_S = 900
HOUR_S = 3_600
PER_DAY = 86_400 // INTERVAL_S
#: Inner edges of 24 bins that hold about equal shares of `wander`.
EDGES = tuple(
    float(edge) for edge in np.quantile(np.random.default_rng(0).normal(0, 1.2, 9_999), np.arange(1, 24) / 24)
)


def wander(days: float, features: int, rng: np.random.Generator, memory_h: float = 2.0) -> np.ndarray:
    """First-order series of variance 1 with weather that all share, and a daily course. [rows, features]."""
    steps = int(days * PER_DAY)
    keep = np.exp(-INTERVAL_S / HOUR_S / memory_h)
    warm = int(8 * memory_h * HOUR_S / INTERVAL_S)
    white = rng.standard_normal((steps + warm, features + 1))
    noise = lfilter([np.sqrt(1 - keep**2)], [1.0, -keep], white, axis=0)[warm:]
    course = np.cos(2 * np.pi * np.arange(steps) / PER_DAY)[:, None]
    return 0.8 * noise[:, 1:] + 0.6 * noise[:, :1] + course


def profile_of(
    values: np.ndarray,
    *,
    begin_day: float = 0.0,
    kind: str = "numeric",
    edges: tuple[float, ...] = EDGES,
    categories: tuple[str, ...] = (),
    labels: np.ndarray | None = None,
    bucket_s: int = HOUR_S,
    names: tuple[str, ...] = (),
) -> Profile:
    """The profile of one series; NaN is a missing value. `values` are category numbers where categorical.

    Args:
      values: Shape [rows, features].
      begin_day: When the first row is, in days.
      kind: Of all features.
      edges: Of numeric features.
      categories: Of categorical ones.
      labels: 0 or 1 a row.
      bucket_s: Length of a bucket.
      names: Of the features.
    """
    count, features = values.shape
    second = round(begin_day * 86_400) + np.arange(count, dtype=np.int64) * INTERVAL_S
    bucket, place = np.unique(second // bucket_s, return_inverse=True)
    names = names or tuple(f"x{number}" for number in range(features))
    plan = ProfilePlan(
        tuple(
            FeaturePlan(name, "numeric", edges)
            if kind == "numeric"
            else FeaturePlan(name, "categorical", (), categories)
            for name in names
        ),
        bucket_s,
        float(INTERVAL_S),
    )
    bins = plan.features[0].bins if features else 1
    known = np.isfinite(values)
    inner = np.arange(len(categories)) if kind == "categorical" else np.array(edges)
    number = np.searchsorted(inner, np.where(known, values, 0), side="left")
    where = (place[:, None] * features + np.arange(features)) * bins + number
    shape = (bucket.size, features * bins)
    counts = np.bincount(where[known], minlength=shape[0] * shape[1]).reshape(shape)
    label = np.zeros(count, dtype=np.int64) if labels is None else labels
    positive = np.bincount(where[known & (label[:, None] == 1)], minlength=shape[0] * shape[1]).reshape(shape)
    rows = np.bincount(place)
    missing = np.zeros((bucket.size, features), dtype=np.int64)
    np.add.at(missing, place, ~known)
    sums = np.zeros((bucket.size, features, 2))
    low, high = np.full((bucket.size, features), np.inf), np.full((bucket.size, features), -np.inf)
    if kind == "numeric":
        filled = np.where(known, values, 0)
        np.add.at(sums, place, np.stack([filled, filled**2], axis=2))
        np.minimum.at(low, place, np.where(known, values, np.inf))
        np.maximum.at(high, place, np.where(known, values, -np.inf))
    nothing = np.zeros((bucket.size, features), dtype=np.int64)
    cadence = np.zeros((bucket.size, len(CADENCE_EDGES) + 1), dtype=np.int64)
    cadence[:, 3] = rows
    labelled = np.zeros((bucket.size, 2), dtype=np.int64)
    if labels is not None:
        labelled[:, 0], labelled[:, 1] = rows, np.bincount(place, weights=label).astype(np.int64)
    return Profile(
        plan,
        bucket,
        rows,
        counts,
        missing,
        sums,
        np.where(np.isinf(low), np.nan, low),
        np.where(np.isinf(high), np.nan, high),
        nothing,
        nothing,
        nothing.astype(float),
        cadence,
        labelled,
        positive if labels is not None else np.zeros((0, shape[1]), dtype=np.int64),
        np.zeros((bucket.size, 0)),
        rows.copy(),
    )


def two_spans(
    days: int, features: int, seed: int = 0, memory_h: float = 2.0, shift: float = 0.0
) -> tuple[Profile, Profile]:
    """A span and the one before it, of `days` each; `x0` of the later is shifted by standard deviations."""
    values = wander(2 * days, features, np.random.default_rng(seed), memory_h)
    half = days * PER_DAY
    values[half:, 0] += shift * values[:half, 0].std()
    return profile_of(values[half:], begin_day=days), profile_of(values[:half])


def times(profile: Profile, factor: int) -> Profile:
    """Each row `factor` times."""
    names = ("rows", "counts", "missing", "sums", "cadence", "labelled", "positive", "complete")
    return dataclasses.replace(profile, **{name: getattr(profile, name) * factor for name in names})
