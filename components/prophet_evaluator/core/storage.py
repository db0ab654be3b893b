"""A detector on disk: `detector.json`, `prophet/<key>.json`, `classifier.skops`. Nothing is pickled."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pydantic

from components.errors import DataError, ReleaseError
from components.prophet_evaluator.config import ProphetEvaluatorConfig
from components.prophet_evaluator.core import classifier as classifiers
from components.prophet_evaluator.core import forecaster, frames
from components.prophet_evaluator.core.detector import Detector, ForecastModel, Key
from components.prophet_evaluator.core.stored import StoredDetector
from components.release.canonical import printable
from components.version import __version__

DETECTOR_FILE, CLASSIFIER_FILE, PROPHET_FOLDER = "detector.json", "classifier.skops", "prophet"
FORMAT = 1


def key_slug(key: Key) -> str:
    """A file name for a model key: readable, and unique by a digest where a name had to be changed."""
    text = "--".join(part or "all" for part in key)
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", text)[:100]
    if safe == text and not any("--" in part or part == "all" for part in key):
        return safe
    return f"{safe}-{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:8]}"


def save_detector(detector: Detector, path: Path, provenance: Mapping[str, Any] | None = None) -> None:
    """Writes a detector into an existing, empty directory; `detector.json` comes last.

    Args:
      detector: Fitted.
      path: The directory.
      provenance: What the caller knows beside it (scenario, digests of the inputs); JSON-ready.
    """
    import prophet
    import sklearn

    (path / PROPHET_FOLDER).mkdir(parents=True, exist_ok=True)
    models, digests = [], {}
    for key in sorted(detector.models):
        model, name = detector.models[key], f"{PROPHET_FOLDER}/{key_slug(key)}.json"
        payload = forecaster.to_json(model.prophet).encode()
        (path / name).write_bytes(payload)
        digests[name] = hashlib.sha256(payload).hexdigest()
        models.append(
            {
                "file": name,
                "locale": key[0],
                "series": key[1],
                "target": key[2],
                "threshold": detector.thresholds[key],
                "rows": model.n_rows,
                "cycle_s": model.cycle_s,
                "trained_on": model.uid,
            }
        )
    fitted = {"own": detector.classifier, "foreign": detector.foreign}
    summary: dict[str, Any] = {
        role: {"threshold": one.threshold, "features": list(one.feature_names), "note": one.note}
        for role, one in fitted.items()
        if one is not None
    }
    estimators = {role: one.estimator for role, one in fitted.items() if one and one.estimator is not None}
    if estimators:
        classifiers.save_estimators(estimators, path / CLASSIFIER_FILE)
        digests[CLASSIFIER_FILE] = hashlib.sha256((path / CLASSIFIER_FILE).read_bytes()).hexdigest()
    content = {
        "format": FORMAT,
        "kind": "isthmus.prophet_detector",
        "config": detector.config.model_dump(mode="json"),
        "config_digest": detector.config.digest(),
        "models": models,
        "classifiers": summary,
        "digests": digests,
        "versions": {
            "isthmus": __version__,
            "prophet": prophet.__version__,
            "scikit-learn": sklearn.__version__,
            "numpy": np.__version__,
        },
        **detector.info,
        "provenance": dict(provenance or {}),
    }
    (path / DETECTOR_FILE).write_text(json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n")


def load_detector(path: str | Path) -> Detector:
    """Reads a detector, checking its form, the digest of every file and the types inside the classifier.

    Nothing outside the folder is read, whatever `detector.json` says.

    Raises:
      ReleaseError: a file is missing, altered, of another format, lacks or mistypes a field, names a file
        that a detector does not have, is no Prophet model, or holds a type of its own. One line.
    """
    folder = Path(path)
    stored, config = _described(folder)
    for name, digest in stored.digests.items():
        if not (folder / name).is_file():
            raise ReleaseError(f"{name}: named in {DETECTOR_FILE} and not there. Fetch the detector anew.")
        if hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest:
            raise ReleaseError(
                f"{name}: altered, its SHA-256 is not the one in {DETECTOR_FILE}. Do not use it."
            )
    has_estimators = (folder / CLASSIFIER_FILE).exists()
    for name in (*(entry.file for entry in stored.models), *([CLASSIFIER_FILE] * has_estimators)):
        if name not in stored.digests:
            raise ReleaseError(f"{name}: {DETECTOR_FILE} has no digest for it. Do not use it.")
    models: dict[Key, ForecastModel] = {}
    thresholds: dict[Key, float] = {}
    for entry in stored.models:
        key = (entry.locale, entry.series, entry.target)
        try:
            fitted = forecaster.from_json((folder / entry.file).read_text(encoding="utf-8"))
        except (DataError, ValueError) as error:
            raise ReleaseError(f"{entry.file}: not a Prophet model. Do not use the detector.") from error
        models[key] = ForecastModel(entry.trained_on, fitted, entry.rows, entry.cycle_s)
        thresholds[key] = entry.threshold
    estimators = classifiers.load_estimators(folder / CLASSIFIER_FILE) if has_estimators else {}
    judges = {
        role: classifiers.Classifier(estimators.get(role), one.threshold, tuple(one.features), one.note)
        for role, one in stored.classifiers.items()
    }
    info = {"training_locales": stored.training_locales}
    return Detector(config, models, thresholds, judges.get("own"), judges.get("foreign"), info)


def _described(folder: Path) -> tuple[StoredDetector, ProphetEvaluatorConfig]:
    """What `detector.json` says, checked.

    Raises:
      ReleaseError: it cannot be read, is of another format, or breaks a rule.
    """
    try:
        content = json.loads((folder / DETECTOR_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ReleaseError(
            f"{folder.name}/{DETECTOR_FILE}: {type(error).__name__}. Not a detector."
        ) from error
    if not isinstance(content, dict):
        raise ReleaseError(f"{folder.name}/{DETECTOR_FILE}: found {type(content).__name__}. Not a detector.")
    if content.get("format") != FORMAT:
        raise ReleaseError(
            f"{DETECTOR_FILE}: format {printable(str(content.get('format')))}, this version reads {FORMAT}. "
            "Train it anew."
        )
    try:
        stored = StoredDetector.model_validate(content)
        return stored, ProphetEvaluatorConfig.model_validate(stored.config)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = printable(".".join(map(str, first["loc"])))
        raise ReleaseError(
            f"{DETECTOR_FILE}: {where}: {printable(first['msg'])}. Do not use the detector; fetch it anew."
        ) from None


def predict(detector: Detector, table: pa.Table, locale: str | None = None) -> pa.Table:
    """Scores and flags for rows, in the table's order.

    Args:
      detector: From `load_detector` or `fit_detector`.
      table: Flat table (decision 1), features and series columns as configured; no label needed. A
        series should reach over `align_min_days`: shorter ones are compared with the other rows of
        their locale in this table.
      locale: Locale of all rows; None: the configured `locale_column` of the table names it. An
        unknown locale is judged by the model of the whole pool.

    Returns:
      One row per row: `timestamp`, per target `<target>_yhat`, `_lower`, `_upper`; `interval_score`
      (above 1: flagged), `interval_flag`, and with a classifier `classifier_score` (probability) and
      `classifier_flag`.
    """
    frame = frames.prepare(table, detector.config.dataset, locale, detector.config.locale_column)
    judged = detector.judge(frame)
    columns: dict[str, np.ndarray] = {"timestamp": frame["timestamp"].to_numpy()}
    for name, target in judged.targets.items():
        columns |= {f"{name}_yhat": target.yhat, f"{name}_lower": target.lower, f"{name}_upper": target.upper}
    columns |= {
        "interval_score": judged.interval_score,
        "interval_flag": judged.interval_flag.astype(np.int64),
    }
    if judged.classifier_score is not None and judged.classifier_flag is not None:
        columns |= {
            "classifier_score": judged.classifier_score,
            "classifier_flag": judged.classifier_flag.astype(np.int64),
        }
    order = np.argsort(frame[frames.ROW].to_numpy(), kind="stable")
    return pa.table({name: pa.array(values[order], from_pandas=True) for name, values in columns.items()})
