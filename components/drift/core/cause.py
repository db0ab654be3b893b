"""The cause of an alert, by a stated rule.

Rows are tried from the top; the first that holds names the cause. d is the distance of the alert; gen, drift
and before are the related distances of the same measure: real against synthetic inside each region, a region
now against before, and the skew of the span before. A distance counts where it is beyond its own noise.

| comparison | holds when                                                    | cause                    |
| ---------- | ------------------------------------------------------------- | ------------------------ |
| all        | a fault was found, of the feature or of all                   | the fault's name         |
| all        | no measure that alerts is beyond its sampling noise           | sampling_noise           |
| drift      | else                                                          | drift_in_time            |
| generator  | else                                                          | generator_error          |
| serving    | gen is at least d / 2                                         | generator_error          |
| serving    | else                                                          | drift_in_time            |
| skew       | gen of a side is at least d / 2, and no drift is larger       | generator_error          |
| skew       | drift of a side is at least d / 2, and before is not          | drift_in_time            |
| skew       | else                                                          | real_regional_difference |

Half, because of the triangle inequality: d(syn A, syn B) <= d(syn A, real A) + d(real A, real B) +
d(real B, syn B). A term under half of d cannot explain d by itself. Distances that are not metrics are
taken by their root where that is one (Jensen-Shannon: Endres and Schindelin, IEEE Trans. Inf. Theory 49(7),
2003).
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

#: A related distance explains the alert from this part of it.
EXPLAINS: Final = 0.5
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
) -> Cause:
    """Names the cause of an alert by the table above.

    Args:
      comparison: What alerts.
      feature: Whose alert it is, or `(all)`.
      measurements: Of the alerting comparison, all of them.
      sides: The locale that is judged and, for a skew, the other one.
      alpha: Level of the noise rule, where a measurement has no limit of its own.
      before: Of the same comparison in the span before, for a skew; empty where there was none.
      time_line: Of the comparison; gives the time of a drift from its first change point.
    """
    fault = _fault(feature, sides, comparison)
    if fault is not None:
        side, hit = fault
        return Cause(
            name=hit.name,
            words=f"{side.locale}: {hit.words}",
            evidence=hit.evidence,
            begin=hit.begin,
            end=hit.end,
        )
    alerting = [each for each in measurements if each.verdict == "ALERT"] or list(measurements)
    if not any(counts(each, alpha) for each in alerting):
        return Cause(
            name="sampling_noise",
            words=f"{feature}: over its threshold, yet within what sampling alone gives at {alpha:g}.",
            evidence=_evidence(alerting),
        )
    if comparison == "generator":
        return _cause("generator_error", f"{feature}: synthetic rows differ from the real ones.", alerting)
    if comparison == "drift":
        begin = time_line.begin[time_line.change_points[0]] if time_line and time_line.change_points else ""
        words = f"{feature}: the rows differ from earlier ones, and no fault of the data path explains it."
        return _cause("drift_in_time", words, alerting, begin)
    return _related(comparison, feature, measurements, alerting, sides, alpha, before)


def counts(measurement: Measurement, alpha: float) -> bool:
    """Whether a measurement is beyond sampling noise, by the best evidence that it holds.

    Its q-value, else its p-value, else the null's limit, else its threshold; a value alone says nothing.
    """
    if measurement.value is None:
        return False
    for level in (measurement.q_value, measurement.p_value):
        if level is not None:
            return level <= alpha
    if measurement.null is not None:
        return measurement.value > measurement.null.limit
    return measurement.threshold is not None and measurement.value > measurement.threshold


def _fault(feature: str, sides: Sequence[Side], comparison: Comparison) -> tuple[Side, Fault] | None:
    """The fault that explains an alert of the feature: its own before one of all features."""
    hits = [
        (feature != fault.feature, _ORDER.index(fault.name), side, fault)
        for side in sides
        for fault in side.faults
        if feature in (fault.feature, ALL_FEATURES) or fault.feature == ALL_FEATURES
    ]
    if not hits:
        return None
    _, _, side, fault = min(hits, key=lambda hit: hit[:2])
    return side, fault


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
    if generator[0] >= EXPLAINS * distance and generator[0] >= (0.0 if comparison == "serving" else drift[0]):
        words = f"{feature}: synthetic rows of {generator[1]} are about as far from its real ones."
        return Cause(name="generator_error", words=words, evidence=evidence)
    if comparison == "serving":
        words = f"{feature}: the rows that are seen differ from those that were trained on."
        return Cause(name="drift_in_time", words=words, evidence=evidence)
    if drift[0] >= EXPLAINS * distance and stood < EXPLAINS * distance:
        words = f"{feature}: {drift[1]} has moved away from its own past by about as much."
        return Cause(name="drift_in_time", words=words, evidence=evidence)
    places = " and ".join(side.locale for side in sides)
    words = f"{feature}: {places} differ by more than their synthetic rows err and their past moved."
    return Cause(name="real_regional_difference", words=words, evidence=evidence)


def _common(measurements: Sequence[Measurement], related: Sequence[Sequence[Measurement]]) -> Measure | None:
    """The preferred measure that the alert and all related comparisons have."""
    for measure in _METRICS:
        if all(_length(part, measure) > 0 or _has(part, measure) for part in (measurements, *related)):
            return measure
    return None


def _has(measurements: Sequence[Measurement], measure: Measure) -> bool:
    return any(each.measure == measure and each.value is not None for each in measurements)


def _length(measurements: Sequence[Measurement], measure: Measure | None) -> float:
    """A measurement's value as a metric; 0 without one."""
    for each in measurements:
        if each.measure == measure and each.value is not None:
            return (
                math.sqrt(max(0.0, each.value)) if measure == "jensen_shannon_divergence" else abs(each.value)
            )
    return 0.0


def _counting(measurements: Sequence[Measurement], measure: Measure | None, alpha: float) -> float:
    """As `_length`, of a measurement that is beyond its noise; else 0."""
    beyond = [each for each in measurements if each.measure == measure and counts(each, alpha)]
    return _length(beyond, measure)


def _evidence(measurements: Sequence[Measurement]) -> dict[str, float]:
    return {each.measure: each.value for each in measurements if each.value is not None}


def _cause(name: CauseName, words: str, alerting: Sequence[Measurement], begin: str = "") -> Cause:
    return Cause(name=name, words=words, evidence=_evidence(alerting), begin=begin)
