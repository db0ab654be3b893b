"""Each attack finds the leak that it is made for, and nothing where there is none."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from components.release_evaluator.core.attacks import replay
from components.release_evaluator.core.attacks.base import MIN_CHUNKS
from components.release_evaluator.core.attacks.registry import ATTACKS
from components.release_evaluator.core.catalogue import METRICS
from components.release_evaluator.core.records import make_records


def test_the_registry_measures_every_privacy_metric_once():
    measured = [name for attack in ATTACKS for name in attack.metrics]
    assert len(set(measured)) == len(measured)
    assert set(measured) == {name for name, spec in METRICS.items() if spec.group == "privacy"}
    assert all(set(attack.calibrated) <= set(attack.metrics) for attack in ATTACKS)


def refused(result):
    return {check.metric for check in result.checks if check.outcome == "REFUSED"}


#: The attacks that must each refuse a release of this kind at default thresholds.
CAUGHT = {
    "copy": {
        "exact_copy_risk_rows",
        "exact_copy_risk_windows",
        "near_copy_risk_windows",
        "replay_risk_windows",
        "shape_replay_risk",
        "rare_window_replay_risk",
        "membership_distance_risk_windows",
        "membership_relative_risk_windows",
        "membership_density_risk_windows",
        "membership_trained_risk_windows",
        "membership_trained_risk_rows",
        "attribute_inference_risk",
        "attribute_inference_worst_risk",
        "singling_out_univariate_risk",
        "singling_out_multivariate_risk",
        "linkability_risk",
        "rare_value_risk",
        "dcr_share_windows",
    },
    "shuffle": {"exact_copy_risk_rows", "membership_distance_risk_rows", "attribute_inference_risk"},
    "jitter": {"membership_distance_risk_windows", "replay_risk_windows", "near_copy_risk_windows"},
    "memorised": {"exact_copy_risk_windows", "near_copy_risk_windows"},
    "rare": {"rare_window_replay_risk"},
}


@pytest.mark.parametrize("name", sorted(CAUGHT))
def test_an_evil_release_is_refused_by_the_attacks_made_for_it(sim, world, name):
    release = sim.evil[name](world.train, world.synthetic, np.random.default_rng(2))
    wanted = [attack.name for attack in ATTACKS if set(attack.metrics) & CAUGHT[name]]
    _, result = sim.attacked(world.train, world.holdout, release, wanted)
    assert refused(result) >= CAUGHT[name], result.reasons


def test_a_replay_at_another_level_and_scale_is_found_by_its_shape(sim, world):
    hours = -(-world.train.num_rows // 60)
    rng = np.random.default_rng(0)
    columns = {}
    for name in ("power", "temp", "level"):
        values = world.train[name].to_numpy()
        scale, level = rng.uniform(0.7, 1.4, hours), rng.normal(size=hours) * values.std()
        columns[name] = values * np.repeat(scale, 60)[: len(values)] + np.repeat(level, 60)[: len(values)]
    found, result = sim.attacked(
        world.train, world.holdout, sim.replaced(world.train, columns), ["shape_replay", "replay"]
    )
    assert "shape_replay_risk" in refused(result)
    assert found["shape_replay_risk"].value > 0.5
    assert found["replay_risk_windows"].value < 0.1  # which the plain distance does not see


def test_constants_and_repetitions_raise_no_alarm(sim, world):
    # every window of the real rows comes again elsewhere, and the release repeats them too
    tables = []
    for table in (world.train, world.holdout, world.train):
        steps = np.arange(table.num_rows) % 4
        flat = {name: np.full(table.num_rows, 1.0) for name in ("temp", "level", "fixed")}
        tables.append(sim.replaced(table, {"power": steps.astype(float), **flat}))
    names = ["exact_copies", "replay", "shape_replay", "rare_windows", "linkability", "attribute_inference"]
    found, result = sim.attacked(*tables, names)
    assert not refused(result), result.reasons
    assert found["linkability_risk"].status == "NOT_APPLICABLE"
    assert "identify nobody" in found["attribute_inference_risk"].reason


def test_flat_windows_have_no_shape_and_shapes_forget_level_and_scale():
    rng = np.random.default_rng(0)
    wave = rng.normal(size=12)
    points = np.concatenate([wave, 5 + 3 * wave, np.full(12, 2.0)])[:, None]
    windows = make_records(points, np.repeat([0, 1, 2], 12), np.repeat([0, 1, 2], 12), None, 12)
    found = replay.shapes(windows, 1)
    assert len(found) == 2 and found.chunk.tolist() == [0, 1]
    np.testing.assert_allclose(found.flat()[0], found.flat()[1], atol=1e-12)
    # a shape and its mirror image: squared distance 2 (1 - (-1))
    both = np.concatenate([wave, -wave])[:, None]
    halves = np.repeat([0, 1], 12)
    mirrored = replay.shapes(make_records(both, halves, halves, None, 12), 1).flat()
    assert ((mirrored[0] - mirrored[1]) ** 2).sum() == pytest.approx(4)
    nothing = make_records(both[:5], halves[:5], halves[:5], None, 12)
    assert len(replay.shapes(nothing, 1)) == 0


def test_replayed_needs_a_distinctive_record_and_a_close_match():
    to_real = np.array([0.0, 1.0, 1.0, 50.0, 50.0])
    to_synthetic = np.array([0.0, 0.1, 0.5, 2.0, 0.1])
    # the outlier (50) counts only when met as closely as usual records (1) meet
    assert replay.replayed(to_synthetic, to_real, 1.0).tolist() == [False, True, False, False, True]


def test_a_release_that_knows_holdout_is_refused(sim, world):
    rng = np.random.default_rng(2)
    names = ["holdout_exposure", "membership"]
    only = sim.holdout_copy(world.train, world.synthetic, rng, world.holdout)
    found, result = sim.attacked(world.train, world.holdout, only, names)
    assert {"holdout_exposure_windows", "membership_relative_risk_windows"} <= refused(result)
    assert found["membership_relative_risk_windows"].value < -0.5
    # one that knows train and holdout alike shows in no comparison of the two
    both = sim.all_copy(world.train, world.synthetic, rng, world.holdout)
    found, result = sim.attacked(world.train, world.holdout, both, names)
    assert abs(found["membership_relative_risk_windows"].value) < 0.2
    assert "holdout_exposure_windows" in refused(result)


def test_two_releases_that_hold_the_same_records_are_linked(sim, world):
    rng = np.random.default_rng(0)
    noisy = [sim.evil["jitter"](world.train, world.synthetic, rng, 0.02) for _ in range(2)]
    name = "release_linkability_risk"
    found, result = sim.attacked(
        world.train, world.holdout, noisy[0], ["release_linkability"], previous=noisy[1]
    )
    assert name in refused(result) and found[name].value > 0.2
    fresh = sim.fleet(np.random.default_rng(9), rows=1_500, name="y")
    found, result = sim.attacked(
        world.train, world.holdout, world.synthetic, ["release_linkability"], previous=fresh
    )
    assert result.verdict == "BLESSED" and abs(found[name].value) < 0.05
    # a leak in one of the two is not a link
    found, _ = sim.attacked(world.train, world.holdout, noisy[0], ["release_linkability"], previous=fresh)
    assert found[name].interval.low < 0.05


def _with_modes(sim, world, rare_rows):
    """Tables with a category that `rare_rows` train rows of one block hold, and that the release repeats."""
    tables = []
    for number, table in enumerate((world.train, world.holdout, world.synthetic)):
        mode = np.random.default_rng(number).choice(["sun", "eclipse"], table.num_rows).astype(object)
        if number != 1:
            mode[100 : 100 + rare_rows] = "operator Kim"
        tables.append(table.append_column("mode", pa.array(mode)))
    mode = sim.dataset.features[0].model_copy(update={"name": "mode", "kind": "categorical"})
    return tables, sim.dataset.model_copy(update={"features": (*sim.dataset.features, mode)})


def test_a_category_of_few_blocks_must_not_come_out(sim, world):
    tables, dataset = _with_modes(sim, world, 30)
    found, result = sim.attacked(*tables, ["rare_categories"], dataset=dataset)
    assert refused(result) == {"rare_category_exposure"} and found["rare_category_exposure"].value == 1
    assert "Kim" not in str(result.reasons) + str(found["rare_category_exposure"].to_json())
    public = {"mode": ("sun", "eclipse", "operator Kim")}
    found, result = sim.attacked(*tables, ["rare_categories"], dataset=dataset, public=public)
    assert found["rare_category_exposure"].status == "NOT_APPLICABLE" and not refused(result)
    # many blocks hold it: it is no secret
    tables, dataset = _with_modes(sim, world, 1_000)
    _, result = sim.attacked(*tables, ["rare_categories"], dataset=dataset)
    assert result.verdict == "BLESSED"


def test_attribute_inference_goes_for_the_secrets_that_it_is_told(sim, world):
    leaky = sim.replaced(
        world.synthetic.slice(0, world.train.num_rows),
        {name: world.train[name].to_numpy() for name in ("power", "temp", "level")},
    )
    found, _ = sim.attacked(world.train, world.holdout, leaky, ["attribute_inference"], secrets=("power",))
    metric = found["attribute_inference_worst_risk"]
    assert metric.evidence.worst == "power" and metric.value > 0.5
    # the naive guess is the median: right on about TOLERANCE of a range
    assert found["attribute_inference_risk"].evidence.naive < 0.2


def test_what_the_population_teaches_is_no_attribute_inference(sim, world):
    """A release of the same process predicts every column well, and scores nothing."""
    found, result = sim.attacked(world.train, world.holdout, world.synthetic, ["attribute_inference"])
    metric = found["attribute_inference_risk"]
    assert metric.evidence.attack > 0.05 and metric.interval.low < 0 < metric.interval.high
    assert result.verdict == "BLESSED", result.reasons


def test_few_records_are_refused_as_too_few_and_say_how_many_are_missing(sim, world):
    short = world.train.slice(0, 900), world.holdout.slice(0, 420), world.synthetic.slice(0, 400)
    _, result = sim.attacked(*short, ["membership"])
    outcomes = {check.outcome for check in result.checks}
    assert result.verdict == "NOT_BLESSED" and "REFUSED_TOO_FEW_RECORDS" in outcomes
    assert any("times as many are needed" in reason for reason in result.reasons), result.reasons
    assert MIN_CHUNKS == 8


def test_the_stand_in_voids_attacks_where_holdout_is_no_control(sim, world):
    """Holdout of another regime: train and holdout differ with no release at all."""
    values = {name: world.holdout[name].to_numpy() + 3 for name in ("power", "temp")}
    moved = sim.replaced(world.holdout, values)
    found, result = sim.attacked(world.train, moved, world.synthetic, ["membership"])
    assert result.verdict == "NOT_BLESSED"
    assert all("holdout is no control of train" in metric.reason for metric in found.values())


def test_a_perfect_release_of_drifting_telemetry_scores_nothing(sim):
    """Time is a confounder: with holdout interleaved, real rows of train's time are no leak."""
    rng = np.random.default_rng(5)
    real = sim.fleet(rng, rows=1_500)
    drift = np.tile(np.linspace(0, 10, 1_500), 2)
    real = sim.replaced(real, {"power": real["power"].to_numpy() + drift})
    train, holdout = sim.split(real, rng)
    release = sim.fleet(rng, rows=1_500, name="x")
    release = sim.replaced(release, {"power": release["power"].to_numpy() + drift})
    found, result = sim.attacked(train, holdout, release, ["membership", "linkability", "replay"])
    assert result.verdict == "BLESSED", result.reasons
    for metric in found.values():
        assert metric.interval.low < 0 < metric.interval.high, metric.name
    # the same release with the last third as holdout: the stand-in says that this is no control
    time = real["timestamp"].to_numpy()
    late = pa.array(time >= np.quantile(time, 0.7))
    found, result = sim.attacked(real.filter(pc.invert(late)), real.filter(late), release, ["membership"])
    assert "holdout is no control of train" in found["membership_distance_risk_rows"].reason
