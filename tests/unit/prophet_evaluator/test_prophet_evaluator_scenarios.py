"""Scenarios, verdict, detector on disk and plots, on a toy fleet."""

from __future__ import annotations

import hashlib
import json
import shutil

import numpy as np
import pyarrow as pa
import pydantic
import pytest

from components.errors import DataError, ReleaseError
from components.prophet_evaluator.config import (
    ClassifierConfig,
    IntervalDetectorConfig,
    ProphetEvaluatorConfig,
)
from components.prophet_evaluator.core import evaluate as evaluation
from components.prophet_evaluator.core import frames, plots, scenarios, storage
from components.prophet_evaluator.core.fitting import fit_detector

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def result(toy_examples, toy_test, toy_config, toy_table):
    ideal = {"eu": toy_table(9, phase=0.4)}
    return evaluation.evaluate(toy_examples, toy_test, ideal, toy_config)


def test_sharing_pays_where_the_kind_is_known_elsewhere_only(result):
    found = {
        name: s["classifier"]["overall"]["f1"]["value"] for name, s in result.report["scenarios"].items()
    }
    assert found["No sharing"] < 0.5 < 0.8 < found["Isthmus"]
    assert abs(found["Isthmus"] - found["Ideal"]) < 0.15
    interval = {
        name: s["interval"]["overall"]["f1"]["value"] for name, s in result.report["scenarios"].items()
    }
    assert interval["Isthmus"] > interval["No sharing"] + 0.2
    assert result.verdict == "BLESSED" and "required: lower bound above 0" in result.reasons[0]
    assert result.detector_scenario == "Isthmus"


def test_strangers_are_judged_without_forecast_features(result):
    own, foreign = result.detector.classifier.feature_names, result.detector.foreign.feature_names
    assert "temp:residual" in own and "temp:residual" not in foreign and "temp:std_8" in foreign


def test_report_is_json_and_adds_up(result, toy_test):
    report = json.loads(json.dumps(result.report, allow_nan=False))
    assert report["test"]["rows"] == toy_test.num_rows and report["test"]["events"] == 8
    for scenario in report["scenarios"].values():
        for detector in ("interval", "classifier"):
            found = scenario[detector]
            assert sum(found["overall"]["confusion"].values()) == toy_test.num_rows
            for cell in ("tp", "fp", "fn", "tn"):
                parts = [one["confusion"][cell] for one in found["per_locale"].values()]
                assert sum(parts) == found["overall"]["confusion"][cell]
            assert found["per_kind"]["shift"]["recall"]["value"] == found["overall"]["tpr"]["value"]
            assert found["per_kind"]["shift"]["events"] == found["overall"]["events"]
            assert len(found["per_event"]) == 8
            assert sum(e["detected"] for e in found["per_event"]) == found["overall"]["events"]["detected"]
    assert {(d["scenario"], d["detector"]) for d in report["differences"]} == {
        (s, d) for s in ("Naive synthetic", "Isthmus", "Ideal") for d in ("interval", "classifier")
    }


@pytest.mark.slow
def test_row_order_is_irrelevant(result, toy_examples, toy_test, toy_config, toy_table):
    order = pa.array(np.random.default_rng(0).permutation(toy_test.num_rows))
    again = evaluation.evaluate(
        toy_examples, toy_test.take(order), {"eu": toy_table(9, phase=0.4)}, toy_config
    )
    assert again.report["scenarios"] == result.report["scenarios"]


def test_forecast_json_and_plot(result, toy_dataset):
    curves = plots.forecast_curves(result, toy_dataset)
    assert [curve["locale"] for curve in curves["series"]] == ["eu", "us"]
    curve = curves["series"][0]
    assert curve["unit"] == "K" and curve["target"] == "temp" and sum(curve["label"]) == 16
    inside = [lo <= y <= hi for lo, y, hi in zip(curve["lower"], curve["y"], curve["upper"], strict=True)]
    assert np.mean(inside) > 0.8
    assert plots.draw_forecast(curve, "eu").startswith(b"\x89PNG")


def test_thinning_for_plots_keeps_the_ends_of_events():
    label = np.zeros(10_000, int)
    label[5001:5003] = 1
    kept = plots.thin_for_plot(label, np.zeros(10_000, int))
    assert len(kept) <= plots.MAX_POINTS and {5000, 5001, 5002, 5003, 0, 9999} <= set(kept.tolist())


