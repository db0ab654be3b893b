"""A profile computed slowly, row by row, from the definitions in `components.drift.core.profile`."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

import numpy as np

from components.dataset import DatasetConfig
from components.drift.core.profile import CADENCE_EDGES, ProfilePlan


def present(value: Any) -> bool:
    return value is not None and not (isinstance(value, float) and not math.isfinite(value))


def bin_of(feature: Any, value: Any) -> int:
    if feature.kind == "numeric":
        return sum(value > edge for edge in feature.edges)
    text = str(int(value)) if not isinstance(value, str) else value
    return feature.categories.index(text) if text in feature.categories else len(feature.categories)


def slow_profile(rows: list[dict[str, Any]], dataset: DatasetConfig, plan: ProfilePlan) -> dict[str, Any]:
    """Bucket to field to array; `longest_still_s` and the extremes included, random features not."""
    features, bins = len(plan.features), int(plan.offsets[-1])
    out: dict[int, dict[str, Any]] = defaultdict(
        lambda: {
            "rows": 0,
            "counts": np.zeros(bins, int),
            "missing": np.zeros(features, int),
            "sums": np.zeros((features, 2)),
            "low": np.full(features, np.nan),
            "high": np.full(features, np.nan),
            "pairs": np.zeros(features, int),
            "still": np.zeros(features, int),
            "longest_still_s": np.zeros(features),
            "cadence": np.zeros(len(CADENCE_EDGES) + 1, int),
            "labelled": np.zeros(2, int),
            "positive": np.zeros(bins, int),
            "complete": 0,
        }
    )
    chains: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        chains[tuple(row[name] for name in dataset.series)].append(row)
    for chain in chains.values():
        chain = sorted(chain, key=lambda row: row["timestamp"])
        run_s = [row["timestamp"] / 1e6 for row in chain[:1]] * features
        for number, row in enumerate(chain):
            at = out[row["timestamp"] // (plan.bucket_s * 1_000_000)]
            at["rows"] += 1
            step = None
            if number:
                step = (row["timestamp"] - chain[number - 1]["timestamp"]) / 1e6 / plan.interval_s
                at["cadence"][sum(step > edge for edge in CADENCE_EDGES)] += 1
            label = row.get(dataset.label) if dataset.label else None
            if label is not None:
                at["labelled"] += [1, label == 1]
            whole = True
            for index, feature in enumerate(plan.features):
                value = row[feature.name]
                if not present(value):
                    at["missing"][index] += 1
                    whole &= feature.kind == "categorical" or not feature.edges
                    continue
                place = plan.offsets[index] + bin_of(feature, value)
                at["counts"][place] += 1
                at["positive"][place] += label == 1
                if feature.kind == "numeric":
                    difference = value - feature.center
                    at["sums"][index] += [difference, difference**2]
                    at["low"][index] = np.fmin(at["low"][index], value)
                    at["high"][index] = np.fmax(at["high"][index], value)
                before = chain[number - 1][feature.name] if number else None
                repeats = False
                if present(before):
                    at["pairs"][index] += 1
                    same = (
                        value == before
                        if feature.kind == "numeric"
                        else bin_of(feature, value) == bin_of(feature, before)
                    )
                    at["still"][index] += same
                    repeats = bool(same) and step is not None and step <= 10.5
                if not repeats:
                    run_s[index] = row["timestamp"] / 1e6
                length = row["timestamp"] / 1e6 - run_s[index]
                at["longest_still_s"][index] = max(at["longest_still_s"][index], length)
            at["complete"] += whole
    return dict(out)
