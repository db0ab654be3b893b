"""What two sketches tell of a distance: its bounds hold, and what is not told is said."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow as pa
import pytest

from components.drift.core import bounded, measures, merging
from components.drift.core.outward import NoiseRules
from components.drift.core.profile_file import feature_totals
from components.drift.core.rules import Rules
from components.drift.core.told import Told, from_rows, from_sketch
from components.drift.core.told_compare import compare_told
from tests.support.monitoring import rows
from tests.support.sketches import DAY_S, PLAN, profile, sketch

RULES = Rules(alpha=0.01, draws=199, thresholds={"temp": {"jensen_shannon_divergence": 0.3}})


def many(seed: int, **changes: float) -> pa.Table:
    """Twelve days of some 1,700 rows."""
    return pa.concat_tables([rows(100 * seed + part, **changes) for part in range(6)])


ROWS = {"a": many(1), "b": many(2), "far": many(3, mean=33), "near": many(4, mean=23)}
NOISE = {"begin_s": 0, "end_s": 12 * DAY_S, "noise": NoiseRules(epsilon=2.0, delta=1e-6)}


def told(name: str, **rules: object) -> Told:
    return from_sketch(sketch(ROWS[name], **rules), PLAN)


def exact(name: str, feature: int) -> np.ndarray:
    found = profile(ROWS[name])
    cells = np.column_stack([found.counts[:, PLAN.columns(feature)], found.missing[:, feature]])
    return cells.sum(axis=0)


@pytest.mark.parametrize("rules", [{}, {"minimum": 30}, {"period_s": None}, NOISE, {"top_categories": 1}])
def test_every_true_count_lies_within_its_bounds(rules):
    found = told("a", **rules)
    for index, feature in enumerate(PLAN.features):
        table = found.tables[feature.name]
        assert table.kept.all(), "these rows are so many that every period tells something"
        true = exact("a", index)
        assert (table.low <= true).all() and (true <= table.high).all()
        assert (table.value[~table.shown] == 0).all()


@pytest.mark.parametrize("rules", [{}, {"minimum": 30}, {"period_s": None}, NOISE])
@pytest.mark.parametrize("other", ["b", "near", "far"])
def test_every_true_distance_lies_within_its_bounds(rules, other):
    sides = told("a", **rules), told(other, **rules)
    for index, feature in enumerate(PLAN.features):
        tables = [side.tables[feature.name] for side in sides]
        one, two = (table.bins() for table in tables)
        p, q = (measures.shares(exact(name, index)[:-1]) for name in ("a", other))
        for bounds, true in (
            (bounded.jensen_shannon(one, two), measures.jensen_shannon(p, q)),
            (bounded.kolmogorov_smirnov(one, two), measures.kolmogorov_smirnov(p, q)),
            (bounded.infinity_norm(one, two), measures.infinity_norm(p, q)),
        ):
            assert bounds.low - 1e-12 <= true <= bounds.high + 1e-12
            assert 0 <= bounds.low <= bounds.high <= 1


def test_exact_counts_leave_nothing_open():
    sides = [from_rows(profile(ROWS[name]), DAY_S) for name in ("a", "near")]
    one, two = (side.tables["temp"].bins() for side in sides)
    p, q = measures.shares(one.low), measures.shares(two.low)
    for bounds, true in (
        (bounded.jensen_shannon(one, two), measures.jensen_shannon(p, q)),
        (bounded.kolmogorov_smirnov(one, two), measures.kolmogorov_smirnov(p, q)),
        (bounded.infinity_norm(one, two), measures.infinity_norm(p, q)),
    ):
        assert bounds.high == pytest.approx(float(true))
        assert bounds.low <= true + 1e-12
    assert bounded.infinity_norm(one, two).low == pytest.approx(float(measures.infinity_norm(p, q)))


def verdicts(one: Told, two: Told, rules: Rules = RULES) -> dict[str, str]:
    return {found.feature: found.verdict for found in compare_told(one, two, rules)}


def test_two_alike_are_ok_and_two_that_differ_alert_on_suppressed_counts():
    assert verdicts(told("a"), told("b")) == {"temp": "OK", "on": "OK", "mode": "OK"}
    assert verdicts(told("a"), told("near"))["temp"] == "ALERT"
    assert verdicts(told("a"), told("near"))["on"] == "OK"


def test_alike_where_both_tell_is_alike_only_where_that_is_most_of_the_values():
    found = compare_told(told("a", minimum=60), told("b", minimum=60), RULES)[0]
    (judge,) = [item for item in found.measurements if item.measure == "anderson_darling"]
    assert judge.q_value > 0.5 and judge.verdict == "UNDEFINED"
    assert judge.reason.endswith("at least 76% of the values; 80% are needed to call them alike")


def test_two_that_lie_apart_alert_though_neither_tells_where_the_other_is():
    found = {item.feature: item for item in compare_told(told("a"), told("far"), RULES)}["temp"]
    assert found.verdict == "ALERT"
    measured = {item.measure: item for item in found.measurements}
    assert measured["jensen_shannon_divergence"].value > 0.6
    assert measured["anderson_darling"].verdict == "UNDEFINED"
    assert measured["anderson_darling"].reason == "of 34 bins there is none that both sides tell"


def test_an_open_locales_rows_are_compared_with_a_sketch():
    assert verdicts(told("a"), from_rows(profile(ROWS["b"]), DAY_S)) == dict.fromkeys(
        ("temp", "on", "mode"), "OK"
    )
    assert verdicts(from_rows(profile(ROWS["near"]), DAY_S), told("a"))["temp"] == "ALERT"


def test_a_hidden_count_is_no_zero():
    """A locale whose values are spread so thinly that each bin is hidden tells nothing, and is never OK."""
    few = ROWS["b"].slice(0, 400)
    thin = from_sketch(sketch(few, minimum=30), PLAN)
    found = {item.feature: item for item in compare_told(told("a"), thin, RULES)}
    assert found["temp"].verdict == "UNDEFINED"
    seldom = told("a", minimum=60), told("b", minimum=60)
    table = seldom[0].tables["temp"]
    hidden = (~table.shown).any(axis=0)
    assert (exact("a", 0)[hidden] > 0).any() and (table.high[hidden] > 0).any()
    assert verdicts(*seldom)["temp"] != "OK"


def test_noise_that_drowns_the_counts_is_undefined_and_noise_that_does_not_is_seen_through():
    little = {**NOISE, "noise": NoiseRules(epsilon=50.0, delta=1e-6)}
    assert verdicts(told("a", **little), told("near", **little))["temp"] == "ALERT"
    assert verdicts(told("a", **little), told("b", **little))["temp"] == "OK"
    much = {**NOISE, "noise": NoiseRules(epsilon=0.1, delta=1e-6)}
    drowned = {found.feature: found for found in compare_told(told("a", **much), told("far", **much), RULES)}
    assert drowned["temp"].verdict == "UNDEFINED"


def test_noise_alone_does_not_alert():
    """One locale's rows on both sides, noise drawn anew on each: fewer alerts than one in ten."""
    alerts = sum(
        "ALERT"
        in verdicts(told("a", **NOISE), told("a", **NOISE), dataclasses.replace(RULES, draws=99)).values()
        for _ in range(12)
    )
    assert alerts <= 1


