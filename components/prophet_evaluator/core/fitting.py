"""Fits the central detector on a training pool: Prophet models, thresholds, classifiers."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd

from components.dataset import TIMESTAMP
from components.errors import InsufficientDataError
from components.prophet_evaluator.config import ProphetEvaluatorConfig, SeasonalityConfig
from components.prophet_evaluator.core import classifier as classifiers
from components.prophet_evaluator.core import features, forecaster, frames
from components.prophet_evaluator.core.alignment import Context, align
from components.prophet_evaluator.core.detector import (
    Cache,
    Detector,
    ForecastModel,
    Key,
    featurise,
    forecast_rows,
    interval_ratio,
)
from components.prophet_evaluator.core.frames import LABEL, LOCALE, SEGMENT, SERIES


def conformal_threshold(scores: np.ndarray, rate: float) -> float:
    """The split-conformal quantile: at most `rate` of exchangeable new scores exceed it.

    Args:
      scores: Scores of normal rows; NaN is left out. Shape [row].
      rate: Target rate, in (0, 1).

    Returns:
      The ceil((n + 1)(1 - rate))-th smallest score; the largest where n is too small for that.

    Raises:
      InsufficientDataError: there is no score.

    Source: Lei et al. (2018), JASA 113(523), section 2.2.
    """
    known = np.sort(scores[np.isfinite(scores)])
    if not len(known):
        raise InsufficientDataError("no normal training row has a value to calibrate the interval on")
    rank = min(math.ceil((len(known) + 1) * (1 - rate)), len(known))
    return float(max(known[rank - 1], 1e-6))


def fit_detector(
    pool: Mapping[str, pd.DataFrame],
    config: ProphetEvaluatorConfig,
    tags: Mapping[str, str] | None = None,
    cache: Cache | None = None,
    expect_foreign: bool = True,
) -> Detector:
    """Fits both detectors on a training pool.

    Args:
      pool: Locale -> frame from `frames.prepare`.
      config: The whole configuration.
      tags: Locale -> name of its rows ("open", "release" ...): equal tags share work in `cache`.
      cache: Shared between scenarios.
      expect_foreign: Also fit a classifier for locales outside the pool.

    Returns:
      The detector.

    Raises:
      InsufficientDataError: the pool holds fewer than `min_rows_per_fit` usable rows of a target.
    """
    cache = cache if cache is not None else Cache()
    tags = dict(tags) if tags is not None else {}
    frame = frames.pool(pool, config.dataset.interval_s)
    context = align(frame, config)
    models = _fit_models(frame, context, config, tags, cache)
    thresholds = dict.fromkeys(models, 1.0)
    bare = Detector(config, models, thresholds)
    if config.interval.mode == "calibrated":
        thresholds.update(_calibrate(bare, frame, context))
    info: dict[str, Any] = {
        "training_locales": {
            locale: {"rows": len(rows), "anomalous_rows": int((rows[LABEL] == 1).sum())}
            for locale, rows in sorted(pool.items())
        }
    }
    if not config.classifier.enabled:
        return dataclasses.replace(bare, info=info)
    own, foreign = _fit_classifiers(bare, frame, tags, cache, expect_foreign)
    return dataclasses.replace(bare, classifier=own, foreign=foreign, info=info)


def _fit_models(
    frame: pd.DataFrame, context: Context, config: ProphetEvaluatorConfig, tags: dict[str, str], cache: Cache
) -> dict[Key, ForecastModel]:
    """Every model that the level asks for and the rows allow, plus the pool's, side by side."""
    locale, series = frame[LOCALE].to_numpy(), frame[SERIES].to_numpy()
    groups: dict[tuple[str, str], np.ndarray] = {("", ""): np.ones(len(frame), bool)}
    if config.interval.level != "pooled":
        groups |= {(name, ""): locale == name for name in sorted(set(locale))}
    if config.interval.level == "series":
        pairs = sorted(set(zip(locale, series, strict=True)))
        groups |= {(lo, se): (locale == lo) & (series == se) for lo, se in pairs if se}
    jobs = [((lo, se, t), mask) for (lo, se), mask in groups.items() for t in config.dataset.targets]
    whole = "+".join(f"{name}={tags.get(name, '')}" for name in sorted(set(locale)))

    def fit(job: tuple[Key, np.ndarray]) -> ForecastModel | None:
        key, mask = job
        uid = f"{whole if not key[0] else key[0] + '=' + tags.get(key[0], '')}|{key[1]}|{key[2]}"
        if not tags or uid not in cache.models:
            cache.models[uid] = _fit_one(uid, key[2], mask, frame, context, config)
        return cache.models[uid]

    forecaster.silence()
    # Threads: the optimiser runs as a process of its own, and a fork after TensorFlow would hang.
    with ThreadPoolExecutor(config.workers) as executor:
        fitted = list(executor.map(fit, jobs))
    models = {key: model for (key, _), model in zip(jobs, fitted, strict=True) if model is not None}
    for target in config.dataset.targets:
        if ("", "", target) not in models:
            raise InsufficientDataError(
                f"target={target}: the pool of {len(set(locale))} locales has fewer than "
                f"{config.min_rows_per_fit} usable rows (min_rows_per_fit). Widen the span or add a locale."
            )
    return models


