"""Rows in units of their own series, so that what is learned on one series holds on another."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd

from components.dataset import TIMESTAMP
from components.prophet_evaluator.config import ProphetEvaluatorConfig
from components.prophet_evaluator.core import frames
from components.prophet_evaluator.core.frames import LOCALE


@dataclasses.dataclass(frozen=True)
class Context:
    """Rows in units of their own series.

    Attributes:
      group: Number of the series, or of the locale for short series. Shape [row].
      aligned: Numeric feature -> (value - centre) / spread. Shape [row] each.
      centre: Numeric feature -> median of the group (0 in tutorial mode). Shape [row] each.
      spread: Numeric feature -> robust spread of the group (1 in tutorial mode). Shape [row] each.
    """

    group: np.ndarray
    aligned: dict[str, np.ndarray]
    centre: dict[str, np.ndarray]
    spread: dict[str, np.ndarray]


def align(frame: pd.DataFrame, config: ProphetEvaluatorConfig) -> Context:
    """Aligns every numeric feature by median and spread of the row's group; targets stay raw in
    tutorial mode."""
    code = frames.series_codes(frame)
    stamps = frame[TIMESTAMP].groupby(code)
    span_days = (stamps.transform("max") - stamps.transform("min")).to_numpy() / 86_400e6
    # A locale's short series share one group, numbered after all the series.
    shared = pd.factorize(frame[LOCALE])[0] + (code.max(initial=0) + 1)
    names = np.where(span_days >= config.align_min_days, code, shared)
    group = np.unique(names, return_inverse=True)[1].reshape(-1)
    raw = config.interval.mode == "tutorial"
    aligned, centres, spreads = {}, {}, {}
    for name in config.dataset.feature_names("continuous", "integer", "binary"):
        values = frame[name].to_numpy(np.float64)
        if raw and name in config.dataset.targets:
            stats = np.tile([0.0, 1.0], (group.max(initial=-1) + 1, 1))
        else:
            parts = pd.Series(values).groupby(group)
            stats = np.array([frames.robust_scale(part.to_numpy()) for _, part in parts]).reshape(-1, 2)
        centres[name], spreads[name] = stats[group, 0], stats[group, 1]
        aligned[name] = (values - centres[name]) / spreads[name]
    return Context(group, aligned, centres, spreads)
