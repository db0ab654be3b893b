"""Results of an evaluation: a metric is a value with direction, range and interval, or UNDEFINED."""

from __future__ import annotations

import dataclasses
import math
from statistics import NormalDist
from typing import Any, Literal

import numpy as np

Status = Literal["OK", "UNDEFINED", "NOT_APPLICABLE"]
Direction = Literal["higher", "lower"]


@dataclasses.dataclass(frozen=True)
class Interval:
    """A confidence interval.

    Attributes:
      low: Lower bound.
      high: Upper bound.
      confidence: Two-sided level, in (0, 1).
      method: How it was found, in words.
    """

    low: float
    high: float
    confidence: float
    method: str

    def within(self, limits: tuple[float | None, float | None]) -> Interval:
        """The part of it that lies in a metric's range; a normal approximation may reach beyond."""
        least, most = (
            (-math.inf if limits[0] is None else limits[0]),
            (math.inf if limits[1] is None else limits[1]),
        )
        low, high = (min(max(end, least), most) for end in (self.low, self.high))
        return dataclasses.replace(self, low=low, high=high)


@dataclasses.dataclass(frozen=True)
class MetricSpec:
    """What a metric is, whether or not it could be computed.

    Attributes:
      group: `fidelity`, `utility` or `privacy`.
      direction: Whether `higher` or `lower` values are better.
      range: Least and greatest possible value; None where unbounded.
      description: One sentence.
    """

    group: str
    direction: Direction
    range: tuple[float | None, float | None]
    description: str


@dataclasses.dataclass(frozen=True)
class Evidence:
    """The parts of a risk = (attack - control) / (1 - control).

    Attributes:
      attack: Success on train records; for a score its AUC.
      naive: Success of an attacker who does not look at the release.
      stand_in: The risk of a release that cannot leak: real rows of train blocks that were set apart.
      n_attack: Train records attacked.
      n_control: Holdout records attacked.
      effective: Independent records that those of train and of holdout weigh as much as, by the clustering
        of successes in blocks of time.
      kind: `rate` (successes over records), `auc` (scores) or `owner` (successes that belong to a record):
        how the records needed follow from a threshold; empty where they do not.
      worst: Name of the column that is worst off, where columns are told apart.
    """

    attack: float | None = None
    naive: float | None = None
    stand_in: float | None = None
    n_attack: int = 0
    n_control: int = 0
    effective: tuple[float, float] = (0.0, 0.0)
    kind: Literal["rate", "auc", "owner", ""] = ""
    worst: str = ""

    def to_json(self) -> dict[str, Any]:
        """A JSON object without NaN."""
        return {
            "attack": rounded(self.attack),
            "naive": rounded(self.naive),
            "stand_in": rounded(self.stand_in),
            "n_attack": self.n_attack,
            "n_control": self.n_control,
            "n_effective": [rounded(self.effective[0]), rounded(self.effective[1])],
            "worst": self.worst,
        }


@dataclasses.dataclass(frozen=True)
class Metric:
    """One measured metric.

    Attributes:
      name: Its name, a key of `catalogue.METRICS`.
      spec: What it is.
      status: `OK`; `UNDEFINED` (could not be computed); `NOT_APPLICABLE` (the data hold nothing that
        it could measure, as a matter of fact and not of failure).
      value: The value; None unless `OK`.
      reason: Why there is no value; empty when `OK`.
      interval: Its interval, or None.
      control: The same quantity of a control that cannot leak, or None; for an attack its success on
        holdout.
      n: Records it was computed from.
      evidence: What an attack saw beside its risk, or None.
      too_few: Whether there is no value because there are too few records.
    """

    name: str
    spec: MetricSpec
    status: Status
    value: float | None = None
    reason: str = ""
    interval: Interval | None = None
    control: float | None = None
    n: int = 0
    evidence: Evidence | None = None
    too_few: bool = False

    def to_json(self) -> dict[str, Any]:
        """A JSON object without NaN, rounded to 6 digits."""
        interval = None
        if self.interval is not None:
            interval = {
                "low": rounded(self.interval.low),
                "high": rounded(self.interval.high),
                "confidence": self.interval.confidence,
                "method": self.interval.method,
            }
        return {
            "name": self.name,
            "group": self.spec.group,
            "status": self.status,
            "value": rounded(self.value),
            "reason": self.reason,
            "direction": self.spec.direction,
            "range": list(self.spec.range),
            "interval": interval,
            "control": rounded(self.control),
            "n": self.n,
            "description": self.spec.description,
        } | (self.evidence or Evidence()).to_json()


def rounded(value: float | None) -> float | None:
    """The value to 6 significant digits; None stays None, and so does what is not finite."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.6g}")


def percentile_interval(draws: np.ndarray, confidence: float, method: str) -> Interval:
    """The central interval of bootstrap draws.

    Args:
      draws: Bootstrap values. Shape [draw], float64.
      confidence: Two-sided level, in (0, 1).
      method: What was resampled, in words.
    """
    tail = 50 * (1 - confidence)
    low, high = np.percentile(draws, [tail, 100 - tail])
    return Interval(float(low), float(high), confidence, method)


def normal_interval(value: float, standard_error: float, confidence: float, method: str) -> Interval:
    """value ± z · standard error."""
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    return Interval(float(value - z * standard_error), float(value + z * standard_error), confidence, method)


def wilson_interval(successes: float, n: float, confidence: float) -> Interval:
    """Wilson's score interval of a share.

    Args:
      successes: Number of successes, in [0, n]; ties may count half.
      n: Number of trials, or the effective number, >= 1.
      confidence: Two-sided level, in (0, 1).

    Source: Wilson (1927), J. Am. Stat. Assoc. 22(158).
    """
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # At the ends the bound is exact; rounding would leave it a hair off.
    low = 0.0 if successes <= 0 else max(0.0, centre - half)
    high = 1.0 if successes >= n else min(1.0, centre + half)
    return Interval(low, high, confidence, "Wilson score")
