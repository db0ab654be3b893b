"""Reads `forecast.json` of ProphetEvaluator: true value, forecast, interval and hits, for drawing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.report.model import ForecastPanel
from pipeline.report.reading import as_count, as_list, as_mapping, as_numbers, as_text

#: Points of a drawn series. A picture 1,000 px wide shows no more.
MAX_POINTS = 480


def read_panels(forecast: Mapping[str, Any]) -> tuple[ForecastPanel, ...]:
    """Every series of the file, thinned to about `MAX_POINTS`.

    Args:
      forecast: Parsed `forecast.json`: `detector`, `scenario`, and `series`, a list of entries with
        `locale`, `series`, `target`, `unit`, `timestamp_us`, `y`, `yhat`, `lower`, `upper`, `label` and
        the deciding detector's `flag`.

    Returns:
      Panels of the entries whose columns agree in length; what does not agree is left out.
    """
    shared = {"detector": forecast.get("detector"), "scenario": forecast.get("scenario")}
    found = (_panel({**shared, **as_mapping(entry)}) for entry in as_list(forecast.get("series")))
    return tuple(panel for panel in found if panel is not None)


def _panel(entry: Mapping[str, Any]) -> ForecastPanel | None:
    times = [count for count in map(as_count, as_list(entry.get("timestamp_us"))) if count is not None]
    curves = {name: as_numbers(entry.get(name)) for name in ("y", "yhat", "lower", "upper", "label", "flag")}
    n = len(times)
    if not n or any(len(values) != n for values in curves.values()):
        return None
    marks = [
        _MARKS[bool(label), bool(flag)] for label, flag in zip(curves["label"], curves["flag"], strict=True)
    ]
    kept = thin(marks, curves["y"], MAX_POINTS)
    return ForecastPanel(
        locale=as_text(entry.get("locale"), "?"),
        series=as_text(entry.get("series")),
        target=as_text(entry.get("target")),
        detector=as_text(entry.get("detector")),
        scenario=as_text(entry.get("scenario")),
        unit=as_text(entry.get("unit")),
        timestamp_us=tuple(times[index] for index in kept),
        y=tuple(curves["y"][index] for index in kept),
        yhat=tuple(curves["yhat"][index] for index in kept),
        lower=tuple(curves["lower"][index] for index in kept),
        upper=tuple(curves["upper"][index] for index in kept),
        mark=tuple(marks[index] for index in kept),
        points_total=n,
    )


#: Mark by (labelled anomalous, flagged).
_MARKS = {(True, True): "tp", (False, True): "fp", (True, False): "fn", (False, False): ""}


def thin(marks: list[str], y: tuple[float | None, ...], limit: int) -> list[int]:
    """Indices to draw: per bucket of consecutive points its lowest, its highest and one of each mark.

    A plain stride would lose short spikes, which are what the plot is about.

    Args:
      marks: Mark of each point. Shape [points].
      y: True value of each point. Shape [points].
      limit: Aim for the number of points; marks may add at most as many again.

    Returns:
      Sorted unique indices; all of them when there are no more than `limit`.
    """
    n = len(y)
    if n <= limit:
        return list(range(n))
    values = np.array([np.nan if value is None else value for value in y], dtype=np.float64)
    kept = {0, n - 1}
    for bucket in np.array_split(np.arange(n), limit // 2):
        known = bucket[np.isfinite(values[bucket])]
        if known.size:
            kept.update((int(known[np.argmin(values[known])]), int(known[np.argmax(values[known])])))
        else:
            kept.add(int(bucket[0]))  # keeps the gap visible
        for mark in ("tp", "fp", "fn"):
            kept.update([int(i) for i in bucket if marks[i] == mark][:1])
    return sorted(kept)
