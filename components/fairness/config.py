"""Configuration of the fairness report: which slices, how many rows each needs, what stops a detector."""

from __future__ import annotations

import itertools
from typing import Any, Literal

import pydantic

from components.config_base import ComponentConfig
from components.dataset import DatasetConfig

#: Names of slices that are no columns: the test set's locale column, and all series columns together.
LOCALE_SLICES, SERIES_SLICES = "locale", "series"

DisparityName = Literal[
    "disparate_impact_ratio",
    "demographic_parity_difference",
    "equalised_odds_difference",
    "tpr_difference",
    "fpr_difference",
]


class SliceConfig(ComponentConfig):
    """One way to cut the test rows.

    Attributes:
      column: `locale`, `series` (all series columns together), one of the series columns, or a feature.
      edges: Of the bins of a numeric column, rising, in the column's unit; a value equal to an edge is in
        the upper bin. Bins are agreed on here and not taken from the rows, so that they mean the same in
        every run.
    """

    column: str = pydantic.Field(min_length=1)
    edges: tuple[float, ...] = pydantic.Field(default=(), max_length=30)

    @pydantic.model_validator(mode="after")
    def _check_edges(self) -> SliceConfig:
        if any(low >= high for low, high in itertools.pairwise(self.edges)):
            raise ValueError(f"slice '{self.column}': edges must rise, found {list(self.edges)}")
        return self


class FairnessGateConfig(ComponentConfig):
    """What makes the deciding detector NOT_BLESSED; every limit is off by default.

    Attributes:
      scenario: Whose detector is judged.
      slices: The cuts that are judged, by column; empty: all that are configured.
      judge_by: Which number meets the limit: the value, or the bound of its interval on the bad side
        (`worst`: no more than the limit with that confidence) or on the good side (`best`: beyond the limit
        for certain).
      min_disparate_impact_ratio: The four-fifths rule is 0.8.
      max_demographic_parity_difference: Of selection rates.
      max_equalised_odds_difference: The larger of the differences in TPR and FPR.
    """

    scenario: Literal["Isthmus"] = "Isthmus"
    slices: tuple[str, ...] = ()
    judge_by: Literal["value", "worst", "best"] = "value"
    min_disparate_impact_ratio: float | None = pydantic.Field(default=None, gt=0, le=1)
    max_demographic_parity_difference: float | None = pydantic.Field(default=None, ge=0, le=1)
    max_equalised_odds_difference: float | None = pydantic.Field(default=None, ge=0, le=1)

    def limits(self) -> dict[DisparityName, tuple[bool, float]]:
        """Disparity -> (whether the limit is a lower one, the limit); those that are on."""
        found: dict[DisparityName, tuple[bool, float | None]] = {
            "disparate_impact_ratio": (True, self.min_disparate_impact_ratio),
            "demographic_parity_difference": (False, self.max_demographic_parity_difference),
            "equalised_odds_difference": (False, self.max_equalised_odds_difference),
        }
        return {name: (lower, limit) for name, (lower, limit) in found.items() if limit is not None}


class FairnessConfig(ComponentConfig):
    """The fairness report of ProphetEvaluator: `central.detector.fairness`.

    Attributes:
      slices: How the test rows are cut; a column's name alone stands for a cut without edges.
      min_rows: A rate of fewer rows (its denominator) is UNDEFINED.
      min_events: TPR, precision and F1 need this many labelled events in the slice: the rows of one event
        say the same thing over and over.
      max_slices: A cut into more slices is UNDEFINED: no table of hundreds of rows is read.
      gate: What makes the detector NOT_BLESSED.
    """

    slices: tuple[SliceConfig, ...] = (SliceConfig(column=LOCALE_SLICES), SliceConfig(column=SERIES_SLICES))
    # Thirty: the rule of thumb below which a share's sampling distribution is far from normal.
    min_rows: int = pydantic.Field(default=30, ge=1)
    min_events: int = pydantic.Field(default=2, ge=1)
    max_slices: int = pydantic.Field(default=40, ge=2, le=100)
    gate: FairnessGateConfig = FairnessGateConfig()

    @pydantic.field_validator("slices", mode="before")
    @classmethod
    def _names_alone(cls, slices: Any) -> Any:
        if not isinstance(slices, (list, tuple)):
            return slices
        return tuple({"column": item} if isinstance(item, str) else item for item in slices)

    @pydantic.model_validator(mode="after")
    def _check_slices(self) -> FairnessConfig:
        names = [item.column for item in self.slices]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"fairness.slices: '{twice[0]}' is named twice; allowed: each column once")
        unknown = [name for name in self.gate.slices if name not in names]
        if unknown:
            raise ValueError(
                f"fairness.gate.slices: found '{unknown[0]}'; allowed: one of fairness.slices "
                f"({', '.join(names) or 'none'})"
            )
        if self.gate.limits() and not names:
            raise ValueError("fairness.gate: a limit is set and fairness.slices is empty; allowed: name one")
        return self

    def check_columns(self, dataset: DatasetConfig, locale_column: str) -> None:
        """Checks the slices against the columns of the data set.

        Raises:
          ValueError: a column that test rows do not have, or bins that do not fit its kind.
        """
        kinds = {feature.name: feature.kind for feature in dataset.features}
        text = {LOCALE_SLICES, SERIES_SLICES, locale_column, *dataset.series}
        for item in self.slices:
            name, numeric = item.column, kinds.get(item.column) in ("continuous", "integer")
            if name not in text and name not in kinds:
                raise ValueError(
                    f"fairness.slices: found '{name}'; allowed: {', '.join(sorted(text | set(kinds)))}"
                )
            if numeric and not item.edges and name not in text:
                raise ValueError(
                    f"fairness.slices: '{name}' is {kinds[name]} and has no edges; "
                    f"allowed: {{column: {name}, edges: [...]}}"
                )
            if item.edges and not (numeric and name not in text):
                raise ValueError(f"fairness.slices: '{name}' is not numeric and has edges; allowed: none")
