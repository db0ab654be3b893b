"""The whole evaluation: leaking and collapsed releases are refused, honest ones pass, failures refuse."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest

from components.release_evaluator.config import GateCheck, GateConfig
from components.release_evaluator.core import evaluate as evaluation
from components.release_evaluator.core import measure_privacy
from components.release_evaluator.core.attacks.base import Attack, NotApplicable
from components.release_evaluator.core.board import Board
from components.release_evaluator.core.catalogue import METRICS
from components.release_evaluator.core.evaluate import evaluate
from components.release_evaluator.core.frames import read_columns
from components.release_evaluator.core.gate import judge
from components.release_evaluator.core.measure_fidelity import measure_diversity, measure_fidelity
from components.release_evaluator.core.measure_privacy import make_world


def test_an_honest_release_passes_and_every_metric_is_reported(world):
    assert world.found.gate.verdict == "BLESSED", world.found.gate.reasons
    assert world.found.gate.reasons == ()
    assert [metric.name for metric in world.found.metrics] == list(METRICS)
    ratio = world.found.metric("tstr_mae").value / world.found.metric("trtr_mae").value
    assert ratio == pytest.approx(1, abs=0.1)


def test_every_interval_lies_inside_the_range_of_its_metric(world):
    for metric in world.found.metrics:
        if metric.interval is None:
            continue
        least, most = metric.spec.range
        assert metric.interval.low <= metric.interval.high, metric.name
        assert least is None or metric.interval.low >= least, metric.name
        assert most is None or metric.interval.high <= most, metric.name


def test_a_privacy_metric_says_what_it_compared_in_one_sentence(world):
    found = {metric["name"]: metric for metric in world.found.to_json()["metrics"]}
    metric = found["linkability_risk"]
    assert metric["verdict"] == "PASSED" and metric["n_attack"] > 100 and metric["n_control"] > 100
    assert [rule["rule"] for rule in metric["thresholds"]] == ["low bound <= 0.05", "high bound <= 0.25"]
    assert metric["n_required"] < metric["n_control"]
    assert metric["stand_in"] is not None and metric["naive"] < 0.1
    assert metric["sentence"].startswith("The attack succeeds on") and metric["sentence"].endswith(
        ": passed."
    )
    assert found["nndr_rows"]["verdict"] == "NOT_GATED"
    assert found["release_linkability_risk"]["sentence"] == (
        "Nothing to measure: this is the locale's first release."
    )
    assert all(item["sentence"].count("\n") == 0 for item in found.values())


def test_a_copy_has_full_marks_in_fidelity_and_none_in_privacy(sim, world):
    found = evaluate(world.train, world.holdout, world.train, sim.quick())
    assert found.gate.verdict == "NOT_BLESSED"
    assert found.metric("marginal_fidelity").value == 1
    assert found.metric("acf_error").value == 0
    assert found.metric("membership_distance_risk_windows").value > 0.98
    assert found.metric("dcr_share_windows").value == 1
    # every distinctive train row is copied, none of holdout's
    copies = found.metric("exact_copy_risk_windows")
    assert copies.value > 0.95 and copies.control == 0
    verdicts = {metric["name"]: metric["verdict"] for metric in found.to_json()["metrics"]}
    assert verdicts["exact_copy_risk_windows"] == "REFUSED" and verdicts["acf_error"] == "NOT_GATED"


def test_a_collapsed_generator_is_refused(sim, world):
    release = sim.evil["collapse"](world.train, world.synthetic, np.random.default_rng(2))
    config, board = sim.quick(), Board()
    tables = {"train": world.train, "holdout": world.holdout, "synthetic": release}
    made = make_world(read_columns(tables, sim.dataset), config)
    measure_diversity(board, made.windows, config, np.random.default_rng(0))
    result = judge(list(board.found.values()), config.gate)
    refused = {check.metric for check in result.checks if check.outcome == "REFUSED"}
    assert "window_diversity" in refused
    # and the honest one has it
    assert world.found.metric("window_diversity").value == pytest.approx(1, abs=0.2)


def test_same_seed_same_result(sim, world):
    again, _ = sim.attacked(world.train, world.holdout, world.synthetic)
    for name, metric in again.items():
        assert metric.to_json() == world.found.metric(name).to_json()


def test_json_has_no_nan_and_no_value_of_a_record(sim, world):
    marked = world.train["power"].to_numpy().copy()
    marked[7] = 987654.0
    found = evaluate(
        sim.replaced(world.train, {"power": marked}), world.holdout, world.synthetic, sim.quick()
    )
    text = json.dumps([found.to_json(), found.plots], allow_nan=False)
    assert "9876" not in text
    power = found.plots["features"]["power"]
    for values in (power["edges"], power["daily"]["real"]):
        assert max(abs(value) for value in values) < 20


def test_too_few_records_are_refused_not_passed(sim, world):
    found = evaluate(world.train, world.holdout.slice(0, 120), world.synthetic, sim.quick())
    assert found.gate.verdict == "NOT_BLESSED"
    metric = found.metric("membership_distance_risk_windows")
    assert metric.status == "UNDEFINED" and "needs at least" in metric.reason
    outcomes = {c.outcome for c in found.gate.checks if c.metric == metric.name}
    assert outcomes == {"REFUSED_TOO_FEW_RECORDS"}


def test_missing_column_is_undefined_everywhere(sim, world):
    found = evaluate(world.train, world.holdout, world.synthetic.drop(["temp"]), sim.quick())
    assert found.gate.verdict == "NOT_BLESSED"
    assert {metric.status for metric in found.metrics} == {"UNDEFINED"}
    assert "table=synthetic: columns missing: temp" in found.metrics[0].reason
    assert found.plots == {}


def test_empty_release_is_refused(sim, world):
    found = evaluate(world.train, world.holdout, world.synthetic.slice(0, 0), sim.quick())
    assert found.gate.verdict == "NOT_BLESSED"
    assert "table=synthetic: no rows" in found.gate.reasons[0]


def test_an_exception_fails_its_metrics_and_tells_only_its_type(sim, world, monkeypatch):
    def broken(*arguments: object) -> None:
        raise ValueError("secret 42.5")

    attacks = [
        Attack(one.name, one.metrics, broken if one.name == "membership" else one.run)
        for one in measure_privacy.ATTACKS
        if one.name in ("membership", "exact_copies")
    ]
    monkeypatch.setattr(measure_privacy.measure_privacy, "__defaults__", (attacks,))
    found = evaluate(world.train, world.holdout, world.synthetic, sim.quick())
    assert found.gate.verdict == "NOT_BLESSED"
    assert found.metric("membership_trained_risk_rows").reason == "computing it failed (ValueError)"
    assert found.metric("exact_copy_risk_rows").status == "OK"
    # an attack that is not in the registry is missed by the gate
    assert found.metric("linkability_risk").reason == "not computed"
    assert "secret" not in json.dumps(found.to_json())


@pytest.mark.parametrize("part", ["read_columns", "make_world", "measure_utility", "measure_privacy"])
def test_nothing_to_measure_outside_a_metrics_own_section_is_a_fault(sim, world, monkeypatch, part):
    def nothing(*arguments: object) -> None:
        raise NotApplicable("no feature varies")

    monkeypatch.setattr(evaluation, part, nothing)
    found = evaluate(world.train, world.holdout, world.synthetic.slice(0, 500), sim.quick())
    assert found.gate.verdict == "NOT_BLESSED"
    missed = found.metric("membership_distance_risk_rows")
    assert missed.status == "UNDEFINED"
    assert missed.reason == "outside any section that may not apply: no feature varies"


def test_without_labels_the_label_metrics_do_not_apply(sim, world):
    dataset = sim.dataset.model_copy(update={"label": None})
    found = evaluate(world.train, world.holdout, world.synthetic, sim.quick(dataset))
    assert found.gate.verdict == "BLESSED", found.gate.reasons
    assert found.metric("rare_window_replay_risk").status == "NOT_APPLICABLE"
    assert found.metric("tstr_label_f1").status == "NOT_APPLICABLE"


def test_missing_values_and_categories_are_measured(sim, world):
    tables = []
    for number, table in enumerate((world.train, world.holdout, world.synthetic)):
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
    found = evaluate(*tables, sim.quick(dataset))
    assert found.gate.verdict == "BLESSED", found.gate.reasons
    assert found.metric("missing_rate_error").value < 0.03
    assert found.metric("rare_category_exposure").value == 0
    # labelled rows, if they could be told on both sides
    assert len(found.plots["features"]["mode"]["real"]) == 3


def test_gate_on_a_stricter_threshold_refuses(world):
    gate = GateConfig(checks=(GateCheck(metric="marginal_fidelity", rule="min", threshold=0.999),))
    result = judge(world.found.metrics, gate)
    assert result.verdict == "NOT_BLESSED"
    assert "is not >= 0.999" in result.reasons[0]


def test_a_single_repetitive_feature_has_nothing_to_attack(sim, world):
    dataset = sim.dataset.model_copy(
        update={"features": sim.dataset.features[3:5], "label": None, "targets": ("fixed",)}
    )
    found = evaluate(world.train, world.holdout, world.synthetic, sim.quick(dataset))
    assert found.metric("pairwise_fidelity").status == "NOT_APPLICABLE"
    assert found.metric("window_diversity").status == "NOT_APPLICABLE"
    assert found.metric("acf_error").status == "UNDEFINED"
    assert found.metric("linkability_risk").status == "NOT_APPLICABLE"
    assert found.metric("membership_distance_risk_rows").value == pytest.approx(0, abs=0.1)
    assert not {check.outcome for check in found.gate.checks if "risk" in check.metric} & {"REFUSED"}


def test_rows_without_any_normal_one_have_no_fidelity(sim, world):
    anomalous = sim.replaced(world.synthetic, {"label": np.ones(world.synthetic.num_rows, int)})
    config, board = sim.quick(), Board()
    tables = {"train": world.train, "holdout": world.holdout, "synthetic": anomalous}
    measure_fidelity(board, read_columns(tables, sim.dataset), config, np.random.default_rng(0))
    assert "synthetic has no row that is not labelled anomalous" in board.found["marginal_fidelity"].reason
    result = judge(list(board.found.values()), config.gate)
    refused = {check.metric for check in result.checks if check.outcome == "REFUSED_UNDEFINED"}
    assert "marginal_fidelity" in refused


def test_a_value_that_is_not_finite_is_undefined():
    board = Board()
    board.set("spread_ratio", float("nan"))
    assert board.found["spread_ratio"].status == "UNDEFINED"