def _fit_one(
    uid: str,
    target: str,
    mask: np.ndarray,
    frame: pd.DataFrame,
    context: Context,
    config: ProphetEvaluatorConfig,
) -> ForecastModel | None:
    z = context.aligned[target]
    usable = mask & np.isfinite(z)
    if config.interval.exclude_labelled and config.interval.mode == "calibrated":
        usable &= ~(frame[LABEL].to_numpy() == 1)
    rows = np.flatnonzero(usable)
    if len(rows) < config.min_rows_per_fit:
        return None
    stamps = frame[TIMESTAMP].to_numpy()
    cycle, cycles = None, config.interval.seasonalities
    if config.interval.mode == "calibrated" and config.interval.detect_cycle:
        codes = frames.series_codes(frame)[rows]
        cycle = forecaster.detect_cycle(stamps[rows], z[rows], codes, config.dataset.interval_s)
        if cycle is not None:
            cycles = (*cycles, SeasonalityConfig(name="detected", period_s=cycle))
    kept = rows[frames.spread_rows(len(rows), config.max_rows_per_fit)]
    fitted = forecaster.fit_prophet(stamps[kept], z[kept], config.interval, cycles, config.seed)
    return ForecastModel(uid, fitted, len(kept), cycle)


def _calibrate(bare: Detector, frame: pd.DataFrame, context: Context) -> dict[Key, float]:
    """Each model's threshold on its own training rows."""
    config, label, segment = bare.config, frame[LABEL].to_numpy(), frame[SEGMENT].to_numpy()
    locale, series = frame[LOCALE].to_numpy(), frame[SERIES].to_numpy()
    rate = config.interval.target_false_positive_rate / len(config.dataset.targets)
    found: dict[Key, float] = {}
    for key, model in bare.models.items():
        rows = np.flatnonzero(
            (np.ones(len(frame), bool) if not key[0] else locale == key[0])
            & (np.ones(len(frame), bool) if not key[1] else series == key[1])
        )
        said = forecast_rows(model, frame, rows, config)
        z = context.aligned[key[2]][rows]
        ratio = interval_ratio(z, said.yhat, said.half_width, segment[rows], config)
        found[key] = conformal_threshold(ratio[label[rows] != 1], rate)
    if config.interval.threshold == "best_f1":
        found = _best_f1_multiple(dataclasses.replace(bare, thresholds=found), frame, found)
    return found


def _best_f1_multiple(
    calibrated: Detector, frame: pd.DataFrame, thresholds: dict[Key, float]
) -> dict[Key, float]:
    """All thresholds times the one factor that gives the best F1 on labelled training rows."""
    label = frame[LABEL].to_numpy()
    known = np.isfinite(label)
    if not (label == 1).any():
        return thresholds
    score = calibrated.judge(frame).interval_score
    # score / (1 + score) maps [0, inf) onto the threshold grid of (0, 1).
    chosen = classifiers.best_f1_threshold(label[known], (score / (1 + score))[known])
    return {key: value * chosen / (1 - chosen) for key, value in thresholds.items()}


def _fit_classifiers(
    bare: Detector, frame: pd.DataFrame, tags: dict[str, str], cache: Cache, expect_foreign: bool
) -> tuple[classifiers.Classifier, classifiers.Classifier | None]:
    """The classifier with forecast features, and the one without."""
    config, label = bare.config, frame[LABEL].to_numpy()
    parts: list[np.ndarray] = []
    names: list[str] = []
    for locale in sorted(set(frame[LOCALE])):
        rows = frame[LOCALE].to_numpy() == locale
        part = frames.number_segments(frame[rows].reset_index(drop=True), config.dataset.interval_s)
        context = align(part, config)
        residual = {t: bare.judge_target(part, context, t).residual for t in config.dataset.targets}
        uids = [bare.models[key].uid for key in bare.keys_used(part)]
        cache_key = ("pool", tags[locale], *uids) if locale in tags else ()
        matrix, names = featurise(part, context, residual, config, cache_key, cache)
        parts.append(matrix)
    inputs, segment = np.concatenate(parts), frame[SEGMENT].to_numpy()
    stamps = frame[TIMESTAMP].to_numpy()
    blocks = np.stack(
        [frames.series_codes(frame), stamps // np.int64(config.bootstrap_block_s * 1e6)], axis=1
    )
    block = np.unique(blocks, axis=0, return_inverse=True)[1].reshape(-1)

    def fit(kept: list[str]) -> classifiers.Classifier:
        chosen = inputs[:, [names.index(name) for name in kept]]
        return classifiers.fit_classifier(chosen, kept, label, segment, block, config.classifier, config.seed)

    own = fit(names)
    plain = [name for name in names if not features.is_forecast_feature(name)]
    return own, fit(plain) if expect_foreign else None