def test_one_period_a_side_judges_numbers_and_leaves_noise_undefined():
    found = {f.feature: f for f in compare_told(told("a", period_s=None), told("b", period_s=None), RULES)}
    measured = {item.measure: item for item in found["temp"].measurements}
    assert measured["jensen_shannon_divergence"].verdict == "OK"
    assert "the noise rule needs 4" in measured["anderson_darling"].reason
    assert found["temp"].verdict == "UNDEFINED"
    apart = compare_told(told("a"), told("b", period_s=2 * DAY_S), RULES)[0]
    assert any("periods of 1 and 2 days" in item.reason for item in apart.measurements)


def test_a_number_between_the_bounds_is_undefined():
    found = compare_told(told("a", minimum=60), told("near", minimum=60), RULES)[0]
    (bounds,) = [item for item in found.measurements if item.measure == "jensen_shannon_divergence"]
    top = float(bounds.reason.split("at most ")[1].split(":")[0])
    middle = (bounds.value + top) / 2
    rules = dataclasses.replace(RULES, thresholds={"temp": {"jensen_shannon_divergence": middle}})
    between = compare_told(told("a", minimum=60), told("near", minimum=60), rules)[0].measurements[0]
    assert between.verdict == "UNDEFINED" and "leaves it open" in between.reason


def test_the_merge_of_profiles_on_the_public_plan_is_the_profile_of_the_union_and_so_is_its_sketch():
    """Suppression rounds: of sketches themselves the bounds of the merge hold the union's counts."""
    parts = ROWS["a"].slice(0, 1_700), ROWS["a"].slice(1_700)
    merged = merging.merge([profile(part) for part in parts])
    whole = profile(ROWS["a"])
    assert (merged.counts == whole.counts).all() and (merged.missing == whole.missing).all()
    assert (feature_totals(merged) == feature_totals(whole)).all()
    tables = [from_sketch(sketch(part), PLAN).tables["temp"] for part in parts]
    true = exact("a", 0)
    assert (sum(table.low for table in tables) <= true).all()
    assert (true <= sum(table.high for table in tables)).all()
