"""The plot that people know: true value, forecast, interval, true and false positives."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from components.dataset import TIMESTAMP, DatasetConfig
from components.prophet_evaluator.core import frames, metrics
from components.prophet_evaluator.core.evaluate import Evaluation
from components.prophet_evaluator.core.frames import LABEL, LOCALE, SERIES

#: A plot wider than this shows no more on a screen.
MAX_POINTS = 1500


def thin_for_plot(label: np.ndarray, flag: np.ndarray, keep: int = MAX_POINTS) -> np.ndarray:
    """Positions to draw: ends of events and of flagged runs first, the rest evenly spread.

    Args:
      label: 1 = anomaly. Shape [row].
      flag: Shape [row].
      keep: At most this many.
    """
    n = len(label)
    if n <= keep:
        return np.arange(n)
    edges = np.flatnonzero((np.diff(np.asarray(label, int)) != 0) | (np.diff(np.asarray(flag, int)) != 0))
    marks = np.unique(np.concatenate([edges, edges + 1])) if len(edges) else np.zeros(0, int)
    marks = marks[frames.spread_rows(len(marks), keep // 3)]
    return np.unique(np.concatenate([frames.spread_rows(n, keep - len(marks)), marks]))


def forecast_curves(evaluation: Evaluation, dataset: DatasetConfig) -> dict[str, Any]:
    """Content of `forecast.json`: per locale its most telling series and the first target.

    The series is the one with the most events in the test set (the longest among equals).

    Returns:
      `{"detector", "scenario", "series": [{"locale", "series", "target", "unit", "timestamp_us", "y",
      "yhat", "lower", "upper", "flag", "interval_flag", "label"}]}`; missing values are null; `flag` is
      of the deciding detector.
    """
    test, name = evaluation.test, evaluation.detector_scenario
    judged, deciding = evaluation.judgements[name], evaluation.report["deciding_detector"]
    if deciding == "classifier" and judged.classifier_flag is None:
        deciding = "interval"
    flag, interval_flag = judged.flag(deciding), judged.interval_flag
    target = dataset.targets[0]
    unit = next(feature.unit for feature in dataset.features if feature.name == target)
    curves = judged.targets[target]
    code, label = frames.series_codes(test), test[LABEL].to_numpy()
    events = metrics.event_ids(label, code)
    found = []
    for locale in sorted(set(test[LOCALE])):
        chosen = np.flatnonzero(test[LOCALE].to_numpy() == locale)
        codes = np.unique(code[chosen])
        richness = [
            (len(np.unique(events[(code == c) & (events >= 0)])), int((code == c).sum()), -c) for c in codes
        ]
        rows = np.flatnonzero(code == -max(richness)[2])
        rows = rows[thin_for_plot(label[rows], flag[rows])]
        entry = {
            "locale": locale,
            "series": str(test[SERIES].to_numpy()[rows[0]]),
            "target": target,
            "unit": unit,
            "timestamp_us": [int(t) for t in test[TIMESTAMP].to_numpy()[rows]],
            "y": _rounded(curves.y[rows]),
            "yhat": _rounded(curves.yhat[rows]),
            "lower": _rounded(curves.lower[rows]),
            "upper": _rounded(curves.upper[rows]),
            "flag": [int(v) for v in flag[rows]],
            "interval_flag": [int(v) for v in interval_flag[rows]],
            "label": [int(v) for v in label[rows]],
        }
        found.append(entry)
    return {"detector": deciding, "scenario": name, "series": found}


def _rounded(values: np.ndarray) -> list[float | None]:
    return [float(f"{value:.6g}") if np.isfinite(value) else None for value in values]


def draw_forecast(curve: dict[str, Any], title: str) -> bytes:
    """One locale's curve as PNG bytes.

    Args:
      curve: An entry of `forecast_curves()["series"]`.
      title: Above the plot.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.figure import Figure

    ds = np.array(curve["timestamp_us"], "int64").astype("datetime64[us]")
    y, yhat, lower, upper = (np.array(curve[name], float) for name in ("y", "yhat", "lower", "upper"))
    flag, label = np.array(curve["flag"], bool), np.array(curve["label"], bool)
    figure = Figure(figsize=(11, 3.6), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    axes.fill_between(ds, lower, upper, color="#9ecae1", alpha=0.55, linewidth=0, label="interval")
    axes.plot(ds, yhat, color="#2171b5", linewidth=1.0, label="forecast")
    axes.plot(ds, y, color="#333333", linewidth=0.7, label="true value")
    marks = (
        (flag & label, "o", "#238b45", "true positive"),
        (flag & ~label, "x", "#e6550d", "false positive"),
        (~flag & label, ".", "#c51b8a", "missed anomaly"),
    )
    for mask, marker, colour, name in marks:
        axes.scatter(ds[mask], y[mask], s=16, marker=marker, color=colour, zorder=3, label=name)
    axes.set_title(title, fontsize=10)
    axes.set_ylabel(f"{curve['target']} [{curve['unit']}]" if curve["unit"] else curve["target"])
    locator = AutoDateLocator()
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.margins(x=0.01)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8, frameon=False)
    target = io.BytesIO()
    # No time stamp or version inside: the same data give the same bytes.
    FigureCanvasAgg(figure).print_png(target, metadata={"Software": None})
    return target.getvalue()
