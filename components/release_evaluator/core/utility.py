"""Utility: trained on synthetic, tested on real (TSTR), beside trained on real, tested on real (TRTR).

Source: Esteban, Hyland and Rätsch (2017), "Real-valued (medical) time series generation with recurrent
conditional GANs" (TSTR).
"""

from __future__ import annotations

import dataclasses

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import Ridge

from components.errors import UndefinedMetricError
from components.release_evaluator.core.metrics import Interval, percentile_interval
from components.release_evaluator.core.records import Records
from components.release_evaluator.core.resampling import resampled_weights

#: Windows that a model is trained on at most; more change the comparison by less than its interval.
MAX_TRAINING = 10_000
#: Fewest windows of each side, and fewest labelled ones of the test side.
MIN_WINDOWS, MIN_LABELLED = 100, 10
#: Added to both errors of the ratio, in ranges of the feature: 0.0001 against 0.0002 is no loss.
RATIO_FLOOR = 0.002


@dataclasses.dataclass(frozen=True)
class Pair:
    """TSTR and TRTR of one task; `change` compares them (ratio of errors, or difference of scores)."""

    tstr: float
    trtr: float
    change: float
    interval: Interval
    n: int


def next_step(
    train: Records,
    holdout: Records,
    synthetic: Records,
    targets: np.ndarray,
    draws: int,
    confidence: float,
    rng: np.random.Generator,
) -> Pair:
    """Error of one-step-ahead ridge regression from the two rows before.

    Args:
      train: Windows of at least 3 rows.
      holdout: As `train`; the test side.
      synthetic: As `train`.
      targets: Dimensions to predict: those of numeric features. Shape [target], int64.
      draws: Bootstrap draws over time blocks of holdout.
      confidence: Level of the interval of the ratio.
      rng: Source of randomness.

    Returns:
      Mean absolute errors in ranges of the features, and their ratio TSTR / TRTR.

    Raises:
      UndefinedMetricError: a side has too few windows, or nothing numeric varies.
    """
    _require({"train": train, "holdout": holdout, "synthetic": synthetic})
    if not len(targets):
        raise UndefinedMetricError("no numeric feature varies in the real rows")
    test = holdout.sample(MAX_TRAINING, rng)
    inputs, wanted = _steps(test, targets)
    errors = []
    for side in (synthetic, train):
        x, y = _steps(side.sample(MAX_TRAINING, rng), targets)
        model = Ridge(alpha=1.0).fit(x, y)
        errors.append(np.abs(model.predict(inputs).reshape(wanted.shape) - wanted).mean(axis=1))
    weights = resampled_weights(test.chunk, draws, rng)
    sums = [(weights * error[None, :]).sum(axis=1) / weights.sum(axis=1) for error in errors]
    tstr, trtr = float(errors[0].mean()), float(errors[1].mean())
    interval = percentile_interval(
        (sums[0] + RATIO_FLOOR) / (sums[1] + RATIO_FLOOR), confidence, "bootstrap over time blocks"
    )
    return Pair(tstr, trtr, (tstr + RATIO_FLOOR) / (trtr + RATIO_FLOOR), interval, len(inputs))


@dataclasses.dataclass(frozen=True)
class LabelPair:
    """TSTR and TRTR of the label: average precision (with its interval) and F1 at threshold 0.5."""

    average_precision: Pair
    f1: Pair


