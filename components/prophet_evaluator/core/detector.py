"""The central detector: Prophet intervals and a classifier over their residuals.

A detector is fitted on a training pool (locale -> frame), judges frames of any locale, and is written
to and read from a directory without pickle.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from components.dataset import TIMESTAMP
from components.prophet_evaluator.config import ProphetEvaluatorConfig
from components.prophet_evaluator.core import classifier as classifiers
from components.prophet_evaluator.core import features, forecaster, frames
from components.prophet_evaluator.core.alignment import Context, align
from components.prophet_evaluator.core.frames import LOCALE, SEGMENT, SERIES

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
        return np.where(
            np.isfinite(scores).any(axis=0),
            np.nanmax(np.where(np.isfinite(scores), scores, -np.inf), axis=0),
            np.nan,
        )

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
        targets = {t: self.judge_target(frame, context, t) for t in self.config.dataset.targets}
        if self.classifier is None:
            return Judgement(targets, None, None)
        residual = {name: judged.residual for name, judged in targets.items()}
        score, flag = np.zeros(len(frame)), np.zeros(len(frame), bool)
        uids = tuple(self.models[key].uid for key in self.keys_used(frame))
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

    def keys_used(self, frame: pd.DataFrame) -> list[Key]:
        """The models that judge a frame, series by series."""
        pairs = frame[[LOCALE, SERIES]].drop_duplicates().itertuples(index=False, name=None)
        names = [(locale, series) for locale, series in pairs]
        return [self.key_for(lo, se, t) for lo, se in names for t in self.config.dataset.targets]

    def judge_target(self, frame: pd.DataFrame, context: Context, target: str) -> TargetJudgement:
        """The interval detector's word on one target."""
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


def _key_codes(frame: pd.DataFrame, key_for: Callable[[str, str], Key]) -> tuple[np.ndarray, list[Key]]:
    """Number of the model of each row, and the models' keys."""
    code = frames.series_codes(frame)
    starts = np.flatnonzero(np.r_[True, np.diff(code) != 0]) if len(frame) else np.zeros(0, int)
    heads = frame.iloc[starts]
    wanted = [key_for(lo, se) for lo, se in zip(heads[LOCALE], heads[SERIES], strict=True)]
    keys = sorted(set(wanted))
    position = {key: i for i, key in enumerate(keys)}
    return np.array([position[key] for key in wanted], np.int64)[code - code.min(initial=0)], keys
