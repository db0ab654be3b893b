"""Reads `forecast.json` of ProphetEvaluator: true value, forecast, interval and hits, for drawing."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.report.model import ForecastPanel
from pipeline.report.reading import as_list, as_mapping, as_number, as_numbers, as_text, first_of

#: Points of a drawn series. A picture 1,000 px wide shows no more.
MAX_POINTS = 480


def read_panels(forecast: Mapping[str, Any]) -> tuple[ForecastPanel, ...]:
    """Every series of the file, thinned to `MAX_POINTS`; every flagged or missed point is kept in kind.

    Args:
      forecast: Parsed `forecast.json`: `locales` maps names to entries with `ds_us`, `y`, `yhat`,
        `lower`, `upper`, `label` and the deciding detector's `flag`.
    """
    shared = {key: value for key, value in forecast.items() if not isinstance(value, list | dict)}
    raw = first_of(forecast, "locales", "series", default=[])
    if isinstance(raw, Mapping):
        entries = [{"locale": key, **as_mapping(value)} for key, value in raw.items()]
    else:
        entries = [as_mapping(item) for item in as_list(raw)]
    panels = []
    for entry in entries:
        panel = _panel({**shared, **entry})
        if panel is not None:
            panels.append(panel)
    return tuple(panels)


def _panel(entry: Mapping[str, Any]) -> ForecastPanel | None:
    times = [_micros(value) for value in as_list(first_of(entry, "ds_us", "timestamp_us", "timestamp"))]
    y = as_numbers(first_of(entry, "y", "value", "actual"))
    if not times or len(times) != len(y) or any(time is None for time in times):
        return None
    n = len(times)
    columns = {
        "yhat": as_numbers(entry.get("yhat")),
        "lower": as_numbers(first_of(entry, "lower", "yhat_lower")),
        "upper": as_numbers(first_of(entry, "upper", "yhat_upper")),
    }
    columns = {name: values if len(values) == n else (None,) * n for name, values in columns.items()}
    marks = _marks(entry, n)
    kept = thin(marks, y, MAX_POINTS)
    return ForecastPanel(
        locale=as_text(entry.get("locale"), "?"),
        series=as_text(first_of(entry, "series", "key")),
        target=as_text(entry.get("target")),
        detector=as_text(entry.get("detector")),
        scenario=as_text(entry.get("scenario")),
        unit=as_text(entry.get("unit")),
        timestamp_us=tuple(times[index] or 0 for index in kept),
        y=tuple(y[index] for index in kept),
        yhat=tuple(columns["yhat"][index] for index in kept),
        lower=tuple(columns["lower"][index] for index in kept),
        upper=tuple(columns["upper"][index] for index in kept),
        mark=tuple(marks[index] for index in kept),
        points_total=n,
    )


def _marks(entry: Mapping[str, Any], n: int) -> list[str]:
    """`tp`, `fp`, `fn` or nothing per point, from lists of marks, of indices, or from label and flag."""
    marks = [""] * n
    given = as_list(first_of(entry, "mark", "marks", "outcome"))
    if len(given) == n:
        words = {"tp": "tp", "fp": "fp", "fn": "fn", "true_positive": "tp", "false_positive": "fp"}
        return [words.get(str(value).lower(), "") for value in given]
    label = as_list(first_of(entry, "label", "labels"))
    flag = as_list(first_of(entry, "flag", "flags", "flagged", "predicted", "prediction", "anomaly"))
    if len(label) == n and len(flag) == n:
        words_of = {(True, True): "tp", (False, True): "fp", (True, False): "fn", (False, False): ""}
        return [words_of[bool(a), bool(b)] for a, b in zip(label, flag, strict=True)]
    for mark, name in (("tp", "true_positives"), ("fp", "false_positives"), ("fn", "false_negatives")):
        for index in as_list(first_of(entry, name, mark)):
            if isinstance(index, int) and 0 <= index < n:
                marks[index] = mark
    return marks


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


def _micros(value: Any) -> int | None:
    """Microseconds since the epoch from microseconds, milliseconds, seconds or ISO text."""
    number = as_number(value)
    if number is not None:
        for bound, factor in ((1e11, 1_000_000), (1e14, 1_000)):
            if abs(number) < bound:
                return int(number * factor)
        return int(number)
    try:
        moment = datetime.datetime.fromisoformat(str(value).replace("Z", "+00:00"))
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.timezone.utc)
    return round(moment.timestamp() * 1_000_000)
