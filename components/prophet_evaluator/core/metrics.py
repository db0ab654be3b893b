"""Detection metrics, pure: counts, rates, events, block bootstrap.

Rows of telemetry are autocorrelated, so nothing here resamples single rows: the unit is an event (a
run of consecutive anomalous rows of one series) or a block of normal time.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score

from components.errors import DataError

#: Columns of a count array.
TP, FP, FN, TN = range(4)
RATES = ("f1", "precision", "tpr", "fpr", "accuracy")


@dataclasses.dataclass(frozen=True)
class Metric:
    """A number with its confidence interval, or the reason why there is none.

    Attributes:
      value: The metric, or None where it is UNDEFINED.
      lower: Lower confidence bound, or None.
      upper: Upper confidence bound, or None.
      reason: Why `value` is None; empty otherwise.
    """

    value: float | None
    lower: float | None = None
    upper: float | None = None
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """`{"value", "lower", "upper"}`, or `{"value": null, "status": "UNDEFINED", "reason"}`."""
        if self.value is None:
            return {"value": None, "status": "UNDEFINED", "reason": self.reason}
        return {"value": self.value, "lower": self.lower, "upper": self.upper}


def confusion_counts(label: np.ndarray, flag: np.ndarray) -> np.ndarray:
    """True and false positives and negatives.

    Args:
      label: 1 = anomaly. Shape [row].
      flag: What the detector says. Shape [row].

    Returns:
      Counts `(tp, fp, fn, tn)`, int64, shape [4].

    Raises:
      DataError: the shapes differ.
    """
    if np.shape(label) != np.shape(flag):
        raise DataError(f"label has shape {np.shape(label)}, flag {np.shape(flag)}; they must be equal")
    truth, said = np.asarray(label).astype(bool), np.asarray(flag).astype(bool)
    return np.array(
        [(truth & said).sum(), (~truth & said).sum(), (truth & ~said).sum(), (~truth & ~said).sum()], np.int64
    )


def rate(counts: np.ndarray, name: str) -> np.ndarray:
    """One rate of RATES; NaN where its denominator is 0.

    Args:
      counts: Shape [..., 4], in the order of `confusion_counts`.
      name: One of RATES, or `selection_rate`: flagged rows of all rows.

    Returns:
      Shape [...], in [0, 1] or NaN. F1 is 2 tp / (2 tp + fp + fn), NaN where no row is anomalous.
    """
    tp, fp, fn, tn = np.moveaxis(np.asarray(counts, float), -1, 0)
    over, under = {
        "f1": (2 * tp, np.where(tp + fn > 0, 2 * tp + fp + fn, 0)),
        "precision": (tp, tp + fp),
        "tpr": (tp, tp + fn),
        "fpr": (fp, fp + tn),
        "accuracy": (tp + tn, tp + fp + fn + tn),
        "selection_rate": (tp + fp, tp + fp + fn + tn),
    }[name]
    return np.divide(over, under, out=np.full(np.shape(under), np.nan), where=under > 0)


_UNDEFINED = {
    "f1": "no row is labelled anomalous",
    "precision": "the detector flags no row",
    "tpr": "no row is labelled anomalous",
    "fpr": "no row is labelled normal",
    "accuracy": "there are no rows",
    "selection_rate": "there are no rows",
}


def why_undefined(name: str) -> str:
    """Why a rate with a denominator of 0 is UNDEFINED."""
    return _UNDEFINED[name]


def event_ids(label: np.ndarray, segment: np.ndarray) -> np.ndarray:
    """Numbers the events: runs of consecutive anomalous rows within a segment.

    Args:
      label: 1 = anomaly. Shape [row], sorted by segment, then time.
      segment: Number of the row's series (rows of one series are contiguous). Shape [row].

    Returns:
      0, 1, ... for rows of an event, -1 elsewhere. Shape [row], int64.
    """
    truth = np.asarray(label).astype(bool)
    if not len(truth):
        return np.zeros(0, np.int64)
    before = np.r_[False, truth[:-1] & (np.diff(segment) == 0)]
    starts = truth & ~before
    return np.where(truth, np.cumsum(starts) - 1, -1).astype(np.int64)


def resampling_units(
    label: np.ndarray, segment: np.ndarray, timestamp_us: np.ndarray, block_s: float
) -> tuple[np.ndarray, int]:
    """The blocks that a bootstrap may resample.

    Args:
      label: 1 = anomaly. Shape [row], sorted by segment, then time.
      segment: Series number. Shape [row].
      timestamp_us: Microseconds. Shape [row].
      block_s: Length of a block of normal rows, in seconds.

    Returns:
      Unit number of each row, shape [row], and the number of units that are events: units
      0 .. n_events-1 are events, the rest are normal blocks of one series each.
    """
    event = event_ids(label, segment)
    n_events = int(event.max(initial=-1)) + 1
    block = np.asarray(timestamp_us) // np.int64(block_s * 1e6)
    normal = event < 0
    units = event.copy()
    if normal.any():
        keys = np.stack([np.asarray(segment)[normal], block[normal]], axis=1)
        units[normal] = n_events + np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1)
    return units, n_events


def bootstrap_weights(n_units: int, n_events: int, samples: int, rng: np.random.Generator) -> np.ndarray:
    """How often each unit occurs in each replicate; events and normal blocks drawn apart.

    Drawing them apart keeps the number of events in every replicate, so F1 stays defined.

    Returns:
      Counts, float64, shape [samples, unit]; rows sum to the number of units.
    """
    weights = np.zeros((samples, n_units))
    for start, stop in ((0, n_events), (n_events, n_units)):
        size = stop - start
        if size:
            weights[:, start:stop] = rng.multinomial(size, np.full(size, 1 / size), size=samples)
    return weights


def unit_counts(label: np.ndarray, flag: np.ndarray, units: np.ndarray, n_units: int) -> np.ndarray:
    """Confusion counts of each unit, float64, shape [unit, 4]."""
    truth, said = np.asarray(label).astype(bool), np.asarray(flag).astype(bool)
    cell = np.where(truth, np.where(said, TP, FN), np.where(said, FP, TN))
    return np.bincount(units * 4 + cell, minlength=n_units * 4).reshape(n_units, 4).astype(float)


def quantile_bounds(replicates: np.ndarray, confidence: float) -> tuple[float, float] | tuple[None, None]:
    """Percentile bounds over the defined replicates; (None, None) when fewer than half are."""
    defined = replicates[np.isfinite(replicates)]
    if len(defined) * 2 < len(replicates) or not len(defined):
        return None, None
    low, high = np.quantile(defined, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def rates(counts: np.ndarray, weights: np.ndarray, confidence: float) -> dict[str, Metric]:
    """All RATES with bootstrap intervals.

    Args:
      counts: Confusion counts per unit, shape [unit, 4].
      weights: From `bootstrap_weights`, shape [samples, unit].
      confidence: Coverage of the interval.
    """
    total, replicates = counts.sum(axis=0), weights @ counts
    found = {}
    for name in RATES:
        value = float(rate(total, name))
        if np.isnan(value):
            found[name] = Metric(None, reason=_UNDEFINED[name])
        else:
            found[name] = Metric(value, *quantile_bounds(rate(replicates, name), confidence))
    return found


def paired_difference(
    counts: np.ndarray, baseline_counts: np.ndarray, weights: np.ndarray, confidence: float, name: str = "f1"
) -> Metric:
    """Difference of a rate to a baseline, both judged on the same replicates.

    Args:
      counts: Confusion counts per unit, shape [unit, 4].
      baseline_counts: The same of the baseline.
      weights: From `bootstrap_weights`; the pairing is that both sides get the same ones.
      confidence: Coverage of the interval.
      name: One of RATES.
    """
    value = float(rate(counts.sum(axis=0), name) - rate(baseline_counts.sum(axis=0), name))
    if np.isnan(value):
        return Metric(None, reason=_UNDEFINED[name])
    replicates = rate(weights @ counts, name) - rate(weights @ baseline_counts, name)
    return Metric(value, *quantile_bounds(replicates, confidence))


def pr_auc(label: np.ndarray, score: np.ndarray) -> Metric:
    """Area under the precision-recall curve, as average precision (scikit-learn's definition)."""
    truth, score = np.asarray(label).astype(bool), np.asarray(score, float)
    known = np.isfinite(score)
    if not truth[known].any() or truth[known].all():
        return Metric(None, reason="the scored rows hold one class only")
    return Metric(float(average_precision_score(truth[known], score[known])))


def event_recall(label: np.ndarray, flag: np.ndarray, segment: np.ndarray) -> tuple[int, int]:
    """Events with at least one flagged row, and all events."""
    event = event_ids(label, segment)
    n_events = int(event.max(initial=-1)) + 1
    hit = np.bincount(event[(event >= 0) & np.asarray(flag).astype(bool)], minlength=n_events)
    return int((hit > 0).sum()), n_events
