"""Thresholds of drift, skew and schema anomalies: the `monitoring` section of a deployment.

SchemaGen writes the thresholds into the schema as TFDV comparators; ExampleValidator and
SkewValidator read them from there, so that a curated schema has the last word.
"""

from __future__ import annotations

from typing import Literal

import pydantic

from components.config_base import ComponentConfig


class ComparatorConfig(ComponentConfig):
    """Largest distance that passes, per measure; both measures lie in [0, 1].

    Attributes:
      jensen_shannon_divergence: For continuous and integer features, in bits.
      infinity_norm: For binary and categorical features and the label.
    """

    # Two unit Gaussians 1.2 standard deviations apart have a divergence of about 0.23; TFDV names no default.
    jensen_shannon_divergence: float = pydantic.Field(default=0.2, ge=0, le=1)
    # Ten points of share; TFDV's tutorial uses 0.01 to 0.03 on hand-labelled web data.
    infinity_norm: float = pydantic.Field(default=0.1, ge=0, le=1)


class FeatureThresholds(ComponentConfig):
    """Thresholds of one feature instead of the general ones, in the measure of its kind.

    Attributes:
      drift: Against the previous span, or None for the general one.
      skew: Between locales, or None for the general one.
    """

    drift: float | None = pydantic.Field(default=None, ge=0, le=1)
    skew: float | None = pydantic.Field(default=None, ge=0, le=1)


class MonitoringConfig(ComponentConfig):
    """What is watched, and what stops a locale.

    Attributes:
      drift: Thresholds against the previous span.
      skew: Thresholds between locales.
      features: Thresholds of single features, by name (the label too).
      min_count: Fewest values on a side for a distance; below, it is UNDEFINED.
      min_presence: Smallest share of rows with a value, for the features of an inferred schema.
      fail_on: `error` stops a locale at a schema anomaly of severity ERROR; `never` only reports.
      on_drift: `fail` stops a locale at a drift over its threshold; `warn` only reports.
    """

    drift: ComparatorConfig = ComparatorConfig()
    # Locales differ by nature (climate, duty cycle): a skew is a description before it is an alarm.
    skew: ComparatorConfig = ComparatorConfig(jensen_shannon_divergence=0.3, infinity_norm=0.2)
    features: dict[str, FeatureThresholds] = pydantic.Field(default_factory=dict)
    # Ten equal-width buckets with fewer than ten values each say little.
    min_count: int = pydantic.Field(default=100, ge=1)
    min_presence: float = pydantic.Field(default=0.0, ge=0, le=1)
    fail_on: Literal["error", "never"] = "error"
    on_drift: Literal["warn", "fail"] = "warn"
