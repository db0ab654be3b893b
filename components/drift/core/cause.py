"""The cause of an alert, by a stated rule.

Rows are tried from the top; the first that holds names the cause. d is the distance of the alert; gen, drift
and before are the related distances of the same measure: real against synthetic inside each region, a region
now against before, and the skew of the span before. A distance counts where it is beyond its own noise.

| comparison | holds when                                                    | cause                    |
| ---------- | ------------------------------------------------------------- | ------------------------ |
| all        | a fault of the feature, or one of all that can explain d      | the fault's name         |
| all        | no judged measure is beyond its sampling noise                | sampling_noise           |
| drift      | else                                                          | drift_in_time            |
| generator  | else                                                          | generator_error          |
| serving    | gen is most of d                                              | generator_error          |
| serving    | else                                                          | drift_in_time            |
| skew       | gen of a side is most of d, and no drift is larger            | generator_error          |
| skew       | drift of a side is most of d, and before is not               | drift_in_time            |
| skew       | else                                                          | real_regional_difference |

Most of d is half of its square: d(syn A, syn B) <= d(syn A, real A) + d(real A, real B) + d(real B, syn B),
and displacements in independent directions add up in squares. Each distance is taken less what noise alone
gives on average, and as a metric: the Jensen-Shannon divergence by its root (Endres and Schindelin, IEEE
Trans. Inf. Theory 49(7), 2003).

A fault of all features can explain only so much of d: rows that are gone, a share s of the span, move a
Kolmogorov-Smirnov distance or a share by at most s; a clock that is shifted keeps the values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from components.drift.core.fault_model import Fault
from components.drift.findings import (
    ALL_FEATURES,
    Cause,
    CauseName,
    Comparison,
    Measure,
    Measurement,
    TimeLine,
)

#: A related distance explains the alert from this part of it: half of the square.
EXPLAINS: Final = math.sqrt(0.5)
#: A distance that a shifted clock may still explain: hours fall out at the ends of the span.
CLOCK_EXPLAINS: Final = 0.2
#: What a share of lost rows may explain is taken this generously.
GAP_SLACK: Final = 1.5
#: Which measures are compared with each other, the preferred first.
_METRICS: Final[tuple[Measure, ...]] = (
    "jensen_shannon_divergence",
    "infinity_norm",
    "kolmogorov_smirnov",
    "wasserstein",
    "maximum_mean_discrepancy",
    "missing_rate",
    "cadence",
)
#: Measures that are differences of shares.
_SHARES: Final[tuple[Measure, ...]] = ("kolmogorov_smirnov", "infinity_norm")
#: Faults by how surely they explain others: a renamed column has no values, a stuck one has no course.
_ORDER: Final = ("schema_change", "unit_change", "stuck_sensor", "clock_shift", "silent_gap")


@dataclass(frozen=True)
class Side:
    """What is known of one locale about the feature of an alert.

    At the centre this is what the region released; what it did not release is left empty.

    Attributes:
      locale: Name.
      faults: Found in the span (`faults.find_faults`).
      generator: Measurements of real against synthetic rows of the feature.
      drift: Measurements of the feature now against before.
    """

    locale: str
    faults: tuple[Fault, ...] = ()
    generator: tuple[Measurement, ...] = ()
    drift: tuple[Measurement, ...] = ()


def name_cause(
    comparison: Comparison,
    feature: str,
    measurements: Sequence[Measurement],
    sides: Sequence[Side],
    *,
    alpha: float,
    before: Sequence[Measurement] = (),
    time_line: TimeLine | None = None,
    extent: tuple[str, str] = ("", ""),
) -> Cause:
    """Names the cause of an alert by the table above.

    Args:
      comparison: What alerts.
      feature: Whose alert it is, or `(all)`.
      measurements: Of the alerting comparison, all of them.
      sides: The locale that is judged and, for a skew, the other one.
      alpha: Level of the noise rule, where a measurement has no limit of its own.
      before: Of the same comparison in the span before, for a skew; empty where there was none.
      time_line: Of the comparison; a drift begins at its first change point.
      extent: Begin and end of the span. A drift without a change point was there from the beginning.
    """
    fault = _fault(feature, sides, measurements)
    if fault is not None:
        side, hit = fault
        return Cause(
            name=hit.name,
            words=f"{side.locale}: {hit.words}",
            evidence=hit.evidence,
            begin=hit.begin,
            end=hit.end,
        )
    alerting = _alerting(measurements) or list(measurements)
    if not beyond_noise(measurements, alpha):
        return Cause(
            name="sampling_noise",
            words=f"{feature}: over its threshold, yet within what sampling alone gives (alpha {alpha:g}).",
            evidence=_evidence(alerting),
        )
    if comparison == "generator":
        return _cause("generator_error", f"{feature}: synthetic rows differ from the real ones.", alerting)
    if comparison == "drift":
        changed = time_line is not None and time_line.change_points
        begin = time_line.begin[time_line.change_points[0]] if time_line and changed else extent[0]
        words = f"{feature}: the rows differ from earlier ones, and no fault of the data path explains it."
        return _cause("drift_in_time", words, alerting, begin, extent[1])
    return _related(comparison, feature, measurements, alerting, sides, alpha, before)


def beyond_noise(measurements: Sequence[Measurement], alpha: float) -> bool:
    """Whether a comparison is beyond sampling noise, by the best evidence that its measurements hold.

    Where the false-discovery control judged some of them, these decide: their q-values count the other
    features that could have alerted. Else the p-values of those that alert, else their nulls, else, where no
    noise was drawn, their thresholds.
    """
    judged = [each.q_value for each in measurements if each.q_value is not None and each.value is not None]
    if judged:
        return min(judged) <= alpha or any(each.measure == "schema" for each in _alerting(measurements))
    return any(_counts(each, alpha) for each in _alerting(measurements) or measurements)


def _alerting(measurements: Sequence[Measurement]) -> list[Measurement]:
    return [each for each in measurements if each.verdict == "ALERT"]


def _counts(measurement: Measurement, alpha: float) -> bool:
    """Whether one measurement is beyond noise; a value alone says nothing."""
    if measurement.value is None:
        return False
    if measurement.p_value is not None:
        return measurement.p_value <= alpha
    if measurement.null is not None:
        return measurement.value > measurement.null.limit
    return measurement.threshold is not None and measurement.value > measurement.threshold


def _fault(
    feature: str, sides: Sequence[Side], measurements: Sequence[Measurement]
) -> tuple[Side, Fault] | None:
    """The fault that explains an alert of the feature: its own before one of all features."""
    hits = [
        (feature != fault.feature, _ORDER.index(fault.name), side, fault)
        for side in sides
        for fault in side.faults
        if feature in (fault.feature, ALL_FEATURES)
        or (fault.feature == ALL_FEATURES and _explains(fault, measurements))
    ]
    if not hits:
        return None
    _, _, side, fault = min(hits, key=lambda hit: hit[:2])
    return side, fault


def _explains(fault: Fault, measurements: Sequence[Measurement]) -> bool:
    """Whether a fault of all features can make one feature's distance as large as it is."""
    distance = next((_length(measurements, m) for m in _SHARES if _has(measurements, m)), 0.0)
    if fault.name == "silent_gap":
        return distance <= GAP_SLACK * fault.evidence.get("span_share", 1.0)
    return distance <= CLOCK_EXPLAINS


