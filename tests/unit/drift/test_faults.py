"""Faults of the data path: each is named where and when it was put in, and nothing else is."""

from __future__ import annotations

import dataclasses
import datetime
import functools

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from components.dataset import DatasetConfig, FeatureConfig
from components.drift.core.building import build_profile
from components.drift.core.fault_model import best_segment, best_totals, bucket_of, iso, runs
from components.drift.core.faults import Fault, SchemaChange, extent_of, find_faults
from components.drift.core.merging import empty, select
from components.drift.core.planning import plan_profile
from components.drift.core.profile import Profile, ProfilePlan
from components.drift.core.rules import Rules
from components.drift.findings import ALL_FEATURES
from components.drift.judging import Question, answer
from components.errors import InternalError
from components.monitoring import MonitoringConfig
from components.simulator.config import ChangeConfig, FaultConfig, FleetConfig, dataset_config
from components.simulator.core.fleet import simulate_locale
from components.simulator.presets import default_fleet

FLEET = default_fleet("small", seed=31)
DATASET = dataset_config(FLEET)
LOCALES = ("us-east", "eu-west", "ap-south")
SPAN_S = 6 * 86_400
HOUR_S = 3_600


def table(fleet: FleetConfig, locale: str, span: int) -> pa.Table:
    made = simulate_locale(fleet, locale, span)
    stamps = pc.strptime(made["timestamp"], format="%Y-%m-%dT%H:%M:%SZ", unit="us").cast(pa.int64())
    return made.set_column(made.column_names.index("timestamp"), "timestamp", stamps)


@functools.cache
def planned(locale: str) -> tuple[ProfilePlan, Profile]:
    rows = table(FLEET, locale, 0)
    plan = plan_profile([rows], DATASET)
    return plan, build_profile([rows], DATASET, plan)


def span_one(locale: str, *faults: FaultConfig, changes: tuple[ChangeConfig, ...] = ()) -> Profile:
    fleet = FLEET.model_copy(update={"faults": faults, "changes": changes})
    return build_profile([table(fleet, locale, 1)], DATASET, planned(locale)[0])


def fault(kind: str, locale: str, **options) -> FaultConfig:
    return FaultConfig.model_validate({"kind": kind, "locale": locale, "span": 1, **options})


def stamp(part: float) -> float:
    """The time of a part of span 1, in seconds since 1970."""
    start = datetime.datetime.combine(FLEET.start_date, datetime.time(), datetime.timezone.utc)
    return start.timestamp() + SPAN_S * (1 + part)


def names(found: list[Fault]) -> list[tuple[str, str]]:
    return [(each.name, each.feature) for each in found]


def within_a_bucket(found: Fault, begin: float, end: float, late_s: float = 0.0) -> bool:
    plan = planned("us-east")[0]
    apart = [
        bucket_of(found.begin, plan.bucket_s) * plan.bucket_s - stamp(begin) - late_s,
        bucket_of(found.end, plan.bucket_s) * plan.bucket_s - stamp(end) - late_s,
    ]
    return max(map(abs, apart)) <= plan.bucket_s


@pytest.mark.parametrize(
    ("locale", "column", "unit"),
    [
        ("us-east", "temp_c", None),
        ("eu-west", "pressure_kpa", (0.1450377, 0.0)),
        ("ap-south", "flow_lpm", (1 / 60, 0.0)),
        ("us-east", "soc", (100.0, 0.0)),
        ("eu-west", "bus_voltage_v", (1000.0, 0.0)),
    ],
)
def test_a_change_of_unit_is_named_with_its_slope_and_its_time(locale, column, unit) -> None:
    hit = fault("unit_change", locale, column=column, unit=unit, begin=0.4, end=0.7)
    found = find_faults(span_one(locale, hit), planned(locale)[1])
    assert names(found) == [("unit_change", column)]
    assert found[0].evidence["slope"] == pytest.approx((unit or (1.8, 32.0))[0], rel=0.01)
    assert within_a_bucket(found[0], 0.4, 0.7)


