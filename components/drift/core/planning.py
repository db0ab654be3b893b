"""Agreed bins: from the rows inside a region, or from public bounds for what leaves it.

`plan_profile` looks at the rows, so its edges and categories are values of rows: they stay in the region.
`public_plan` looks only at the curated schema that every locale has anyway.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from components.dataset import DatasetConfig, FeatureConfig
from components.drift.core import arrow_columns
from components.drift.core.profile import FeaturePlan, ProfilePlan
from components.errors import ConfigError

#: Categories of a feature that have a bin of their own; all others share the last one.
MAX_CATEGORIES = 64
#: Rows that quantiles are taken from. The error of a share is about 0.5 / sqrt(rows): 0.0014.
SAMPLE_ROWS = 131_072
#: More buckets than this, and the plan takes longer ones.
MAX_BUCKETS = 1_024
MAX_BINS = 4_096
HOUR_S = 3_600
DAY_S = 86_400
#: Lengths of a bucket below a day: divisors of it, so that the daily course falls on the same buckets.
_BELOW_A_DAY = tuple(HOUR_S * hours for hours in (1, 2, 3, 4, 6, 8, 12))
#: Rows that are looked at together.
_BATCH_ROWS = 65_536
#: A vocabulary longer than this is cut to its most frequent while counting: no exact count is claimed then.
_MOST_COUNTED = 100_000
#: Interquartile range of the normal distribution of variance one.
_NORMAL_IQR = 1.3489795003921634


def plan_profile(
    tables: Iterable[pa.Table],
    dataset: DatasetConfig,
    *,
    bins: int = 32,
    bucket_s: int | None = None,
    random_features: int = 64,
    seed: int = 0,
) -> ProfilePlan:
    """The bins for a span and all that is to be compared with it, from its rows.

    A numeric feature gets edges at the quantiles k / bins of a uniform sample of rows (all of them up to
    `SAMPLE_ROWS`), equal ones merged. With at most `bins` distinct values each value gets a bin of its own
    and so do values outside their range; a constant is the case of one value. A feature without any value
    has one bin. NaN and infinities are no values. Categories stand by frequency, then by name.

    Args:
      tables: Flat rows; read once.
      dataset: Names the columns.
      bins: Bins of a numeric feature at most (two more where values are few).
      bucket_s: Length of a bucket of time in seconds. None: an hour, or where the span has more than
        `MAX_BUCKETS` hours, the next longer divisor or multiple of a day.
      random_features: Number of random Fourier features, even; 0 for none.
      seed: Of the sample and of the frequencies.

    Raises:
      ConfigError: an argument is out of range.
      DataError: a column is not of its feature's kind, or rows have no time.
    """
    _check(bins, bucket_s, random_features)
    look = _Look(dataset, seed)
    for table in arrow_columns.as_tables(tables, _BATCH_ROWS):
        look.add(table, dataset)
    features = tuple(
        look.numeric(feature, bins) if is_numeric(feature) else look.categorical(feature)
        for feature in dataset.features
    )
    return ProfilePlan(
        features=features,
        bucket_s=bucket_s or bucket_length(look.span_s),
        interval_s=dataset.interval_s,
        random_features=random_features if any(map(is_random, features)) else 0,
        seed=seed,
    )


def public_plan(
    schema: Any,
    dataset: DatasetConfig,
    *,
    bins: int = 32,
    bucket_s: int = DAY_S,
    random_features: int = 0,
    seed: int = 0,
) -> ProfilePlan:
    """The bins that any locale makes from the curated schema alone; no row is looked at.

    A numeric feature gets edges of equal width over its domain, the domain's ends among them, so that the
    first and the last bin hold what the schema forbids; an integer domain of at most `bins` values gets a
    bin per value. A binary feature has the categories 0 and 1, another one those of its string domain, in
    the schema's order. A feature without a bounded domain is left out.

    Args:
      schema: `tensorflow_metadata` Schema, the curated one. One inferred from rows names values of rows.
      dataset: Names the columns and the curated schema.
      bins: Bins between the ends of a numeric domain.
      bucket_s: Length of a bucket of time in seconds.
      random_features: As `plan_profile`.
      seed: As `plan_profile`.

    Raises:
      ConfigError: the data set has no curated schema, no feature has a domain, or as `plan_profile`.
    """
    _check(bins, bucket_s, random_features)
    if dataset.schema_name is None:
        raise ConfigError(
            "public plan: dataset.schema_name: found none, so that bins could only come from rows; "
            "allowed: the name of a curated schema"
        )
    named = {feature.name: feature for feature in schema.feature}
    domains = {domain.name: list(domain.value) for domain in schema.string_domain}
    found = [
        _public_feature(feature, named[feature.name], domains, bins)
        for feature in dataset.features
        if feature.name in named
    ]
    features = tuple(feature for feature in found if feature is not None)
    if not features:
        raise ConfigError(
            f"public plan: schema '{dataset.schema_name}': no feature has a domain with two ends or a list "
            "of values; at least one needs it"
        )
    return ProfilePlan(
        features=features,
        bucket_s=bucket_s,
        interval_s=dataset.interval_s,
        random_features=random_features if any(map(is_random, features)) else 0,
        seed=seed,
        public=True,
    )


def is_numeric(feature: FeatureConfig) -> bool:
    """Whether a feature is binned by edges."""
    return feature.kind in ("continuous", "integer")


def is_random(feature: FeaturePlan) -> bool:
    """Whether a feature takes part in the random Fourier features: numeric, with a value when planned."""
    return feature.kind == "numeric" and bool(feature.edges)


def bucket_length(span_s: float) -> int:
    """An hour, or the next longer divisor or multiple of a day that gives at most `MAX_BUCKETS` buckets.

    Args:
      span_s: From the first row to the last, in seconds.
    """
    for length in _BELOW_A_DAY:
        if span_s <= length * MAX_BUCKETS:
            return length
    return DAY_S * max(1, math.ceil(span_s / (DAY_S * MAX_BUCKETS)))


class _Look:
    """What planning keeps of the rows: a uniform sample of numbers, counts of categories, the span."""

    def __init__(self, dataset: DatasetConfig, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        numeric = [feature.name for feature in dataset.features if is_numeric(feature)]
        self._sample: dict[str, list[npt.NDArray[np.floating]]] = {name: [] for name in numeric}
        self._keys: list[npt.NDArray[np.float64]] = []
        self._below = 1.0
        self._counts: dict[str, Counter[str]] = {
            feature.name: Counter() for feature in dataset.features if not is_numeric(feature)
        }
        self._first_us, self._last_us = math.inf, -math.inf

    @property
    def span_s(self) -> float:
        """From the first row to the last, in seconds; 0 without rows."""
        return max(0.0, (self._last_us - self._first_us) / 1e6)

    def add(self, table: pa.Table, dataset: DatasetConfig) -> None:
        """Takes in the rows of a table."""
        stamps = arrow_columns.times_us(table, dataset)
        self._first_us = min(self._first_us, float(stamps.min()))
        self._last_us = max(self._last_us, float(stamps.max()))
        # The rows with the least random keys are a uniform sample of all rows, however many come.
        keys = self._rng.random(table.num_rows)
        taken = np.flatnonzero(keys < self._below)
        whole = len(taken) == len(keys)
        self._keys.append(keys if whole else keys[taken])
        for name, parts in self._sample.items():
            values, _ = arrow_columns.numbers(table, name)
            parts.append(values.copy() if whole else values[taken])
        for name, counter in self._counts.items():
            if name in table.column_names:
                _count(counter, table.column(name).combine_chunks())
        if sum(map(len, self._keys)) > 2 * SAMPLE_ROWS:
            self._thin()

    def _thin(self) -> None:
        keys = np.concatenate(self._keys) if self._keys else np.zeros(0)
        if len(keys) > SAMPLE_ROWS:
            self._below = float(np.partition(keys, SAMPLE_ROWS)[SAMPLE_ROWS])
            kept = np.flatnonzero(keys < self._below)
            self._keys = [keys[kept]]
            for name, parts in self._sample.items():
                self._sample[name] = [np.concatenate(parts)[kept]]

    def numeric(self, feature: FeatureConfig, bins: int) -> FeaturePlan:
        """The plan of a numeric feature."""
        self._thin()
        parts = self._sample[feature.name]
        values = np.concatenate(parts).astype(np.float64) if parts else np.zeros(0)
        return numeric_plan(feature.name, values[np.isfinite(values)], bins, feature.kind == "integer")

    def categorical(self, feature: FeatureConfig) -> FeaturePlan:
        """The plan of a feature with categories."""
        ranked = sorted(self._counts[feature.name].items(), key=lambda item: (-item[1], item[0]))
        names = [name for name, _ in ranked[:MAX_CATEGORIES]]
        if feature.kind == "binary":
            names = sorted(
                {*names[: MAX_CATEGORIES - 2], "0", "1"}, key=lambda name: (name not in "01", name)
            )
        return FeaturePlan(feature.name, "categorical", categories=tuple(names))


def numeric_plan(name: str, values: npt.NDArray[np.float64], bins: int, integer: bool) -> FeaturePlan:
    """Edges, center and scale of a numeric feature.

    Args:
      name: Feature name.
      values: Finite. Shape [values].
      bins: See `plan_profile`.
      integer: Whether edges stand between whole numbers.
    """
    if not len(values):
        return FeaturePlan(name, "numeric")
    values = np.sort(values)
    distinct = values[np.append(True, values[1:] != values[:-1])]
    if len(distinct) <= bins:
        # Half of each: their sum may overflow.
        between = distinct[:-1] / 2 + distinct[1:] / 2
        # Of neighbours among the floats, the mean may round to the upper one.
        between = np.where(between < distinct[1:], np.maximum(between, distinct[:-1]), distinct[:-1])
        edges = np.concatenate([[np.nextafter(distinct[0], -np.inf)], between, distinct[-1:]])
        edges = edges[np.isfinite(edges)]
    else:
        at = np.ceil(np.arange(1, bins) / bins * len(values)).astype(np.int64) - 1
        edges = values[at]
        if integer:
            edges = np.floor(edges) + 0.5
    edges = np.unique(edges)
    low, center, high = (float(values[int(q * (len(values) - 1))]) for q in (0.25, 0.5, 0.75))
    return FeaturePlan(name, "numeric", tuple(edges.tolist()), (), center, _scale(values, low, center, high))


def _scale(values: npt.NDArray[np.float64], low: float, center: float, high: float) -> float:
    """Spread of a normal distribution with these quartiles; where they agree, the next best; > 0."""
    with np.errstate(over="ignore"):
        deviation = float(np.std(values))
    for spread in ((high - low) / _NORMAL_IQR, deviation, abs(center)):
        if np.isfinite(spread) and spread > np.finfo(np.float64).tiny:
            return spread
    return 1.0


def _public_feature(
    feature: FeatureConfig, declared: Any, domains: dict[str, list[str]], bins: int
) -> FeaturePlan | None:
    """The plan of a feature from its declaration in the schema; None where that has no bounded domain."""
    name = feature.name
    if feature.kind == "binary":
        return FeaturePlan(name, "categorical", categories=("0", "1"))
    if feature.kind == "categorical":
        values = domains.get(declared.domain, []) if declared.HasField("domain") else []
        if declared.HasField("string_domain"):
            values = list(declared.string_domain.value)
        names = tuple(dict.fromkeys(values))
        return FeaturePlan(name, "categorical", categories=names) if names else None
    for kind in ("int_domain", "float_domain"):
        domain = getattr(declared, kind)
        if not declared.HasField(kind) or not (domain.HasField("min") and domain.HasField("max")):
            continue
        low, high = float(domain.min), float(domain.max)
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            continue
        if feature.kind == "integer" and high - low < bins:
            edges = np.arange(low - 0.5, high + 1)
        else:
            edges = np.linspace(low, high, bins + 1)
            # The least value allowed belongs to the first bin inside.
            edges[0] = np.nextafter(low, -np.inf)
        # A uniform distribution over the domain has this spread.
        spread = (high - low) / math.sqrt(12)
        return FeaturePlan(name, "numeric", tuple(edges.tolist()), (), (low + high) / 2, spread)
    return None


def _count(counter: Counter[str], column: pa.Array) -> None:
    counted = pc.value_counts(arrow_columns.texts(column).drop_null())
    if len(counted):
        values, counts = counted.field("values").cast(pa.string()), counted.field("counts")
        counter.update(dict(zip(values.to_pylist(), counts.to_pylist(), strict=True)))
    if len(counter) > _MOST_COUNTED:
        kept = counter.most_common(_MOST_COUNTED // 2)
        counter.clear()
        counter.update(dict(kept))


def _check(bins: int, bucket_s: int | None, random_features: int) -> None:
    if not 2 <= bins <= MAX_BINS:
        raise ConfigError(f"profile plan: bins: found {bins}, allowed: 2 to {MAX_BINS}")
    if bucket_s is not None and (bucket_s != int(bucket_s) or bucket_s < 1):
        raise ConfigError(f"profile plan: bucket_s: found {bucket_s}, allowed: whole seconds, at least 1")
    if random_features < 0 or random_features % 2:
        raise ConfigError(
            f"profile plan: random_features: found {random_features}, allowed: 0 or an even number"
        )
