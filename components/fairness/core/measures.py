"""Detector quality per slice, and how far slices are apart, with intervals by a block bootstrap.

Definitions are Fairlearn's (`fairlearn.metrics`, v0.12: `selection_rate`, `true_positive_rate`,
`false_positive_rate`, `demographic_parity_difference`, `demographic_parity_ratio`,
`equalized_odds_difference` with `agg="worst_case"` and `method="between_groups"`), but for one: Fairlearn
counts the true positive rate of a group without positives as 0; here it is UNDEFINED with its reason, and the
slice is left out of the comparison and named.

Rows of telemetry are autocorrelated, so the bootstrap draws events and blocks of normal time, not rows: units
and weights are `prophet_evaluator.core.metrics`'s, the same for all slices, so that differences are paired.
Intervals of rates are percentiles; those of disparities hold for all pairs of slices at once (`intervals`).
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from components.fairness.config import DisparityName
from components.fairness.core.intervals import range_bounds, ratio_bounds
from components.fairness.core.slicing import Slices
from components.prophet_evaluator.core import metrics
from components.prophet_evaluator.core.metrics import FN, FP, TN, TP, Metric

RATES = ("selection_rate", "tpr", "fpr", "precision", "f1")
#: Cells of the confusion matrix that make the denominator of a rate.
_BASE = {
    "selection_rate": (TP, FP, FN, TN),
    "tpr": (TP, FN),
    "fpr": (FP, TN),
    "precision": (TP, FP),
    "f1": (TP, FN),
}
_WHAT = {
    "selection_rate": "rows",
    "tpr": "anomalous rows",
    "fpr": "normal rows",
    "precision": "flagged rows",
    "f1": "anomalous rows",
}
_NEEDS_EVENTS = ("tpr", "precision", "f1")
#: Ratio below which adverse impact is presumed in US employment selection: 29 CFR 1607.4 D (1978).
FOUR_FIFTHS = 0.8


@dataclasses.dataclass(frozen=True)
class Sample:
    """What is judged, and how it is resampled.

    Attributes:
      label: 1 = anomaly. Shape [row], sorted by series, then time.
      segment: Series number. Shape [row].
      units: From `metrics.resampling_units`. Shape [row].
      weights: From `metrics.bootstrap_weights`. Shape [replicate, unit].
      confidence: Coverage of the intervals.
    """

    label: np.ndarray
    segment: np.ndarray
    units: np.ndarray
    weights: np.ndarray
    confidence: float


@dataclasses.dataclass(frozen=True)
class SliceQuality:
    """The detector on one slice.

    Attributes:
      name: Of the slice.
      counts: True and false positives, false and true negatives. Shape [4], int.
      events: Labelled events with a row in the slice.
      rates: By name, of RATES; UNDEFINED where there are too few rows or events.
    """

    name: str
    counts: tuple[int, int, int, int]
    events: int
    rates: dict[str, Metric]

    def to_json(self) -> dict[str, Any]:
        """JSON-ready: name, rows, confusion, events and the rates."""
        return {
            "name": self.name,
            "rows": sum(self.counts),
            "events": self.events,
            "confusion": dict(zip(("tp", "fp", "fn", "tn"), self.counts, strict=True)),
            **{name: value.to_json() for name, value in self.rates.items()},
        }


@dataclasses.dataclass(frozen=True)
class Disparity:
    """How far the slices are apart in one respect.

    Attributes:
      metric: The number and its interval, or why there is none.
      compared: Slices that entered.
      left_out: Slices whose rate is UNDEFINED.
      extremes: Slices with the lowest and the highest rate (of the worse one for equalised odds).
    """

    metric: Metric
    compared: int = 0
    left_out: tuple[str, ...] = ()
    extremes: tuple[str, str] | None = None

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            **self.metric.to_json(),
            "compared": self.compared,
            "left_out": list(self.left_out),
            "extremes": list(self.extremes) if self.extremes else None,
        }


def judge_slices(
    sample: Sample, flag: np.ndarray, slices: Slices, min_rows: int = 1, min_events: int = 1
) -> tuple[list[SliceQuality], dict[DisparityName, Disparity]]:
    """Quality of one detector on each slice, and the disparities between them.

    Args:
      sample: Labels and resampling.
      flag: What the detector says. Shape [row].
      slices: The cut.
      min_rows: Rows in a rate's denominator.
      min_events: Events that TPR, precision and F1 need.

    Returns:
      The slices in order, and the disparities by name.

    Source: equalised odds, Hardt, Price and Srebro (2016), "Equality of opportunity in supervised
      learning", definition 2.1; its difference is the larger of the ranges of TPR and FPR.
    """
    n_slices, n_units = len(slices.names), sample.weights.shape[1]
    cells = metrics.unit_counts(
        sample.label, flag, sample.units * n_slices + slices.codes, n_units * n_slices
    ).reshape(n_units, n_slices, 4)
    total = cells.sum(axis=0)
    replicates = (sample.weights @ cells.reshape(n_units, -1)).reshape(-1, n_slices, 4)
    drawn = {name: metrics.rate(replicates, name) for name in RATES}
    exact = {name: metrics.rate(total, name) for name in RATES}
    events = _events(sample, slices)
    qualities = []
    for index, name in enumerate(slices.names):
        rates = {}
        for rate in RATES:
            reason = _why_undefined(rate, total[index], int(events[index]), min_rows, min_events)
            bounds = metrics.quantile_bounds(drawn[rate][:, index], sample.confidence)
            value = None if reason else float(exact[rate][index])
            rates[rate] = Metric(value, *bounds) if value is not None else Metric(None, reason=reason)
        tp, fp, fn, tn = (int(value) for value in total[index])
        qualities.append(SliceQuality(name, (tp, fp, fn, tn), int(events[index]), rates))
    return qualities, _disparities(qualities, drawn, sample.confidence)


def _events(sample: Sample, slices: Slices) -> np.ndarray:
    """Labelled events with a row in each slice. Shape [slice]."""
    event = metrics.event_ids(sample.label, sample.segment)
    inside = event >= 0
    pairs = np.unique(np.stack([slices.codes[inside], event[inside]]), axis=1)
    return np.bincount(pairs[0], minlength=len(slices.names))


def _why_undefined(rate: str, counts: np.ndarray, events: int, min_rows: int, min_events: int) -> str:
    base = int(counts[list(_BASE[rate])].sum())
    if base == 0:
        return metrics.why_undefined(rate)
    if base < min_rows:
        return f"{base} {_WHAT[rate]}, at least {min_rows} are needed (fairness.min_rows)"
    if rate in _NEEDS_EVENTS and events < min_events:
        return f"{events} labelled events, at least {min_events} are needed (fairness.min_events)"
    return ""


def _disparities(
    qualities: list[SliceQuality], drawn: dict[str, np.ndarray], confidence: float
) -> dict[DisparityName, Disparity]:
    ratio = _Compared(qualities, drawn, "selection_rate")
    tpr, fpr = _Compared(qualities, drawn, "tpr"), _Compared(qualities, drawn, "fpr")
    worse = tpr if tpr.range >= fpr.range else fpr
    names = tuple(dict.fromkeys((*tpr.left_out, *fpr.left_out)))
    return {
        "disparate_impact_ratio": ratio.disparity(ratio.of_extremes(confidence)),
        "demographic_parity_difference": ratio.disparity(_largest([ratio], confidence)),
        "equalised_odds_difference": dataclasses.replace(
            worse.disparity(_largest([tpr, fpr], confidence)),
            compared=min(len(tpr.kept), len(fpr.kept)),
            left_out=names,
        ),
        "tpr_difference": tpr.disparity(_largest([tpr], confidence)),
        "fpr_difference": fpr.disparity(_largest([fpr], confidence)),
    }


class _Compared:
    """One rate of the slices that have it."""

    def __init__(self, qualities: list[SliceQuality], drawn: dict[str, np.ndarray], rate: str) -> None:
        self.kept = [i for i, quality in enumerate(qualities) if quality.rates[rate].value is not None]
        self.left_out = tuple(q.name for i, q in enumerate(qualities) if i not in self.kept)
        self.names = [qualities[i].name for i in self.kept]
        self.values = np.array([qualities[i].rates[rate].value for i in self.kept], np.float64)
        self.drawn = drawn[rate][:, self.kept]
        self.range = float(np.ptp(self.values)) if len(self.kept) > 1 else np.nan
        self.why_not = ""
        if len(self.kept) < 2:
            of = f"{len(self.kept)} of {len(qualities)} slices have a defined {rate}"
            self.why_not = f"{of}; two are needed for a comparison"

    def disparity(self, metric: Metric) -> Disparity:
        """The metric with the slices behind it."""
        ends = None
        if metric.value is not None:
            ends = self.names[int(self.values.argmin())], self.names[int(self.values.argmax())]
        return Disparity(metric, len(self.kept), self.left_out, ends)

    def of_extremes(self, confidence: float) -> Metric:
        """The smallest rate over the largest."""
        if self.why_not:
            return Metric(None, reason=self.why_not)
        if self.values.max() <= 0:
            return Metric(None, reason="no row of any slice is flagged: no ratio of selection rates")
        bounds = ratio_bounds(self.values, self.drawn, confidence)
        return Metric(float(self.values.min() / self.values.max()), *(bounds or (None, None)))


def _largest(compared: list[_Compared], confidence: float) -> Metric:
    """The largest difference between two slices, over the given rates."""
    for one in compared:
        if one.why_not:
            return Metric(None, reason=one.why_not)
    bounds = range_bounds([(one.values, one.drawn) for one in compared], confidence)
    return Metric(max(one.range for one in compared), *(bounds or (None, None)))
