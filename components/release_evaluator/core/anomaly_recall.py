"""Anomaly recall kept: how well a detector trained on a release finds real anomalies of each kind.

Two detectors of the same make, one trained on the real rows and one on the release, judge held-out real
rows. Each has the threshold at which it raises the same share of false alarms on the normal ones among
them. An event's recall is the share of its rows that are found; a kind's is the mean over its events,
and what is kept is the release's over the real one's.

Source: trained on synthetic, tested on real, Esteban, Hyland and Rätsch (2017), "Real-valued (medical) time
series generation with recurrent conditional GANs"; recall at a fixed false-alarm rate (Neyman-Pearson)
instead of at a fixed score, because a release amplifies its anomalies. Between two thresholds a detector is
randomised, so that both rates are equal where scores tie (Fawcett 2006, "An introduction to ROC analysis").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier

#: Rows of the trailing windows that a detector looks at, beside the row itself.
WINDOWS = (12, 48)
#: Fewer events than this have no interval: resampling one or two says nothing.
MIN_EVENTS = 3


@dataclass(frozen=True)
class LabelledRows:
    """Rows that a detector is trained on or judged by.

    Attributes:
      features: NaN is missing. Shape [N, D], float64.
      kind: Name of the anomaly's kind, `""` where the row is normal. Shape [N], object.
      event: Number of the event that the row is of; not looked at where the row is normal. Shape [N], int64.
    """

    features: np.ndarray
    kind: np.ndarray
    event: np.ndarray


@dataclass(frozen=True)
class RecallKept:
    """One kind's recalls; all are dimensionless.

    Attributes:
      kind: Its name.
      events: Held-out events.
      real: Recall of the detector that was trained on real rows, in [0, 1]; None without an event.
      release: Of the one that was trained on the release.
      kept: `release` over `real`, 0 or more; None where there is a `reason`.
      low, high: Bootstrap interval of `kept` over events; None with fewer than `MIN_EVENTS`.
      reason: Why there is no `kept`, else empty.
    """

    kind: str
    events: int
    real: float | None = None
    release: float | None = None
    kept: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str = ""


def labelled_rows(values: np.ndarray, kind: np.ndarray, segment: np.ndarray) -> LabelledRows:
    """Rows as a detector sees them: each value, and its place, spread and steps in trailing windows.

    Args:
      values: NaN is missing. Shape [N, F], float64.
      kind: As in `LabelledRows`. Shape [N], object.
      segment: Run of neighbouring rows that the row is in, numbered in the order of the rows; no window
        and no event crosses its border. Shape [N], int64.
    """
    step = np.diff(values, axis=0, prepend=np.full((1, values.shape[1]), np.nan))
    step[np.flatnonzero(np.diff(segment)) + 1] = np.nan
    parts = [values, step]
    for rows in WINDOWS:
        rolling = pd.DataFrame(values).groupby(segment, sort=False).rolling(rows, min_periods=1)
        steps = pd.DataFrame(np.abs(step)).groupby(segment, sort=False).rolling(rows, min_periods=1)
        mean = rolling.mean().to_numpy()
        parts += [values - mean, mean, rolling.std().to_numpy(), steps.mean().to_numpy()]
    begins = np.ones(len(kind), bool)
    begins[1:] = (kind[1:] != kind[:-1]) | (segment[1:] != segment[:-1])
    return LabelledRows(np.concatenate(parts, axis=1), kind, np.cumsum(begins) - 1)


def anomaly_recall_kept(
    real: LabelledRows,
    release: LabelledRows,
    held_out: LabelledRows,
    *,
    false_alarm_rate: float = 0.01,
    confidence: float = 0.95,
    draws: int = 1000,
    seed: int = 0,
) -> tuple[RecallKept, ...]:
    """Recall kept for each kind that real or held-out rows hold, by name.

    Args:
      real: Rows that the synthesizer was trained on. A kind's name is read here and in `held_out` only:
        a detector learns "anomalous or not", so that merged kinds of a release may be called otherwise.
      release: The rows of the release.
      held_out: Real rows that neither saw, with normal ones among them.
      false_alarm_rate: Share of normal held-out rows that each detector calls anomalous, in (0, 1).
      confidence: Of the intervals, in (0, 1).
      draws: Of the bootstrap.
      seed: Of detectors and bootstrap.

    Raises:
      ValueError: no normal row is held out, or the false-alarm rate is not in (0, 1).
    """
    normal = held_out.kind == ""
    if not normal.any() or not 0 < false_alarm_rate < 1:
        raise ValueError("needs normal held-out rows and a false-alarm rate between 0 and 1")
    found = [
        _found(_scores(side, held_out.features, seed), normal, false_alarm_rate) for side in (real, release)
    ]
    known = set(np.unique(real.kind[real.kind != ""].astype(str)))
    kinds = sorted(known | set(np.unique(held_out.kind[~normal].astype(str))))
    return tuple(
        _kept(kind, kind in known, held_out, found, false_alarm_rate, confidence, draws, seed)
        for kind in kinds
    )


def _kept(
    kind: str,
    known: bool,
    held_out: LabelledRows,
    found: list[np.ndarray],
    false_alarm_rate: float,
    confidence: float,
    draws: int,
    seed: int,
) -> RecallKept:
    own = held_out.kind == kind
    if not own.any():
        return RecallKept(kind, 0, reason="no event of it is held out")
    _, event = np.unique(held_out.event[own], return_inverse=True)
    rows = np.bincount(event)
    real, release = (np.bincount(event, weights=side[own]) / rows for side in found)
    facts: dict[str, Any] = {"kind": kind, "events": len(rows)}
    facts |= {"real": float(real.mean()), "release": float(release.mean())}
    if not known:
        return RecallKept(**facts, reason="the real training rows hold none of it")
    if real.mean() <= false_alarm_rate:
        return RecallKept(**facts, reason="the detector trained on real rows finds no more than by chance")
    facts["kept"] = float(release.mean() / real.mean())
    if len(rows) >= MIN_EVENTS:
        generator = np.random.default_rng([seed, 41])
        times = generator.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), size=draws)
        below = times @ real
        ratio = (times @ release)[below > 0] / below[below > 0]
        tail = (1 - confidence) / 2
        facts["low"], facts["high"] = (float(q) for q in np.quantile(ratio, (tail, 1 - tail)))
    return RecallKept(**facts)


def _scores(side: LabelledRows, features: np.ndarray, seed: int) -> np.ndarray:
    """Scores of a detector trained on a side, all alike if that holds a single class. Shape [N]."""
    anomalous = side.kind != ""
    model = HistGradientBoostingClassifier(
        max_iter=100, max_leaf_nodes=15, class_weight="balanced", early_stopping=False, random_state=seed
    ).fit(side.features, anomalous)
    return np.asarray(model.decision_function(features))


def _found(scores: np.ndarray, normal: np.ndarray, false_alarm_rate: float) -> np.ndarray:
    """Probability that each row is called anomalous, in [0, 1]; its mean over normal rows is the rate."""
    calm = np.sort(scores[normal])
    threshold = calm[::-1][min(int(false_alarm_rate * len(calm)), len(calm) - 1)]
    above, at = (calm > threshold).mean(), (calm == threshold).mean()
    return np.where(
        scores > threshold, 1.0, np.where(scores == threshold, (false_alarm_rate - above) / at, 0)
    )