def _related(
    comparison: Comparison,
    feature: str,
    measurements: Sequence[Measurement],
    alerting: Sequence[Measurement],
    sides: Sequence[Side],
    alpha: float,
    before: Sequence[Measurement],
) -> Cause:
    """The rows of the table for a skew and for serving."""
    measure = _common(measurements, [part for side in sides for part in (side.generator, side.drift) if part])
    distance = _length(measurements, measure)
    generator = max((_counting(side.generator, measure, alpha), side.locale) for side in sides)
    drift = max((_counting(side.drift, measure, alpha), side.locale) for side in sides)
    stood = _counting(before, measure, alpha)
    evidence = {
        "distance": distance,
        "generator": generator[0],
        "drift": drift[0],
        "before": stood,
    }
    if (
        generator[0] > 0
        and generator[0] >= EXPLAINS * distance
        and generator[0] >= (0.0 if comparison == "serving" else drift[0])
    ):
        words = f"{feature}: synthetic rows of {generator[1]} are about as far from its real ones."
        return Cause(name="generator_error", words=words, evidence=evidence)
    if comparison == "serving":
        words = f"{feature}: the rows that are seen differ from those that were trained on."
        return Cause(name="drift_in_time", words=words, evidence=evidence)
    if drift[0] > 0 and drift[0] >= EXPLAINS * distance and stood < EXPLAINS * distance:
        words = f"{feature}: {drift[1]} has moved away from its own past by about as much."
        return Cause(name="drift_in_time", words=words, evidence=evidence)
    places = " and ".join(side.locale for side in sides)
    words = f"{feature}: {places} differ by more than their synthetic rows err and their past moved."
    return Cause(name="real_regional_difference", words=words, evidence=evidence)


def _common(measurements: Sequence[Measurement], related: Sequence[Sequence[Measurement]]) -> Measure | None:
    """The preferred measure that the alert and all related comparisons have."""
    for measure in _METRICS:
        if all(_has(part, measure) for part in (measurements, *related)):
            return measure
    return None


def _has(measurements: Sequence[Measurement], measure: Measure) -> bool:
    return any(each.measure == measure and each.value is not None for each in measurements)


def _length(measurements: Sequence[Measurement], measure: Measure | None) -> float:
    """A measurement's value as a metric, less what noise alone gives on average; 0 without one."""
    for each in measurements:
        if each.measure == measure and each.value is not None:
            excess = max(0.0, abs(each.value) - (each.null.mean if each.null else 0.0))
            return math.sqrt(excess) if measure == "jensen_shannon_divergence" else excess
    return 0.0


def _counting(measurements: Sequence[Measurement], measure: Measure | None, alpha: float) -> float:
    """As `_length`, where the comparison is beyond its noise; else 0."""
    return _length(measurements, measure) if beyond_noise(measurements, alpha) else 0.0


def _evidence(measurements: Sequence[Measurement]) -> dict[str, float]:
    return {each.measure: each.value for each in measurements if each.value is not None}


def _cause(
    name: CauseName, words: str, alerting: Sequence[Measurement], begin: str = "", end: str = ""
) -> Cause:
    return Cause(name=name, words=words, evidence=_evidence(alerting), begin=begin, end=end)