@pytest.mark.parametrize(
    ("locale", "column", "unit"),
    [
        ("us-east", "temp_c", (1.8, 32.0)),
        ("eu-west", "pressure_kpa", (0.01, 0.0)),
        ("ap-south", "soc", (100, 0)),
    ],
)
def test_a_change_of_unit_at_one_of_two_assets_is_named_with_its_share(locale, column, unit) -> None:
    hit = fault("unit_change", locale, column=column, unit=unit, begin=0.4, end=0.7, assets=1)
    found = find_faults(span_one(locale, hit), planned(locale)[1])
    assert names(found) == [("unit_change", column)]
    assert found[0].evidence["slope"] == pytest.approx(unit[0], rel=0.01)
    assert found[0].evidence["row_share"] == pytest.approx(0.5, abs=0.1)
    assert within_a_bucket(found[0], 0.4, 0.7)


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("assets", [None, 1])
def test_a_stuck_sensor_is_named_of_all_assets_and_of_one(locale, assets) -> None:
    hit = fault("stuck_sensor", locale, column="bus_voltage_v", begin=0.4, end=0.7, assets=assets)
    found = find_faults(span_one(locale, hit), planned(locale)[1])
    assert names(found) == [("stuck_sensor", "bus_voltage_v")]
    assert within_a_bucket(found[0], 0.4, 0.7)
    assert found[0].evidence["still_s"] == pytest.approx(0.3 * SPAN_S, rel=0.02)


@pytest.mark.parametrize(
    ("locale", "seconds"), [("us-east", 7200.0), ("eu-west", -10800.0), ("ap-south", 19800.0)]
)
def test_a_shift_of_the_clock_is_named_with_its_size(locale, seconds) -> None:
    hit = fault("clock_shift", locale, seconds=seconds, begin=0.4, end=0.7)
    found = find_faults(span_one(locale, hit), planned(locale)[1])
    # The rows that the jump leaves out are no gap of their own.
    assert names(found) == [("clock_shift", ALL_FEATURES)]
    assert found[0].evidence["shift_s"] == pytest.approx(seconds, abs=HOUR_S)
    assert bucket_of(found[0].begin, HOUR_S) * HOUR_S == pytest.approx(
        stamp(0.4) + seconds, abs=abs(seconds) + HOUR_S
    )


def test_a_shift_of_the_clock_over_the_whole_span_has_no_end() -> None:
    found = find_faults(span_one("us-east", fault("clock_shift", "us-east")), planned("us-east")[1])
    assert names(found) == [("clock_shift", ALL_FEATURES)]
    assert (found[0].evidence["shift_s"], found[0].end) == (pytest.approx(3600.0, abs=900.0), "")


@pytest.mark.parametrize("locale", LOCALES)
def test_a_silent_gap_is_named_with_its_length_with_and_without_a_baseline(locale) -> None:
    current = span_one(locale, fault("silent_gap", locale, begin=0.4, end=0.7))
    for baseline in (planned(locale)[1], None):
        found = find_faults(current, baseline)
        assert names(found) == [("silent_gap", ALL_FEATURES)]
        assert within_a_bucket(found[0], 0.4, 0.7)
        assert found[0].evidence["gap_s"] == pytest.approx(0.3 * SPAN_S, abs=2 * HOUR_S)
        assert found[0].evidence["span_share"] == pytest.approx(0.3, abs=0.02)


def test_a_renamed_column_is_a_change_of_schema() -> None:
    current, baseline = span_one("us-east", fault("schema_change", "us-east")), planned("us-east")[1]
    renamed = SchemaChange.between(("temp_c",), ("temp_c_v2", "operator"), (), ("operator",))
    assert renamed == SchemaChange(lost=("temp_c",), gained=("temp_c_v2",))
    found = find_faults(current, baseline, columns=renamed)
    assert names(found) == [("schema_change", "temp_c")]
    assert "temp_c_v2" in found[0].words
    assert names(find_faults(current, baseline)) == [("schema_change", "temp_c")]


@pytest.mark.parametrize(("factor", "renamed"), [(1.0, True), (50.0, False)])
def test_a_new_feature_is_a_renamed_one_where_its_values_are_like_the_lost_ones(factor, renamed) -> None:
    both = DATASET.model_copy(update={"features": (*DATASET.features, FeatureConfig(name="other"))})
    before, now = table(FLEET, "us-east", 0), table(FLEET, "us-east", 1)
    plan = plan_profile([before], both)
    values = pa.array(now["temp_c"].to_numpy() * factor, from_pandas=True)
    now = now.drop(["temp_c"]).append_column("other", values)
    found = find_faults(build_profile([now], both, plan), build_profile([before], both, plan))
    assert names(found) == [("schema_change", "temp_c")]
    assert ("(other)" in found[0].words) == renamed


