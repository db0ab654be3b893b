"""The central detector: Prophet intervals and a classifier over their residuals.

A detector is fitted on a training pool (locale -> frame), judges frames of any locale, and is written
to and read from a directory without pickle.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from components.dataset import TIMESTAMP
from components.errors import InsufficientDataError
from components.prophet_evaluator.config import ProphetEvaluatorConfig, SeasonalityConfig
from components.prophet_evaluator.core import classifier as classifiers
from components.prophet_evaluator.core import features, forecaster, frames
from components.prophet_evaluator.core.frames import LABEL, LOCALE, SEGMENT, SERIES

if TYPE_CHECKING:
    from prophet import Prophet

#: (locale, series, target); empty strings stand for "all".
Key = tuple[str, str, str]


@dataclasses.dataclass(frozen=True)
class ForecastModel:
    """One fitted Prophet.

    Attributes:
      uid: What it was fitted on; equal uids are the same model.
      prophet: The model, in units of the aligned target (raw in tutorial mode).
      n_rows: Rows behind the fit.
      cycle_s: Period of the detected cycle, or None.
    """

    uid: str
    prophet: Prophet
    n_rows: int
    cycle_s: float | None = None


@dataclasses.dataclass(frozen=True)
class TargetJudgement:
    """What the interval detector says of one target, row by row, in the source's units."""

    y: np.ndarray
    yhat: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    score: np.ndarray
    residual: np.ndarray

    @property
    def flag(self) -> np.ndarray:
        """Rows outside the interval that is judged by."""
        return self.score > 1


@dataclasses.dataclass(frozen=True)
class Judgement:
    """What a detector says of a frame, row by row.

    Attributes:
      targets: Per target.
      classifier_score: Probability of an anomaly, or None where there is no classifier.
      classifier_flag: Probability above the threshold, or None.
    """

    targets: dict[str, TargetJudgement]
    classifier_score: np.ndarray | None
    classifier_flag: np.ndarray | None

    @property
    def interval_score(self) -> np.ndarray:
        """The worst target's deviation over its threshold; NaN where no target is known."""
        scores = np.stack([target.score for target in self.targets.values()])
        return np.where(np.isfinite(scores).any(axis=0), np.nanmax(np.where(np.isfinite(scores), scores, -np.inf), axis=0), np.nan)

    @property
    def interval_flag(self) -> np.ndarray:
        """Any target outside its interval."""
        return np.stack([target.flag for target in self.targets.values()]).any(axis=0)

    def score(self, detector: str) -> np.ndarray:
        """Score of `interval` or `classifier`."""
        if detector == "interval":
            return self.interval_score
        assert self.classifier_score is not None
        return self.classifier_score

    def flag(self, detector: str) -> np.ndarray:
        """Flags of `interval` or `classifier`."""
        if detector == "interval":
            return self.interval_flag
        assert self.classifier_flag is not None
        return self.classifier_flag


