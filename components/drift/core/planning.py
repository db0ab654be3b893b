"""Agreed bins: from the rows inside a region, or from public bounds for what leaves it.

`plan_profile` looks at the rows, so its edges and categories are values of rows: they stay in the region.
`public_plan` looks only at the curated schema that every locale has anyway.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa

from components.dataset import DatasetConfig, FeatureConfig
from components.drift.core import arrow_columns
from components.drift.core.looking import Look, is_numeric
from components.drift.core.profile import FeaturePlan, ProfilePlan
from components.errors import ConfigError

#: More buckets than this, and the plan takes longer ones.
MAX_BUCKETS = 1_024
MAX_BINS = 4_096
HOUR_S = 3_600
DAY_S = 86_400
#: Lengths of a bucket below a day: divisors of it, so that the daily course falls on the same buckets.
_BELOW_A_DAY = tuple(HOUR_S * hours for hours in (1, 2, 3, 4, 6, 8, 12))
#: Rows that are looked at together.
_BATCH_ROWS = 32_768


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
    `looking.SAMPLE_ROWS`), equal ones merged. With at most `bins` distinct values each value gets a bin of
    its own and so do values outside their range; a constant is the case of one value. A feature without any
    value has one bin. NaN and infinities are no values. Categories stand by frequency, then by name.

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
    look = Look(dataset, seed)
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


def _check(bins: int, bucket_s: int | None, random_features: int) -> None:
    if not 2 <= bins <= MAX_BINS:
        raise ConfigError(f"profile plan: bins: found {bins}, allowed: 2 to {MAX_BINS}")
    if bucket_s is not None and (bucket_s != int(bucket_s) or bucket_s < 1):
        raise ConfigError(f"profile plan: bucket_s: found {bucket_s}, allowed: whole seconds, at least 1")
    if random_features < 0 or random_features % 2:
        raise ConfigError(
            f"profile plan: random_features: found {random_features}, allowed: 0 or an even number"
        )
