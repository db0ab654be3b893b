"""Leaking and collapsed synthesizers are refused at default settings, honest ones pass."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest

from components.release_evaluator.config import GateCheck, GateConfig, ReleaseEvaluatorConfig
from components.release_evaluator.core import evaluate as module
from components.release_evaluator.core.board import Board
from components.release_evaluator.core.evaluate import evaluate


@pytest.fixture(scope="module")
def world(sim):
    rng = np.random.default_rng(1)
    real = sim.fleet(rng)
    train, holdout = sim.split(real, rng)
    return train, holdout, sim.fleet(rng, name="x"), rng


@pytest.fixture(scope="module")
def honest(sim, world):
    train, holdout, synthetic, _ = world
    return evaluate(train, holdout, synthetic, ReleaseEvaluatorConfig(dataset=sim.dataset))


def quick(dataset, **changes):
    """Smaller samples, for tests that do not judge the defaults."""
    return ReleaseEvaluatorConfig(dataset=dataset, max_records=500, bootstrap_samples=200, **changes)


# what each must at least be caught by
CAUGHT = {
    "copy": {"exact_copy_excess_rows", "exact_copy_excess_windows", "membership_auc_windows"},
    "shuffle": {"exact_copy_excess_rows", "membership_auc_rows"},
    "jitter": {"membership_auc_windows", "replay_excess_windows", "near_copy_excess_windows"},
    "memorised": {"exact_copy_excess_windows", "near_copy_excess_windows"},
    "rare": {"rare_window_replay_excess"},
    "collapse": {"window_diversity"},
}


@pytest.mark.parametrize("name", sorted(CAUGHT))
def test_evil_synthesizer_is_refused(sim, world, name):
    train, holdout, synthetic, _ = world
    release = sim.evil[name](train, synthetic, np.random.default_rng(2))
    found = evaluate(train, holdout, release, ReleaseEvaluatorConfig(dataset=sim.dataset))
    failed = {check.metric for check in found.gate.checks if not check.passed}
    assert found.gate.verdict == "NOT_BLESSED"
    assert failed >= CAUGHT[name], found.gate.reasons


@pytest.mark.parametrize("seed", range(3))
def test_honest_draw_of_the_same_process_passes(sim, seed):
    rng = np.random.default_rng(100 + seed)
    train, holdout = sim.split(sim.fleet(rng), rng)
    found = evaluate(train, holdout, sim.fleet(rng, name="x"), ReleaseEvaluatorConfig(dataset=sim.dataset))
    assert found.gate.verdict == "BLESSED", found.gate.reasons
    assert found.gate.reasons == ()


def test_every_metric_is_reported_with_interval_inside_range(honest):
    names = [metric.name for metric in honest.metrics]
    assert names == list(module.METRICS)
    auc = honest.metric("membership_auc_windows")
    assert auc.interval.low < auc.value < auc.interval.high
    assert 0.4 < auc.value < 0.6
    assert honest.metric("trtr_mae").value == pytest.approx(honest.metric("tstr_mae").value, rel=0.1)


def test_a_copy_has_full_marks_in_fidelity_and_none_in_privacy(sim, world):
    train, holdout, _, _ = world
    found = evaluate(train, holdout, train, quick(sim.dataset))
    assert found.metric("marginal_fidelity").value == 1
    assert found.metric("acf_error").value == 0
    assert found.metric("membership_auc_windows").value > 0.99
    assert found.metric("dcr_share_windows").value == 1
    # every distinctive train row is copied, none of holdout's
    assert found.metric("exact_copy_excess_windows").value > 0.95
    assert found.metric("exact_copy_excess_windows").control == 0


def test_same_seed_same_result(sim, world, honest):
    train, holdout, synthetic, _ = world
    again = evaluate(train, holdout, synthetic, ReleaseEvaluatorConfig(dataset=sim.dataset))
    first, second = honest.to_json(), again.to_json()
    first.pop("seconds"), second.pop("seconds")
    assert json.dumps(first) == json.dumps(second)
    assert json.dumps(honest.plots) == json.dumps(again.plots)


def test_json_has_no_nan_and_no_value_of_a_record(sim, world):
    train, holdout, synthetic, _ = world
    marked = train["power"].to_numpy().copy()
    marked[7] = 987654.0
    found = evaluate(
        sim.replaced(train, {"power": marked}),
        holdout,
        synthetic,
        quick(sim.dataset),
    )
    text = json.dumps([found.to_json(), found.plots], allow_nan=False)
    assert "9876" not in text
    power = found.plots["features"]["power"]
    for values in (power["edges"], power["daily"]["real"]):
        assert max(abs(value) for value in values) < 20


def test_too_few_records_are_refused_not_passed(sim, world):
    train, holdout, synthetic, _ = world
    found = evaluate(train, holdout.slice(0, 120), synthetic, quick(sim.dataset))
    assert found.gate.verdict == "NOT_BLESSED"
    metric = found.metric("membership_auc_windows")
    assert metric.status == "UNDEFINED" and "needs at least" in metric.reason


def test_missing_column_is_undefined_everywhere(sim, world):
    train, holdout, synthetic, _ = world
    found = evaluate(train, holdout, synthetic.drop(["temp"]), quick(sim.dataset))
    assert found.gate.verdict == "NOT_BLESSED"
    assert {metric.status for metric in found.metrics} == {"UNDEFINED"}
    assert "table=synthetic: columns missing: temp" in found.metrics[0].reason
    assert found.plots == {}


def test_empty_release_is_refused(sim, world):
    train, holdout, synthetic, _ = world
    found = evaluate(train, holdout, synthetic.slice(0, 0), quick(sim.dataset))
    assert found.gate.verdict == "NOT_BLESSED"
    assert "table=synthetic: no rows" in found.gate.reasons[0]


def test_an_exception_fails_its_metrics_and_tells_only_its_type(sim, world, monkeypatch):
    def broken(*arguments: object) -> None:
        raise ValueError("secret 42.5")

    monkeypatch.setattr(module.privacy, "from_real", broken)
    train, holdout, synthetic, _ = world
    found = evaluate(train, holdout, synthetic, quick(sim.dataset))
    assert found.gate.verdict == "NOT_BLESSED"
    assert found.metric("membership_auc_rows").reason == "computing it failed (ValueError)"
    assert found.metric("exact_copy_excess_rows").status == "OK"
    assert "secret" not in json.dumps(found.to_json())


def test_without_labels_the_label_metrics_do_not_apply(sim, world):
    train, holdout, synthetic, _ = world
    dataset = sim.dataset.model_copy(update={"label": None})
    found = evaluate(train, holdout, synthetic, quick(dataset))
    assert found.gate.verdict == "BLESSED", found.gate.reasons
    assert found.metric("rare_window_replay_excess").status == "NOT_APPLICABLE"
    assert found.metric("tstr_label_f1").status == "NOT_APPLICABLE"


def test_missing_values_and_categories_are_measured(sim, world):
    train, holdout, synthetic, _ = world
    tables = []
    for number, table in enumerate((train, holdout, synthetic)):
        rng = np.random.default_rng(number)
        mode = pa.array(
            rng.choice(["sun", "safe", "eclipse"], table.num_rows), mask=rng.random(table.num_rows) < 0.1
        )
        temp = pa.array(table["temp"].to_numpy(), mask=rng.random(table.num_rows) < 0.1)
        table = table.append_column("mode", mode)
        tables.append(table.set_column(table.column_names.index("temp"), "temp", temp))
    features = (
        *sim.dataset.features,
        sim.dataset.features[0].model_copy(update={"name": "mode", "kind": "categorical"}),
    )
    dataset = sim.dataset.model_copy(update={"features": features})
    found = evaluate(*tables, quick(dataset))
    assert found.gate.verdict == "BLESSED", found.gate.reasons
    assert found.metric("missing_rate_error").value < 0.03
    # labelled rows, if they could be told on both sides
    assert len(found.plots["features"]["mode"]["real"]) == 3


def test_gate_on_a_stricter_threshold_refuses(sim, world, honest):
    gate = GateConfig(checks=(GateCheck(metric="marginal_fidelity", rule="min", threshold=0.999),))
    train, holdout, synthetic, _ = world
    found = evaluate(train, holdout, synthetic, quick(sim.dataset, gate=gate))
    assert found.gate.verdict == "NOT_BLESSED"
    assert "is not >= 0.999" in found.gate.reasons[0]


def test_a_single_repetitive_feature_has_no_pairs_and_no_diversity(sim, world):
    dataset = sim.dataset.model_copy(
        update={"features": sim.dataset.features[3:5], "label": None, "targets": ("fixed",)}
    )
    train, holdout, synthetic, _ = world
    found = evaluate(train, holdout, synthetic, quick(dataset))
    assert found.metric("pairwise_fidelity").status == "NOT_APPLICABLE"
    assert found.metric("window_diversity").status == "NOT_APPLICABLE"
    assert found.metric("acf_error").status == "UNDEFINED"
    assert found.metric("membership_auc_rows").value == pytest.approx(0.5, abs=0.05)


def test_rows_without_any_normal_one_have_no_fidelity(sim, world):
    train, holdout, synthetic, _ = world
    anomalous = sim.replaced(synthetic, {"label": np.ones(synthetic.num_rows, int)})
    found = evaluate(train, holdout, anomalous, quick(sim.dataset))
    assert found.gate.verdict == "NOT_BLESSED"
    assert "synthetic has no row that is not labelled anomalous" in found.metric("marginal_fidelity").reason


def test_without_labelled_rows_in_train_there_is_nothing_to_replay(sim, world):
    train, holdout, synthetic, _ = world
    plain = sim.replaced(train, {"label": np.zeros(train.num_rows, int)})
    found = evaluate(plain, holdout, synthetic, quick(sim.dataset))
    metric = found.metric("rare_window_replay_excess")
    assert metric.status == "NOT_APPLICABLE" and metric.reason == "train has no labelled row"


def test_large_inputs_are_sampled(sim, world):
    train, holdout, synthetic, _ = world
    found = evaluate(train, holdout, synthetic, quick(sim.dataset, max_candidates=1500))
    assert found.metric("marginal_fidelity").n <= 1500
    assert found.metric("membership_auc_windows").value == pytest.approx(0.5, abs=0.1)


def test_a_value_that_is_not_finite_is_undefined():
    board = Board()
    board.set("spread_ratio", float("nan"))
    assert board.found["spread_ratio"].status == "UNDEFINED"