@dataclasses.dataclass
class Cache:
    """What scenarios share: models and features of locales whose rows are the same in both."""

    models: dict[str, ForecastModel | None] = dataclasses.field(default_factory=dict)
    features: dict[tuple[str, ...], tuple[np.ndarray, list[str]]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Detector:
    """A fitted detector.

    Attributes:
      config: What it was fitted with.
      models: Key -> model.
      thresholds: Key -> multiple of the interval's half-width beyond which a row is flagged.
      classifier: The classifier of locales that the training side knows; None: switched off.
      foreign: The classifier of other locales, without forecast features: a forecast of strangers
        says nothing of them. None: no row of that sort is expected.
      info: Locales, rows and notes of the training side; JSON-ready.
    """

    config: ProphetEvaluatorConfig
    models: dict[Key, ForecastModel]
    thresholds: dict[Key, float]
    classifier: classifiers.Classifier | None = None
    foreign: classifiers.Classifier | None = None
    info: dict[str, Any] = dataclasses.field(default_factory=dict)

    def key_for(self, locale: str, series: str, target: str) -> Key:
        """The finest model there is for a series: its own, its locale's, the pool's."""
        for key in ((locale, series, target), (locale, "", target)):
            if key in self.models:
                return key
        return ("", "", target)

    def judge(self, frame: pd.DataFrame, tag: str = "", cache: Cache | None = None) -> Judgement:
        """Judges every row of a frame.

        Args:
          frame: From `frames.prepare`. Series shorter than `align_min_days` are compared with the rest
            of their locale in this frame, longer ones with themselves.
          tag: Name of the frame in `cache`; empty switches the cache off.
          cache: Shared with other detectors.

        Returns:
          Scores and flags, in the frame's order.
        """
        context = align(frame, self.config)
        targets = {t: self._judge_target(frame, context, t) for t in self.config.dataset.targets}
        if self.classifier is None:
            return Judgement(targets, None, None)
        residual = {name: judged.residual for name, judged in targets.items()}
        score, flag = np.zeros(len(frame)), np.zeros(len(frame), bool)
        uids = tuple(self.models[key].uid for key in self._keys_used(frame))
        inputs, names = featurise(frame, context, residual, self.config, (tag, *uids) if tag else (), cache)
        stranger = self._is_foreign(frame)
        for mask, fitted in ((~stranger, self.classifier), (stranger, self.foreign or self.classifier)):
            if mask.any():
                chosen = inputs[mask][:, [names.index(name) for name in fitted.feature_names]]
                segment = frame[SEGMENT].to_numpy()[mask]
                score[mask] = fitted.score(chosen, segment, self.config.classifier.smooth_rows)
                flag[mask] = score[mask] > fitted.threshold
        return Judgement(targets, score, flag)

    def _is_foreign(self, frame: pd.DataFrame) -> np.ndarray:
        """Rows of locales for which only the pool's model stands in. Shape [row]."""
        if self.config.interval.level == "pooled":
            return np.zeros(len(frame), bool)
        known = {key[0] for key in self.models if key[0]}
        return ~frame[LOCALE].isin(known).to_numpy()

    def _keys_used(self, frame: pd.DataFrame) -> list[Key]:
        pairs = frame[[LOCALE, SERIES]].drop_duplicates().itertuples(index=False, name=None)
        names = [(locale, series) for locale, series in pairs]
        return [self.key_for(lo, se, t) for lo, se in names for t in self.config.dataset.targets]

    def _judge_target(self, frame: pd.DataFrame, context: Context, target: str) -> TargetJudgement:
        z = context.aligned[target]
        yhat, half, ratio, limit = (np.full(len(frame), np.nan) for _ in range(4))
        key_codes, keys = _key_codes(frame, lambda lo, se: self.key_for(lo, se, target))
        for code, key in enumerate(keys):
            rows = np.flatnonzero(key_codes == code)
            found = forecast_rows(self.models[key], frame, rows, self.config)
            yhat[rows], half[rows] = found.yhat, found.half_width
            limit[rows] = self.thresholds[key]
        ratio = interval_ratio(z, yhat, half, frame[SEGMENT].to_numpy(), self.config)
        spread, centre = context.spread[target], context.centre[target]
        deviation = half / norm.ppf((1 + self.config.interval.interval_width) / 2)
        return TargetJudgement(
            y=z * spread + centre,
            yhat=yhat * spread + centre,
            lower=(yhat - limit * half) * spread + centre,
            upper=(yhat + limit * half) * spread + centre,
            score=ratio / limit,
            residual=np.clip((z - yhat) / deviation, -1e3, 1e3),
        )


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


def forecast_rows(
    model: ForecastModel, frame: pd.DataFrame, rows: np.ndarray, config: ProphetEvaluatorConfig
) -> forecaster.Forecast:
    """Forecast at the given rows' timestamps."""
    floor = forecaster.MIN_RELATIVE_SIGMA if config.interval.mode == "calibrated" else 1e-9
    return forecaster.forecast(model.prophet, frame[TIMESTAMP].to_numpy()[rows], floor)


def interval_ratio(
    z: np.ndarray, yhat: np.ndarray, half: np.ndarray, segment: np.ndarray, config: ProphetEvaluatorConfig
) -> np.ndarray:
    """Deviation in half-widths: smoothed and two-sided when calibrated, as it is in tutorial mode."""
    ratio = (z - yhat) / half
    if config.interval.mode == "tutorial":
        return ratio
    return np.abs(features.smooth(ratio, segment, config.interval.smooth_rows))


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


def featurise(
    frame: pd.DataFrame,
    context: Context,
    residual: dict[str, np.ndarray],
    config: ProphetEvaluatorConfig,
    cache_key: tuple[str, ...] = (),
    cache: Cache | None = None,
) -> tuple[np.ndarray, list[str]]:
    """`features.window_features`, remembered under `cache_key` where one is given."""
    if cache is not None and cache_key in cache.features:
        return cache.features[cache_key]
    found = features.window_features(
        frame, context.aligned, residual, context.group, config.dataset, config.classifier
    )
    if cache is not None and cache_key:
        cache.features[cache_key] = found
    return found


def _key_codes(frame: pd.DataFrame, key_for: Any) -> tuple[np.ndarray, list[Key]]:
    """Number of the model of each row, and the models' keys."""
    code = frames.series_codes(frame)
    starts = np.flatnonzero(np.r_[True, np.diff(code) != 0]) if len(frame) else np.zeros(0, int)
    heads = frame.iloc[starts]
    wanted = [key_for(lo, se) for lo, se in zip(heads[LOCALE], heads[SERIES], strict=True)]
    keys = sorted(set(wanted))
    position = {key: i for i, key in enumerate(keys)}
    return np.array([position[key] for key in wanted], np.int64)[code - code.min(initial=0)], keys


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
    thresholds = {key: 1.0 for key in models}
    bare = Detector(config, models, thresholds)
    if config.interval.mode == "calibrated":
        thresholds.update(_calibrate(bare, frame, context))
    info: dict[str, Any] = {
        "training_locales": {
            locale: {"rows": int(len(rows)), "anomalous_rows": int((rows[LABEL] == 1).sum())}
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
    uid: str, target: str, mask: np.ndarray, frame: pd.DataFrame, context: Context, config: ProphetEvaluatorConfig
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
    parts, names = [], []
    for locale in sorted(set(frame[LOCALE])):
        rows = frame[LOCALE].to_numpy() == locale
        part = frames.number_segments(frame[rows].reset_index(drop=True), config.dataset.interval_s)
        context = align(part, config)
        residual = {t: bare._judge_target(part, context, t).residual for t in config.dataset.targets}
        uids = [bare.models[key].uid for key in bare._keys_used(part)]
        cache_key = ("pool", tags[locale], *uids) if locale in tags else ()
        matrix, names = featurise(part, context, residual, config, cache_key, cache)
        parts.append(matrix)
    inputs, segment = np.concatenate(parts), frame[SEGMENT].to_numpy()
    stamps = frame[TIMESTAMP].to_numpy()
    blocks = np.stack([frames.series_codes(frame), stamps // np.int64(config.bootstrap_block_s * 1e6)], axis=1)
    block = np.unique(blocks, axis=0, return_inverse=True)[1].reshape(-1)

    def fit(kept: list[str]) -> classifiers.Classifier:
        chosen = inputs[:, [names.index(name) for name in kept]]
        return classifiers.fit_classifier(chosen, kept, label, segment, block, config.classifier, config.seed)

    own = fit(names)
    plain = [name for name in names if not features.is_forecast_feature(name)]
    return own, fit(plain) if expect_foreign else None
