"""The training pools of the four scenarios."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import pandas as pd

from components.dataset import DatasetConfig
from components.prophet_evaluator.config import ScenarioName
from components.prophet_evaluator.core.frames import KIND, LABEL


@dataclasses.dataclass(frozen=True)
class Pool:
    """What one scenario trains on.

    Attributes:
      frames: Locale -> frame; empty where the scenario cannot be had.
      tags: Locale -> where its rows come from (`open`, `noise`, `release`, `raw`).
      reason: Why the scenario cannot be had, or empty.
      description: What the pool is made of, one sentence.
    """

    frames: dict[str, pd.DataFrame]
    tags: dict[str, str]
    reason: str
    description: str


def marginal_noise(
    release: pd.DataFrame, marginals: pd.DataFrame, dataset: DatasetConfig, rng: np.random.Generator
) -> pd.DataFrame:
    """Per-column noise at the release's timestamps: what a naive generator would have sent.

    Every column is drawn by itself: Gaussian of the column's mean and standard deviation (continuous;
    rounded for integer), Bernoulli (binary, label), the column's frequencies (categorical, label kind).
    The share of missing values is kept.

    Args:
      release: Gives timestamps, series and the number of rows.
      marginals: Gives the columns' moments and frequencies: the raw rows in a simulation, else the
        release itself.
      dataset: Kinds of the columns.
      rng: Random state.

    Returns:
      A frame like `release`.
    """
    n = len(release)
    noise = {}
    for feature in dataset.features:
        source = marginals[feature.name]
        known = source[source.notna()].to_numpy()
        if not len(known):
            noise[feature.name] = release[feature.name].to_numpy()
            continue
        if feature.kind == "categorical":
            names, counts = np.unique(known.astype(str), return_counts=True)
            drawn = rng.choice(names, size=n, p=counts / counts.sum()).astype(object)
        elif feature.kind == "binary":
            drawn = (rng.random(n) < known.astype(float).mean()).astype(float)
        else:
            drawn = rng.normal(known.mean(), known.std(), n)
            drawn = np.round(drawn) if feature.kind == "integer" else drawn
        gone = rng.random(n) < source.isna().mean()
        drawn[gone] = None if feature.kind == "categorical" else np.nan
        noise[feature.name] = drawn
    label = marginals[LABEL].to_numpy()
    if np.isfinite(label).any():
        noise[LABEL] = (rng.random(n) < np.nanmean(label)).astype(float)
        kinds = marginals.loc[label == 1, KIND].to_numpy().astype(str)
        drawn_kinds = rng.choice(kinds, size=n) if len(kinds) else np.full(n, "")
        noise[KIND] = np.where(noise[LABEL] == 1, drawn_kinds, "").astype(object)
    return release.assign(**noise)


def training_pool(
    name: ScenarioName,
    open_frames: Mapping[str, pd.DataFrame],
    released: Mapping[str, pd.DataFrame],
    ideal: Mapping[str, pd.DataFrame] | None,
    dataset: DatasetConfig,
    seed: int,
) -> Pool:
    """The pool of one scenario.

    Args:
      name: The scenario.
      open_frames: Locale -> real rows of open locales.
      released: Locale -> synthetic rows of restricted locales that arrived.
      ideal: Locale -> raw rows of restricted locales, or None outside a simulation.
      dataset: The columns.
      seed: Of the noise.
    """
    frames, tags = dict(open_frames), dict.fromkeys(open_frames, "open")
    if name == "No sharing":
        reason = "" if frames else "no open locale has rows"
        return Pool(frames if not reason else {}, tags, reason, "rows of the open locales only")
    if name == "Ideal":
        if not ideal:
            return Pool({}, {}, "the raw rows of restricted locales are not here", "open and raw rows")
        tags |= dict.fromkeys(ideal, "raw")
        return Pool(frames | dict(ideal), tags, "", "open locales and the raw rows of restricted ones")
    if not released:
        return Pool({}, {}, "no restricted locale has released rows", "open and released rows")
    if name == "Isthmus":
        tags |= dict.fromkeys(released, "release")
        return Pool(frames | dict(released), tags, "", "open locales and the releases of restricted ones")
    origin = "raw rows'" if ideal else "release's own"
    for i, (locale, release) in enumerate(sorted(released.items())):
        source = (ideal or {}).get(locale, release)
        frames[locale] = marginal_noise(release, source, dataset, np.random.default_rng([seed, 7, i]))
        tags[locale] = "noise"
    return Pool(
        frames,
        tags,
        "",
        f"open locales and per-column noise of the {origin} marginals at the released timestamps",
    )
