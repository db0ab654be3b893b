"""All metrics of one detector on the test rows: overall, per locale, per kind, per event."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from components.dataset import TIMESTAMP
from components.prophet_evaluator.core import metrics
from components.prophet_evaluator.core.frames import KIND, LABEL, LOCALE, SERIES


def slice_metrics(
    test: pd.DataFrame,
    code: np.ndarray,
    flag: np.ndarray,
    score: np.ndarray,
    units: np.ndarray,
    weights: np.ndarray,
    confidence: float,
) -> dict[str, Any]:
    """All metrics of one detector: overall, per locale, per kind of anomaly, per event.

    Args:
      test: Sorted test rows.
      code: Series number of each row.
      flag: What the detector says. Shape [row].
      score: Higher is more anomalous. Shape [row].
      units: From `metrics.resampling_units`.
      weights: From `metrics.bootstrap_weights`.
      confidence: Coverage of the intervals.
    """
    label, n_units = test[LABEL].to_numpy(), weights.shape[1]

    def of(rows: np.ndarray) -> dict[str, Any]:
        counts = metrics.unit_counts(label[rows], flag[rows], units[rows], n_units)
        tp, fp, fn, tn = (int(value) for value in counts.sum(axis=0))
        hit, events = metrics.event_recall(label[rows], flag[rows], code[rows])
        named = {name: value.to_json() for name, value in metrics.rates(counts, weights, confidence).items()}
        area = metrics.pr_auc(label[rows], score[rows]).to_json()
        return {
            **named,
            "pr_auc": area,
            "confusion": {"tp": tp, "fp": fp, "fn": fn, "tn": tn},
            "events": {"detected": hit, "total": events},
        }

    locale, kind = test[LOCALE].to_numpy(), test[KIND].to_numpy()
    kinds = {}
    for name in sorted(set(kind[label == 1])):
        rows = (kind == name) & (label == 1)
        counts = metrics.unit_counts(label[rows], flag[rows], units[rows], n_units)
        hit, events = metrics.event_recall(label * (kind == name), flag, code)
        recall = metrics.rates(counts, weights, confidence)["tpr"].to_json()
        kinds[name or "unnamed"] = {"recall": recall, "events": {"detected": hit, "total": events}}
    return {
        "overall": of(np.ones(len(test), bool)),
        "per_locale": {name: of(locale == name) for name in sorted(set(locale))},
        "per_kind": kinds,
        "per_event": _events(test, code, flag, score),
    }


def _events(
    test: pd.DataFrame, code: np.ndarray, flag: np.ndarray, score: np.ndarray
) -> list[dict[str, Any]]:
    """One entry per event of the test set."""
    event = metrics.event_ids(test[LABEL].to_numpy(), code)
    chosen = event >= 0
    rows = pd.DataFrame(
        {
            "event": event[chosen],
            "locale": test[LOCALE].to_numpy()[chosen],
            "series": test[SERIES].to_numpy()[chosen],
            "kind": test[KIND].to_numpy()[chosen],
            "t": test[TIMESTAMP].to_numpy()[chosen],
            "flag": np.asarray(flag)[chosen],
            "score": np.asarray(score, float)[chosen],
        }
    )
    grouped = rows.groupby("event")
    table = grouped.agg(
        locale=("locale", "first"),
        series=("series", "first"),
        kind=("kind", "first"),
        start=("t", "min"),
        end=("t", "max"),
        rows=("t", "size"),
        flagged=("flag", "sum"),
        score=("score", "max"),
    )
    return [
        {
            "locale": row.locale,
            "series": row.series,
            "kind": row.kind,
            "start_us": int(row.start),
            "end_us": int(row.end),
            "rows": int(row.rows),
            "flagged_rows": int(row.flagged),
            "detected": bool(row.flagged),
            "max_score": float(row.score) if np.isfinite(row.score) else None,
        }
        for row in table.itertuples()
    ]