def test_a_column_that_is_there_without_a_value_is_silent_and_one_that_never_had_any_is_nothing() -> None:
    plan, baseline = planned("us-east")
    current = span_one("us-east", fault("schema_change", "us-east"))
    assert names(find_faults(current, baseline, columns=SchemaChange())) == [("silent_gap", "temp_c")]
    assert find_faults(current, current, columns=SchemaChange()) == []
    assert plan.features[0].name == "temp_c"


def test_a_column_that_comes_back_under_a_name_of_the_data_set_is_told() -> None:
    change = SchemaChange.between((), (), ("flow",), ())
    assert change == SchemaChange(lost=(), gained=("flow",))
    found = find_faults(span_one("us-east"), planned("us-east")[1], columns=change)
    assert names(found) == [("schema_change", "flow")]


def test_a_sensor_without_values_for_a_while_is_a_gap_of_its_own() -> None:
    rows = table(FLEET, "us-east", 1)
    time_s = rows["timestamp"].to_numpy() / 1e6
    gone = (time_s >= stamp(0.4)) & (time_s < stamp(0.7))
    silent = pa.array(np.where(gone, np.nan, rows["soc"].to_numpy()), from_pandas=True)
    rows = rows.set_column(rows.column_names.index("soc"), "soc", silent)
    plan, baseline = planned("us-east")
    found = find_faults(build_profile([rows], DATASET, plan), baseline)
    assert names(found) == [("silent_gap", "soc")]
    assert within_a_bucket(found[0], 0.4, 0.7)


@pytest.mark.parametrize("locale", LOCALES)
def test_a_stationary_fleet_has_no_fault(locale) -> None:
    plan, baseline = planned(locale)
    for span in range(1, 6):
        current = build_profile([table(FLEET, locale, span)], DATASET, plan)
        assert find_faults(current, baseline) == []
        assert find_faults(current, None) == []


@pytest.mark.parametrize(
    ("parameter", "factor", "offset"),
    [
        ("thermal.set_point_c", 1.0, 3.0),
        ("thermal.ambient_mean_c", 1.0, -8.0),
        ("pump.speed_amplitude", 1.6, 0.0),
        ("pump.speed_mean", 0.7, 0.0),
        ("battery.solar_w", 0.6, 0.0),
        ("battery.capacity_ah", 0.5, 0.0),
    ],
)
def test_a_drift_of_the_plant_is_no_fault(parameter, factor, offset) -> None:
    change = ChangeConfig(locale="eu-west", span=1, parameter=parameter, factor=factor, offset=offset)
    assert find_faults(span_one("eu-west", changes=(change,)), planned("eu-west")[1]) == []


PLANT = DatasetConfig(
    features=(
        *(FeatureConfig(name=name) for name in ("fixed", "coarse", "pump", "sensor")),
        FeatureConfig(name="on", kind="binary"),
    ),
    targets=("sensor",),
    interval_s=600,
)


def plant(day: int, days: int, off_h: float, stuck: tuple[str, ...] = ()) -> pa.Table:
    """Features that are still by nature: a constant, a coarse quantiser, a pump that is off, a flag."""
    rng = np.random.default_rng(day)
    time = np.arange(144 * days)
    hour = time % 144 / 6
    noise = rng.normal(size=(2, len(time)))
    columns = {
        "timestamp": (day * 86_400 + time * 600) * 1_000_000,
        "fixed": np.full(len(time), 7.0),
        "coarse": np.round(np.sin(hour * np.pi / 12) * 1.4),
        "pump": np.where(time < off_h * 6, 0.0, np.where(hour < 8, 0.0, 30 + noise[0])),
        "sensor": 20 + np.sin(hour * np.pi / 12) + 0.3 * noise[1],
        "on": ((hour > 9) & (time > off_h * 6)).astype(np.int64),
    }
    for name in stuck:
        columns[name] = np.where(time > 60, columns[name][60], columns[name])
    return pa.table(columns)


def test_what_is_still_by_nature_is_not_stuck_and_what_is_stuck_is() -> None:
    before = plant(100, 4, off_h=0)
    plan = plan_profile([before], PLANT, random_features=0)
    baseline = build_profile([before], PLANT, plan)
    # The pump stays off for forty hours, five times as long as ever; it is off, not stuck.
    assert find_faults(build_profile([plant(104, 4, off_h=40)], PLANT, plan), baseline) == []
    stuck = build_profile([plant(104, 4, off_h=0, stuck=("pump", "sensor", "fixed"))], PLANT, plan)
    found = [each for each in find_faults(stuck, baseline) if each.name == "stuck_sensor"]
    assert names(found) == [("stuck_sensor", "pump"), ("stuck_sensor", "sensor")]
    alone = find_faults(build_profile([plant(104, 4, off_h=0)], PLANT, plan), None)
    assert alone == []