def test_missing_release_is_not_evaluated_and_named(toy_examples, toy_test, toy_config):
    found = evaluation.evaluate({"us": toy_examples["us"]}, toy_test, None, toy_config)
    assert found.verdict == "NOT_EVALUATED" and found.detector_scenario == "No sharing"
    assert found.report["scenarios"]["Isthmus"]["reason"] == "no restricted locale has released rows"
    assert "missing at the merge: eu" in found.reasons
    assert found.report["missing_locales"] == ["eu"]


def test_only_interval_where_the_classifier_is_off(toy_examples, toy_test, toy_config):
    config = toy_config.model_copy(
        update={"classifier": ClassifierConfig(enabled=False), "scenarios": ("No sharing", "Isthmus")}
    )
    found = evaluation.evaluate(toy_examples, toy_test, None, config)
    assert (
        found.report["deciding_detector"] == "interval"
        and "classifier" not in found.report["scenarios"]["Isthmus"]
    )
    assert plots.forecast_curves(found, config.dataset)["detector"] == "interval"


@pytest.mark.parametrize(
    ("gain", "verdict"),
    [
        ({"value": 0.2, "lower": 0.01, "upper": 0.4}, "BLESSED"),
        ({"value": 0.2, "lower": 0.0, "upper": 0.4}, "NOT_BLESSED"),
        ({"value": -0.2, "lower": -0.4, "upper": -0.1}, "NOT_BLESSED"),
        ({"value": None, "status": "UNDEFINED", "reason": "r"}, "NOT_EVALUATED"),
        ({"value": 0.2, "lower": None, "upper": None}, "NOT_EVALUATED"),
        (None, "NOT_EVALUATED"),
    ],
)
def test_verdict(toy_config, gain, verdict):
    entry = [] if gain is None else [{"detector": "interval", "scenario": "Isthmus", **gain}]
    report = {
        "scenarios": {"Isthmus": {}, "No sharing": {}},
        "deciding_detector": "interval",
        "differences": entry,
    }
    assert evaluation.bless(report, toy_config)[0] == verdict


def test_verdict_needs_both_scenarios(toy_config):
    report = {"scenarios": {"Isthmus": {}}, "deciding_detector": "interval", "differences": []}
    assert evaluation.bless(report, toy_config) == ("NOT_EVALUATED", ["scenario No sharing: not configured"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(["label"]), "no label column"),
        (lambda t: t.set_column(6, "label", pa.array([0] * t.num_rows)), "labelled anomalous"),
        (lambda t: t.set_column(6, "label", pa.array([1] * t.num_rows)), "labelled normal"),
        (
            lambda t: t.set_column(6, "label", pa.array([None] + [1] * (t.num_rows - 1))),
            "1 rows have no label",
        ),
    ],
)
def test_refuses_a_test_set_that_is_not_labelled(toy_examples, toy_test, toy_config, change, message):
    with pytest.raises(DataError, match=message):
        evaluation.evaluate(toy_examples, change(toy_test), None, toy_config)


def test_refuses_unknown_locales_and_an_empty_pool(toy_examples, toy_test, toy_config):
    with pytest.raises(DataError, match="locale fr is neither open nor restricted"):
        evaluation.evaluate({**toy_examples, "fr": toy_examples["us"]}, toy_test, None, toy_config)
    with pytest.raises(DataError, match="no scenario can be trained"):
        evaluation.evaluate({}, toy_test, None, toy_config)
    with pytest.raises(DataError, match="fewer than 50 usable rows"):
        few = {"us": toy_examples["us"].slice(0, 20)}
        evaluation.evaluate(few, toy_test, None, toy_config)


def test_noise_keeps_marginals_and_loses_everything_else(toy_examples, toy_dataset):
    release = frames.prepare(toy_examples["eu"], toy_dataset, "eu")
    release.loc[:99, "temp"] = np.nan
    noise = scenarios.marginal_noise(release, release, toy_dataset, np.random.default_rng(0))
    n = len(release)
    assert (noise["timestamp"] == release["timestamp"]).all()
    assert noise["temp"].mean() == pytest.approx(
        release["temp"].mean(), abs=5 * release["temp"].std() / n**0.5
    )
    assert noise["temp"].std() == pytest.approx(release["temp"].std(), rel=0.1)
    assert noise["temp"].isna().mean() == pytest.approx(100 / n, abs=0.03)
    assert abs(noise["temp"].autocorr(1)) < 0.1 < release["temp"].autocorr(1)
    assert set(noise["mode"]) == {"a", "b"} and set(noise["on"]) == {0.0, 1.0}
    assert (noise["load"] % 1 == 0).all()
    assert noise["_label"].mean() == pytest.approx(release["_label"].mean(), abs=0.03)
    assert set(noise.loc[noise["_label"] == 1, "_kind"]) == {"shift"}
    silent = release.assign(temp=np.nan, _label=np.nan)
    again = scenarios.marginal_noise(silent, silent, toy_dataset, np.random.default_rng(0))
    assert again["temp"].isna().all() and again["_label"].isna().all()


