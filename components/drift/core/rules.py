"""What a comparison is judged by, and what comes out of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from components.drift.core.discovery import BENJAMINI_HOCHBERG, Correction
from components.drift.findings import Distribution, Measure, Measurement, TimeLine, Verdict
from components.errors import ConfigError


@dataclass(frozen=True)
class Rules:
    """How two profiles are compared.

    Attributes:
      alpha: Level of the noise rule: the false-discovery rate over the family; in (0, 1).
      correction: `benjamini_hochberg` or `benjamini_yekutieli`.
      draws: Resamplings of the null; 0 for none, then the noise rule is undefined.
      block_s: Length of a block, in seconds; None: chosen from the data.
      thresholds: Feature (or `(all)`) to measure to the largest value that passes. A measure with a threshold
        is judged by that number, not by the noise.
      min_count: Fewest values on a side for a distance; below, it is UNDEFINED.
      seed: Of the resampling.
      tfdv: Feature to measure to TFDV's own value, which replaces ours.
      units: Feature to its unit, for the Wasserstein distance.
      row_rate: Whether rows per bucket belong to the cadence. False where the sides are different fleets.
    """

    alpha: float = 0.05
    correction: Correction = BENJAMINI_HOCHBERG
    draws: int = 999
    block_s: float | None = None
    thresholds: Mapping[str, Mapping[Measure, float]] = field(default_factory=dict)
    min_count: int = 100
    seed: int = 0
    tfdv: Mapping[str, Mapping[Measure, float]] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    row_rate: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise ConfigError(f"monitoring: alpha is {self.alpha:g}; allowed: above 0 and below 1")
        if self.draws < 0:
            raise ConfigError(f"monitoring: draws is {self.draws}; allowed: 0 and more")


@dataclass(frozen=True)
class Compared:
    """One feature, or `(all)`, in one comparison.

    Attributes:
      feature: Its name.
      measurements: All that were taken, whatever came out.
      distribution: Both sides binned; None where a side has no values, and for `(all)`.
      time_line: Distance from the baseline along the first side; None where there is none.
      verdict: `ALERT` where one measurement alerts; else `UNDEFINED` where one that judges is; else `OK`.
      reason: Why nothing could be compared; else empty.
    """

    feature: str
    measurements: tuple[Measurement, ...]
    distribution: Distribution | None
    time_line: TimeLine | None
    verdict: Verdict
    reason: str = ""