def test_a_stuck_sensor_shows_without_a_baseline_where_the_rest_of_the_span_moves() -> None:
    hit = fault("stuck_sensor", "us-east", column="flow_lpm", begin=0.4, end=0.7)
    found = find_faults(span_one("us-east", hit), None)
    assert names(found) == [("stuck_sensor", "flow_lpm")]
    whole = fault("stuck_sensor", "us-east", column="flow_lpm")
    assert find_faults(span_one("us-east", whole), None) == []  # a constant, for all that a span can tell


def test_no_rows_are_no_fault_and_other_plans_are_refused() -> None:
    plan, baseline = planned("us-east")
    assert find_faults(empty(plan), baseline) == []
    assert find_faults(baseline, empty(plan)) == []
    with pytest.raises(InternalError, match="different plans"):
        find_faults(baseline, planned("eu-west")[1])


def test_a_row_of_another_decade_changes_nothing() -> None:
    plan, baseline = planned("us-east")
    hit = fault("stuck_sensor", "us-east", column="soc", begin=0.4, end=0.7)
    rows = table(FLEET.model_copy(update={"faults": (hit,)}), "us-east", 1)
    stray = rows.slice(0, 1).set_column(0, "timestamp", pa.array([1_000_000]))
    far = build_profile([pa.concat_tables([stray, rows])], DATASET, plan)
    assert far.bucket[0] == 0
    assert names(find_faults(far, baseline)) == [("stuck_sensor", "soc")]
    assert names(find_faults(far, far)) == []


@pytest.mark.parametrize("hours", [1, 2, 5])
def test_a_span_or_a_baseline_of_a_few_hours_is_judged_without_a_crash(hours) -> None:
    _, baseline = planned("us-east")
    short = select(baseline, slice(0, hours))
    assert find_faults(short, baseline) == []
    assert find_faults(baseline, short) == []


def test_the_best_segment_is_that_of_all_segments() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        score = rng.normal(size=int(rng.integers(1, 12)))
        begin, end, total = best_segment(score)
        best = max(
            [score[a:b].sum() for a in range(len(score)) for b in range(a, len(score) + 1)], default=0.0
        )
        assert total == pytest.approx(max(0.0, best))
        assert score[begin:end].sum() == pytest.approx(total)
        beside = np.stack([score, np.append(score[1:], np.nan)], axis=1)
        expected = [best_segment(score)[2], best_segment(score[1:])[2]]
        np.testing.assert_allclose(best_totals(beside), expected, atol=1e-12)


def test_runs_and_times() -> None:
    assert runs(np.array([True, True, False, True])) == [(0, 2), (3, 4)]
    assert iso(12, 3600) == "1970-01-01T12:00:00Z"
    assert bucket_of(iso(482_000, 3600), 3600) == 482_000


def test_a_span_extends_from_its_first_bucket_to_the_end_of_its_last() -> None:
    profile = planned("us-east")[1]
    begin, end = extent_of(profile)
    assert datetime.datetime.fromisoformat(begin[:-1]).date() == FLEET.start_date
    assert parsed(end) - parsed(begin) == datetime.timedelta(seconds=SPAN_S)
    # One row with the clock of 1970 is not when the span began.
    stray = dataclasses.replace(profile, bucket=np.r_[0, profile.bucket[1:]])
    assert extent_of(stray)[0] == iso(float(profile.bucket[1]), profile.plan.bucket_s)
    assert extent_of(empty(profile.plan)) == ("", "")


def test_a_drift_that_is_there_from_the_beginning_has_the_times_of_its_span() -> None:
    worn = ChangeConfig(locale="us-east", span=1, parameter="pump.static_kpa", factor=1.25)
    current = span_one("us-east", changes=(worn,))
    question = Question("drift", "us-east", 1, "span 0", "previous")
    found = answer(
        question, current, planned("us-east")[1], Rules(draws=99), MonitoringConfig(), lambda name: ()
    )
    causes = {item.feature: item.cause for item in found if item.verdict == "ALERT"}
    drift = causes["flow_lpm"]
    assert (drift.name, drift.begin, drift.end) == ("drift_in_time", *extent_of(current))


def parsed(time: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(time.replace("Z", ""))