def test_naive_set_says_what_it_is_made_of(toy_examples, toy_dataset):
    release = {"eu": frames.prepare(toy_examples["eu"], toy_dataset, "eu")}
    pool = scenarios.training_pool("Naive synthetic", release, release, None, toy_dataset, 0)
    assert "release's own marginals" in pool.description
    assert (
        "raw rows' marginals"
        in scenarios.training_pool("Naive synthetic", {}, release, release, toy_dataset, 0).description
    )
    assert scenarios.training_pool("No sharing", {}, release, None, toy_dataset, 0).reason


@pytest.mark.parametrize("level", ["series", "locale", "pooled"])
def test_levels_fall_back_to_locale_and_pool(toy_examples, toy_config, level):
    config = toy_config.model_copy(
        update={
            "interval": IntervalDetectorConfig(level=level, detect_cycle=False),
            "classifier": ClassifierConfig(enabled=False),
        }
    )
    pool = {name: frames.prepare(table, config.dataset, name) for name, table in toy_examples.items()}
    fitted = fit_detector(pool, config)
    own, sibling, stranger = (
        fitted.key_for(*who, "temp") for who in (("eu", "d0"), ("eu", "d9"), ("fr", "d0"))
    )
    assert stranger == ("", "", "temp")
    assert (
        own
        == {"series": ("eu", "d0", "temp"), "locale": ("eu", "", "temp"), "pooled": ("", "", "temp")}[level]
    )
    assert sibling == (("", "", "temp") if level == "pooled" else ("eu", "", "temp"))


def test_calibrated_false_positive_rate_is_kept_on_training_normals(toy_examples, toy_config):
    config = toy_config.model_copy(update={"classifier": ClassifierConfig(enabled=False)})
    pool = {name: frames.prepare(table, config.dataset, name) for name, table in toy_examples.items()}
    fitted = fit_detector(pool, config)
    rows = pool["eu"]
    flag = fitted.judge(rows).interval_flag
    assert flag[rows["_label"] == 0].mean() <= 0.0101
    best = config.model_copy(
        update={"interval": IntervalDetectorConfig(threshold="best_f1", detect_cycle=False)}
    )
    wider = fit_detector(pool, best)
    assert wider.thresholds != fitted.thresholds

    def f1(one):
        flag, truth = one.judge(rows).interval_flag, rows["_label"] == 1
        return 2 * (flag & truth).sum() / (flag.sum() + truth.sum())

    assert f1(wider) >= f1(fitted)


def test_tutorial_mode_is_the_tutorials_rule(toy_examples, toy_config):
    config = toy_config.model_copy(
        update={
            "interval": IntervalDetectorConfig(mode="tutorial"),
            "classifier": ClassifierConfig(enabled=False),
        }
    )
    rows = frames.prepare(toy_examples["us"], config.dataset, "us")
    judged = fit_detector({"us": rows}, config).judge(rows).targets["temp"]
    assert (judged.flag == (judged.y > judged.upper)).all() and judged.flag.any()
    assert not judged.flag[judged.y < judged.lower].any() and (judged.y < judged.lower).any()


@pytest.fixture(scope="module")
def saved(result, tmp_path_factory):
    path = tmp_path_factory.mktemp("detector")
    storage.save_detector(result.detector, path, {"scenario": result.detector_scenario})
    return path


def test_a_loaded_detector_judges_as_the_fitted_one(saved, result, toy_test):
    loaded = storage.load_detector(saved)
    said, wanted = storage.predict(loaded, toy_test), storage.predict(result.detector, toy_test)
    assert said.equals(wanted)
    shuffled = np.random.default_rng(0).permutation(toy_test.num_rows)
    other = storage.predict(loaded, toy_test.take(pa.array(shuffled)))
    assert (other["classifier_flag"].to_numpy() == said["classifier_flag"].to_numpy()[shuffled]).all()
    eu = toy_test.filter(pa.compute.equal(toy_test["locale"], "eu"))
    alone = storage.predict(loaded, eu.drop(["locale", "label", "kind"]), locale="eu")
    assert alone["interval_flag"].equals(storage.predict(loaded, eu)["interval_flag"])
    stranger = storage.predict(loaded, eu.drop(["locale"]), locale="fr")
    assert stranger.num_rows == eu.num_rows