def label(
    train: Records,
    holdout: Records,
    synthetic: Records,
    labels: dict[str, np.ndarray],
    draws: int,
    confidence: float,
    rng: np.random.Generator,
) -> LabelPair:
    """Finds the labelled rows of holdout with boosted trees over window features.

    Args:
      train: Windows.
      holdout: As `train`; the test side.
      synthetic: As `train`.
      labels: Whether a row is anomalous, by `train`, `holdout`, `synthetic`. Each [row], bool.
      draws: Bootstrap draws over time blocks of holdout.
      confidence: Level of the intervals of the differences.
      rng: Source of randomness.

    Raises:
      UndefinedMetricError: a side has too few windows or too few labelled ones.
    """
    sides = {"train": train, "holdout": holdout, "synthetic": synthetic}
    _require(sides)
    features, truth = {}, {}
    for name, records in sides.items():
        # every labelled window is kept: a plain sample would lose the few there are
        ends = labels[name][records.starts + records.length - 1]
        normal = np.flatnonzero(~ends)
        kept = (
            rng.choice(normal, min(len(normal), MAX_TRAINING), replace=False) if name != "holdout" else normal
        )
        used = records.take(np.sort(np.concatenate([kept, np.flatnonzero(ends)[:MAX_TRAINING]])))
        truth[name] = labels[name][used.starts + used.length - 1]
        features[name] = window_features(used)
        if name == "holdout":
            chunk = used.chunk
        if min(truth[name].sum(), (~truth[name]).sum()) < MIN_LABELLED:
            raise UndefinedMetricError(
                f"{name} has {int(truth[name].sum())} labelled of {len(truth[name])} windows, needs at "
                f"least {MIN_LABELLED} of either kind"
            )
    scores = []
    for name in ("synthetic", "train"):
        model = HistGradientBoostingClassifier(
            max_iter=60, max_leaf_nodes=15, class_weight="balanced", early_stopping=False, random_state=0
        )
        model.fit(features[name], truth[name])
        scores.append(model.predict_proba(features["holdout"])[:, 1])
    weights = resampled_weights(chunk, draws, rng)
    weights = weights[(weights * truth["holdout"][None, :]).sum(axis=1) > 0]
    weights = np.vstack([np.ones(len(chunk)), weights[: max(50, draws // 4)]])
    pairs = []
    for measure in (weighted_average_precision, weighted_f1):
        tstr, trtr = (measure(truth["holdout"], score, weights) for score in scores)
        interval = percentile_interval((tstr - trtr)[1:], confidence, "bootstrap over time blocks")
        change = float(tstr[0] - trtr[0])
        pairs.append(Pair(float(tstr[0]), float(trtr[0]), change, interval, len(truth["holdout"])))
    return LabelPair(pairs[0], pairs[1])


def window_features(records: Records) -> np.ndarray:
    """Last value, mean, spread and mean absolute step of each dimension. Shape [record, 4 * dimension]."""
    windows = records.flat().reshape(len(records), records.length, -1)
    step = (
        np.abs(np.diff(windows, axis=1)).mean(axis=1) if records.length > 1 else np.zeros_like(windows[:, 0])
    )
    return np.hstack([windows[:, -1], windows.mean(axis=1), windows.std(axis=1), step])


def weighted_average_precision(truth: np.ndarray, score: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Average precision for many weightings at once, as scikit-learn's: sum over k of (R_k - R_{k-1}) P_k.

    Args:
      truth: Shape [record], bool; at least one record that has weight is True.
      score: Shape [record], float64.
      weight: Shape [draw, record], float64.

    Returns:
      Shape [draw], float64.
    """
    order = np.argsort(-score, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))  # records of one score come together
    found = np.cumsum(weight[:, order] * truth[order], axis=1)[:, ends]
    named = np.cumsum(weight[:, order], axis=1)[:, ends]
    precision = np.divide(found, named, out=np.ones_like(found), where=named > 0)
    gained = np.diff(found, axis=1, prepend=0.0) / found[:, -1:]
    return np.asarray((gained * precision).sum(axis=1))


def weighted_f1(truth: np.ndarray, score: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """F1 at score 0.5 for many weightings at once; 0 where nothing is found. Shapes as above."""
    said = score >= 0.5
    hits, either = weight @ (truth & said), weight @ (truth.astype(float) + said)
    return np.asarray(np.divide(2 * hits, either, out=np.zeros(len(weight)), where=either > 0))


def _steps(records: Records, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    start = records.starts
    inputs = np.hstack([records.points[start + 1], records.points[start]])
    return inputs, records.points[start + 2][:, targets]


def _require(sides: dict[str, Records]) -> None:
    for name, records in sides.items():
        if len(records) < MIN_WINDOWS:
            raise UndefinedMetricError(f"{name} has {len(records)} windows, needs at least {MIN_WINDOWS}")
