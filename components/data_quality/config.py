"""Configuration of data quality: what is looked for, and what becomes of missing values."""

from __future__ import annotations

from typing import Literal

import pydantic

from components.config_base import ComponentConfig
from components.dataset import DatasetConfig, FeatureKind

Policy = Literal["none", "mean", "median", "mode", "interpolate", "drop"]

#: Policies that give a value of each kind. A mean of 0 and 1, or of words, is neither.
ALLOWED: dict[FeatureKind, tuple[Policy, ...]] = {
    "continuous": ("none", "mean", "median", "mode", "interpolate", "drop"),
    "integer": ("none", "mean", "median", "mode", "interpolate", "drop"),
    "binary": ("none", "mode", "drop"),
    "categorical": ("none", "mode", "drop"),
}
#: Policies under which a stored row depends on itself alone, as differential privacy needs it.
ROW_BY_ROW: tuple[Policy, ...] = ("none", "drop")


class ImputationConfig(ComponentConfig):
    """What ExampleGen does with missing values of features; keys, times and labels are never imputed.

    Attributes:
      default: Policy of features that `features` does not name. `none`: a missing value is stored as
        missing. `mean`, `median`, `mode`: of the known values of the training split (of the only split,
        where there is one); integers are rounded to the nearest, ties of the mode go to the smallest.
        `interpolate`: on the line between the known values on either side, within one series, one span of
        rows of one split, and `max_gap_intervals`; integers are rounded. `drop`: the row is not stored.
      features: Policy by feature.
      by: Whose mean, median and mode: the row's own `series` (of all rows, where the series has no known
        value), or of `all` rows.
      max_gap_intervals: Longest time between the two known values that `interpolate` reaches over, in
        intervals of `dataset.interval_s`, to within half of one: 6 fills up to five missing rows.
    """

    default: Policy = "none"
    features: dict[str, Policy] = pydantic.Field(default_factory=dict)
    by: Literal["series", "all"] = "series"
    max_gap_intervals: int = pydantic.Field(default=6, ge=2, le=1000)

    def policies(self, dataset: DatasetConfig) -> dict[str, Policy]:
        """Policy of every feature, in order.

        Raises:
          ValueError: a name is no feature, or a policy does not fit a feature's kind.
        """
        unknown = [name for name in self.features if name not in dataset.feature_names()]
        if unknown:
            raise ValueError(
                f"quality.imputation.features: found '{unknown[0]}'; allowed: a feature of the data set "
                f"({', '.join(dataset.feature_names())})"
            )
        found = {}
        for feature in dataset.features:
            policy = self.features.get(feature.name, self.default)
            if policy not in ALLOWED[feature.kind]:
                key = f"features.{feature.name}" if feature.name in self.features else "default"
                raise ValueError(
                    f"quality.imputation.{key}: found '{policy}' for '{feature.name}', which is "
                    f"{feature.kind}; allowed: {', '.join(ALLOWED[feature.kind])}"
                )
            found[feature.name] = policy
        return found


class OutlierConfig(ComponentConfig):
    """Which values and rows count as outliers. They are counted and never changed.

    Attributes:
      enabled: Look for them.
      robust_z: Absolute modified z-score, within a series, above which a value is an outlier.
      forest_score: Anomaly score of the isolation forest, in (0, 1), above which a row is an outlier.
      trees: Of the forest.
      tree_rows: Rows that each tree is grown on.
      max_rows: Rows that are judged, evenly spread over the span.
    """

    enabled: bool = True
    # Iglewicz and Hoaglin (1993), "How to detect and handle outliers", section 3.3.
    robust_z: float = pydantic.Field(default=3.5, gt=0)
    # Liu, Ting and Zhou (2008), "Isolation forest": well below 0.5 is normal, close to 1 anomalous; their
    # contour of "potential anomalies" is drawn at 0.6. Trees and rows are their defaults.
    forest_score: float = pydantic.Field(default=0.6, gt=0, lt=1)
    trees: int = pydantic.Field(default=100, ge=10, le=1000)
    tree_rows: int = pydantic.Field(default=256, ge=16, le=65_536)
    max_rows: int = pydantic.Field(default=10_000, ge=100, le=1_000_000)


class QualityConfig(ComponentConfig):
    """The `quality` section of a deployment.

    Attributes:
      imputation: What becomes of missing values, in every locale and in the labelled test set alike.
      outliers: What counts as one.
    """

    imputation: ImputationConfig = ImputationConfig()
    outliers: OutlierConfig = OutlierConfig()