def test_a_series_without_values_is_not_flagged_by_the_interval(result, toy_test):
    gone = toy_test.set_column(2, "temp", pa.nulls(toy_test.num_rows, pa.float32()))
    assert not storage.predict(result.detector, gone)["interval_flag"].to_numpy().any()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda p: (p / "detector.json").unlink(), "Not a detector"),
        (lambda p: (p / "classifier.skops").unlink(), "not there"),
        (lambda p: (p / "classifier.skops").write_bytes(b"x"), "altered"),
        (lambda p: next((p / "prophet").iterdir()).write_text("{}"), "altered"),
        (lambda p: _edit(p, format=99), "format 99"),
        (lambda p: _edit(p, digests={}), "no digest"),
        (lambda p: _edit(p, digests={"../outside.json": "0" * 64}), r"digests\.\.\./outside\.json"),
        (lambda p: _edit(p, digests={"/etc/hostname": "0" * 64}), "digests"),
        (lambda p: _edit(p, digests=[]), "digests: Input should be a valid dictionary"),
        (lambda p: _edit(p, models=None), "models: Input should be a valid list"),
        (lambda p: _edit_model(p, file="prophet/../../outside.json"), r"models\.0\.file"),
        (lambda p: _edit_model(p, threshold="1"), r"models\.0\.threshold"),
        (lambda p: _edit_model(p, rows=None), r"models\.0\.rows"),
        (lambda p: _edit(p, classifiers={"own": {}}), r"classifiers\.own\.threshold: Field required"),
        (lambda p: _edit(p, config={"unknown": 1}), "Do not use the detector"),
        (lambda p: _edit(p, training_locales=3), "training_locales"),
        (lambda p: (p / "detector.json").write_text("[1]"), "found list. Not a detector"),
        (lambda p: (p / "detector.json").write_bytes(b"\xff"), "Not a detector"),
        (lambda p: _replace_model(p, b"{}"), "not a Prophet model"),
        (lambda p: _replace_model(p, b"\xff"), "not a Prophet model"),
    ],
)
def test_refuses_an_altered_detector(saved, tmp_path, damage, message):
    copy = tmp_path / "copy"
    shutil.copytree(saved, copy)
    damage(copy)
    with pytest.raises(ReleaseError, match=message):
        storage.load_detector(copy)


def _edit(path, **changes):
    content = json.loads((path / "detector.json").read_text())
    (path / "detector.json").write_text(json.dumps({**content, **changes}))


def _edit_model(path, **changes):
    first, *others = json.loads((path / "detector.json").read_text())["models"]
    _edit(path, models=[{**first, **changes}, *others])


def _replace_model(path, payload: bytes):
    content = json.loads((path / "detector.json").read_text())
    name = content["models"][0]["file"]
    (path / name).write_bytes(payload)
    _edit(path, digests={**content["digests"], name: hashlib.sha256(payload).hexdigest()})


def test_a_file_beside_a_detector_is_not_read(saved, tmp_path):
    """With its own digest a file outside would have been read as a model."""
    copy = tmp_path / "copy"
    shutil.copytree(saved, copy)
    content = json.loads((copy / "detector.json").read_text())
    inside = copy / content["models"][0]["file"]
    inside.rename(tmp_path / "outside.json")
    digests = {**content["digests"], "../outside.json": content["digests"].pop(content["models"][0]["file"])}
    _edit_model(copy, file="../outside.json")
    _edit(copy, digests=digests)
    with pytest.raises(ReleaseError, match=r"detector\.json: models\.0\.file"):
        storage.load_detector(copy)


def test_key_slugs_are_file_names_and_differ():
    keys = [
        ("eu", "", "temp"),
        ("eu", "all", "temp"),
        ("eu/..", "", "temp"),
        ("eu", "a/b", "temp"),
        ("eu", "a b", "temp"),
    ]
    slugs = [storage.key_slug(key) for key in keys]
    assert slugs[0] == "eu--all--temp"
    assert len(set(slugs)) == 5 and not any("/" in slug for slug in slugs)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"restricted_locales": ("us",)}, "named twice"),
        ({"scenarios": ("Isthmus", "Isthmus")}, "named twice"),
        ({"scenarios": ("Magic",)}, "Magic"),
        ({"classifier": {"window_rows": (8, 4)}}, "must rise"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_config_refuses(toy_config, change, message):
    sound = toy_config.model_dump()
    assert ProphetEvaluatorConfig.model_validate(sound) == toy_config
    with pytest.raises(pydantic.ValidationError, match=message):
        ProphetEvaluatorConfig.model_validate({**sound, **change})


def test_config_round_trip(toy_config):
    assert ProphetEvaluatorConfig.from_exec_property(toy_config.to_exec_property()) == toy_config
