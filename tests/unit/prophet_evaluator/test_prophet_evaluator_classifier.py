"""The classifier: folds, threshold, files."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.linear_model

from components.errors import ReleaseError
from components.prophet_evaluator.config import ClassifierConfig
from components.prophet_evaluator.core import classifier as classifiers
from components.prophet_evaluator.core.metrics import event_ids

CONFIG = ClassifierConfig(max_iter=20, window_rows=(4, 8), min_samples_leaf=5, smooth_rows=1)


def _rows(events: int = 8, length: int = 10, gap: int = 40, seed: int = 0):
    """Events every `gap` rows; the first feature shows them, the second is noise."""
    rng, n = np.random.default_rng(seed), events * gap
    label = ((np.arange(n) % gap) < length).astype(float)
    features = np.stack([label * 3 + rng.normal(0, 0.5, n), rng.normal(size=n)], axis=1).astype(np.float32)
    return features, label, np.zeros(n, np.int64), np.arange(n) // gap


def test_learns_and_picks_its_threshold_out_of_fold():
    features, label, segment, block = _rows()
    fitted = classifiers.fit_classifier(features, ["a", "b"], label, segment, block, CONFIG, seed=0)
    assert "out of 3 folds, 8 events" in fitted.note
    unseen, truth, where, _ = _rows(seed=1)
    flag = fitted.score(unseen, where, 1) > fitted.threshold
    assert (flag == truth).mean() > 0.97


def test_same_seed_same_file(tmp_path):
    features, label, segment, block = _rows()
    for name in ("one", "two"):
        fitted = classifiers.fit_classifier(features, ["a", "b"], label, segment, block, CONFIG, seed=0)
        classifiers.save_estimators({"own": fitted.estimator}, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    loaded = classifiers.load_estimators(tmp_path / "one")["own"]
    assert (loaded.predict_proba(features) == fitted.estimator.predict_proba(features)).all()


@pytest.mark.parametrize(("value", "lacking"), [(0.0, "anomaly"), (1.0, "normal row"), (np.nan, "anomaly")])
def test_one_class_flags_nothing_and_says_so(value, lacking):
    features, label, segment, block = _rows()
    fitted = classifiers.fit_classifier(
        features, ["a", "b"], np.full(len(label), value), segment, block, CONFIG, seed=0
    )
    assert fitted.estimator is None and lacking in fitted.note
    assert not (fitted.score(features, segment, 5) > fitted.threshold).any()


def test_few_events_fall_back_and_a_given_threshold_wins():
    features, label, segment, block = _rows(events=3)
    names = ["a", "b"]
    fitted = classifiers.fit_classifier(features, names, label, segment, block, CONFIG, seed=0)
    assert fitted.threshold == 0.5 and "3 labelled events" in fitted.note
    given = CONFIG.model_copy(update={"threshold": 0.3})
    assert classifiers.fit_classifier(features, names, label, segment, block, given, seed=0).threshold == 0.3


def test_unlabelled_rows_are_left_out():
    _, label, _segment, _block = _rows()
    unknown = label.copy()
    unknown[::2] = np.nan
    rows = classifiers._thin(unknown, np.ones(len(label), bool), 10_000)
    assert np.isfinite(unknown[rows]).all() and len(rows) == np.isfinite(unknown).sum()


def test_thinning_keeps_anomalies_first():
    label = np.zeros(1000)
    label[500:520] = 1
    rows = classifiers._thin(label, np.ones(1000, bool), 100)
    assert len(rows) == 100 and (label[rows] == 1).sum() == 20


def test_an_event_lies_in_one_block():
    label = np.zeros(12)
    label[3:9] = 1  # touches blocks 0, 1, 2
    block = np.repeat([0, 1, 2, 3], 3)
    joined = classifiers.whole_event_blocks(event_ids(label, np.zeros(12)), block)
    assert joined.tolist() == [0, 0, 0, 1, 1, 1, 1, 1, 1, 3, 3, 3]
    assert joined[-1] != joined[3]


def test_best_f1_threshold_by_hand():
    # Any threshold from 0.4 up to below 0.6 separates: 0.40 .. 0.58, the middle of the ten is 0.50.
    assert classifiers.best_f1_threshold(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.6, 0.9])) == 0.5
    assert classifiers.best_f1_threshold(np.array([0, 0]), np.array([0.1, 0.4])) == 0.5


def test_refuses_types_that_no_classifier_has(tmp_path):
    import skops.io

    class Strange(sklearn.linear_model.LogisticRegression):
        pass

    path = tmp_path / "classifier.skops"
    path.write_bytes(skops.io.dumps({"own": Strange()}))
    with pytest.raises(ReleaseError, match=r"never has: .*Strange"):
        classifiers.load_estimators(path)


def test_refuses_a_file_that_is_no_skops(tmp_path):
    path = tmp_path / "classifier.skops"
    path.write_bytes(b"\x80\x04K\x01.")
    with pytest.raises(ReleaseError, match="not a skops file"):
        classifiers.load_estimators(path)


def test_refuses_a_file_without_roles(tmp_path):
    import skops.io

    path = tmp_path / "classifier.skops"
    path.write_bytes(skops.io.dumps([1, 2]))
    with pytest.raises(ReleaseError, match="holds no classifiers by role"):
        classifiers.load_estimators(path)
