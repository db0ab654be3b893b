"""The gradient-boosted classifier: fit, threshold by grouped cross-validation, skops files."""

from __future__ import annotations

import dataclasses
import io
import re
import zipfile
from pathlib import Path

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import StratifiedGroupKFold

from components.errors import ReleaseError, list_briefly
from components.prophet_evaluator.config import ClassifierConfig
from components.prophet_evaluator.core.features import smooth
from components.prophet_evaluator.core.frames import spread_rows
from components.prophet_evaluator.core.metrics import confusion_counts, event_ids, rate

#: The only types beside skops' own trusted ones that a classifier file may hold.
TRUSTED_TYPES = frozenset(
    {
        "sklearn._loss.link.Interval",
        "sklearn._loss.link.LogitLink",
        "sklearn._loss.loss.HalfBinomialLoss",
        "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    }
)


@dataclasses.dataclass(frozen=True)
class Classifier:
    """A fitted classifier.

    Attributes:
      estimator: The boosted trees, or None where the training side holds no labelled anomaly: it then
        flags nothing, and `note` says so.
      threshold: Probability above which a row is flagged.
      feature_names: Columns of its input, in order.
      note: How the threshold came about, or why there is no estimator.
    """

    estimator: HistGradientBoostingClassifier | None
    threshold: float
    feature_names: tuple[str, ...]
    note: str

    def score(self, features: np.ndarray, segment: np.ndarray, smooth_rows: int) -> np.ndarray:
        """Smoothed probability of an anomaly, shape [row], in [0, 1]."""
        if self.estimator is None or not len(features):
            return np.zeros(len(features))
        return smooth(self.estimator.predict_proba(features)[:, 1], segment, smooth_rows)


def fit_classifier(
    features: np.ndarray,
    feature_names: list[str],
    label: np.ndarray,
    segment: np.ndarray,
    block: np.ndarray,
    config: ClassifierConfig,
    seed: int,
) -> Classifier:
    """Fits the classifier and picks its threshold on the training side.

    Args:
      features: Shape [row, feature], float32, NaN = unknown.
      feature_names: Names of the columns.
      label: 1 = anomaly, 0 = normal, NaN = unknown (left out). Shape [row].
      segment: Segment number, rising. Shape [row].
      block: Number of the time block of the row; rows of a block stay in one fold. Shape [row].
      config: Boosting and threshold.
      seed: Of boosting and folds.

    Returns:
      The classifier; without an estimator where a class is absent.
    """
    names = tuple(feature_names)
    known = np.isfinite(label)
    anomalous = label == 1
    if not anomalous.any() or not (known & ~anomalous).any():
        lacking = "anomaly" if not anomalous.any() else "normal row"
        return Classifier(None, 1.0, names, f"the training side has no labelled {lacking}: flags nothing")
    estimator = _boost(
        features, label, _thin(label, np.ones(len(label), bool), config.max_rows), config, seed
    )
    if config.threshold is not None:
        return Classifier(estimator, config.threshold, names, "threshold from the configuration")
    event = event_ids(anomalous, segment)
    n_events = int(event.max()) + 1
    if n_events < config.min_events:
        note = f"{n_events} labelled events, fewer than min_events={config.min_events}: fallback threshold"
        return Classifier(estimator, config.fallback_threshold, names, note)
    score = _out_of_fold(features, label, segment, whole_event_blocks(event, block), config, seed)
    threshold = best_f1_threshold(label[known], score[known])
    return Classifier(estimator, threshold, names, f"best F1 out of {config.folds} folds, {n_events} events")


def _boost(
    features: np.ndarray, label: np.ndarray, rows: np.ndarray, config: ClassifierConfig, seed: int
) -> HistGradientBoostingClassifier:
    y = label[rows] == 1
    estimator = HistGradientBoostingClassifier(
        max_iter=config.max_iter,
        learning_rate=config.learning_rate,
        max_leaf_nodes=config.max_leaf_nodes,
        min_samples_leaf=config.min_samples_leaf,
        l2_regularization=config.l2_regularization,
        early_stopping=False,
        random_state=seed,
    )
    weight = np.where(y, (max((~y).sum(), 1) / max(y.sum(), 1)) ** config.anomaly_weight, 1.0)
    return estimator.fit(features[rows], y.astype(np.int64), sample_weight=weight)


def _thin(label: np.ndarray, allowed: np.ndarray, max_rows: int) -> np.ndarray:
    """Positions to train on: anomalies first (at most half of `max_rows`), normal rows evenly spread."""
    anomalous = np.flatnonzero(allowed & (label == 1))
    normal = np.flatnonzero(allowed & (label == 0))
    anomalous = anomalous[spread_rows(len(anomalous), max_rows // 2)]
    normal = normal[spread_rows(len(normal), max_rows - len(anomalous))]
    return np.sort(np.concatenate([anomalous, normal]))


def whole_event_blocks(event: np.ndarray, block: np.ndarray) -> np.ndarray:
    """Blocks in which every event lies whole: later blocks of an event join its first one.

    Args:
      event: From `metrics.event_ids`. Shape [row].
      block: Time block of each row, consecutive rows of a block together. Shape [row].

    Returns:
      Block numbers, shape [row].
    """
    codes = np.unique(block, return_inverse=True)[1].reshape(-1)
    target = np.arange(codes.max(initial=-1) + 1)
    rows = np.flatnonzero(event >= 0)
    if len(rows):
        first = np.full(event.max() + 1, len(codes))
        np.minimum.at(first, event[rows], rows)
        pairs = np.unique(np.stack([codes[rows], codes[first[event[rows]]]]), axis=1)
        # Blocks are numbered along time, so a chain of joins is resolved from left to right.
        for later, earlier in pairs.T:
            target[later] = min(target[later], target[earlier])
    return target[codes]


def _out_of_fold(
    features: np.ndarray,
    label: np.ndarray,
    segment: np.ndarray,
    block: np.ndarray,
    config: ClassifierConfig,
    seed: int,
) -> np.ndarray:
    """Smoothed probabilities of models that have not seen the row's block. Shape [row]."""
    # Folds are dealt over blocks, not rows: one row per block, anomalous where the block holds any.
    names, position = np.unique(block, return_inverse=True)
    position = position.reshape(-1)
    holds = np.bincount(position, weights=label == 1, minlength=len(names)) > 0
    splitter = StratifiedGroupKFold(config.folds, shuffle=True, random_state=seed)
    score = np.full(len(label), np.nan)
    for train, test in splitter.split(np.zeros((len(names), 1)), holds, np.arange(len(names))):
        chosen = np.isin(position, train)
        rows = _thin(label, chosen, config.max_rows)
        if not (label[rows] == 1).any() or not (label[rows] == 0).any() or not len(test):
            continue
        score[~chosen] = _boost(features, label, rows, config, seed).predict_proba(features[~chosen])[:, 1]
    return smooth(score, segment, config.smooth_rows)


def best_f1_threshold(label: np.ndarray, score: np.ndarray) -> float:
    """The threshold of the highest F1 for `score > threshold`, on a fixed grid of 0.02 to 0.98.

    Ties go to the middle of the tied thresholds: the flattest optimum is the safest.
    """
    grid = np.round(np.arange(0.02, 0.99, 0.02), 2)
    usable = np.isfinite(score)
    f1 = np.array([rate(confusion_counts(label[usable], score[usable] > t), "f1") for t in grid])
    if not np.isfinite(f1).any():
        return 0.5
    best = np.flatnonzero(f1 >= np.nanmax(f1) - 1e-12)
    return float(grid[best[len(best) // 2]])


def save_estimators(estimators: dict[str, HistGradientBoostingClassifier], path: Path) -> None:
    """Writes estimators as one skops file: no pickle, only listed types, equal bytes for equal trees."""
    import skops.io

    path.write_bytes(canonical_skops(skops.io.dumps(estimators)))


def canonical_skops(payload: bytes) -> bytes:
    """A skops file without addresses and times of day.

    skops names objects by their address in memory; here they are numbered as they first occur in its
    schema, and the archive's entries are dated 1980.

    Args:
      payload: From `skops.io.dumps`.
    """
    with zipfile.ZipFile(io.BytesIO(payload)) as source:
        schema = source.read("schema.json").decode()
        found = re.findall(r'"__id__": (\d+)|"file": "(\d+)\.', schema)
        numbers: dict[str, int] = {}
        for pair in found:
            numbers.setdefault(pair[0] or pair[1], len(numbers))

        def renumber(match: re.Match[str]) -> str:
            return match[1] + str(numbers[match[2]])

        target = io.BytesIO()
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            files = [name for name in source.namelist() if name != "schema.json"]
            for name in sorted(files, key=lambda name: numbers[name.partition(".")[0]]):
                stem, _, suffix = name.partition(".")
                entry = zipfile.ZipInfo(f"{numbers[stem]}.{suffix}")
                archive.writestr(entry, source.read(name), zipfile.ZIP_DEFLATED)
            renamed = re.sub(r'("__id__": |"file": ")(\d+)', renumber, schema)
            archive.writestr(zipfile.ZipInfo("schema.json"), renamed, zipfile.ZIP_DEFLATED)
    return target.getvalue()


def load_estimators(path: Path) -> dict[str, HistGradientBoostingClassifier]:
    """Reads estimators after checking every type that the file holds.

    Raises:
      ReleaseError: the file holds a type that no classifier of ours has, holds none by role, or is no skops
        file.
    """
    import skops.io

    try:
        found = set(skops.io.get_untrusted_types(file=path))
    except Exception as error:
        raise ReleaseError(
            f"{path.name}: not a skops file ({type(error).__name__}). Fetch it anew."
        ) from error
    strange = sorted(found - TRUSTED_TYPES)
    if strange:
        raise ReleaseError(
            f"{path.name}: holds types that a classifier never has: {list_briefly(strange)}. Do not load it."
        )
    loaded = skops.io.load(path, trusted=sorted(found))
    if not isinstance(loaded, dict):
        raise ReleaseError(f"{path.name}: holds no classifiers by role. Fetch it anew.")
    return loaded
