"""Binned curves for the report: histograms, autocorrelation, daily profile. No record can be read off.

Grids run over rounded quantiles, not from the minimum to the maximum: an extreme is a value of one record.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from components.dataset import DatasetConfig
from components.release_evaluator.core.frames import Columns, segment_ids
from components.release_evaluator.core.metrics import rounded
from components.release_evaluator.core.temporal import autocorrelation, daily_profile

#: Bins of a histogram.
BINS = 40
#: Bins and categories with fewer real rows than this are shown as empty.
MIN_ROWS = 5


def curves(columns: dict[str, Columns], dataset: DatasetConfig) -> dict[str, Any]:
    """Curves of real (train and holdout) and synthetic rows that are not labelled anomalous.

    Returns:
      `{"features": {name: {...}}}`. Numeric: `kind`, `unit`, `edges` [bin + 1], `real` and `synthetic`
      densities [bin], `acf` {`lags`, `real`, `synthetic`}, `daily` {`hours`, `real`, `synthetic`}; null
      where there is no value. Others: `kind`, `codes` (ranks by frequency, no vocabulary), `real` and
      `synthetic` shares.
    """
    parts = {name: part.normal() for name, part in columns.items()}
    segments = {name: segment_ids(part, dataset.interval_s) for name, part in parts.items()}
    result: dict[str, Any] = {}
    for feature in dataset.features:
        name = feature.name
        if name in parts["train"].numeric:
            values = {side: part.numeric[name] for side, part in parts.items()}
            entry = _numeric(values, {side: part.time for side, part in parts.items()}, segments)
        else:
            entry = _coded(
                {side: part.codes[name] for side, part in parts.items()}, parts["train"].sizes[name]
            )
        result[name] = {"kind": feature.kind, "unit": feature.unit} | entry
    return {"features": result}


def _numeric(
    values: dict[str, np.ndarray], time: dict[str, np.ndarray], segments: dict[str, np.ndarray]
) -> dict[str, Any]:
    real = np.concatenate([values["train"], values["holdout"]])
    sides = {"real": real[np.isfinite(real)], "synthetic": values["synthetic"]}
    sides["synthetic"] = sides["synthetic"][np.isfinite(sides["synthetic"])]
    entry: dict[str, Any] = {"edges": [], "real": [], "synthetic": []}
    if len(sides["real"]):
        edges = _grid(sides["real"])
        entry["edges"] = _plain(edges)
        for side, sample in sides.items():
            counts, _ = np.histogram(np.clip(sample, edges[0], edges[-1]), edges)
            if side == "real":
                counts = np.where(counts >= MIN_ROWS, counts, 0)
            entry[side] = _plain(counts / max(1, counts.sum()) / np.diff(edges))
    acf = {side: autocorrelation(values[side], segments[side]) for side in ("train", "synthetic")}
    entry["acf"] = {
        "lags": list(range(1, len(acf["train"]) + 1)),
        "real": _plain(acf["train"]),
        "synthetic": _plain(acf["synthetic"]),
    }
    entry["daily"] = {"hours": []}
    for side, source in (("real", "train"), ("synthetic", "synthetic")):
        sample = values[source]
        if entry["edges"]:  # a mean over few rows would show the size of an extreme
            sample = np.clip(sample, entry["edges"][0], entry["edges"][-1])
        means, counts = daily_profile(sample, time[source])
        entry["daily"]["hours"] = [24 * i / len(means) for i in range(len(means))]
        entry["daily"][side] = _plain(np.where(counts >= MIN_ROWS, means, np.nan))
    return entry


def _coded(codes: dict[str, np.ndarray], size: int) -> dict[str, Any]:
    real = np.concatenate([codes["train"], codes["holdout"]])
    entry: dict[str, Any] = {"codes": list(range(size))}
    for side, sample in (("real", real), ("synthetic", codes["synthetic"])):
        counts = np.bincount(sample[sample >= 0], minlength=size)
        if side == "real":
            counts = np.where(counts >= MIN_ROWS, counts, 0)
        entry[side] = _plain(counts / max(1, counts.sum()))
    return entry


def _grid(values: np.ndarray) -> np.ndarray:
    """Bin edges from the 1st to the 99th percentile, widened outwards to round numbers."""
    low, high = np.percentile(values, [1, 99])
    if high <= low:
        width = max(1e-3, abs(float(low)) * 0.1)
        low, high = low - width, high + width
    unit = 10 ** math.floor(math.log10((high - low) / 10))
    return np.linspace(math.floor(low / unit) * unit, math.ceil(high / unit) * unit, BINS + 1)


def _plain(values: np.ndarray) -> list[float | None]:
    return [rounded(float(value)) for value in values]
